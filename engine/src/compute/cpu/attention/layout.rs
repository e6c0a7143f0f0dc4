//! How an attention's keys and values are packed.

use bytemuck::Pod;
use half::bf16;

use super::BLOCK_KEYS;
use crate::cpu::arithmetic::Arithmetic;
use crate::cpu::bf16::STEP;
use crate::cpu::gemm::View;

/// For each block of a head's keys, panels of keys as of a weight matrix [keys, head_dim], then panels of values as of a weight
/// matrix [head_dim, keys]. For products in bfloat16, values lie in pairs along what is summed, as in a packed weight.
pub(super) struct Layout {
    pub(super) keys: usize,
    pub(super) head_dim: usize,
    /// Columns of a panel.
    pub(super) columns: usize,
    /// What is summed is padded to multiples of it.
    pub(super) step: usize,
}

impl Layout {
    pub(super) fn new(arithmetic: Arithmetic, keys: usize, head_dim: usize) -> Self {
        let step = match arithmetic {
            Arithmetic::F32(_) => 1,
            Arithmetic::Bf16(_) => STEP,
        };
        Self { keys, head_dim, columns: arithmetic.columns(), step }
    }

    pub(super) fn blocks(&self) -> usize {
        self.keys.div_ceil(BLOCK_KEYS)
    }

    /// Keys of a block.
    pub(super) fn block_keys(&self, block: usize) -> usize {
        BLOCK_KEYS.min(self.keys - block * BLOCK_KEYS)
    }

    /// Keys of a block, as many for all blocks.
    pub(super) fn padded_keys(&self) -> usize {
        BLOCK_KEYS.min(self.keys.next_multiple_of(self.columns.max(self.step)))
    }

    /// Columns of the values.
    pub(super) fn padded_dim(&self) -> usize {
        self.head_dim.next_multiple_of(self.columns)
    }

    /// Rows of a panel of keys.
    pub(super) fn padded_depth(&self) -> usize {
        self.head_dim.next_multiple_of(self.step)
    }

    /// Bytes of a packed block.
    pub(super) fn block_bytes(&self) -> usize {
        let size = if self.step == 1 { size_of::<f32>() } else { size_of::<u16>() };
        self.padded_keys() * (self.padded_depth() + self.padded_dim()) * size
    }

    /// Bytes of a packed group and head.
    pub(super) fn pair_bytes(&self) -> usize {
        self.blocks() * self.block_bytes()
    }

    /// The panels of keys and of values of a block of a packed group and head.
    pub(super) fn panels<'a, T: Pod>(&self, packed: &'a [u8], block: usize) -> (&'a [T], &'a [T]) {
        let block = &packed[block * self.block_bytes()..][..self.block_bytes()];
        bytemuck::cast_slice(block).split_at(self.padded_keys() * self.padded_depth())
    }

    /// Packs `keys` rows from `row` on, of the head that begins at `column`.
    pub(super) fn pack(
        &self,
        keys: usize,
        row: usize,
        column: usize,
        k: View<'_>,
        v: View<'_>,
        to: &mut [u8],
    ) {
        let [k, v] = [k, v].map(|view| View { offset: view.offset + row * view.row_stride + column, ..view });
        let split = self.padded_keys() * self.padded_depth();
        if self.step == 1 {
            let (key_panels, value_panels) = bytemuck::cast_slice_mut(to).split_at_mut(split);
            self.pack_keys(keys, k, key_panels);
            self.pack_values(keys, v, value_panels);
        } else {
            let (key_panels, value_panels) = bytemuck::cast_slice_mut(to).split_at_mut(split / 2);
            self.pack_key_pairs(keys, k, key_panels);
            self.pack_value_pairs(keys, v, value_panels);
        }
    }

    fn pack_keys(&self, keys: usize, k: View<'_>, panels: &mut [f32]) {
        let columns = self.columns;
        for (index, panel) in panels.chunks_exact_mut(columns * self.head_dim).enumerate() {
            for key in 0..columns {
                let from = index * columns + key;
                let to = panel[key..].iter_mut().step_by(columns);
                if from < keys {
                    to.zip(&k.data[k.offset + from * k.row_stride..]).for_each(|(to, &x)| *to = x);
                } else {
                    to.for_each(|to| *to = 0.0);
                }
            }
        }
    }

    fn pack_values(&self, keys: usize, v: View<'_>, panels: &mut [f32]) {
        let columns = self.columns;
        for (index, panel) in panels.chunks_exact_mut(columns * self.padded_keys()).enumerate() {
            let first = index * columns;
            let width = columns.min(self.head_dim - first);
            for (i, to) in panel.chunks_exact_mut(columns).enumerate().take(keys) {
                to[..width].copy_from_slice(&v.data[v.offset + i * v.row_stride + first..][..width]);
                to[width..].fill(0.0);
            }
        }
    }

    /// Panels of keys, each a matrix [padded_depth / 2, columns] of pairs.
    fn pack_key_pairs(&self, keys: usize, k: View<'_>, panels: &mut [[u16; 2]]) {
        let columns = self.columns;
        panels.fill([0; 2]);
        for (index, panel) in panels.chunks_exact_mut(columns * self.padded_depth() / 2).enumerate() {
            for key in 0..columns.min(keys.saturating_sub(index * columns)) {
                let row = &k.data[k.offset + (index * columns + key) * k.row_stride..][..self.head_dim];
                for (to, pair) in panel[key..].iter_mut().step_by(columns).zip(row.chunks(2)) {
                    for (to, &x) in to.iter_mut().zip(pair) {
                        *to = bf16::from_f32(x).to_bits();
                    }
                }
            }
        }
    }

    /// Panels of values, each a matrix [padded_keys / 2, columns] of pairs.
    fn pack_value_pairs(&self, keys: usize, v: View<'_>, panels: &mut [[u16; 2]]) {
        let columns = self.columns;
        panels.fill([0; 2]);
        for (index, panel) in panels.chunks_exact_mut(columns * self.padded_keys() / 2).enumerate() {
            let first = index * columns;
            let width = columns.min(self.head_dim - first);
            for i in 0..keys {
                let row = &v.data[v.offset + i * v.row_stride + first..][..width];
                for (to, &x) in panel[i / 2 * columns..][..width].iter_mut().zip(row) {
                    to[i % 2] = bf16::from_f32(x).to_bits();
                }
            }
        }
    }
}
