//! The two products of an attention, for either kind of operands.

use bytemuck::Pod;

use crate::cpu::bf16::{DEPTH, Kernel, LEFT_STRIDE, Rounded, STEP};
use crate::cpu::gemm::{Strip, Sums, multiply};
use crate::cpu::simd::Simd;

/// Products of strips of rows and packed panels.
pub(super) trait Products<S: Simd>: Copy {
    /// A value of a panel.
    type Panel: Pod;
    /// Rows of the left operand, as they are multiplied.
    type Strip: Copy;
    /// Rows of a strip.
    const ROWS: usize;
    /// Values of a row, at most.
    const DEPTH: usize;
    /// Rows of a panel are padded to multiples of it.
    const STEP: usize;
    /// Words of memory that a strip takes.
    const STRIP: usize;

    /// Prepares `rows` rows of `len` values, `stride` apart.
    ///
    /// # Safety
    /// The rows are valid for reading as long as the strip is used, and `place` for writing [`Products::STRIP`] words.
    unsafe fn strip(
        self,
        s: S,
        from: *const f32,
        stride: usize,
        rows: usize,
        len: usize,
        place: *mut f32,
    ) -> Self::Strip;

    /// Computes a strip times one panel into `sums`: all columns of the panel, or its first vector where `wide` is false.
    ///
    /// # Safety
    /// `panel` is valid for reading as many rows of [`Simd::COLUMNS`] values as the strip's rows have values, rounded up to
    /// [`Products::STEP`]; `sums` for writing (and reading, to accumulate) [`Products::ROWS`] rows of as many values.
    unsafe fn multiply(self, s: S, strip: &Self::Strip, panel: *const Self::Panel, wide: bool, sums: Sums);
}

/// Operands in f32, the left one read where it lies.
#[derive(Clone, Copy)]
pub(super) struct InPlace;

/// Rows of f32.
#[derive(Clone, Copy)]
pub(super) struct Pointers {
    table: [*const f32; 12],
    rows: usize,
    len: usize,
}

impl<S: Simd> Products<S> for InPlace {
    type Panel = f32;
    type Strip = Pointers;
    const ROWS: usize = S::ROWS;
    const DEPTH: usize = usize::MAX;
    const STEP: usize = 1;
    const STRIP: usize = 0;

    #[inline(always)]
    unsafe fn strip(
        self,
        _: S,
        from: *const f32,
        stride: usize,
        rows: usize,
        len: usize,
        _: *mut f32,
    ) -> Pointers {
        let mut table = [from; 12];
        for (row, pointer) in table.iter_mut().enumerate() {
            *pointer = from.wrapping_add(row.min(rows - 1) * stride);
        }
        Pointers { table, rows, len }
    }

    #[inline(always)]
    unsafe fn multiply(self, s: S, strip: &Pointers, panel: *const f32, wide: bool, sums: Sums) {
        let strip = Strip { table: &strip.table[..S::ROWS], start: 0, len: strip.len, rows: strip.rows };
        // SAFETY: the same contract; all rows of the table lie among those of the strip.
        unsafe { multiply(s, strip, panel, S::COLUMNS, wide, sums) }
    }
}

/// Operands in bfloat16, for a unit that multiplies them.
#[derive(Clone, Copy)]
pub(super) struct Rounding<K>(pub(super) K);

impl<S: Simd, K: Kernel<S>> Products<S> for Rounding<K> {
    type Panel = u16;
    type Strip = Rounded<K::Left>;
    const ROWS: usize = K::ROWS;
    const DEPTH: usize = DEPTH;
    const STEP: usize = STEP;
    const STRIP: usize = K::ROWS * LEFT_STRIDE * size_of::<K::Left>() / size_of::<f32>();

    #[inline(always)]
    unsafe fn strip(
        self,
        s: S,
        from: *const f32,
        stride: usize,
        rows: usize,
        len: usize,
        place: *mut f32,
    ) -> Rounded<K::Left> {
        let left: *mut K::Left = place.cast();
        for row in 0..rows {
            // SAFETY: the caller lets the row be read, and LEFT_STRIDE values be written for each: DEPTH and what a vector writes
            // past them.
            unsafe { self.0.round_row(s, from.add(row * stride), len, left.add(row * LEFT_STRIDE)) };
        }
        Rounded { left, rows, depth: len }
    }

    #[inline(always)]
    unsafe fn multiply(self, s: S, strip: &Rounded<K::Left>, panel: *const u16, wide: bool, sums: Sums) {
        // SAFETY: the same contract; the strip was made by `strip`.
        unsafe { self.0.multiply(s, *strip, panel, wide, sums) }
    }
}
