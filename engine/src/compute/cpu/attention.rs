//! Flash-style attention: keys block by block with running maxima and sums, never the whole score matrix.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::arithmetic::{Arithmetic, Operands};
use super::bf16::{Kernel, UnitWork};
use super::gemm::{SERIAL_WORK, Shared, Sums, View, ViewMut};
use super::math::exp;
use super::pack::AlignedBuffer;
use super::simd::{Simd, Work};

mod layout;
mod products;
#[cfg(test)]
mod tests;

use layout::Layout;
use products::{InPlace, Products, Rounding};

/// Keys of a block: its scores for a strip of queries stay in the first-level cache, its keys and values in the second.
const BLOCK_KEYS: usize = 256;
/// Queries of a task, at most.
const TASK_QUERIES: usize = 192;
/// Bytes of packed keys and values held at a time.
const PACKED_BYTES: usize = 64 << 20;

/// Sizes of an attention: rows of q and out are [groups * queries], of k and v [groups * keys]; heads lie side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionShape {
    /// Independent groups of rows.
    pub(crate) groups: usize,
    /// Queries of a group.
    pub(crate) queries: usize,
    /// Keys of a group.
    pub(crate) keys: usize,
    /// Heads.
    pub(crate) heads: usize,
    /// Columns of a head.
    pub(crate) head_dim: usize,
    /// Factor of the scores, positive.
    pub(crate) scale: f32,
}

/// What happens to scores before they are weights.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scores<'a> {
    /// [2 L - 1, heads] with L = queries = keys: the row for a query and a key is key - query + L - 1.
    pub(crate) bias: Option<&'a [f32]>,
    /// By query of a group, the keys that it sees, at least one; neither end ever goes back.
    pub(crate) seen: Option<&'a [Range<usize>]>,
}

/// out = softmax(scale * q k^T + bias) v, for each group and head. Both products multiply such operands; all else is f32.
pub(crate) fn attention(
    operands: Operands,
    shape: &AttentionShape,
    q: View<'_>,
    k: View<'_>,
    v: View<'_>,
    scores: Scores<'_>,
    out: ViewMut<'_>,
) {
    attention_by(Arithmetic::of(operands), shape, q, k, v, scores, out);
}

/// [`attention`] with a given arithmetic.
pub(crate) fn attention_by(
    arithmetic: Arithmetic,
    shape: &AttentionShape,
    q: View<'_>,
    k: View<'_>,
    v: View<'_>,
    scores: Scores<'_>,
    out: ViewMut<'_>,
) {
    let &AttentionShape { groups, queries, keys, heads, head_dim, scale } = shape;
    let columns = heads * head_dim;
    q.check("q", groups * queries, columns);
    k.check("k", groups * keys, columns);
    v.check("v", groups * keys, columns);
    out.check("out", groups * queries, columns);
    assert!(scale > 0.0 && keys > 0, "attention: the scale is positive and there are keys");
    // By head, so that the row of a query lies in memory as its scores do.
    let Scores { bias, seen } = scores;
    let bias = bias.map(|bias| {
        assert_eq!(queries, keys, "attention: a relative bias is for self-attention");
        assert_eq!(bias.len(), (2 * keys - 1) * heads, "attention: bias is [2 L - 1, heads]");
        (0..heads)
            .map(|head| bias[head..].iter().step_by(heads).copied().collect())
            .collect::<Vec<Vec<f32>>>()
    });
    let pairs = groups * heads;
    if pairs * queries * head_dim == 0 {
        return;
    }
    let rows = arithmetic.rows();
    let layout = Layout::new(arithmetic, keys, head_dim);
    let serial = pairs * queries * keys * head_dim * 2 <= SERIAL_WORK;
    let wanted = if serial { 1 } else { 4 * rayon::current_num_threads() };
    let strips = (pairs * queries.div_ceil(rows)).div_ceil(wanted).min(TASK_QUERIES / rows);
    let task_queries = strips.max(1) * rows;
    let base = Shared(out.data[out.offset..].as_mut_ptr());
    let at_once = (PACKED_BYTES / layout.pair_bytes()).clamp(1, pairs);
    // Taken, not borrowed: a thread that waits may run another attention meanwhile.
    let mut buffer = PACKED.take();
    buffer.grow(at_once * layout.pair_bytes());
    for first in (0..pairs).step_by(at_once) {
        let count = at_once.min(pairs - first);
        let packed = &mut buffer.values_mut::<u8>()[..count * layout.pair_bytes()];
        let pack = |(index, to): (usize, &mut [u8])| {
            let (pair, block) = (first + index / layout.blocks(), index % layout.blocks());
            let row = pair / heads * keys + block * BLOCK_KEYS;
            layout.pack(layout.block_keys(block), row, pair % heads * head_dim, k, v, to);
        };
        if serial {
            packed.chunks_mut(layout.block_bytes()).enumerate().for_each(pack);
        } else {
            packed.par_chunks_mut(layout.block_bytes()).enumerate().for_each(pack);
        }
        let packed = &*packed;
        let tasks = queries.div_ceil(task_queries);
        let run = |index: usize| {
            let (pair, start) = (first + index / tasks, index % tasks * task_queries);
            let (group, head) = (pair / heads, pair % heads);
            let task = Task {
                layout: &layout,
                packed: &packed[index / tasks * layout.pair_bytes()..][..layout.pair_bytes()],
                q,
                row: group * queries,
                column: head * head_dim,
                queries: start..queries.min(start + task_queries),
                scale,
                bias: bias.as_ref().map(|bias| &bias[head][..]),
                seen,
                out: base,
                out_stride: out.row_stride,
            };
            SCRATCH.with_borrow_mut(|scratch| match arithmetic {
                Arithmetic::F32(isa) => isa.dispatch(Ready { task, scratch }),
                Arithmetic::Bf16(unit) => unit.dispatch(Ready { task, scratch }),
            });
        };
        if serial {
            (0..count * tasks).for_each(run);
        } else {
            (0..count * tasks).into_par_iter().with_max_len(1).for_each(run);
        }
    }
    PACKED.set(buffer);
}

thread_local! {
    /// Packed keys and values, reused from call to call.
    static PACKED: RefCell<AlignedBuffer> = RefCell::default();
    /// Sums and scores, reused from task to task.
    static SCRATCH: RefCell<AlignedBuffer> = RefCell::default();
}

/// Some queries of a group and head.
struct Task<'a> {
    layout: &'a Layout,
    packed: &'a [u8],
    q: View<'a>,
    /// The group's first row of q and out.
    row: usize,
    /// The head's first column.
    column: usize,
    queries: Range<usize>,
    scale: f32,
    /// The head's bias, [2 L - 1].
    bias: Option<&'a [f32]>,
    seen: Option<&'a [Range<usize>]>,
    out: Shared,
    out_stride: usize,
}

impl Task<'_> {
    /// The keys that some queries see altogether.
    #[inline(always)]
    fn seen_by(&self, queries: Range<usize>) -> Range<usize> {
        match self.seen {
            Some(seen) => seen[queries.start].start..seen[queries.end - 1].end,
            None => 0..self.layout.keys,
        }
    }
}

/// A task with memory to work in.
struct Ready<'a> {
    task: Task<'a>,
    scratch: &'a mut AlignedBuffer,
}

impl Work for Ready<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.compute(s, InPlace);
    }
}

impl UnitWork for Ready<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, K: Kernel<S>>(self, s: S, kernel: K) {
        self.compute(s, Rounding(kernel));
    }
}

impl Ready<'_> {
    #[inline(always)]
    fn compute<S: Simd, P: Products<S>>(self, s: S, products: P) {
        let Self { task, scratch } = self;
        let layout = task.layout;
        assert_eq!(
            (S::COLUMNS, P::STEP),
            (layout.columns, layout.step),
            "keys were packed for another machine"
        );
        let (head_dim, width) = (layout.head_dim, layout.padded_dim());
        let held = task.queries.len().next_multiple_of(P::ROWS);
        let parts = head_dim.div_ceil(P::DEPTH);
        let strips = held / P::ROWS * parts;
        // Strips of rounded values, weighted sums of values, the scores of a strip, and each query's maximum and sum.
        let rounded_len = (strips + 1) * P::STRIP;
        scratch.grow((rounded_len + held * (width + 2) + P::ROWS * BLOCK_KEYS) * size_of::<f32>());
        let (rounded, rest) = scratch.values_mut::<f32>().split_at_mut(rounded_len);
        let (sums, rest) = rest.split_at_mut(held * width);
        let (scores, rest) = rest.split_at_mut(P::ROWS * BLOCK_KEYS);
        let (maxima, totals) = rest[..2 * held].split_at_mut(held);
        maxima.fill(f32::NEG_INFINITY);
        totals.fill(0.0);
        let mut queries = Vec::with_capacity(strips);
        for first in task.queries.clone().step_by(P::ROWS) {
            let rows = P::ROWS.min(task.queries.end - first);
            let at = task.q.offset + (task.row + first) * task.q.row_stride + task.column;
            for start in (0..head_dim).step_by(P::DEPTH) {
                let place = &mut rounded[queries.len() * P::STRIP..][..P::STRIP];
                let from = task.q.data[at + start..].as_ptr();
                // SAFETY: q was checked for all rows and columns, and `place` has as many values as a strip takes.
                queries.push(unsafe {
                    let len = P::DEPTH.min(head_dim - start);
                    products.strip(s, from, task.q.row_stride, rows, len, place.as_mut_ptr())
                });
            }
        }
        let weights_place = rounded[strips * P::STRIP..].as_mut_ptr();
        for block in 0..layout.blocks() {
            let keys = layout.block_keys(block);
            let (key_panels, value_panels) = layout.panels::<P::Panel>(task.packed, block);
            for (first, parts) in task.queries.clone().step_by(P::ROWS).zip(queries.chunks_exact(parts)) {
                let rows = P::ROWS.min(task.queries.end - first);
                let at = first - task.queries.start;
                // Of this block, what the strip's queries see; the first block that they see begins their sums.
                let seen = task.seen_by(first..first + rows);
                let start = block * BLOCK_KEYS;
                if seen.start >= start + keys || seen.end <= start {
                    continue;
                }
                let (begins, keys) = (block == seen.start / BLOCK_KEYS, keys.min(seen.end - start));
                for key in (0..keys).step_by(S::COLUMNS) {
                    let panel =
                        &key_panels[key * layout.padded_depth()..][..S::COLUMNS * layout.padded_depth()];
                    let to = scores[key..].as_mut_ptr();
                    let wide = keys - key > S::LANES;
                    for (part, strip) in parts.iter().enumerate() {
                        let to = Sums { at: to, stride: BLOCK_KEYS, accumulate: part > 0 };
                        // SAFETY: the strip was made above, the panel was cut to size, of which each part takes DEPTH rows, and
                        // `scores` has ROWS rows of BLOCK_KEYS, a multiple of COLUMNS.
                        unsafe {
                            let panel =
                                panel.as_ptr().wrapping_add(part.saturating_mul(P::DEPTH) * S::COLUMNS);
                            products.multiply(s, strip, panel, wide, to);
                        }
                    }
                }
                for row in 0..rows {
                    let scores = &mut scores[row * BLOCK_KEYS..][..BLOCK_KEYS];
                    let bias = task
                        .bias
                        .map(|bias| &bias[layout.keys - 1 + block * BLOCK_KEYS - (first + row)..][..keys]);
                    let (maximum, total) = (&mut maxima[at + row], &mut totals[at + row]);
                    let seen = task.seen_by(first + row..first + row + 1);
                    let seen = seen.start.clamp(start, start + keys) - start
                        ..seen.end.clamp(start, start + keys) - start;
                    if seen.is_empty() {
                        // Nothing is added; what there is stays as it is.
                        scores[..keys].fill(0.0);
                        continue;
                    }
                    scores[..seen.start].fill(f32::NEG_INFINITY);
                    scores[seen.end..keys].fill(f32::NEG_INFINITY);
                    let keep = soften(s, scores, keys, task.scale, bias, maximum, total);
                    if !begins && keep != 1.0 {
                        scale(s, &mut sums[(at + row) * width..][..width], keep);
                    }
                }
                // SAFETY: each row of `scores` has at least `keys` values, and a strip's place follows the queries'.
                let weights =
                    unsafe { products.strip(s, scores.as_ptr(), BLOCK_KEYS, rows, keys, weights_place) };
                for column in (0..width).step_by(S::COLUMNS) {
                    let padded = keys.next_multiple_of(P::STEP);
                    let panel = value_panels[column * layout.padded_keys()..][..S::COLUMNS * padded].as_ptr();
                    let to = sums[at * width..][..P::ROWS * width].as_mut_ptr().wrapping_add(column);
                    let to = Sums { at: to, stride: width, accumulate: !begins };
                    // SAFETY: the strip was made above, the panel was cut to size, and `sums` has ROWS rows of `width` from `at`
                    // on, a multiple of COLUMNS.
                    unsafe { products.multiply(s, &weights, panel, head_dim - column > S::LANES, to) };
                }
            }
        }
        for (row, query) in task.queries.clone().enumerate() {
            let sums = &mut sums[row * width..][..width];
            scale(s, sums, 1.0 / totals[row]);
            // SAFETY: `out` was checked for all rows and columns; no other task has this query and head.
            unsafe {
                let to = task.out.0.add((task.row + query) * task.out_stride + task.column);
                std::ptr::copy_nonoverlapping(sums.as_ptr(), to, head_dim);
            }
        }
    }
}

/// Turns the first `keys` scores into exp(scale * score + bias - maximum), raises the maximum and adds to the total; returns the
/// factor that brings earlier sums to the new maximum.
#[inline(always)]
fn soften<S: Simd>(
    s: S,
    scores: &mut [f32],
    keys: usize,
    scale: f32,
    bias: Option<&[f32]>,
    maximum: &mut f32,
    total: &mut f32,
) -> f32 {
    let end = keys.next_multiple_of(S::LANES);
    assert!(end <= scores.len());
    let mut scale = scale;
    if let Some(bias) = bias {
        for i in 0..keys {
            scores[i] = scores[i] * scale + bias[i];
        }
        scale = 1.0;
    }
    scores[keys..end].fill(f32::NEG_INFINITY);
    let at = scores.as_mut_ptr();
    let mut largest = s.splat(f32::NEG_INFINITY);
    for i in (0..end).step_by(S::LANES) {
        // SAFETY: `end` is a multiple of LANES within `scores`.
        largest = s.max(unsafe { s.load(at.add(i)) }, largest);
    }
    let before = *maximum;
    *maximum = before.max(s.largest(largest) * scale);
    let (factor, shift) = (s.splat(scale), s.splat(-*maximum));
    let mut sum = s.splat(0.0);
    for i in (0..end).step_by(S::LANES) {
        // SAFETY: as above.
        unsafe {
            let weight = exp(s, s.mul_add(s.load(at.add(i)), factor, shift));
            s.store(at.add(i), weight);
            sum = s.add(sum, weight);
        }
    }
    let sum = s.sum(sum);
    // Most blocks, and every first one, spare the call.
    let keep = if before == *maximum {
        1.0
    } else if before == f32::NEG_INFINITY {
        0.0
    } else {
        (before - *maximum).exp()
    };
    *total = *total * keep + sum;
    keep
}

/// Multiplies whole vectors of `values` by `factor`.
#[inline(always)]
fn scale<S: Simd>(s: S, values: &mut [f32], factor: f32) {
    assert!(values.len().is_multiple_of(S::LANES));
    let (at, factor) = (values.as_mut_ptr(), s.splat(factor));
    for i in (0..values.len()).step_by(S::LANES) {
        // SAFETY: i is a multiple of LANES below the length, which is one too.
        unsafe { s.store(at.add(i), s.mul(s.load(at.add(i)), factor)) };
    }
}
