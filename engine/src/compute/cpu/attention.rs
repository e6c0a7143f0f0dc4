//! Flash-style attention: keys block by block with running maxima and sums, never the whole score matrix.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::gemm::{SERIAL_WORK, Shared, Strip, Sums, View, ViewMut, multiply};
use super::math::exp;
use super::pack::AlignedBuffer;
use super::simd::{Isa, MAX_ROWS, Simd, Work};

#[cfg(test)]
mod tests;

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

/// out = softmax(scale * q k^T + bias) v, for each group and head.
pub(crate) fn attention(
    shape: &AttentionShape,
    q: View<'_>,
    k: View<'_>,
    v: View<'_>,
    scores: Scores<'_>,
    out: ViewMut<'_>,
) {
    attention_with_isa(Isa::current(), shape, q, k, v, scores, out);
}

/// [`attention`] on a given instruction set.
pub(crate) fn attention_with_isa(
    isa: Isa,
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
    let layout = Layout::new(isa, keys, head_dim);
    let serial = pairs * queries * keys * head_dim * 2 <= SERIAL_WORK;
    let wanted = if serial { 1 } else { 4 * rayon::current_num_threads() };
    let strips = (pairs * queries.div_ceil(isa.rows())).div_ceil(wanted).min(TASK_QUERIES / isa.rows());
    let task_queries = strips.max(1) * isa.rows();
    let base = Shared(out.data[out.offset..].as_mut_ptr());
    let at_once = (PACKED_BYTES / (layout.pair() * size_of::<f32>())).clamp(1, pairs);
    // Taken, not borrowed: a thread that waits may run another attention meanwhile.
    let mut buffer = PACKED.take();
    buffer.grow(at_once * layout.pair() * size_of::<f32>());
    for first in (0..pairs).step_by(at_once) {
        let count = at_once.min(pairs - first);
        let packed = &mut buffer.values_mut::<f32>()[..count * layout.pair()];
        let pack = |(index, to): (usize, &mut [f32])| {
            let (pair, block) = (first + index / layout.blocks(), index % layout.blocks());
            let row = pair / heads * keys + block * BLOCK_KEYS;
            layout.pack(layout.block_keys(block), row, pair % heads * head_dim, k, v, to);
        };
        if serial {
            packed.chunks_mut(layout.block()).enumerate().for_each(pack);
        } else {
            packed.par_chunks_mut(layout.block()).enumerate().for_each(pack);
        }
        let packed = &*packed;
        let tasks = queries.div_ceil(task_queries);
        let run = |index: usize| {
            let (pair, start) = (first + index / tasks, index % tasks * task_queries);
            let (group, head) = (pair / heads, pair % heads);
            let task = Task {
                layout: &layout,
                packed: &packed[index / tasks * layout.pair()..][..layout.pair()],
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
            SCRATCH.with_borrow_mut(|scratch| isa.dispatch(Ready { task, scratch }));
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

/// How a head's keys and values are packed: for each block of keys, panels of keys as of a weight matrix [keys, head_dim], then
/// panels of values as of a weight matrix [head_dim, keys].
struct Layout {
    keys: usize,
    head_dim: usize,
    columns: usize,
}

impl Layout {
    fn new(isa: Isa, keys: usize, head_dim: usize) -> Self {
        Self { keys, head_dim, columns: isa.columns() }
    }

    fn blocks(&self) -> usize {
        self.keys.div_ceil(BLOCK_KEYS)
    }

    /// Keys of a block.
    fn block_keys(&self, block: usize) -> usize {
        BLOCK_KEYS.min(self.keys - block * BLOCK_KEYS)
    }

    /// Keys of a block, as many for all blocks.
    fn padded_keys(&self) -> usize {
        BLOCK_KEYS.min(self.keys.next_multiple_of(self.columns))
    }

    /// Columns of the values.
    fn padded_dim(&self) -> usize {
        self.head_dim.next_multiple_of(self.columns)
    }

    /// Values of a packed block.
    fn block(&self) -> usize {
        self.padded_keys() * (self.head_dim + self.padded_dim())
    }

    /// Values of a packed group and head.
    fn pair(&self) -> usize {
        self.blocks() * self.block()
    }

    /// Packs `keys` rows from `row` on, of the head that begins at `column`.
    fn pack(&self, keys: usize, row: usize, column: usize, k: View<'_>, v: View<'_>, to: &mut [f32]) {
        let columns = self.columns;
        let (key_panels, value_panels) = to.split_at_mut(self.padded_keys() * self.head_dim);
        let start = |view: View<'_>, i: usize| view.offset + (row + i) * view.row_stride + column;
        for (index, panel) in key_panels.chunks_exact_mut(columns * self.head_dim).enumerate() {
            for key in 0..columns {
                let from = index * columns + key;
                let to = panel[key..].iter_mut().step_by(columns);
                if from < keys {
                    to.zip(&k.data[start(k, from)..]).for_each(|(to, &x)| *to = x);
                } else {
                    to.for_each(|to| *to = 0.0);
                }
            }
        }
        for (index, panel) in value_panels.chunks_exact_mut(columns * self.padded_keys()).enumerate() {
            let first = index * columns;
            let width = columns.min(self.head_dim - first);
            for (i, to) in panel.chunks_exact_mut(columns).enumerate().take(keys) {
                to[..width].copy_from_slice(&v.data[start(v, i) + first..][..width]);
                to[width..].fill(0.0);
            }
        }
    }
}

/// Some queries of a group and head.
struct Task<'a> {
    layout: &'a Layout,
    packed: &'a [f32],
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
        let Self { task, scratch } = self;
        let layout = task.layout;
        assert_eq!(S::COLUMNS, layout.columns, "keys were packed for another machine");
        let (head_dim, width) = (layout.head_dim, layout.padded_dim());
        let held = task.queries.len().next_multiple_of(S::ROWS);
        // Weighted sums of values, the scores of a strip, and each query's maximum and sum.
        scratch.grow((held * (width + 2) + S::ROWS * BLOCK_KEYS) * size_of::<f32>());
        let (sums, rest) = scratch.values_mut::<f32>().split_at_mut(held * width);
        let (scores, rest) = rest.split_at_mut(S::ROWS * BLOCK_KEYS);
        let (maxima, totals) = rest[..2 * held].split_at_mut(held);
        maxima.fill(f32::NEG_INFINITY);
        totals.fill(0.0);
        for block in 0..layout.blocks() {
            let keys = layout.block_keys(block);
            let packed = &task.packed[block * layout.block()..][..layout.block()];
            let (key_panels, value_panels) = packed.split_at(layout.padded_keys() * head_dim);
            for first in task.queries.clone().step_by(S::ROWS) {
                let rows = S::ROWS.min(task.queries.end - first);
                let at = first - task.queries.start;
                // Of this block, what the strip's queries see; the first block that they see begins their sums.
                let seen = task.seen_by(first..first + rows);
                let start = block * BLOCK_KEYS;
                if seen.start >= start + keys || seen.end <= start {
                    continue;
                }
                let (begins, keys) = (block == seen.start / BLOCK_KEYS, keys.min(seen.end - start));
                let mut table = [std::ptr::null(); MAX_ROWS];
                for (row, pointer) in table.iter_mut().enumerate().take(S::ROWS) {
                    let query = task.row + first + row.min(rows - 1);
                    *pointer =
                        task.q.data[task.q.offset + query * task.q.row_stride + task.column..].as_ptr();
                }
                let strip = Strip { table: &table[..S::ROWS], start: 0, len: head_dim, rows };
                for key in (0..keys).step_by(S::COLUMNS) {
                    let panel = key_panels[key * head_dim..][..S::COLUMNS * head_dim].as_ptr();
                    let to = scores[key..].as_mut_ptr();
                    let to = Sums { at: to, stride: BLOCK_KEYS, accumulate: false };
                    // SAFETY: q was checked for all rows and columns, the panel was cut to size, and `scores` has ROWS rows
                    // of BLOCK_KEYS, a multiple of COLUMNS.
                    unsafe { multiply(s, strip, panel, S::COLUMNS, keys - key > S::LANES, to) };
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
                for (row, pointer) in table.iter_mut().enumerate().take(S::ROWS) {
                    *pointer = scores[row.min(rows - 1) * BLOCK_KEYS..].as_ptr();
                }
                let strip = Strip { table: &table[..S::ROWS], start: 0, len: keys, rows };
                for column in (0..width).step_by(S::COLUMNS) {
                    let panel = value_panels[column * layout.padded_keys()..][..S::COLUMNS * keys].as_ptr();
                    let to = sums[at * width..][..S::ROWS * width].as_mut_ptr().wrapping_add(column);
                    let to = Sums { at: to, stride: width, accumulate: !begins };
                    // SAFETY: each row of `scores` has at least `keys` values, the panel was cut to size, and `sums` has ROWS
                    // rows of `width` from `at` on, a multiple of COLUMNS.
                    unsafe { multiply(s, strip, panel, S::COLUMNS, head_dim - column > S::LANES, to) };
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
