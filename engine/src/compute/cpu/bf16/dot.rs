//! AVX-512 BF16: an instruction adds the products of sixteen pairs to sixteen sums.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512bh, __m512i, _mm256_storeu_si256, _mm512_cvtneps_pbh, _mm512_dpbf16_ps,
    _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
};

use super::{Kernel, LEFT_STRIDE, Rounded, UnitWork};
use crate::cpu::gemm::Sums;
use crate::cpu::simd::{Avx512, Simd};

/// Products of pairs. A value exists only where [`Dot::detect`] found the features.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dot(Avx512);

impl Dot {
    /// The unit, if this machine has it.
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512bf16")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        Avx512::detect().filter(|_| found).map(Self)
    }

    /// The vectors beside it, for tiles, which Linux alone hands out.
    #[cfg(target_os = "linux")]
    pub(super) fn vectors(self) -> Avx512 {
        self.0
    }

    /// Runs `work` in a function compiled for these instructions.
    pub(super) fn run<W: UnitWork>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma")]
        fn inner<W: UnitWork>(dot: Dot, work: W) -> W::Output {
            work.run(dot.0, dot)
        }
        // SAFETY: `self` exists, so the machine has the features.
        unsafe { inner(self, work) }
    }
}

impl Kernel<Avx512> for Dot {
    type Left = u16;
    const ROWS: usize = Avx512::ROWS;

    #[inline(always)]
    unsafe fn round(self, s: Avx512, from: *const f32, count: usize, to: *mut u16) {
        const LANES: usize = Avx512::LANES;
        let mut i = 0;
        while i < count {
            // SAFETY: the caller lets `count` values be read, and whole vectors be written; the machine has the instructions.
            unsafe {
                let v = if count - i >= LANES {
                    s.load(from.add(i))
                } else {
                    s.load_part(from.add(i), count - i)
                };
                let rounded = _mm512_cvtneps_pbh(v);
                _mm256_storeu_si256(to.add(i).cast(), std::mem::transmute::<__m256bh, __m256i>(rounded));
            }
            i += LANES;
        }
    }

    #[inline(always)]
    unsafe fn multiply(self, s: Avx512, strip: Rounded<u16>, panel: *const u16, wide: bool, sums: Sums) {
        // SAFETY: the same contract.
        unsafe {
            match (strip.rows, wide) {
                (1, true) => tile::<1, 2>(s, strip, panel, sums),
                (1, false) => tile::<1, 1>(s, strip, panel, sums),
                (2..=4, true) => tile::<4, 2>(s, strip, panel, sums),
                (2..=4, false) => tile::<4, 1>(s, strip, panel, sums),
                (5..=8, true) => tile::<8, 2>(s, strip, panel, sums),
                (5..=8, false) => tile::<8, 1>(s, strip, panel, sums),
                (_, true) => tile::<12, 2>(s, strip, panel, sums),
                (_, false) => tile::<12, 1>(s, strip, panel, sums),
            }
        }
    }
}

/// The tile itself, all sums in registers. Loops count instead of iterating, as in the tile of f32.
///
/// # Safety
/// As [`Kernel::multiply`], for `ROWS` rows and `VECTORS` vectors, on a machine that has the instructions.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "see above")]
unsafe fn tile<const ROWS: usize, const VECTORS: usize>(
    s: Avx512,
    strip: Rounded<u16>,
    mut panel: *const u16,
    sums: Sums,
) {
    // SAFETY: the caller lets a whole number of pairs be read, of rows LEFT_STRIDE apart and of VECTORS vectors, and as many rows
    // and vectors be written. The machine has the instructions, and all 32 bits of the types mean something.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        let mut left = strip.left;
        for _ in 0..strip.depth.div_ceil(2) {
            let mut b: [__m512bh; VECTORS] = std::mem::transmute_copy(&[_mm512_setzero_ps(); VECTORS]);
            for vector in 0..VECTORS {
                b[vector] = pairs(_mm512_loadu_si512(panel.add(vector * 2 * Avx512::LANES).cast()));
            }
            for row in 0..ROWS {
                let x = pairs(_mm512_set1_epi32(left.add(row * LEFT_STRIDE).cast::<i32>().read_unaligned()));
                for vector in 0..VECTORS {
                    acc[row][vector] = _mm512_dpbf16_ps(acc[row][vector], x, b[vector]);
                }
            }
            left = left.wrapping_add(2);
            panel = panel.wrapping_add(2 * Avx512::COLUMNS);
        }
        for row in 0..ROWS {
            for vector in 0..VECTORS {
                let mut sum: __m512 = acc[row][vector];
                let at = sums.at.add(row * sums.stride + vector * Avx512::LANES);
                if sums.accumulate {
                    sum = s.add(sum, s.load(at));
                }
                s.store(at, sum);
            }
        }
    }
}

/// The same bits as sixteen pairs.
#[inline(always)]
fn pairs(bits: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits of which all patterns mean something.
    unsafe { std::mem::transmute(bits) }
}
