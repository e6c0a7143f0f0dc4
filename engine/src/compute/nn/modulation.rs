//! Rows of a table that modulate a block's norms and gate what it adds.
use crate::{
    ops::{Gate, MatmulOptions, Modulation, Split},
    tensor::{DType, TensorId},
};

/// The rows of one block.
#[derive(Debug, Clone, Copy)]
pub struct ModulationRows {
    /// f32 `[rows, columns]`.
    pub table: TensorId,
    /// The block's first row in it.
    pub first: usize,
    /// Where the first rows of a sequence take other rows of the table.
    pub split: Option<Split>,
}

impl ModulationRows {
    /// The shift and the scale of a norm.
    pub fn modulation(&self, shift: usize, scale: usize) -> Modulation {
        let Self { table, first, split } = *self;
        Modulation { table, shift: first + shift, scale: first + scale, split }
    }

    /// A product to be gated by `row` and added to `x`.
    pub fn gated(&self, row: usize, x: TensorId) -> MatmulOptions {
        let Self { table, first, split } = *self;
        let gate = Some(Gate { table, row: first + row, split });
        MatmulOptions { residual: Some(x), gate, ..MatmulOptions::new(DType::F32) }
    }
}
