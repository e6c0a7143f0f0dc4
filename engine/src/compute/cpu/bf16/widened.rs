//! bfloat16 values widened to f32 in vectors: for machines without a unit for them.

use super::{Kernel, LEFT_STRIDE, Rounded};
use crate::cpu::gemm::Sums;
use crate::cpu::simd::Simd;

/// Widens the right operand as it goes; the left one is rounded, but kept in f32.
#[derive(Clone, Copy, Debug)]
pub(super) struct Widened;

impl<S: Simd> Kernel<S> for Widened {
    type Left = f32;
    const ROWS: usize = S::ROWS;

    #[inline(always)]
    unsafe fn round(self, s: S, from: *const f32, count: usize, to: *mut f32) {
        let mut i = 0;
        while i < count {
            // SAFETY: the caller lets `count` values be read, and whole vectors be written.
            unsafe {
                let v = if count - i >= S::LANES {
                    s.load(from.add(i))
                } else {
                    s.load_part(from.add(i), count - i)
                };
                s.store(to.add(i), s.round_bf16(v));
            }
            i += S::LANES;
        }
    }

    #[inline(always)]
    unsafe fn multiply(self, s: S, strip: Rounded<f32>, panel: *const u16, wide: bool, sums: Sums) {
        // SAFETY: the same contract; a tile never has more than `Simd::ROWS` rows.
        unsafe {
            match (strip.rows, wide) {
                (1, true) => tile::<S, 1, 2>(s, strip, panel, sums),
                (1, false) => tile::<S, 1, 1>(s, strip, panel, sums),
                (2..=4, true) => tile::<S, 4, 2>(s, strip, panel, sums),
                (2..=4, false) => tile::<S, 4, 1>(s, strip, panel, sums),
                (_, true) if S::ROWS == 6 => tile::<S, 6, 2>(s, strip, panel, sums),
                (_, false) if S::ROWS == 6 => tile::<S, 6, 1>(s, strip, panel, sums),
                (5..=8, true) => tile::<S, 8, 2>(s, strip, panel, sums),
                (5..=8, false) => tile::<S, 8, 1>(s, strip, panel, sums),
                (_, true) => tile::<S, 12, 2>(s, strip, panel, sums),
                (_, false) => tile::<S, 12, 1>(s, strip, panel, sums),
            }
        }
    }
}

/// The tile itself, all sums in registers. Loops count instead of iterating, as in the tile of f32.
///
/// # Safety
/// As [`Kernel::multiply`], for `ROWS` rows and `VECTORS` vectors.
#[inline(always)]
unsafe fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    strip: Rounded<f32>,
    mut panel: *const u16,
    sums: Sums,
) {
    let mut acc = [[s.splat(0.0); VECTORS]; ROWS];
    let mut left = strip.left;
    for _ in 0..strip.depth.div_ceil(2) {
        // SAFETY: the caller lets a whole number of pairs be read, of rows LEFT_STRIDE apart.
        unsafe {
            step::<S, ROWS, VECTORS>(
                s,
                left,
                |vector| s.load_even(panel.add(vector * 2 * S::LANES)),
                &mut acc,
            );
            step::<S, ROWS, VECTORS>(
                s,
                left.add(1),
                |vector| s.load_odd(panel.add(vector * 2 * S::LANES)),
                &mut acc,
            );
        }
        left = left.wrapping_add(2);
        panel = panel.wrapping_add(2 * S::COLUMNS);
    }
    for (row, acc) in acc.into_iter().enumerate() {
        for (vector, mut sum) in acc.into_iter().enumerate() {
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

/// Adds one column of the strip times one row of the panel.
///
/// # Safety
/// `left` is valid for reading the first value of `ROWS` rows.
#[inline(always)]
unsafe fn step<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    left: *const f32,
    right: impl Fn(usize) -> S::V,
    acc: &mut [[S::V; VECTORS]; ROWS],
) {
    let mut b = [s.splat(0.0); VECTORS];
    let mut vector = 0;
    while vector < VECTORS {
        b[vector] = right(vector);
        vector += 1;
    }
    let mut row = 0;
    while row < ROWS {
        // SAFETY: the caller lets ROWS rows be read.
        let x = s.splat(unsafe { *left.add(row * LEFT_STRIDE) });
        let mut vector = 0;
        while vector < VECTORS {
            acc[row][vector] = s.mul_add(x, b[vector], acc[row][vector]);
            vector += 1;
        }
        row += 1;
    }
}
