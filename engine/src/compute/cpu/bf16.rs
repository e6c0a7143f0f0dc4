//! Products of bfloat16 operands with sums in f32: what machines have for them, and the choice between them.
//!
//! All units read the same panels: the right operand in pairs along k, as matrix units want it. The left operand is rounded
//! strip by strip, into the form that the unit reads.

use std::sync::OnceLock;

use bytemuck::Pod;

use super::gemm::Sums;
use super::simd::{Isa, Simd, Work};

#[cfg(target_arch = "x86_64")]
mod dot;
#[cfg(test)]
mod tests;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod tiles;
mod widened;

use widened::Widened;

/// Values of k that a unit takes at a time, at most: panels and strips are padded to multiples of it.
pub(crate) const STEP: usize = 32;
/// Values of k of a strip, at most.
pub(crate) const DEPTH: usize = 512;
/// Distance of a strip's rows; not a power of two, so that they do not share the sets of a cache.
pub(crate) const LEFT_STRIDE: usize = DEPTH + STEP;

/// What multiplies bfloat16 values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Matrix registers: AMX.
    Tiles,
    /// Products of pairs: AVX-512 BF16.
    Dot,
    /// Values widened to f32, on any instruction set.
    Widened(Isa),
}

impl Unit {
    /// The best unit of this machine, found once.
    pub(crate) fn current() -> Self {
        static CURRENT: OnceLock<Unit> = OnceLock::new();
        *CURRENT.get_or_init(|| Self::available()[0])
    }

    /// All units of this machine, best first; never empty.
    pub(crate) fn available() -> Vec<Self> {
        let units = [Self::Tiles, Self::Dot].into_iter().filter(|unit| unit.is_available());
        units.chain(Isa::available().into_iter().map(Self::Widened)).collect()
    }

    fn is_available(self) -> bool {
        match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Tiles => tiles::Tiles::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Dot => dot::Dot::detect().is_some(),
            Self::Widened(isa) => Isa::available().contains(&isa),
            #[allow(unreachable_patterns, reason = "the others are of other machines")]
            _ => false,
        }
    }

    /// Whether it multiplies more of them in a second than f32.
    pub(crate) fn is_fast(self) -> bool {
        !matches!(self, Self::Widened(_))
    }

    /// The instruction set beside it, whose vectors the panels are as wide as.
    pub(crate) fn isa(self) -> Isa {
        match self {
            Self::Tiles | Self::Dot => Isa::Avx512,
            Self::Widened(isa) => isa,
        }
    }

    /// Rows of a strip.
    pub(crate) fn rows(self) -> usize {
        match self {
            Self::Tiles => 32,
            Self::Dot => Isa::Avx512.rows(),
            Self::Widened(isa) => isa.rows(),
        }
    }

    /// Columns of a task, at most: as many as keep the panels of [`DEPTH`] in the second-level cache.
    pub(crate) fn task_columns(self) -> usize {
        match self {
            Self::Tiles => 512,
            Self::Dot | Self::Widened(_) => 256,
        }
    }

    /// Runs `work` on this unit, or with widened values where the machine lacks it.
    pub(crate) fn dispatch<W: UnitWork>(self, work: W) -> W::Output {
        match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Tiles => match tiles::Tiles::detect() {
                Some(tiles) => tiles.run(work),
                None => Isa::Avx512.dispatch(OnVectors(work)),
            },
            #[cfg(target_arch = "x86_64")]
            Self::Dot => match dot::Dot::detect() {
                Some(dot) => dot.run(work),
                None => Isa::Avx512.dispatch(OnVectors(work)),
            },
            unit => unit.isa().dispatch(OnVectors(work)),
        }
    }
}

/// Work with values widened in vectors.
struct OnVectors<W>(W);

impl<W: UnitWork> Work for OnVectors<W> {
    type Output = W::Output;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> W::Output {
        self.0.run(s, Widened)
    }
}

/// A computation written once for every unit. Implementations mark `run` `#[inline(always)]`.
pub(crate) trait UnitWork {
    /// What the computation returns.
    type Output;
    /// Computes with the unit and the vectors beside it.
    fn run<S: Simd, K: Kernel<S>>(self, simd: S, kernel: K) -> Self::Output;
}

/// The operations of a unit. A value of the type proves that the machine has it.
pub(crate) trait Kernel<S: Simd>: Copy {
    /// A rounded value of the left operand.
    type Left: Pod;
    /// Rows of a strip.
    const ROWS: usize;

    /// Rounds `count` values. Whole vectors are written: zeros past the last value.
    ///
    /// # Safety
    /// `from` is valid for reading `count` values, `to` for writing as many rounded up to a vector.
    unsafe fn round(self, s: S, from: *const f32, count: usize, to: *mut Self::Left);

    /// Rounds the `count` values of a row, at most [`DEPTH`], and writes zeros behind them up to a multiple of [`STEP`].
    ///
    /// # Safety
    /// `from` is valid for reading `count` values, `to` for writing [`LEFT_STRIDE`].
    #[inline(always)]
    unsafe fn round_row(self, s: S, from: *const f32, count: usize, to: *mut Self::Left) {
        // SAFETY: a vector is no longer than STEP, so what is written lies within LEFT_STRIDE. All bits zero are a zero.
        unsafe {
            self.round(s, from, count, to);
            to.add(count).write_bytes(0, count.next_multiple_of(STEP) - count);
        }
    }

    /// Computes a strip times one panel into `sums`: all columns of the panel, or its first vector where `wide` is false. More
    /// rows than `rows` may be written, up to [`Kernel::ROWS`].
    ///
    /// # Safety
    /// - `strip.left` is valid for reading [`Kernel::ROWS`] rows of `depth` values rounded up to [`STEP`], [`LEFT_STRIDE`] apart,
    ///   and `panel` for as many rows of [`Simd::COLUMNS`] values, which lie in pairs.
    /// - `sums` is valid for writing (and reading, to accumulate) [`Kernel::ROWS`] rows of [`Simd::COLUMNS`] values.
    unsafe fn multiply(self, s: S, strip: Rounded<Self::Left>, panel: *const u16, wide: bool, sums: Sums);
}

/// Rows of the left operand, rounded: [`LEFT_STRIDE`] apart, with zeros up to a multiple of [`STEP`].
#[derive(Clone, Copy)]
pub(crate) struct Rounded<T> {
    /// Row 0.
    pub(crate) left: *const T,
    /// Rows in use.
    pub(crate) rows: usize,
    /// Values of a row.
    pub(crate) depth: usize,
}
