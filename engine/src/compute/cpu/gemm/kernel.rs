//! The register tile: a few rows of A, read in place, times one packed panel.

use bytemuck::{Pod, Zeroable};

use crate::cpu::simd::Simd;

/// A value of a packed panel.
pub(crate) trait Element: Pod + Send + Sync {
    /// Reads a vector and widens it.
    ///
    /// # Safety
    /// `from` is valid for reading [`Simd::LANES`] values.
    unsafe fn load<S: Simd>(s: S, from: *const Self) -> S::V;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, from: *const Self) -> S::V {
        // SAFETY: the same contract.
        unsafe { s.load(from) }
    }
}

/// The bits of a half-precision value.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct F16Bits(u16);

impl Element for F16Bits {
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, from: *const Self) -> S::V {
        // SAFETY: the same contract; the type is transparent.
        unsafe { s.load_f16(from.cast()) }
    }
}

/// The bits of a bfloat16 value.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Bf16Bits(u16);

impl Element for Bf16Bits {
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, from: *const Self) -> S::V {
        // SAFETY: the same contract; the type is transparent.
        unsafe { s.load_bf16(from.cast()) }
    }
}

/// A strip of rows of A: each row is a sequence of pieces of memory of the same length.
#[derive(Clone, Copy)]
pub(crate) struct Strip<'a> {
    /// Where each piece of each row begins: [pieces, `Simd::ROWS`].
    pub(crate) table: &'a [*const f32],
    /// Where in each piece to begin.
    pub(crate) start: usize,
    /// Values of each piece to use.
    pub(crate) len: usize,
    /// Rows of the table in use, at most [`Simd::ROWS`].
    pub(crate) rows: usize,
}

/// Where a tile's sums go.
#[derive(Clone, Copy)]
pub(crate) struct Sums {
    /// Row 0, column 0.
    pub(crate) at: *mut f32,
    /// Distance of rows.
    pub(crate) stride: usize,
    /// Whether the sums are added to what is there.
    pub(crate) accumulate: bool,
}

/// Computes a strip times one panel into `sums`: all columns of the panel, or its first vector where `wide` is false.
/// Up to [`Simd::ROWS`] rows of `sums` are written: the strip's rows rounded up to an available tile.
///
/// # Safety
/// - Every pointer of the table, for all `Simd::ROWS` rows, is valid for reading `start + len` values.
/// - `panel` is valid for reading pieces * len rows of `panel_stride` values (of which the last may be one vector short
///   where `wide` is false).
/// - `sums` is valid for writing (and reading, to accumulate) `Simd::ROWS` rows of `Simd::COLUMNS` values.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd, E: Element>(
    s: S,
    strip: Strip<'_>,
    panel: *const E,
    panel_stride: usize,
    wide: bool,
    sums: Sums,
) {
    // SAFETY: the same contract; a tile never has more than `Simd::ROWS` rows.
    unsafe {
        match (strip.rows, wide) {
            (1, true) => tile::<S, E, 1, 2, 4>(s, strip, panel, panel_stride, sums),
            (1, false) => tile::<S, E, 1, 1, 4>(s, strip, panel, panel_stride, sums),
            (2, true) => tile::<S, E, 2, 2, 2>(s, strip, panel, panel_stride, sums),
            (2, false) => tile::<S, E, 2, 1, 2>(s, strip, panel, panel_stride, sums),
            (3..=4, true) => tile::<S, E, 4, 2, 1>(s, strip, panel, panel_stride, sums),
            (3..=4, false) => tile::<S, E, 4, 1, 1>(s, strip, panel, panel_stride, sums),
            (_, true) if S::ROWS == 6 => tile::<S, E, 6, 2, 1>(s, strip, panel, panel_stride, sums),
            (_, false) if S::ROWS == 6 => tile::<S, E, 6, 1, 1>(s, strip, panel, panel_stride, sums),
            (5..=8, true) => tile::<S, E, 8, 2, 1>(s, strip, panel, panel_stride, sums),
            (5..=8, false) => tile::<S, E, 8, 1, 1>(s, strip, panel, panel_stride, sums),
            (_, true) => tile::<S, E, 12, 2, 1>(s, strip, panel, panel_stride, sums),
            (_, false) => tile::<S, E, 12, 1, 1>(s, strip, panel, panel_stride, sums),
        }
    }
}

/// The tile itself, all sums in registers; `CHAINS` independent sets of them hide the latency of few rows.
///
/// Loops count instead of iterating: every call must be inlined for the sums to live in registers, and the adapters of
/// iterators are not when a build is split into many code generation units.
///
/// # Safety
/// As [`multiply`], for `ROWS` rows and `VECTORS` vectors.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "see above")]
unsafe fn tile<S: Simd, E: Element, const ROWS: usize, const VECTORS: usize, const CHAINS: usize>(
    s: S,
    strip: Strip<'_>,
    mut panel: *const E,
    panel_stride: usize,
    sums: Sums,
) {
    let mut acc = [[[s.splat(0.0); VECTORS]; ROWS]; CHAINS];
    let pieces = strip.table.len() / S::ROWS;
    for piece in 0..pieces {
        let mut a = [std::ptr::null::<f32>(); ROWS];
        for row in 0..ROWS {
            // SAFETY: the table has ROWS pointers for each piece, and each piece is at least `start` long.
            a[row] = unsafe { (*strip.table.get_unchecked(piece * S::ROWS + row)).add(strip.start) };
        }
        let mut i = 0;
        while i + CHAINS <= strip.len {
            for chain in 0..CHAINS {
                // SAFETY: i + chain < len.
                unsafe { step::<S, E, ROWS, VECTORS>(s, &a, i + chain, panel, &mut acc[chain]) };
                panel = panel.wrapping_add(panel_stride);
            }
            i += CHAINS;
        }
        while CHAINS > 1 && i < strip.len {
            // SAFETY: i < len.
            unsafe { step::<S, E, ROWS, VECTORS>(s, &a, i, panel, &mut acc[0]) };
            panel = panel.wrapping_add(panel_stride);
            i += 1;
        }
    }
    for row in 0..ROWS {
        for vector in 0..VECTORS {
            let mut sum = acc[0][row][vector];
            for chain in 1..CHAINS {
                sum = s.add(sum, acc[chain][row][vector]);
            }
            // SAFETY: row < ROWS and vector < VECTORS, which the caller says may be written.
            unsafe {
                let at = sums.at.add(row * sums.stride + vector * S::LANES);
                if sums.accumulate {
                    sum = s.add(sum, s.load(at));
                }
                s.store(at, sum);
            }
        }
    }
}

/// Adds one column of A times one row of the panel.
///
/// # Safety
/// Each pointer is valid for reading at `i`, `panel` for reading `VECTORS` vectors.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "as in `tile`")]
unsafe fn step<S: Simd, E: Element, const ROWS: usize, const VECTORS: usize>(
    s: S,
    a: &[*const f32; ROWS],
    i: usize,
    panel: *const E,
    acc: &mut [[S::V; VECTORS]; ROWS],
) {
    let mut b = [s.splat(0.0); VECTORS];
    for vector in 0..VECTORS {
        // SAFETY: the caller says that VECTORS vectors may be read.
        b[vector] = unsafe { E::load(s, panel.add(vector * S::LANES)) };
    }
    for row in 0..ROWS {
        // SAFETY: the caller says that each pointer may be read at i.
        let x = s.splat(unsafe { *a[row].add(i) });
        for vector in 0..VECTORS {
            acc[row][vector] = s.mul_add(x, b[vector], acc[row][vector]);
        }
    }
}
