//! Where a task's panels come from: packed as the kernels read them, or unpacked from groups block by block.

use std::ops::Range;

use bytemuck::Pod;

use crate::cpu::bf16::STEP;
use crate::cpu::groups;
use crate::cpu::pack::{AlignedBuffer, PackedWeight};
use crate::cpu::simd::Simd;
use crate::tensor::Grouping;

/// The panels of a task's columns.
pub(super) trait Panels {
    /// A value of a panel.
    type Value;

    /// Makes ready the values of k that are used until this is called again.
    fn begin<S: Simd>(&mut self, values: Range<usize>);

    /// Those of one panel; `column` is its first, counted from the task's.
    fn panel<S: Simd>(&self, column: usize, values: Range<usize>) -> &[Self::Value];
}

/// Panels that lie in memory as they are read.
pub(super) struct Packed<'a, T> {
    panels: &'a [T],
    /// Values of k that a panel has.
    depth: usize,
    first_column: usize,
}

impl<'a, T: Pod> Packed<'a, T> {
    pub(super) fn of(weight: &'a PackedWeight, columns: &Range<usize>) -> Self {
        Self { panels: weight.panels(), depth: weight.depth(), first_column: columns.start }
    }
}

impl<T> Panels for Packed<'_, T> {
    type Value = T;

    #[inline(always)]
    fn begin<S: Simd>(&mut self, _: Range<usize>) {}

    #[inline(always)]
    fn panel<S: Simd>(&self, column: usize, values: Range<usize>) -> &[T] {
        let from = (self.first_column + column) * self.depth + values.start * S::COLUMNS;
        &self.panels[from..from + values.len() * S::COLUMNS]
    }
}

/// Groups, unpacked to f32. Blocks begin at groups.
pub(super) struct Unpacked<'a> {
    pub(super) weight: &'a PackedWeight,
    pub(super) grouping: Grouping,
    pub(super) columns: Range<usize>,
    pub(super) memory: &'a mut AlignedBuffer,
}

impl Panels for Unpacked<'_> {
    type Value = f32;

    #[inline(always)]
    fn begin<S: Simd>(&mut self, values: Range<usize>) {
        let size = values.len() * S::COLUMNS;
        let width = self.columns.len().next_multiple_of(S::COLUMNS);
        self.memory.grow(width * values.len() * size_of::<f32>());
        let panels = self.memory.values_mut::<f32>().chunks_exact_mut(size.max(1));
        for (column, panel) in self.columns.clone().step_by(S::COLUMNS).zip(panels) {
            unpack::<S>(self.weight, self.grouping, column, values.start, panel);
        }
    }

    #[inline(always)]
    fn panel<S: Simd>(&self, column: usize, values: Range<usize>) -> &[f32] {
        &self.memory.values()[column * values.len()..][..values.len() * S::COLUMNS]
    }
}

/// Groups, unpacked to pairs of bfloat16. Blocks begin at groups.
pub(super) struct UnpackedPairs<'a> {
    pub(super) weight: &'a PackedWeight,
    pub(super) grouping: Grouping,
    pub(super) columns: Range<usize>,
    pub(super) memory: &'a mut AlignedBuffer,
}

impl Panels for UnpackedPairs<'_> {
    type Value = u16;

    #[inline(always)]
    fn begin<S: Simd>(&mut self, values: Range<usize>) {
        // As many values at a time as stay in the first-level cache beside their pairs: whole groups and whole steps.
        let run = self.grouping.len().max(STEP);
        let there = values.end.min(self.weight.k());
        let size = values.len() * S::COLUMNS;
        let width = self.columns.len().next_multiple_of(S::COLUMNS);
        let wide_bytes = run * S::COLUMNS * size_of::<f32>();
        self.memory.grow(wide_bytes + width * values.len() * size_of::<u16>());
        let (wide, pairs) = self.memory.values_mut::<f32>().split_at_mut(run * S::COLUMNS);
        let panels = bytemuck::cast_slice_mut::<_, [u16; 2]>(pairs).chunks_exact_mut((size / 2).max(1));
        for (column, panel) in self.columns.clone().step_by(S::COLUMNS).zip(panels) {
            for (start, pairs) in values.clone().step_by(run).zip(panel.chunks_mut(run / 2 * S::COLUMNS)) {
                let count = run.min(there.saturating_sub(start));
                let wide = &mut wide[..count * S::COLUMNS];
                unpack::<S>(self.weight, self.grouping, column, start, wide);
                match S::COLUMNS {
                    8 => groups::pair::<8>(wide, pairs),
                    16 => groups::pair::<16>(wide, pairs),
                    _ => groups::pair::<32>(wide, pairs),
                }
            }
        }
    }

    #[inline(always)]
    fn panel<S: Simd>(&self, column: usize, values: Range<usize>) -> &[u16] {
        let run = self.grouping.len().max(STEP);
        let pairs = &self.memory.values::<u16>()[2 * run * S::COLUMNS..];
        &pairs[column * values.len()..][..values.len() * S::COLUMNS]
    }
}

/// Unpacks values of k from `start` on, of the panel that begins at `column`.
#[inline(always)]
fn unpack<S: Simd>(weight: &PackedWeight, grouping: Grouping, column: usize, start: usize, out: &mut [f32]) {
    let row = grouping.bytes(weight.k()) / size_of::<u32>();
    let panel = &weight.panels::<u32>()[column * row..][..row * S::COLUMNS];
    let panel = &panel[start / grouping.len() * grouping.words() * S::COLUMNS..];
    match S::COLUMNS {
        8 => groups::unpack::<8>(grouping, panel, out),
        16 => groups::unpack::<16>(grouping, panel, out),
        _ => groups::unpack::<32>(grouping, panel, out),
    }
}
