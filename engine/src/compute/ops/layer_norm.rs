//! Layer norm with a learned affine map, a modulation by the time embedding, both or neither.
use super::{
    rows::{Rows, Split, rows_of_a_task, sum_of, unit_of},
    window::window,
};
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Binding, Io, Launch, Lowered, Op, OpError, Operand, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::Variant;

/// What a layer norm does beside normalising.
#[derive(Debug, Clone, Copy)]
pub struct LayerNormOptions {
    /// The first row of x that counts; the result has no rows for those before it.
    pub first_row: usize,
    /// How many rows count from there on; `None`: all to the last.
    pub rows: Option<usize>,
    /// Added to the variance.
    pub eps: f32,
    /// Weight and bias, `[cols]` each.
    pub affine: Option<(TensorId, TensorId)>,
    /// What follows the affine map.
    pub modulation: Option<Modulation>,
    /// The result's dtype: f32, f16 or bf16.
    pub out: DType,
}

impl LayerNormOptions {
    /// The bare norm of all rows.
    pub const fn new(eps: f32, out: DType) -> Self {
        Self { first_row: 0, rows: None, eps, affine: None, modulation: None, out }
    }
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
    /// The rows of the result for which both lie elsewhere.
    pub split: Option<Split>,
}

impl Graph {
    /// The rows of `x`, each less its mean and over its standard deviation; then affine map and modulation.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn layer_norm(&mut self, x: TensorId, options: &LayerNormOptions) -> Result<TensorId, OpError> {
        let LayerNormOptions { first_row, rows, eps, affine, modulation, out } = *options;
        let mut inputs = vec![x];
        inputs.extend(affine.iter().flat_map(|(weight, bias)| [*weight, *bias]));
        inputs.extend(modulation.iter().map(|m| m.table));
        let modulation = modulation.map(|m| TableRows { shift: m.shift, scale: m.scale, split: m.split });
        self.push(LayerNorm { first_row, rows, eps, affine: affine.is_some(), modulation, out }, &inputs)
    }
}

/// Inputs: x, with `affine` weight and bias, with `modulation` a table.
#[derive(Debug)]
struct LayerNorm {
    first_row: usize,
    rows: Option<usize>,
    eps: f32,
    affine: bool,
    modulation: Option<TableRows>,
    out: DType,
}

#[derive(Debug, Clone, Copy)]
struct TableRows {
    shift: usize,
    scale: usize,
    split: Option<Split>,
}

impl TableRows {
    /// How many of the first rows take rows of the table further down, and how much.
    fn split(self) -> Split {
        self.split.unwrap_or(Split { rows: 0, offset: 0 })
    }

    /// The shift and scale rows for a row of the result.
    fn of(self, row: usize) -> [usize; 2] {
        let Split { rows, offset } = self.split();
        let moved = if row < rows { offset } else { 0 };
        [self.shift + moved, self.scale + moved]
    }
}

params! {
    /// Of `layer_norm.wgsl`.
    struct LayerNormParams {
        rows: u32, cols: u32, units: u32, x_start: u32, shift_row: u32, scale_row: u32, split_rows: u32, split_offset: u32, eps: f32,
    }
}

const NAME: &str = "layer_norm";

impl LayerNorm {
    /// How many rows of x count, if the first does.
    fn rows_of(&self, x: &TensorDesc) -> usize {
        self.rows.unwrap_or(x.rows() - self.first_row)
    }

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
        if let Some(modulation) = self.modulation {
            let table = &inputs[self.table_input()];
            let [shift, scale] =
                [modulation.shift, modulation.scale].map(|row| row + modulation.split().offset);
            let rows = table.rows();
            OpError::expect_dtype(NAME, "table", table, DType::F32)?;
            OpError::expect_shape(NAME, "table", table, &[rows, x.cols()])?;
            for (what, row) in [("shift row", shift), ("scale row", scale)] {
                if row >= rows {
                    return Err(OpError::value(NAME, what, row, format!("below {rows}")));
                }
            }
        }
        if self.first_row >= x.rows() {
            return Err(OpError::value(NAME, "first row", self.first_row, format!("below {}", x.rows())));
        }
        let (left, rows) = (x.rows() - self.first_row, self.rows_of(x));
        if !(1..=left).contains(&rows) {
            return Err(OpError::value(NAME, "rows", rows, format!("1 to {left}")));
        }
        let shape = if rows == x.rows() { x.shape.clone() } else { vec![rows, x.cols()] };
        let output = TensorDesc::new(&shape, self.out);
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

    fn fused(&self, _: &[TensorDesc]) -> usize {
        let streams = 1 + usize::from(self.modulation.is_some_and(|rows| rows.split.is_some()));
        2 * usize::from(self.affine) + 2 * streams * usize::from(self.modulation.is_some())
    }

    fn reads(&self, inputs: &[TensorDesc], index: usize) -> u64 {
        let (x, cols) = (&inputs[0], inputs[0].cols());
        let streams = 1 + usize::from(self.modulation.is_some_and(|rows| rows.split.is_some()));
        match index {
            0 => (self.rows_of(x) * cols * x.dtype.size()) as u64,
            table if self.modulation.is_some() && table == self.table_input() => {
                (4 * 2 * streams * cols) as u64
            }
            _ => inputs[index].bytes(),
        }
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let (rows, cols) = (io.output.rows(), io.output.cols());
        // A window of x may begin up to one alignment before its tile, which has 128 rows at least.
        let slack = usize::try_from(target.offset_alignment.max(256)).unwrap_or(256).div_ceil(128);
        let widest = cols * io.inputs[0].dtype.size().max(io.output.dtype.size())
            + if self.first_row > 0 { slack } else { 0 };
        let unit = unit_of(&[cols]);
        let modulation = self.modulation.unwrap_or(TableRows { shift: 0, scale: 0, split: None });
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
        let launches = target.row_tiles(rows, widest).into_iter().map(|tile| {
            let rows_of_x = (self.first_row + tile.start) * cols..(self.first_row + tile.end) * cols;
            let (x, x_start) = match io.bind_input(0) {
                unused if unused == Binding::unused() => (unused, 0),
                _ => window(Operand::Input(0), &rows_of_x, io.inputs[0].dtype.size(), target),
            };
            let Split { rows: split_rows, offset } = modulation.split();
            let params = LayerNormParams {
                rows: clamp_u32(tile.len()),
                cols: clamp_u32(cols),
                units: clamp_u32(cols / unit),
                x_start: clamp_u32(x_start / unit),
                shift_row: clamp_u32(modulation.shift),
                scale_row: clamp_u32(modulation.scale),
                split_rows: clamp_u32(split_rows.saturating_sub(tile.start)),
                split_offset: clamp_u32(offset),
                eps: self.eps,
            };
            let rows = Rows { count: tile.len(), units: cols / unit, unit };
            let (variant, grid) = rows.spread(variant.clone(), target);
            Launch {
                kernel: &shaders::LAYER_NORM,
                variant,
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: vec![
                    x,
                    optional(self.affine, 1),
                    optional(self.affine, 2),
                    optional(self.modulation.is_some(), self.table_input()),
                    io.bind_output_rows(&tile, cols),
                ],
                grid,
            }
        });
        Ok(launches.collect::<Vec<_>>().into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (x, cols, aliased) = (io.input(0), io.output_desc.cols(), io.aliased == Some(0));
        let affine = self.affine.then(|| (io.input(1), io.input(2)));
        let modulation = self.modulation.map(|rows| (rows, io.input(self.table_input())));
        let normalise = |(row, out): (usize, &mut [f32])| {
            if !aliased {
                out.copy_from_slice(&x[(self.first_row + row) * cols..][..cols]);
            }
            let pivot = out[0];
            let mean = pivot + sum_of(out, |v| v - pivot) / cols as f32;
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
            if let Some((rows, table)) = modulation {
                let [shift, scale] = rows.of(row).map(|row| &table[row * cols..][..cols]);
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
        let variant = Variant::new().alias("X", Elem::F32).alias("Out", Elem::F32);
        let rows = Rows { count: 1, units: 1, unit: 1 };
        let (variant, _) = rows.spread(variant, &Target::webgpu_defaults());
        let variant = variant.constant("AFFINE", 1).constant("MODULATION", 1).constant("IN_PLACE", 0);
        check_params::<LayerNormParams>(&shaders::LAYER_NORM, &variant);
    }
}
