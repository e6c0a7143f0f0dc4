//! Vectors of `f32`: one trait, an implementation per instruction set, and the choice between them.
//!
//! A kernel is a [`Work`] whose `run` is generic over [`Simd`] and always inlined; [`Isa::dispatch`] calls it
//! from a function compiled with the target features of the instruction set, so that the whole kernel is.

use std::sync::OnceLock;

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::Avx512;

/// Most rows that any strip has: those of a register tile ([`Simd::ROWS`]), or of matrix registers.
pub(crate) const MAX_ROWS: usize = 32;

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// AVX-512F: 16 lanes, 32 registers.
    Avx512,
    /// AVX2 with FMA and F16C: 8 lanes, 16 registers.
    Avx2,
    /// NEON: 4 lanes, 32 registers.
    Neon,
    /// Arrays of 4, which the compiler vectorises as the target allows.
    Portable,
}

impl Isa {
    /// The best instruction set of this machine, found once.
    pub(crate) fn current() -> Self {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| Self::available()[0])
    }

    /// All instruction sets of this machine, best first; never empty.
    pub(crate) fn available() -> Vec<Self> {
        let all = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];
        all.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this machine has the instruction set.
    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::Avx2::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => neon::Neon::detect().is_some(),
            other => other == Self::Portable,
        }
    }

    /// Columns of one panel of a packed matrix: two vectors.
    pub(crate) const fn columns(self) -> usize {
        match self {
            Self::Avx512 => 32,
            Self::Avx2 => 16,
            Self::Neon | Self::Portable => 8,
        }
    }

    /// Rows of the register tile.
    pub(crate) const fn rows(self) -> usize {
        match self {
            Self::Avx512 | Self::Neon => 12,
            Self::Avx2 | Self::Portable => 6,
        }
    }

    /// Runs `work` compiled for this instruction set, or portably where the machine lacks it.
    ///
    /// A set that the machine lacks cannot be told from its name alone, so a panel packed for another machine is
    /// refused where panels are read, not here.
    pub(crate) fn dispatch<W: Work>(self, work: W) -> W::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => match Avx512::detect() {
                Some(simd) => simd.run(work),
                None => work.run(Portable),
            },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => match x86::Avx2::detect() {
                Some(simd) => simd.run(work),
                None => work.run(Portable),
            },
            #[cfg(target_arch = "aarch64")]
            Self::Neon => match neon::Neon::detect() {
                Some(simd) => simd.run(work),
                None => work.run(Portable),
            },
            _ => work.run(Portable),
        }
    }
}

/// A computation written once for every instruction set. Implementations mark `run` `#[inline(always)]`.
pub(crate) trait Work {
    /// What the computation returns.
    type Output;
    /// Computes with vectors of `S`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// The operations of an instruction set. A value of the type proves that the machine has it.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// A vector of [`Simd::LANES`] values.
    type V: Copy;
    /// Values in a vector.
    const LANES: usize;
    /// Rows of the register tile: what fits in the registers beside two vectors per row.
    const ROWS: usize;
    /// Columns of the register tile.
    const COLUMNS: usize = 2 * Self::LANES;

    /// A vector of copies of `x`.
    fn splat(self, x: f32) -> Self::V;
    /// Reads a vector.
    ///
    /// # Safety
    /// `from` is valid for reading [`Simd::LANES`] values.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// Writes a vector.
    ///
    /// # Safety
    /// `to` is valid for writing [`Simd::LANES`] values.
    unsafe fn store(self, to: *mut f32, v: Self::V);
    /// Writes a vector past the caches where the machine can, for results far larger than those; [`Simd::fence`] must follow.
    ///
    /// # Safety
    /// `to` is valid for writing [`Simd::LANES`] values and a multiple of 16 bytes.
    unsafe fn stream(self, to: *mut f32, v: Self::V) {
        // SAFETY: the caller promises more.
        unsafe { self.store(to, v) }
    }
    /// Lets other threads see what was streamed.
    fn fence(self) {}
    /// Reads `count` values (at most [`Simd::LANES`]); the other lanes are zero.
    ///
    /// # Safety
    /// `from` is valid for reading `count` values.
    unsafe fn load_part(self, from: *const f32, count: usize) -> Self::V;
    /// Writes the first `count` lanes (at most [`Simd::LANES`]).
    ///
    /// # Safety
    /// `to` is valid for writing `count` values.
    unsafe fn store_part(self, to: *mut f32, v: Self::V, count: usize);
    /// Reads a vector of half-precision values, given by their bits.
    ///
    /// # Safety
    /// `from` is valid for reading [`Simd::LANES`] values.
    unsafe fn load_f16(self, from: *const u16) -> Self::V;
    /// Reads a vector of bfloat16 values, given by their bits.
    ///
    /// # Safety
    /// `from` is valid for reading [`Simd::LANES`] values.
    unsafe fn load_bf16(self, from: *const u16) -> Self::V;
    /// Reads a vector of the first of two bfloat16 values each, given by their bits.
    ///
    /// # Safety
    /// `from` is valid for reading [`Simd::LANES`] pairs.
    unsafe fn load_even(self, from: *const u16) -> Self::V;
    /// Reads a vector of the second of two bfloat16 values each, given by their bits.
    ///
    /// # Safety
    /// `from` is valid for reading [`Simd::LANES`] pairs.
    unsafe fn load_odd(self, from: *const u16) -> Self::V;
    /// The nearest bfloat16 values, even where two are as near. Not a number stays so.
    fn round_bf16(self, v: Self::V) -> Self::V;

    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the machine can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger of `a` and `b`; `b` where either is not a number.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller of `a` and `b`; `b` where either is not a number.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The nearest whole numbers, for |v| < 2^22.
    fn round(self, v: Self::V) -> Self::V;
    /// `v * 2^n` for whole `n` in -126..=127.
    fn scale(self, v: Self::V, n: Self::V) -> Self::V;
    /// The sum of the lanes.
    fn sum(self, v: Self::V) -> f32;
    /// The largest lane, for lanes that are numbers.
    fn largest(self, v: Self::V) -> f32;
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Probe<'a>(&'a [f32], &'a mut [f32]);

    impl Work for Probe<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let (input, output) = (&self.0[..S::LANES], &mut self.1[..10 * S::LANES]);
            let lanes = S::LANES;
            let halves: Vec<u16> = input.iter().map(|&x| half::f16::from_f32(x).to_bits()).collect();
            let brains: Vec<u16> = input.iter().map(|&x| half::bf16::from_f32(x).to_bits()).collect();
            // SAFETY: `input`, `halves` and `brains` have LANES values, `output` ten times as many.
            unsafe {
                let v = s.load(input.as_ptr());
                let to = output.as_mut_ptr();
                s.store(to, s.mul_add(v, v, s.splat(1.0)));
                s.store(to.add(lanes), s.round(v));
                s.store(to.add(2 * lanes), s.scale(v, s.splat(-3.0)));
                s.store(to.add(3 * lanes), s.load_f16(halves.as_ptr()));
                s.store(to.add(4 * lanes), s.load_bf16(brains.as_ptr()));
                s.store(to.add(5 * lanes), s.load_part(input.as_ptr(), lanes - 1));
                s.store_part(to.add(6 * lanes), v, 1);
                s.store(to.add(7 * lanes), s.splat(s.sum(v)));
                s.store(to.add(8 * lanes), s.splat(s.largest(v)));
                s.store(to.add(9 * lanes), s.div(s.max(v, s.splat(f32::NAN)), s.min(v, s.splat(2.0))));
            }
        }
    }

    #[test]
    fn every_instruction_set_agrees_with_scalar_arithmetic() {
        let input: Vec<f32> = (0..16u8).map(|i| f32::from(i) * 1.375 - 9.0).collect();
        for isa in Isa::available() {
            let lanes = isa.columns() / 2;
            let mut got = vec![-7.0; 10 * lanes];
            isa.dispatch(Probe(&input, &mut got));
            for (i, &x) in input[..lanes].iter().enumerate() {
                let at = |row: usize| got[row * lanes + i];
                assert!((at(0) - (x * x + 1.0)).abs() < 1e-5, "{isa:?}");
                assert!((at(1) - x).abs() <= 0.5 && at(1).fract() == 0.0, "{isa:?}");
                assert_eq!(at(2), x / 8.0, "{isa:?}");
                assert_eq!(at(3), half::f16::from_f32(x).to_f32(), "{isa:?}");
                assert_eq!(at(4), half::bf16::from_f32(x).to_f32(), "{isa:?}");
                assert_eq!(at(5), if i + 1 < lanes { x } else { 0.0 }, "{isa:?}");
                assert_eq!(at(6), if i == 0 { x } else { -7.0 }, "{isa:?}");
                assert!((at(7) - input[..lanes].iter().sum::<f32>()).abs() < 1e-4, "{isa:?}");
                assert_eq!(at(8), input[lanes - 1], "{isa:?}");
                assert!(at(9).is_nan(), "{isa:?}: the second operand wins over a number");
            }
        }
    }

    #[repr(align(16))]
    struct Aligned([f32; 16]);

    struct Stream<'a>(&'a mut Aligned);

    impl Work for Stream<'_> {
        type Output = usize;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> usize {
            // SAFETY: there are 16 values, aligned to 16 bytes.
            unsafe { s.stream(self.0.0.as_mut_ptr(), s.load([1.0, 2.0, 3.0, 4.0].repeat(4).as_ptr())) }
            s.fence();
            S::LANES
        }
    }

    #[test]
    fn streams_are_stores() {
        for isa in Isa::available() {
            let mut out = Aligned([0.0; 16]);
            let lanes = isa.dispatch(Stream(&mut out));
            assert_eq!(out.0[..lanes], [1.0, 2.0, 3.0, 4.0].repeat(4)[..lanes], "{isa:?}");
            assert!(out.0[lanes..].iter().all(|v| *v == 0.0), "{isa:?}");
        }
    }

    #[test]
    fn tile_sizes_match_the_types() {
        struct Sizes;
        impl Work for Sizes {
            type Output = (usize, usize);
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> (usize, usize) {
                (S::ROWS, S::COLUMNS)
            }
        }
        for isa in Isa::available() {
            assert_eq!(isa.dispatch(Sizes), (isa.rows(), isa.columns()));
            assert!(isa.rows() <= MAX_ROWS);
        }
    }
}
