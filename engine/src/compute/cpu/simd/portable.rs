//! Vectors as arrays of four, for machines without a hand-written implementation.

use super::Simd;

/// Arrays of four values and loops over them, which compilers turn into vector instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

/// Both operands, lane by lane.
#[inline(always)]
fn zip(a: [f32; 4], b: [f32; 4], f: impl Fn(f32, f32) -> f32) -> [f32; 4] {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Simd for Portable {
    type V = [f32; 4];
    const LANES: usize = 4;
    const ROWS: usize = 6;

    #[inline(always)]
    fn splat(self, x: f32) -> [f32; 4] {
        [x; 4]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> [f32; 4] {
        // SAFETY: the caller says that four values may be read; the read asks for no alignment of the array.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: [f32; 4]) {
        // SAFETY: the caller says that four values may be written.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(v) }
    }

    #[inline(always)]
    unsafe fn load_part(self, from: *const f32, count: usize) -> [f32; 4] {
        let mut v = [0.0; 4];
        for (i, lane) in v.iter_mut().enumerate().take(count) {
            // SAFETY: i < count, and the caller says that `count` values may be read.
            *lane = unsafe { from.add(i).read() };
        }
        v
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, v: [f32; 4], count: usize) {
        for (i, lane) in v.into_iter().enumerate().take(count) {
            // SAFETY: i < count, and the caller says that `count` values may be written.
            unsafe { to.add(i).write(lane) };
        }
    }

    #[inline(always)]
    unsafe fn load_even(self, from: *const u16) -> [f32; 4] {
        // SAFETY: the caller says that four pairs may be read.
        unsafe { from.cast::<[[u16; 2]; 4]>().read_unaligned() }
            .map(|pair| f32::from_bits(u32::from(pair[0]) << 16))
    }

    #[inline(always)]
    unsafe fn load_odd(self, from: *const u16) -> [f32; 4] {
        // SAFETY: the caller says that four pairs may be read.
        unsafe { from.cast::<[[u16; 2]; 4]>().read_unaligned() }
            .map(|pair| f32::from_bits(u32::from(pair[1]) << 16))
    }

    #[inline(always)]
    fn round_bf16(self, v: [f32; 4]) -> [f32; 4] {
        v.map(|x| half::bf16::from_f32(x).to_f32())
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const u16) -> [f32; 4] {
        // SAFETY: the caller says that four values may be read.
        unsafe { from.cast::<[u16; 4]>().read_unaligned() }.map(|bits| half::f16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> [f32; 4] {
        // SAFETY: the caller says that four values may be read.
        unsafe { from.cast::<[u16; 4]>().read_unaligned() }.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }

    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        zip(a, b, |a, b| a / b)
    }

    // Two roundings: without the instruction, `f32::mul_add` would call a slow library function.
    #[inline(always)]
    fn mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        zip(zip(a, b, |a, b| a * b), c, |product, c| product + c)
    }

    #[inline(always)]
    fn max(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn round(self, v: [f32; 4]) -> [f32; 4] {
        // At 1.5 * 2^23 the spacing of f32 is one, so the sum is rounded to a whole number.
        const SHIFT: f32 = 12_582_912.0;
        v.map(|x| (x + SHIFT) - SHIFT)
    }

    #[inline(always)]
    fn scale(self, v: [f32; 4], n: [f32; 4]) -> [f32; 4] {
        // The low bits of n + 1.5 * 2^23 hold n; the shift throws the others out.
        const SHIFT: f32 = 12_582_912.0 + 127.0;
        zip(v, n, |x, n| x * f32::from_bits((n + SHIFT).to_bits() << 23))
    }

    #[inline(always)]
    fn sum(self, v: [f32; 4]) -> f32 {
        (v[0] + v[2]) + (v[1] + v[3])
    }

    #[inline(always)]
    fn largest(self, v: [f32; 4]) -> f32 {
        v[0].max(v[1]).max(v[2].max(v[3]))
    }
}
