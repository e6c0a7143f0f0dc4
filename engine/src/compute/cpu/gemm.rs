//! Matrix products on the CPU: rows read in place, weights packed in panels, epilogue applied while sums are hot.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::pack::{AlignedBuffer, Format, PackedWeight};
use super::simd::{Isa, Simd, Work};

mod epilogue;
mod kernel;
mod panels;
mod rounded;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use epilogue::{Epilogue, Residual, RowGate, View, ViewMut};
pub(crate) use kernel::{Bf16Bits, Element, F16Bits, Strip, Sums, multiply};
use panels::{Packed, Panels, Unpacked, UnpackedPairs};

/// Columns of a task, at most.
const TASK_COLUMNS: usize = 256;
/// Rows of a task, at most.
const TASK_ROWS: usize = 192;
/// The same beside wide vectors: panels, which come from afar once for each task, are then used twice as often, and machines that
/// have these vectors have a second-level cache of 1 MB at least for them and the sums.
const WIDE_TASK_ROWS: usize = 384;
/// Weights of a task's columns that are used before going on along k, so that they stay in the second-level cache.
const BLOCK_WEIGHTS: usize = 128 * 1024;
/// Values of k that every block has room for.
pub(crate) const BLOCK_LEN: usize = BLOCK_WEIGHTS / TASK_COLUMNS;
/// Multiplications below which threads cost more than they save.
pub(crate) const SERIAL_WORK: usize = 200_000;

/// out[m, n] = epilogue(sum over k of a[m, k] * weight[n, k]) for `rows` rows.
pub(crate) fn matmul(
    a: View<'_>,
    rows: usize,
    weight: &PackedWeight,
    epilogue: &Epilogue<'_>,
    out: ViewMut<'_>,
) {
    a.check("a", rows, weight.k());
    epilogue.check(rows, weight.n());
    product(&Matrix { view: a, rows, k: weight.k() }, weight, epilogue, rows, out);
}

/// The left operand of a product: rows made of pieces of memory, read where they lie.
///
/// # Safety
/// `fill` pushes only pointers valid, while `self` is borrowed, for reading a piece.
pub(crate) unsafe trait Rows: Sync {
    /// Number of rows.
    fn count(&self) -> usize;
    /// Pieces of memory that make up a row.
    fn segments(&self) -> usize;
    /// Values of each.
    fn segment_len(&self) -> usize;
    /// Appends [pieces, `tile_rows`] pointers for the given segments of `count` rows from `first` on; past `count` the
    /// last row is repeated. A segment may be given as several pieces of equal length: returns how many, for all segments.
    fn fill(
        &self,
        first: usize,
        count: usize,
        segments: Range<usize>,
        tile_rows: usize,
        table: &mut Vec<*const f32>,
    ) -> usize;
    /// The output row that a row's sums belong to; different for different rows.
    fn output_row(&self, row: usize) -> usize {
        row
    }
}

/// Rows of a matrix: one segment each.
struct Matrix<'a> {
    view: View<'a>,
    rows: usize,
    k: usize,
}

// SAFETY: `matmul` checked that `rows` rows of k values lie inside the slice, and `fill` names no other rows.
unsafe impl Rows for Matrix<'_> {
    fn count(&self) -> usize {
        self.rows
    }

    fn segments(&self) -> usize {
        1
    }

    fn segment_len(&self) -> usize {
        self.k
    }

    fn fill(
        &self,
        first: usize,
        count: usize,
        _: Range<usize>,
        tile_rows: usize,
        table: &mut Vec<*const f32>,
    ) -> usize {
        let row = |i: usize| {
            &self.view.data[self.view.offset + (first + i.min(count - 1)) * self.view.row_stride..]
        };
        table.extend((0..tile_rows).map(|i| row(i).as_ptr()));
        1
    }
}

/// A range of k that is summed in one go.
struct Block {
    /// Segments taken.
    segments: Range<usize>,
    /// Where in each segment to begin.
    start: usize,
    /// Values of each segment.
    len: usize,
    /// The index in k of the first value.
    k: usize,
}

/// Cuts k into blocks of about `limit` values: whole segments, or parts of one that begin at multiples of `step`.
fn blocks(segments: usize, segment_len: usize, limit: usize, step: usize) -> Vec<Block> {
    if segments * segment_len <= limit {
        return vec![Block { segments: 0..segments, start: 0, len: segment_len, k: 0 }];
    }
    if segment_len <= limit {
        let count = segments.div_ceil(limit / segment_len);
        let size = segments.div_ceil(count);
        return (0..segments)
            .step_by(size)
            .map(|first| Block {
                segments: first..segments.min(first + size),
                start: 0,
                len: segment_len,
                k: first * segment_len,
            })
            .collect();
    }
    let size = segment_len.div_ceil(segment_len.div_ceil(limit)).next_multiple_of(step);
    let starts = (0..segment_len).step_by(size);
    (0..segments)
        .flat_map(|segment| {
            starts.clone().map(move |start| Block {
                segments: segment..segment + 1,
                start,
                len: size.min(segment_len - start),
                k: segment * segment_len + start,
            })
        })
        .collect()
}

/// Output memory that tasks write disjoint parts of.
#[derive(Clone, Copy)]
pub(crate) struct Shared(pub(crate) *mut f32);

// SAFETY: tasks write disjoint rows and columns, as `product` cuts them.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

thread_local! {
    /// Sums, reused from task to task.
    static SUMS: RefCell<AlignedBuffer> = RefCell::default();
    /// Weights that a task has unpacked.
    static UNPACKED: RefCell<AlignedBuffer> = RefCell::default();
}

/// Computes all rows of `a` times `weight` into `output_rows` rows of `out`, of which `a` names the ones written.
pub(crate) fn product<A: Rows>(
    a: &A,
    weight: &PackedWeight,
    epilogue: &Epilogue<'_>,
    output_rows: usize,
    out: ViewMut<'_>,
) {
    assert_eq!(a.segments() * a.segment_len(), weight.k(), "product: k of both operands");
    epilogue.check(output_rows, weight.n());
    out.check("out", output_rows, weight.n());
    let (rows, n) = (a.count(), weight.n());
    if rows == 0 || n == 0 {
        return;
    }
    let cutting = Cutting::of(weight);
    let work = rows.saturating_mul(n).saturating_mul(weight.k());
    let threads = if work <= SERIAL_WORK { 1 } else { rayon::current_num_threads() };
    let cut = Cut::new(rows, n, cutting, threads);
    let limit = BLOCK_WEIGHTS / cut.columns.min(n.next_multiple_of(cutting.tile_columns));
    let step = match weight.format() {
        Format::Grouped(grouping, _) => {
            assert_eq!(a.segments(), 1, "product: groups may lie across segments");
            grouping.len().max(4)
        }
        Format::F32 | Format::F16 | Format::Bf16 | Format::Pairs(_) => 4,
    };
    let blocks = blocks(a.segments(), a.segment_len(), limit, step);
    let base = Shared(out.data[out.offset..].as_mut_ptr());
    let row_stride = out.row_stride;
    let run = |task: usize| {
        let (rows, columns) = cut.task(task);
        let task =
            Task { a, weight, epilogue, blocks: &blocks, rows, columns, out: base, row_stride, output_rows };
        SUMS.with_borrow_mut(|buffer| task.run(buffer));
    };
    if threads == 1 {
        (0..cut.count()).for_each(run);
    } else {
        (0..cut.count()).into_par_iter().with_max_len(1).for_each(run);
    }
}

/// What tasks are made of.
#[derive(Clone, Copy)]
struct Cutting {
    tile_rows: usize,
    tile_columns: usize,
    /// Rows of a task, at most.
    task_rows: usize,
    /// Columns of a task, at most.
    task_columns: usize,
}

impl Cutting {
    fn of(weight: &PackedWeight) -> Self {
        let isa = weight.isa();
        let task_rows = if isa == Isa::Avx512 { WIDE_TASK_ROWS } else { TASK_ROWS };
        let (tile_rows, task_columns) = match weight.format() {
            Format::Pairs(unit) | Format::Grouped(_, Some(unit)) => (unit.rows(), unit.task_columns()),
            Format::F32 | Format::F16 | Format::Bf16 | Format::Grouped(_, None) => (isa.rows(), TASK_COLUMNS),
        };
        Self { tile_rows, tile_columns: isa.columns(), task_rows, task_columns }
    }
}

/// How the output is cut into tasks.
struct Cut {
    rows: usize,
    columns: usize,
    all_rows: usize,
    all_columns: usize,
}

impl Cut {
    /// Tasks of whole tiles, a few for each thread where there is work enough.
    fn new(all_rows: usize, all_columns: usize, cutting: Cutting, threads: usize) -> Self {
        let Cutting { tile_rows, tile_columns, task_rows, task_columns } = cutting;
        let wanted = if threads == 1 { 1 } else { 4 * threads };
        let mut columns = all_columns.next_multiple_of(tile_columns).min(task_columns);
        let by_columns = all_columns.div_ceil(columns);
        let strips = all_rows.div_ceil(tile_rows);
        let strips_each = (strips * by_columns).div_ceil(wanted).min(task_rows / tile_rows).max(1);
        if strips * by_columns < wanted {
            // Few rows: narrower tasks instead.
            let panels = all_columns.div_ceil(tile_columns);
            columns = (panels * strips).div_ceil(wanted).max(1).min(columns / tile_columns) * tile_columns;
        }
        Self { rows: strips_each * tile_rows, columns, all_rows, all_columns }
    }

    /// Number of tasks.
    fn count(&self) -> usize {
        self.all_rows.div_ceil(self.rows) * self.all_columns.div_ceil(self.columns)
    }

    /// The rows and columns of a task. Those that follow each other have the same columns, whose panels are still at hand then.
    fn task(&self, index: usize) -> (Range<usize>, Range<usize>) {
        let down = self.all_rows.div_ceil(self.rows);
        let (row, column) = (index % down * self.rows, index / down * self.columns);
        (row..self.all_rows.min(row + self.rows), column..self.all_columns.min(column + self.columns))
    }
}

/// A rectangle of the output.
struct Task<'a, A> {
    a: &'a A,
    weight: &'a PackedWeight,
    epilogue: &'a Epilogue<'a>,
    blocks: &'a [Block],
    rows: Range<usize>,
    columns: Range<usize>,
    out: Shared,
    row_stride: usize,
    output_rows: usize,
}

impl<A: Rows> Task<'_, A> {
    /// Computes it, with memory to work in.
    fn run(self, buffer: &mut AlignedBuffer) {
        let (weight, isa) = (self.weight, self.weight.isa());
        match weight.format() {
            Format::F32 => {
                isa.dispatch(Typed { panels: Packed::<f32>::of(weight, &self.columns), task: self, buffer });
            }
            Format::F16 => {
                isa.dispatch(Typed {
                    panels: Packed::<F16Bits>::of(weight, &self.columns),
                    task: self,
                    buffer,
                });
            }
            Format::Bf16 => {
                isa.dispatch(Typed {
                    panels: Packed::<Bf16Bits>::of(weight, &self.columns),
                    task: self,
                    buffer,
                });
            }
            Format::Grouped(grouping, None) => UNPACKED.with_borrow_mut(|memory| {
                let panels = Unpacked { weight, grouping, columns: self.columns.clone(), memory };
                isa.dispatch(Typed { panels, task: self, buffer });
            }),
            Format::Pairs(unit) => {
                let panels = Packed::<u16>::of(weight, &self.columns);
                unit.dispatch(rounded::RoundedTask { panels, task: self, buffer });
            }
            Format::Grouped(grouping, Some(unit)) => UNPACKED.with_borrow_mut(|memory| {
                let panels = UnpackedPairs { weight, grouping, columns: self.columns.clone(), memory };
                unit.dispatch(rounded::RoundedTask { panels, task: self, buffer });
            }),
        }
    }

    /// Brings the sums of some rows of the task, `width` apart, through the epilogue to the output.
    ///
    /// # Safety
    /// `sums` is valid for reading `rows` rows of `width` values, which is no less than the task's columns rounded up to a vector.
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, sums: *const f32, width: usize, first: usize, rows: usize) {
        for row in 0..rows {
            let to = self.a.output_row(first + row);
            assert!(to < self.output_rows, "product: output row");
            // SAFETY: `product` checked the output and the epilogue for `output_rows` rows of all columns; no other task has this
            // row and these columns.
            unsafe {
                let out = self.out.0.add(to * self.row_stride + self.columns.start);
                let sums = sums.add(row * width);
                self.epilogue.finish(s, sums, to, self.columns.start, self.columns.len(), out);
            }
        }
    }
}

/// A task with panels of a known type.
struct Typed<'a, A, P> {
    task: Task<'a, A>,
    panels: P,
    buffer: &'a mut AlignedBuffer,
}

impl<A: Rows, E: Element, P: Panels<Value = E>> Work for Typed<'_, A, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { task, mut panels, buffer } = self;
        assert_eq!(S::COLUMNS, task.weight.isa().columns(), "the weight was packed for another machine");
        let width = task.columns.len().next_multiple_of(S::COLUMNS);
        let several = task.blocks.len() > 1;
        let held_rows = if several { task.rows.len().next_multiple_of(S::ROWS) } else { S::ROWS };
        buffer.grow(held_rows * width * size_of::<f32>());
        let sums = &mut buffer.values_mut::<f32>()[..held_rows * width];
        let mut table = Vec::with_capacity(S::ROWS * task.a.segments());
        for (index, block) in task.blocks.iter().enumerate() {
            let values = block.k..block.k + block.segments.len() * block.len;
            panels.begin::<S>(values.clone());
            for first in task.rows.clone().step_by(S::ROWS) {
                let rows = S::ROWS.min(task.rows.end - first);
                table.clear();
                let pieces = task.a.fill(first, rows, block.segments.clone(), S::ROWS, &mut table);
                // Only whole segments come in pieces.
                let strip = Strip { table: &table, start: block.start, len: block.len / pieces, rows };
                let held = if several { (first - task.rows.start) * width } else { 0 };
                let at = sums[held..held + S::ROWS * width].as_mut_ptr();
                for column in (0..width).step_by(S::COLUMNS) {
                    let panel = panels.panel::<S>(column, values.clone());
                    let wide = task.columns.len() - column > S::LANES;
                    let sums = Sums { at: at.wrapping_add(column), stride: width, accumulate: index > 0 };
                    // SAFETY: `Rows` promises the table; the slices were cut to size: the panel above, and `at` has ROWS
                    // rows of `width`, of which COLUMNS follow `column`.
                    unsafe { multiply(s, strip, panel.as_ptr(), S::COLUMNS, wide, sums) };
                }
                if index + 1 < task.blocks.len() {
                    continue;
                }
                // SAFETY: `at` has ROWS rows of `width`, the task's columns rounded up to tiles.
                unsafe { task.finish(s, at, width, first, rows) };
            }
        }
    }
}
