//! Layer norm of every head of queries and keys, and the rotary position embedding of what comes out.
use super::{
    rms_norm::{Rope, expect_pairs, rotate, turn},
    rows::{Rows, rows_of_a_task, sum_of, unit_of},
};
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Binding, Io, Launch, Lowered, Op, OpError, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::Variant;

/// What a norm of heads works on and what follows it.
#[derive(Debug, Clone, Copy)]
pub struct HeadNormOptions {
    /// The column of x where the first head begins.
    pub first_column: usize,
    /// Heads of one part; the weight says how many parts there are.
    pub heads: usize,
    /// Added to the variance.
    pub eps: f32,
    /// The rotation that follows.
    pub rope: Option<RotatedRows>,
    /// The result's dtype: f32, f16 or bf16.
    pub out: DType,
}

/// A rotation of the rows from one on; the tables have rows for these only.
#[derive(Debug, Clone, Copy)]
pub struct RotatedRows {
    /// The angles.
    pub rope: Rope,
    /// The first row that is turned.
    pub first_row: usize,
}

impl Graph {
    /// Each head of `x`, less its mean and over its standard deviation, times `weight`, plus `bias`.
    ///
    /// A part is `heads` heads side by side that share a row of `weight` and `bias` `[parts, head_dim]`; parts lie side by
    /// side too, so that queries and keys are normed at once: `[rows, all]` makes `[rows, parts * heads * head_dim]`.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn head_norm(
        &mut self,
        x: TensorId,
        weight: TensorId,
        bias: TensorId,
        options: &HeadNormOptions,
    ) -> Result<TensorId, OpError> {
        let HeadNormOptions { first_column, heads, eps, rope, out } = *options;
        let mut inputs = vec![x, weight, bias];
        inputs.extend(rope.iter().flat_map(|rotated| [rotated.rope.cos, rotated.rope.sin]));
        let rope = rope.map(|rotated| (rotated.rope.head_dim, rotated.first_row));
        self.push(HeadNorm { first_column, heads, eps, rope, out }, &inputs)
    }
}

/// Inputs: x, weight, bias, and with `rope` (its head_dim, the first row) cosines and sines.
#[derive(Debug)]
struct HeadNorm {
    first_column: usize,
    heads: usize,
    eps: f32,
    rope: Option<(usize, usize)>,
    out: DType,
}

params! {
    /// Of `head_norm.wgsl`.
    struct HeadNormParams {
        items: u32, heads: u32, part_heads: u32, cols: u32, units: u32, x_units: u32, first_unit: u32, row_start: u32,
        rope_row: u32, eps: f32,
    }
}

const NAME: &str = "head_norm";

impl Op for HeadNorm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let (x, weight, bias) = (&inputs[0], &inputs[1], &inputs[2]);
        OpError::expect_activation(NAME, "x", x)?;
        OpError::expect_dtype(NAME, "weight", weight, DType::F32)?;
        OpError::expect_dtype(NAME, "bias", bias, DType::F32)?;
        let (parts, head_dim) = (weight.rows(), weight.cols());
        OpError::expect_shape(NAME, "weight", weight, &[parts, head_dim])?;
        OpError::expect_shape(NAME, "bias", bias, &weight.shape)?;
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            return Err(OpError::value(NAME, "head_dim", head_dim, "a positive even number"));
        }
        if self.heads == 0 {
            return Err(OpError::value(NAME, "heads", self.heads, "at least 1"));
        }
        let cols = parts * self.heads * head_dim;
        let columns = self.first_column..self.first_column + cols;
        if columns.end > x.cols() {
            return Err(OpError::value(NAME, "range of columns", columns, format!("within 0..{}", x.cols())));
        }
        if let Some((turned, first_row)) = self.rope {
            if turned != head_dim {
                return Err(OpError::value(NAME, "rope's head_dim", turned, format!("{head_dim}")));
            }
            expect_pairs(NAME, self.first_column, x)?;
            if first_row >= x.rows() {
                let expected = format!("below {}", x.rows());
                return Err(OpError::value(NAME, "rope's first row", first_row, expected));
            }
            for (what, table) in [("cos", &inputs[3]), ("sin", &inputs[4])] {
                OpError::expect_dtype(NAME, what, table, DType::F32)?;
                OpError::expect_shape(NAME, what, table, &[x.rows() - first_row, head_dim / 2])?;
            }
        }
        let output = TensorDesc::new(&[x.rows(), cols], self.out);
        OpError::expect_activation(NAME, "out", &output)?;
        Ok(output)
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        let per_element = if self.rope.is_some() { 11 } else { 8 };
        per_element * output.elements() as u64
    }

    fn fused(&self, inputs: &[TensorDesc]) -> usize {
        // Norm, factor, summand and rotation of each part, less the op's own one.
        inputs[1].rows() * (3 + usize::from(self.rope.is_some())) - 1
    }

    fn reads(&self, inputs: &[TensorDesc], index: usize) -> u64 {
        match index {
            0 => (inputs[0].rows() * self.heads * inputs[1].elements() * inputs[0].dtype.size()) as u64,
            _ => inputs[index].bytes(),
        }
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let (rows, cols, x_cols) = (io.output.rows(), io.output.cols(), io.inputs[0].cols());
        let head_dim = io.inputs[1].cols();
        let heads = cols / head_dim;
        let unit = unit_of(&[head_dim, x_cols, self.first_column]);
        let widest = (x_cols * io.inputs[0].dtype.size()).max(cols * io.output.dtype.size());
        let variant = Variant::new()
            .alias("X", elem(&io.inputs[0]))
            .alias("Out", elem(io.output))
            .import("TURN", turn(self.rope.is_some(), unit));
        let launches = target.row_tiles(rows, widest).into_iter().map(|tile| {
            let params = HeadNormParams {
                items: clamp_u32(tile.len() * heads),
                heads: clamp_u32(heads),
                part_heads: clamp_u32(self.heads),
                cols: clamp_u32(head_dim),
                units: clamp_u32(head_dim / unit),
                x_units: clamp_u32(x_cols / unit),
                first_unit: clamp_u32(self.first_column / unit),
                row_start: clamp_u32(tile.start),
                rope_row: clamp_u32(self.rope.map_or(0, |(_, first_row)| first_row)),
                eps: self.eps,
            };
            let angles = |input| match self.rope {
                Some(_) => io.bind_input(input),
                None => Binding::unused(),
            };
            let items = Rows { count: tile.len() * heads, units: head_dim / unit, unit };
            let (variant, grid) = items.spread_short(variant.clone(), target);
            Launch {
                kernel: &shaders::HEAD_NORM,
                variant,
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: vec![
                    io.bind_input_rows(0, &tile, x_cols),
                    io.bind_input(1),
                    io.bind_input(2),
                    angles(3),
                    angles(4),
                    io.bind_output_rows(&tile, cols),
                ],
                grid,
            }
        });
        Ok(launches.collect::<Vec<_>>().into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (x, weight, bias, x_cols) = (io.input(0), io.input(1), io.input(2), io.desc(0).cols());
        let (cols, head_dim) = (io.output_desc.cols(), io.desc(1).cols());
        let angles = self.rope.map(|(_, first_row)| (io.input(3), io.input(4), first_row));
        let normalise = |(row, out): (usize, &mut [f32])| {
            out.copy_from_slice(&x[row * x_cols + self.first_column..][..cols]);
            let parts = weight.chunks_exact(head_dim).zip(bias.chunks_exact(head_dim));
            for (part, (weight, bias)) in out.chunks_exact_mut(self.heads * head_dim).zip(parts) {
                for head in part.chunks_exact_mut(head_dim) {
                    let pivot = head[0];
                    let mean = pivot + sum_of(head, |v| v - pivot) / head_dim as f32;
                    let variance = sum_of(head, |v| (v - mean) * (v - mean)) / head_dim as f32;
                    let scale = (variance + self.eps).sqrt().recip();
                    for ((value, weight), bias) in head.iter_mut().zip(weight).zip(bias) {
                        *value = (*value - mean) * scale * weight + bias;
                    }
                    if let Some((cos, sin, first_row)) = angles
                        && let Some(row) = row.checked_sub(first_row)
                    {
                        let half = head_dim / 2;
                        rotate(head, &cos[row * half..][..half], &sin[row * half..][..half]);
                    }
                }
            }
        };
        io.output.par_chunks_mut(cols).enumerate().with_min_len(rows_of_a_task(cols)).for_each(normalise);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;
    use shaders::Elem;

    #[test]
    fn params_match_the_kernel() {
        let variant =
            Variant::new().alias("X", Elem::F32).alias("Out", Elem::F32).import("TURN", turn(true, 4));
        let (variant, _) =
            Rows { count: 1, units: 1, unit: 4 }.spread_short(variant, &Target::webgpu_defaults());
        check_params::<HeadNormParams>(&shaders::HEAD_NORM, &variant);
    }
}
