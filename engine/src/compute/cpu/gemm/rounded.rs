//! Tasks of products in bfloat16: strips of the left operand are rounded, then multiplied with panels of pairs.

use super::{Panels, Rows, Sums, Task};
use crate::cpu::bf16::{DEPTH, Kernel, LEFT_STRIDE, Rounded, STEP, UnitWork};
use crate::cpu::pack::AlignedBuffer;
use crate::cpu::simd::Simd;
use std::ops::Range;

/// A task with its panels and memory to work in.
pub(super) struct RoundedTask<'a, A, P> {
    pub(super) task: Task<'a, A>,
    pub(super) panels: P,
    pub(super) buffer: &'a mut AlignedBuffer,
}

impl<A: Rows, P: Panels<Value = u16>> UnitWork for RoundedTask<'_, A, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, K: Kernel<S>>(self, s: S, kernel: K) {
        let Self { task, mut panels, buffer } = self;
        assert_eq!(S::COLUMNS, task.weight.isa().columns(), "the weight was packed for another machine");
        let k = task.weight.k();
        let width = task.columns.len().next_multiple_of(S::COLUMNS);
        let held_rows = if k > DEPTH { task.rows.len().next_multiple_of(K::ROWS) } else { K::ROWS };
        let left_bytes = (K::ROWS * LEFT_STRIDE * size_of::<K::Left>()).next_multiple_of(size_of::<f32>());
        buffer.grow(left_bytes + held_rows * width * size_of::<f32>());
        let (left, sums) = buffer.values_mut::<f32>().split_at_mut(left_bytes / size_of::<f32>());
        let left: *mut K::Left = left.as_mut_ptr().cast();
        let sums = &mut sums[..held_rows * width];
        let mut table = Vec::new();
        for start in (0..k.max(1)).step_by(DEPTH) {
            let depth = DEPTH.min(k - start);
            let values = start..start + depth.next_multiple_of(STEP);
            panels.begin::<S>(values.clone());
            for first in task.rows.clone().step_by(K::ROWS) {
                let rows = K::ROWS.min(task.rows.end - first);
                // SAFETY: `left` has ROWS rows of LEFT_STRIDE values, and `depth` is no more than DEPTH.
                unsafe {
                    round(s, kernel, task.a, first..first + rows, start..start + depth, &mut table, left)
                };
                let strip = Rounded { left: left.cast_const(), rows, depth };
                let held = if k > DEPTH { (first - task.rows.start) * width } else { 0 };
                let at = sums[held..held + K::ROWS * width].as_mut_ptr();
                for column in (0..width).step_by(S::COLUMNS) {
                    let panel = panels.panel::<S>(column, values.clone());
                    let wide = task.columns.len() - column > S::LANES;
                    let sums = Sums { at: at.wrapping_add(column), stride: width, accumulate: start > 0 };
                    // SAFETY: the strip was rounded above; the slices were cut to size: the panel, and `at` has ROWS rows of
                    // `width`, of which COLUMNS follow `column`.
                    unsafe { kernel.multiply(s, strip, panel.as_ptr(), wide, sums) };
                }
                if start + depth == k {
                    // SAFETY: `at` has ROWS rows of `width`, the task's columns rounded up to tiles.
                    unsafe { task.finish(s, at, width, first, rows) };
                }
            }
        }
    }
}

/// Rounds some values of k of some rows into a strip.
///
/// # Safety
/// `left` is valid for writing [`Kernel::ROWS`] rows of [`LEFT_STRIDE`] values; `rows` are no more than that, and `range` is no
/// longer than [`DEPTH`].
#[inline(always)]
unsafe fn round<S: Simd, K: Kernel<S>, A: Rows>(
    s: S,
    kernel: K,
    a: &A,
    rows: Range<usize>,
    range: Range<usize>,
    table: &mut Vec<*const f32>,
    left: *mut K::Left,
) {
    if range.is_empty() {
        return;
    }
    let segment_len = a.segment_len();
    let segments = range.start / segment_len..range.end.div_ceil(segment_len);
    let first = segments.start * segment_len;
    table.clear();
    let len = segment_len / a.fill(rows.start, rows.len(), segments, K::ROWS, table);
    for (index, pointers) in table.chunks_exact(K::ROWS).enumerate() {
        let piece = first + index * len;
        let (from, to) = (piece.max(range.start), (piece + len).min(range.end));
        if from >= to {
            continue;
        }
        for (row, pointer) in pointers.iter().enumerate().take(rows.len()) {
            // SAFETY: `Rows` lets the whole piece be read. Rows are written from the front: what a vector writes past the piece is
            // written over by the next, or lies in the STEP values behind the last.
            unsafe {
                let left = left.add(row * LEFT_STRIDE + from - range.start);
                kernel.round(s, pointer.add(from - piece), to - from, left);
            }
        }
    }
    let end = range.len().next_multiple_of(STEP);
    for row in 0..rows.len() {
        // SAFETY: `end` is no more than DEPTH, a multiple of STEP. All bits zero are a zero.
        unsafe { left.add(row * LEFT_STRIDE + range.len()).write_bytes(0, end - range.len()) };
    }
}
