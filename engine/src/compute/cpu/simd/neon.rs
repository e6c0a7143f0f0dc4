//! NEON vectors.

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vaddq_s32, vaddq_u32, vaddvq_f32, vandq_u32, vbslq_f32, vceqq_f32, vcgtq_f32,
    vcltq_f32, vcvtq_s32_f32, vdivq_f32, vdupq_n_f32, vdupq_n_s32, vdupq_n_u32, vfmaq_f32, vld1_u16,
    vld1q_f32, vld1q_u16, vmaxvq_f32, vmulq_f32, vreinterpretq_f32_s32, vreinterpretq_f32_u32,
    vreinterpretq_u32_f32, vreinterpretq_u32_u16, vrndnq_f32, vshll_n_u16, vshlq_n_s32, vshlq_n_u32,
    vshrq_n_u32, vst1q_f32, vsubq_f32,
};

use super::{Portable, Simd, Work};

/// Vectors of 4 in NEON registers. A value exists only where [`Neon::detect`] found the feature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon(());

impl Neon {
    /// The instruction set, if this machine has it.
    pub(crate) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    /// Runs `work` in a function compiled for this instruction set.
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "neon")]
        fn inner<W: Work>(simd: Neon, work: W) -> W::Output {
            work.run(simd)
        }
        // SAFETY: `self` exists, so the machine has the feature.
        unsafe { inner(self, work) }
    }
}

/// Calls NEON intrinsics in a method of [`Neon`].
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: a `Neon` exists only where the machine has the feature; where the intrinsic reads or writes
        // memory, the method's own contract covers the range.
        unsafe { $call }
    };
}

impl Simd for Neon {
    type V = float32x4_t;
    const LANES: usize = 4;
    const ROWS: usize = 12;

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        intrinsic!(vdupq_n_f32(x))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> float32x4_t {
        intrinsic!(vld1q_f32(from))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: float32x4_t) {
        intrinsic!(vst1q_f32(to, v));
    }
    #[inline(always)]
    unsafe fn load_part(self, from: *const f32, count: usize) -> float32x4_t {
        // SAFETY: the same contract.
        let part = unsafe { Portable.load_part(from, count) };
        intrinsic!(vld1q_f32(part.as_ptr()))
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, v: float32x4_t, count: usize) {
        let mut lanes = [0.0; 4];
        intrinsic!(vst1q_f32(lanes.as_mut_ptr(), v));
        // SAFETY: the same contract.
        unsafe { Portable.store_part(to, lanes, count) };
    }
    // The conversion instruction's intrinsic is not stable, so the `half` crate converts.
    #[inline(always)]
    unsafe fn load_f16(self, from: *const u16) -> float32x4_t {
        // SAFETY: the same contract.
        let lanes = unsafe { Portable.load_f16(from) };
        intrinsic!(vld1q_f32(lanes.as_ptr()))
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> float32x4_t {
        intrinsic!(vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from))))
    }
    #[inline(always)]
    unsafe fn load_even(self, from: *const u16) -> float32x4_t {
        intrinsic!(vreinterpretq_f32_u32(vshlq_n_u32::<16>(vreinterpretq_u32_u16(vld1q_u16(from)))))
    }
    #[inline(always)]
    unsafe fn load_odd(self, from: *const u16) -> float32x4_t {
        intrinsic!({
            let pairs = vreinterpretq_u32_u16(vld1q_u16(from));
            vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff_0000)))
        })
    }
    #[inline(always)]
    fn round_bf16(self, v: float32x4_t) -> float32x4_t {
        intrinsic!({
            let bits = vreinterpretq_u32_f32(v);
            let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            let up = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
            let rounded = vreinterpretq_f32_u32(vandq_u32(up, vdupq_n_u32(0xffff_0000)));
            vbslq_f32(vceqq_f32(v, v), rounded, v)
        })
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        intrinsic!(vaddq_f32(a, b))
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        intrinsic!(vsubq_f32(a, b))
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        intrinsic!(vmulq_f32(a, b))
    }
    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        intrinsic!(vdivq_f32(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        intrinsic!(vfmaq_f32(c, a, b))
    }
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        intrinsic!(vbslq_f32(vcgtq_f32(a, b), a, b))
    }
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        intrinsic!(vbslq_f32(vcltq_f32(a, b), a, b))
    }
    #[inline(always)]
    fn round(self, v: float32x4_t) -> float32x4_t {
        intrinsic!(vrndnq_f32(v))
    }
    #[inline(always)]
    fn scale(self, v: float32x4_t, n: float32x4_t) -> float32x4_t {
        intrinsic!({
            let exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
            vmulq_f32(v, vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent)))
        })
    }
    #[inline(always)]
    fn sum(self, v: float32x4_t) -> f32 {
        intrinsic!(vaddvq_f32(v))
    }
    #[inline(always)]
    fn largest(self, v: float32x4_t) -> f32 {
        intrinsic!(vmaxvq_f32(v))
    }
}
