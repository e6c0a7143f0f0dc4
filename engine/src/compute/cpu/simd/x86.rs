//! AVX-512 and AVX2 vectors.

use std::arch::x86_64::{
    __m256, __m256i, __m512, _CMP_UNORD_Q, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _mm_cvtss_f32,
    _mm_loadu_si128, _mm_max_ps, _mm_max_ss, _mm_movehl_ps, _mm_sfence, _mm_shuffle_ps, _mm_stream_ps,
    _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256, _mm256_blendv_ps, _mm256_castps_si256,
    _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpgt_epi32, _mm256_cvtepu16_epi32,
    _mm256_cvtph_ps, _mm256_cvtps_epi32, _mm256_div_ps, _mm256_extractf128_ps, _mm256_fmadd_ps,
    _mm256_loadu_ps, _mm256_loadu_si256, _mm256_maskload_ps, _mm256_maskstore_ps, _mm256_max_ps,
    _mm256_min_ps, _mm256_mul_ps, _mm256_round_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32,
    _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_ps, _mm256_sub_ps, _mm512_add_epi32, _mm512_add_ps,
    _mm512_and_si512, _mm512_castps_si512, _mm512_castps512_ps128, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_cvtepu16_epi32, _mm512_cvtph_ps, _mm512_div_ps, _mm512_extractf32x4_ps, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_mov_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_reduce_add_ps, _mm512_reduce_max_ps,
    _mm512_roundscale_ps, _mm512_scalef_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_slli_epi32,
    _mm512_srli_epi32, _mm512_storeu_ps, _mm512_sub_ps,
};

use super::{Simd, Work};

/// Vectors of 16 in AVX-512F registers. A value exists only where [`Avx512::detect`] found the feature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

/// Vectors of 8 in AVX registers. A value exists only where [`Avx2::detect`] found AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx512 {
    /// The instruction set, if this machine has it.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    /// Runs `work` in a function compiled for this instruction set.
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn inner<W: Work>(simd: Avx512, work: W) -> W::Output {
            work.run(simd)
        }
        // SAFETY: `self` exists, so the machine has the features.
        unsafe { inner(self, work) }
    }
}

impl Avx2 {
    /// The instruction set, if this machine has it.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }

    /// Runs `work` in a function compiled for this instruction set.
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn inner<W: Work>(simd: Avx2, work: W) -> W::Output {
            work.run(simd)
        }
        // SAFETY: `self` exists, so the machine has the features.
        unsafe { inner(self, work) }
    }
}

/// Calls intrinsics of an instruction set whose proof, `self`, the calling method holds.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: a value of the implementing type exists only where the machine has its features; where the
        // intrinsic reads or writes memory, the method's own contract covers the range.
        unsafe { $call }
    };
}

/// The upper half of 32 bits.
const HIGH_HALF: i32 = 0xffff_0000_u32.cast_signed();

/// The lowest `count` bits set.
#[inline(always)]
fn low_bits(count: usize) -> u16 {
    debug_assert!(count <= 16);
    0xffff_u16.checked_shr(16 - u32::try_from(count).unwrap_or(16)).unwrap_or(0)
}

impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;
    const ROWS: usize = 12;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        intrinsic!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        intrinsic!(_mm512_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: __m512) {
        intrinsic!(_mm512_storeu_ps(to, v));
    }
    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, v: __m512) {
        intrinsic!({
            _mm_stream_ps(to, _mm512_castps512_ps128(v));
            _mm_stream_ps(to.add(4), _mm512_extractf32x4_ps::<1>(v));
            _mm_stream_ps(to.add(8), _mm512_extractf32x4_ps::<2>(v));
            _mm_stream_ps(to.add(12), _mm512_extractf32x4_ps::<3>(v));
        });
    }
    #[inline(always)]
    fn fence(self) {
        intrinsic!(_mm_sfence());
    }
    #[inline(always)]
    unsafe fn load_part(self, from: *const f32, count: usize) -> __m512 {
        intrinsic!(_mm512_maskz_loadu_ps(low_bits(count), from))
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, v: __m512, count: usize) {
        intrinsic!(_mm512_mask_storeu_ps(to, low_bits(count), v));
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const u16) -> __m512 {
        intrinsic!(_mm512_cvtph_ps(_mm256_loadu_si256(from.cast())))
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> __m512 {
        intrinsic!(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(
            from.cast()
        )))))
    }
    #[inline(always)]
    unsafe fn load_even(self, from: *const u16) -> __m512 {
        intrinsic!(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_loadu_si512(from.cast()))))
    }
    #[inline(always)]
    unsafe fn load_odd(self, from: *const u16) -> __m512 {
        intrinsic!(_mm512_castsi512_ps(_mm512_and_si512(
            _mm512_loadu_si512(from.cast()),
            _mm512_set1_epi32(HIGH_HALF)
        )))
    }
    #[inline(always)]
    fn round_bf16(self, v: __m512) -> __m512 {
        intrinsic!({
            let bits = _mm512_castps_si512(v);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
            let rounded = _mm512_castsi512_ps(_mm512_and_si512(up, _mm512_set1_epi32(HIGH_HALF)));
            _mm512_mask_mov_ps(rounded, _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v), v)
        })
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        intrinsic!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn round(self, v: __m512) -> __m512 {
        intrinsic!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v))
    }
    #[inline(always)]
    fn scale(self, v: __m512, n: __m512) -> __m512 {
        intrinsic!(_mm512_scalef_ps(v, n))
    }
    #[inline(always)]
    fn sum(self, v: __m512) -> f32 {
        intrinsic!(_mm512_reduce_add_ps(v))
    }
    #[inline(always)]
    fn largest(self, v: __m512) -> f32 {
        intrinsic!(_mm512_reduce_max_ps(v))
    }
}

/// All bits of the lowest `count` lanes set.
#[inline(always)]
fn lane_mask(_: Avx2, count: usize) -> __m256i {
    let count = i32::try_from(count).unwrap_or(8);
    intrinsic!(_mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)))
}

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    const ROWS: usize = 6;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        intrinsic!(_mm256_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        intrinsic!(_mm256_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: __m256) {
        intrinsic!(_mm256_storeu_ps(to, v));
    }
    #[inline(always)]
    unsafe fn stream(self, to: *mut f32, v: __m256) {
        intrinsic!({
            _mm_stream_ps(to, _mm256_castps256_ps128(v));
            _mm_stream_ps(to.add(4), _mm256_extractf128_ps::<1>(v));
        });
    }
    #[inline(always)]
    fn fence(self) {
        intrinsic!(_mm_sfence());
    }
    #[inline(always)]
    unsafe fn load_part(self, from: *const f32, count: usize) -> __m256 {
        intrinsic!(_mm256_maskload_ps(from, lane_mask(self, count)))
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, v: __m256, count: usize) {
        intrinsic!(_mm256_maskstore_ps(to, lane_mask(self, count), v));
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const u16) -> __m256 {
        intrinsic!(_mm256_cvtph_ps(_mm_loadu_si128(from.cast())))
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> __m256 {
        intrinsic!(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(
            from.cast()
        )))))
    }
    #[inline(always)]
    unsafe fn load_even(self, from: *const u16) -> __m256 {
        intrinsic!(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_loadu_si256(from.cast()))))
    }
    #[inline(always)]
    unsafe fn load_odd(self, from: *const u16) -> __m256 {
        intrinsic!(_mm256_castsi256_ps(_mm256_and_si256(
            _mm256_loadu_si256(from.cast()),
            _mm256_set1_epi32(HIGH_HALF)
        )))
    }
    #[inline(always)]
    fn round_bf16(self, v: __m256) -> __m256 {
        intrinsic!({
            let bits = _mm256_castps_si256(v);
            let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
            let rounded = _mm256_castsi256_ps(_mm256_and_si256(up, _mm256_set1_epi32(HIGH_HALF)));
            _mm256_blendv_ps(rounded, v, _mm256_cmp_ps::<_CMP_UNORD_Q>(v, v))
        })
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        intrinsic!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn round(self, v: __m256) -> __m256 {
        intrinsic!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v))
    }
    #[inline(always)]
    fn scale(self, v: __m256, n: __m256) -> __m256 {
        intrinsic!({
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_mul_ps(v, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        })
    }
    #[inline(always)]
    fn sum(self, v: __m256) -> f32 {
        intrinsic!({
            use std::arch::x86_64::{_mm_add_ps, _mm_add_ss};
            let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
    #[inline(always)]
    fn largest(self, v: __m256) -> f32 {
        intrinsic!({
            let four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
}
