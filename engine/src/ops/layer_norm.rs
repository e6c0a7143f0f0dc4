//! Layer norm with a learned affine map, a modulation by the time embedding, both or neither.
use super::rows::{rows_of_a_task, spread_rows, sum_of};
use crate::{
    cpu::CpuIo,
    graph::Graph,
    op::{Binding, Dispatch, Io, Lowered, Op, OpError, elem},
    params,
    plan::PlanError,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::Variant;

/// What a layer norm does beside normalising.
#[derive(Debug, Clone, Copy)]
pub struct LayerNormOptions {
    /// Added to the variance.
    pub eps: f32,
    /// Weight and bias, `[cols]` each.
    pub affine: Option<(TensorId, TensorId)>,
    /// What follows the affine map.
    pub modulation: Option<Modulation>,
    /// The result's dtype, f32 or f16.
    pub out: DType,
}

/// y * (1 + scale) + shift, with both taken from rows of one table.
#[derive(Debug, Clone, Copy)]
pub struct Modulation {
    /// The table, f32 `[n, cols]`.
    pub table: TensorId,
    /// The row that is added.
    pub shift: usize,
    /// The row that multiplies.
    pub scale: usize,
}

impl Graph {
    /// The rows of `x`, each less its mean and over its standard deviation; then affine map and modulation.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn layer_norm(&mut self, x: TensorId, options: &LayerNormOptions) -> Result<TensorId, OpError> {
        let LayerNormOptions { eps, affine, modulation, out } = *options;
        let mut inputs = vec![x];
        inputs.extend(affine.iter().flat_map(|(weight, bias)| [*weight, *bias]));
        inputs.extend(modulation.iter().map(|m| m.table));
        let rows = modulation.map(|m| (m.shift, m.scale));
        self.push(LayerNorm { eps, affine: affine.is_some(), modulation: rows, out }, &inputs)
    }
}

/// Inputs: x, with `affine` weight and bias, with `modulation` (shift row, scale row) a table.
#[derive(Debug)]
struct LayerNorm {
    eps: f32,
    affine: bool,
    modulation: Option<(usize, usize)>,
    out: DType,
}

params! {
    /// Of `layer_norm.wgsl`.
    struct LayerNormParams { rows: u32, cols: u32, shift_row: u32, scale_row: u32, eps: f32 }
}

const NAME: &str = "layer_norm";

impl LayerNorm {
    fn table_input(&self) -> usize {
        if self.affine { 3 } else { 1 }
    }
}

impl Op for LayerNorm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let x = &inputs[0];
        OpError::expect_activation(NAME, "x", x)?;
        if self.affine {
            for (what, vector) in [("weight", &inputs[1]), ("bias", &inputs[2])] {
                OpError::expect_dtype(NAME, what, vector, DType::F32)?;
                OpError::expect_shape(NAME, what, vector, &[x.cols()])?;
            }
        }
        if let Some((shift, scale)) = self.modulation {
            let table = &inputs[self.table_input()];
            let rows = table.rows();
            OpError::expect_dtype(NAME, "table", table, DType::F32)?;
            OpError::expect_shape(NAME, "table", table, &[rows, x.cols()])?;
            for (what, row) in [("shift row", shift), ("scale row", scale)] {
                if row >= rows {
                    return Err(OpError::value(NAME, what, row, format!("below {rows}")));
                }
            }
        }
        let output = TensorDesc::new(&x.shape, self.out);
        OpError::expect_activation(NAME, "out", &output)?;
        Ok(output)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        let per_element = 6 + 2 * u64::from(self.affine) + 3 * u64::from(self.modulation.is_some());
        per_element * output.elements() as u64
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, PlanError> {
        let (rows, cols) = (io.output.rows(), io.output.cols());
        let widest = cols * io.inputs[0].dtype.size().max(io.output.dtype.size());
        let (shift, scale) = self.modulation.unwrap_or_default();
        let variant = Variant::new()
            .alias("X", elem(&io.inputs[0]))
            .alias("Out", elem(io.output))
            .constant("AFFINE", u32::from(self.affine))
            .constant("MODULATION", u32::from(self.modulation.is_some()))
            .constant("IN_PLACE", u32::from(io.aliased == Some(0)));
        let optional = |used: bool, input: usize| match used {
            true => io.bind_input(input),
            false => Binding::unused(),
        };
        let dispatches = target.row_tiles(rows, widest).into_iter().map(|tile| {
            let params = LayerNormParams {
                rows: clamp_u32(tile.len()),
                cols: clamp_u32(cols),
                shift_row: clamp_u32(shift),
                scale_row: clamp_u32(scale),
                eps: self.eps,
            };
            let (variant, grid) = spread_rows(variant.clone(), tile.len(), cols, target);
            Dispatch {
                kernel: &shaders::LAYER_NORM,
                variant,
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: vec![
                    io.bind_input_rows(0, &tile, cols),
                    optional(self.affine, 1),
                    optional(self.affine, 2),
                    optional(self.modulation.is_some(), self.table_input()),
                    io.bind_output_rows(&tile, cols),
                ],
                grid,
            }
        });
        Ok(dispatches.collect::<Vec<_>>().into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (x, cols, aliased) = (io.input(0), io.output_desc.cols(), io.aliased == Some(0));
        let affine = self.affine.then(|| (io.input(1), io.input(2)));
        let modulation = self.modulation.map(|(shift, scale)| {
            let table = io.input(self.table_input());
            (&table[shift * cols..][..cols], &table[scale * cols..][..cols])
        });
        let normalise = |(row, out): (usize, &mut [f32])| {
            if !aliased {
                out.copy_from_slice(&x[row * cols..][..cols]);
            }
            let mean = sum_of(out, |v| v) / cols as f32;
            let variance = sum_of(out, |v| (v - mean) * (v - mean)) / cols as f32;
            let scale = (variance + self.eps).sqrt().recip();
            for value in out.iter_mut() {
                *value = (*value - mean) * scale;
            }
            if let Some((weight, bias)) = affine {
                for ((value, weight), bias) in out.iter_mut().zip(weight).zip(bias) {
                    *value = *value * weight + bias;
                }
            }
            if let Some((shift, scale)) = modulation {
                for ((value, shift), scale) in out.iter_mut().zip(shift).zip(scale) {
                    *value = *value * (1.0 + scale) + shift;
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
            Variant::new().alias("X", Elem::F32).alias("Out", Elem::F32).import("ROW", "row_workgroup");
        let variant = variant.constant("AFFINE", 1).constant("MODULATION", 1).constant("IN_PLACE", 0);
        check_params::<LayerNormParams>(&shaders::LAYER_NORM, &variant);
    }
}
