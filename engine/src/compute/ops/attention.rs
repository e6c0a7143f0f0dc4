//! Softmax attention over rows of tokens: self- and cross-attention, with an optional relative bias.
mod forms;
mod lower;
mod mask;

pub use mask::Mask;

use crate::{
    cpu::{
        CpuIo, Operands,
        attention::{AttentionShape, Scores, attention},
        gemm::{View, ViewMut},
    },
    error::LowerError,
    graph::Graph,
    op::{Io, Lowered, Op, OpError},
    target::Target,
    tensor::{DType, TensorDesc, TensorId},
};

/// What attends to what.
#[derive(Debug, Clone, Copy)]
pub struct AttentionInputs {
    /// The queries' matrix, and the column where head 0 begins.
    pub q: (TensorId, usize),
    /// The keys', likewise; it may be the same matrix.
    pub k: (TensorId, usize),
    /// The values', likewise.
    pub v: (TensorId, usize),
    /// Heads, side by side in the columns.
    pub heads: usize,
    /// Columns of a head, a multiple of four.
    pub head_dim: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// f32 `[2 L - 1, heads]`, added to the scores by key - query + L - 1; for self-attention over L rows.
    pub bias: Option<TensorId>,
    /// Which keys a query sees, of those in its group of rows.
    pub mask: Mask,
    /// Groups of rows that attend within themselves; one means that all rows attend to all.
    pub groups: usize,
    /// The result's dtype: f32, f16 or bf16.
    pub out: DType,
}

impl AttentionInputs {
    /// All rows of q attend to all of k and v: heads of `head_dim` columns, scores divided by the root of that, no bias.
    pub fn new([q, k, v]: [(TensorId, usize); 3], heads: usize, head_dim: usize, out: DType) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a head size is small")]
        let scale = 1.0 / (head_dim as f32).sqrt();
        Self { q, k, v, heads, head_dim, scale, bias: None, mask: Mask::None, groups: 1, out }
    }
}

impl Graph {
    /// `softmax(scale * q k^T + bias) v`, head by head: `[rows of q, heads * head_dim]`.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn attention(&mut self, inputs: &AttentionInputs) -> Result<TensorId, OpError> {
        let AttentionInputs { q, k, v, heads, head_dim, scale, bias, mask, groups, out } = *inputs;
        let columns = [q.1, k.1, v.1];
        let op = Attention { heads, head_dim, scale, bias: bias.is_some(), mask, groups, columns, out };
        let mut tensors = vec![q.0, k.0, v.0];
        tensors.extend(bias);
        self.push(op, &tensors)
    }
}

/// Inputs: q, k, v and, with `bias`, the bias.
#[derive(Debug)]
struct Attention {
    heads: usize,
    head_dim: usize,
    scale: f32,
    bias: bool,
    mask: Mask,
    groups: usize,
    /// Where head 0 begins in q, k and v.
    columns: [usize; 3],
    out: DType,
}

const NAME: &str = "attention";

/// The inputs' names, in order.
const INPUTS: [&str; 3] = ["q", "k", "v"];

/// Shaders read four values at a time.
const QUAD: usize = 4;

impl Attention {
    fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Queries and keys of one group.
    fn group_rows(&self, inputs: &[TensorDesc]) -> (usize, usize) {
        (inputs[0].rows() / self.groups, inputs[1].rows() / self.groups)
    }

    fn check_options(&self) -> Result<(), OpError> {
        if self.heads == 0 {
            return Err(OpError::value(NAME, "heads", self.heads, "at least 1"));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(QUAD) {
            return Err(OpError::value(NAME, "head_dim", self.head_dim, "a positive multiple of 4"));
        }
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            return Err(OpError::value(NAME, "scale", self.scale, "positive and finite"));
        }
        if self.mask == (Mask::Causal { block: 0 }) {
            return Err(OpError::value(NAME, "mask", self.mask, "a block of at least one position"));
        }
        Ok(())
    }

    fn check_matrix(&self, index: usize, matrix: &TensorDesc) -> Result<(), OpError> {
        let (name, column) = (INPUTS[index], self.columns[index]);
        OpError::expect_activation(NAME, name, matrix)?;
        if !column.is_multiple_of(QUAD) || !matrix.cols().is_multiple_of(QUAD) {
            let got = (column, matrix.cols());
            return Err(OpError::value(NAME, name, got, "first column and width to be multiples of 4"));
        }
        if column + self.width() > matrix.cols() {
            let expected = format!("at least {} columns from column {column}", self.width());
            return Err(OpError::value(NAME, name, &matrix.shape, expected));
        }
        let rows = matrix.rows();
        if rows == 0 || self.groups == 0 || !rows.is_multiple_of(self.groups) {
            let expected = format!("rows to be a positive multiple of {} groups", self.groups);
            return Err(OpError::value(NAME, name, &matrix.shape, expected));
        }
        Ok(())
    }
}

impl Op for Attention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        self.check_options()?;
        for (index, matrix) in inputs[..3].iter().enumerate() {
            self.check_matrix(index, matrix)?;
        }
        let (k, v) = (&inputs[1], &inputs[2]);
        if k.rows() != v.rows() {
            return Err(OpError::value(NAME, "v", &v.shape, format!("{} rows as k has", k.rows())));
        }
        let (queries, keys) = self.group_rows(inputs);
        if self.mask != Mask::None && queries > keys {
            let expected = format!("{queries} rows or more, as the last query stands at the last key");
            return Err(OpError::value(NAME, "k", &k.shape, expected));
        }
        if let Some(bias) = inputs.get(3) {
            if queries != keys {
                let expected = format!("{queries} rows as q has, for there is a bias");
                return Err(OpError::value(NAME, "k", &k.shape, expected));
            }
            OpError::expect_dtype(NAME, "bias", bias, DType::F32)?;
            OpError::expect_shape(NAME, "bias", bias, &[2 * keys - 1, self.heads])?;
        }
        let output = TensorDesc::new(&[inputs[0].rows(), self.width()], self.out);
        OpError::expect_activation(NAME, "out", &output)?;
        Ok(output)
    }

    fn flops(&self, inputs: &[TensorDesc], _: &TensorDesc) -> u64 {
        let (queries, keys) = self.group_rows(inputs);
        4 * (self.groups * self.width()) as u64 * self.mask.pairs(queries, keys)
    }

    fn fused(&self, _: &[TensorDesc]) -> usize {
        // Softmax and the product with the values.
        2 + usize::from(self.bias) + usize::from(self.mask != Mask::None)
    }

    fn reads(&self, inputs: &[TensorDesc], index: usize) -> u64 {
        match index {
            0..=2 => (inputs[index].rows() * self.width() * inputs[index].dtype.size()) as u64,
            _ => inputs[index].bytes(),
        }
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        lower::lower(self, io, target)
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (queries, keys) = self.group_rows(&[io.desc(0).clone(), io.desc(1).clone()]);
        let shape = AttentionShape {
            groups: self.groups,
            queries,
            keys,
            heads: self.heads,
            head_dim: self.head_dim,
            scale: self.scale,
        };
        let matrix = |index: usize| View {
            data: io.input(index),
            offset: self.columns[index],
            row_stride: io.desc(index).cols(),
        };
        let (q, k, v) = (matrix(0), matrix(1), matrix(2));
        let seen: Option<Vec<_>> = (self.mask != Mask::None)
            .then(|| (0..queries).map(|query| self.mask.seen(query, queries, keys)).collect());
        let scores = Scores { bias: self.bias.then(|| io.input(3)), seen: seen.as_deref() };
        // Of all three, or none.
        let operands = if (0..3).all(|index| io.operands(index) == Operands::Bf16) {
            Operands::Bf16
        } else {
            Operands::F32
        };
        attention(operands, &shape, q, k, v, scores, ViewMut::contiguous(io.output, self.width()));
    }
}
