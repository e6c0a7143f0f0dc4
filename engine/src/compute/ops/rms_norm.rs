//! RMS norm of some columns of a matrix, and the rotary position embedding of what comes out.
use super::rows::{Rows, check_first_row, rows_of_a_task, sum_of, unit_of};
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

/// What an RMS norm does beside the division by the root mean square.
#[derive(Debug, Clone, Copy)]
pub struct RmsNormOptions {
    /// The first column of x to be normalised; the weight says how many there are.
    pub first_column: usize,
    /// Added to the mean square.
    pub eps: f32,
    /// The rotation that follows.
    pub rope: Option<Rope>,
    /// The row of the rotation's tables for the first row of x: a multiple of [`crate::ops::ROWS_ALIGNED`].
    pub first_angle: usize,
    /// The result's dtype: f32, f16 or bf16.
    pub out: DType,
}

/// A rotary position embedding: the pair (2i, 2i + 1) of each head is turned by angle i of its row.
#[derive(Debug, Clone, Copy)]
pub struct Rope {
    /// Cosines of the angles, f32 `[rows, head_dim / 2]`.
    pub cos: TensorId,
    /// Their sines.
    pub sin: TensorId,
    /// Columns of a head.
    pub head_dim: usize,
}

impl RmsNormOptions {
    /// All columns from the first on, without a rotation.
    pub const fn new(eps: f32, out: DType) -> Self {
        Self { first_column: 0, eps, rope: None, first_angle: 0, out }
    }
}

impl Graph {
    /// Columns of `x` over their root mean square, times `weight`: `[rows, all]` and `[cols]` make `[rows, cols]`.
    ///
    /// A weight `[parts, cols]` has a row for each of several runs of columns side by side, each normalised for itself: queries
    /// and keys at once make `[rows, parts * cols]`.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn rms_norm(
        &mut self,
        x: TensorId,
        weight: TensorId,
        options: &RmsNormOptions,
    ) -> Result<TensorId, OpError> {
        let RmsNormOptions { first_column, eps, rope, first_angle, out } = *options;
        let mut inputs = vec![x, weight];
        inputs.extend(rope.iter().flat_map(|rope| [rope.cos, rope.sin]));
        let head_dim = rope.map(|rope| rope.head_dim);
        self.push(RmsNorm { first_column, eps, head_dim, first_angle, out }, &inputs)
    }
}

/// Inputs: x, weight, and with a head_dim cosines and sines.
#[derive(Debug)]
struct RmsNorm {
    first_column: usize,
    eps: f32,
    head_dim: Option<usize>,
    first_angle: usize,
    out: DType,
}

params! {
    /// Of `rms_norm.wgsl`.
    struct RmsNormParams {
        items: u32, parts: u32, cols: u32, units: u32, x_units: u32, first_unit: u32, half_head: u32, eps: f32,
    }
}

const NAME: &str = "rms_norm";

impl Op for RmsNorm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let (x, weight) = (&inputs[0], &inputs[1]);
        let (parts, cols) = (weight.rows(), weight.cols());
        OpError::expect_activation(NAME, "x", x)?;
        OpError::expect_dtype(NAME, "weight", weight, DType::F32)?;
        if weight.shape.len() > 2 {
            return Err(OpError::shape(NAME, "weight", &weight.shape, &[parts, cols]));
        }
        let columns = self.first_column..self.first_column + parts * cols;
        if columns.end > x.cols() {
            return Err(OpError::value(NAME, "range of columns", columns, format!("within 0..{}", x.cols())));
        }
        if let Some(head_dim) = self.head_dim {
            if head_dim == 0 || head_dim % 2 != 0 || cols % head_dim != 0 {
                return Err(OpError::value(NAME, "head_dim", head_dim, format!("an even divisor of {cols}")));
            }
            expect_pairs(NAME, self.first_column, x)?;
            check_first_row(NAME, self.first_angle)?;
            for (what, table) in [("cos", &inputs[2]), ("sin", &inputs[3])] {
                OpError::expect_dtype(NAME, what, table, DType::F32)?;
                if table.rows() < self.first_angle + x.rows() || table.shape != [table.rows(), head_dim / 2] {
                    let expected = [self.first_angle + x.rows(), head_dim / 2];
                    return Err(OpError::shape(NAME, what, &table.shape, &expected));
                }
            }
        }
        let mut shape = x.shape.clone();
        shape.pop();
        shape.push(parts * cols);
        let output = TensorDesc::new(&shape, self.out);
        OpError::expect_activation(NAME, "out", &output)?;
        Ok(output)
    }

    fn in_place(&self) -> Option<usize> {
        // Only taken up when all columns are normalised, for else the sizes differ.
        Some(0)
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        let per_element = if self.head_dim.is_some() { 7 } else { 4 };
        per_element * output.elements() as u64
    }

    fn fused(&self, inputs: &[TensorDesc]) -> usize {
        // Norm, factor and rotation of each part, less the op's own one.
        inputs[1].rows() * (2 + usize::from(self.head_dim.is_some())) - 1
    }

    fn reads(&self, inputs: &[TensorDesc], index: usize) -> u64 {
        match index {
            0 => (inputs[0].rows() * inputs[1].elements() * inputs[0].dtype.size()) as u64,
            1 => inputs[1].bytes(),
            _ => (inputs[0].rows() * 4 * inputs[index].cols()) as u64,
        }
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let (rows, x_cols, out_cols) = (io.output.rows(), io.inputs[0].cols(), io.output.cols());
        let (parts, cols) = (io.inputs[1].rows(), io.inputs[1].cols());
        let half_head = self.head_dim.unwrap_or(0) / 2;
        let widest =
            (x_cols * io.inputs[0].dtype.size()).max(out_cols * io.output.dtype.size()).max(4 * half_head);
        let unit = unit_of(&[cols, x_cols, self.first_column]);
        let variant = Variant::new()
            .alias("X", elem(&io.inputs[0]))
            .alias("Out", elem(io.output))
            .import("TURN", turn(self.head_dim.is_some(), unit))
            .constant("IN_PLACE", u32::from(io.aliased == Some(0)));
        let launches = target.row_tiles(rows, widest).into_iter().map(|tile| {
            let params = RmsNormParams {
                items: clamp_u32(tile.len() * parts),
                parts: clamp_u32(parts),
                cols: clamp_u32(cols),
                units: clamp_u32(cols / unit),
                x_units: clamp_u32(x_cols / unit),
                first_unit: clamp_u32(self.first_column / unit),
                half_head: clamp_u32(half_head),
                eps: self.eps,
            };
            let angles = |input| match self.head_dim {
                Some(_) => {
                    let rows = self.first_angle + tile.start..self.first_angle + tile.end;
                    io.bind_input_rows(input, &rows, half_head)
                }
                None => Binding::unused(),
            };
            let rows = Rows { count: tile.len() * parts, units: cols / unit, unit };
            let (variant, grid) = rows.spread(variant.clone(), target);
            Launch {
                kernel: &shaders::RMS_NORM,
                variant,
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: vec![
                    io.bind_input_rows(0, &tile, x_cols),
                    io.bind_input(1),
                    angles(2),
                    angles(3),
                    io.bind_output_rows(&tile, out_cols),
                ],
                grid,
            }
        });
        Ok(launches.collect::<Vec<_>>().into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (x, weight, x_cols) = (io.input(0), io.input(1), io.desc(0).cols());
        let aliased = io.aliased == Some(0);
        let angles = self.head_dim.map(|head_dim| (io.input(2), io.input(3), head_dim / 2));
        let (out_cols, cols) = (weight.len(), io.desc(1).cols());
        let normalise = |(row, out): (usize, &mut [f32])| {
            if !aliased {
                out.copy_from_slice(&x[row * x_cols + self.first_column..][..out_cols]);
            }
            for (out, weight) in out.chunks_exact_mut(cols).zip(weight.chunks_exact(cols)) {
                let scale = (sum_of(out, |v| v * v) / cols as f32 + self.eps).sqrt().recip();
                for (value, weight) in out.iter_mut().zip(weight) {
                    *value = *value * scale * weight;
                }
            }
            if let Some((cos, sin, half)) = angles {
                let at = (self.first_angle + row) * half;
                let (cos, sin) = (&cos[at..][..half], &sin[at..][..half]);
                for head in out.chunks_exact_mut(2 * half) {
                    rotate(head, cos, sin);
                }
            }
        };
        io.output
            .par_chunks_mut(out_cols)
            .enumerate()
            .with_min_len(rows_of_a_task(out_cols))
            .for_each(normalise);
    }
}

/// What is turned lies in x as whole pairs.
pub(super) fn expect_pairs(op: &'static str, first_column: usize, x: &TensorDesc) -> Result<(), OpError> {
    if unit_of(&[first_column, x.cols()]) == 1 {
        let expected = "even numbers, for there is a rotation";
        return Err(OpError::value(op, "first column and width of x", (first_column, x.cols()), expected));
    }
    Ok(())
}

/// The piece that turns units.
pub(super) fn turn(turns: bool, unit: usize) -> &'static str {
    match (turns, unit) {
        (false, _) => "turn_none",
        (true, 4) => "turn_quad",
        (true, _) => "turn_pair",
    }
}

pub(super) fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    for ((pair, cos), sin) in head.chunks_exact_mut(2).zip(cos).zip(sin) {
        let (a, b) = (pair[0], pair[1]);
        pair[0] = a * cos - b * sin;
        pair[1] = a * sin + b * cos;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;
    use shaders::Elem;

    #[test]
    fn params_match_the_kernel() {
        let variant = Variant::new().alias("X", Elem::F32).alias("Out", Elem::F32).constant("IN_PLACE", 0);
        let rows = Rows { count: 1, units: 1, unit: 2 };
        let (variant, _) = rows.spread(variant.import("TURN", turn(true, 2)), &Target::webgpu_defaults());
        check_params::<RmsNormParams>(&shaders::RMS_NORM, &variant);
    }
}
