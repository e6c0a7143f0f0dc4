//! The linear layer: rows times a stored matrix, with everything that follows it in a transformer fused on.
use super::{
    concat_rows,
    gemm::{Activation, Product, optional, optional_elem},
    rows::{self, Split},
};
use crate::{
    cpu::{
        CpuIo, Operands, WeightForm,
        gemm::{self, Epilogue, Residual, RowGate, View, ViewMut},
    },
    error::LowerError,
    graph::Graph,
    op::{Io, Launch, Lowered, Op, OpError, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
    weight::Weight,
};
use shaders::Variant;
use std::ops::Range;

/// What follows a product: `residual + gate * (activation(x weight^T + bias) * multiplier)`.
#[derive(Debug, Clone, Copy)]
pub struct MatmulOptions {
    /// Added to every row, f32 `[N]`.
    pub bias: Option<TensorId>,
    /// Applied to the biased sums.
    pub activation: Activation,
    /// Multiplies element by element; as large as the result.
    pub multiplier: Option<TensorId>,
    /// Added last; as large as the result.
    pub residual: Option<TensorId>,
    /// A row that multiplies every row.
    pub gate: Option<Gate>,
    /// Where in the residual the product's rows lie: it is added to those alone, and the result has all of the residual's. A multiple
    /// of [`crate::ops::ROWS_ALIGNED`].
    pub first_row: Option<usize>,
    /// The result's dtype: f32, f16 or bf16.
    pub out: DType,
}

/// A row of a table, and perhaps another one for the first rows of what it multiplies.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// The table, f32 `[n, N]`.
    pub table: TensorId,
    /// The row.
    pub row: usize,
    /// The rows of the result for which it lies elsewhere.
    pub split: Option<Split>,
}

impl MatmulOptions {
    /// The bare product.
    pub fn new(out: DType) -> Self {
        Self {
            bias: None,
            activation: Activation::None,
            multiplier: None,
            residual: None,
            gate: None,
            first_row: None,
            out,
        }
    }
}

impl Graph {
    /// `x` times the transpose of `weight`: `[rows.., K]` and `[N, K]` (or `[N, ..]` of K values a row) make `[rows.., N]`.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn matmul(
        &mut self,
        x: TensorId,
        weight: TensorId,
        options: &MatmulOptions,
    ) -> Result<TensorId, OpError> {
        self.matmul_side_by_side(x, &[weight], options)
    }

    /// The same with several weights of one K, each of its own dtype: their results lie side by side, as if they were one weight.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn matmul_side_by_side(
        &mut self,
        x: TensorId,
        weights: &[TensorId],
        options: &MatmulOptions,
    ) -> Result<TensorId, OpError> {
        let mut inputs = vec![x];
        inputs.extend(weights);
        let mut add = |id: Option<TensorId>| {
            id.map(|id| {
                inputs.push(id);
                inputs.len() - 1
            })
        };
        let op = Matmul {
            bias: add(options.bias),
            activation: options.activation,
            multiplier: add(options.multiplier),
            residual: add(options.residual),
            gate: add(options.gate.map(|gate| gate.table)),
            gate_row: options.gate.map_or(0, |gate| gate.row),
            split: options.gate.and_then(|gate| gate.split),
            first_row: options.first_row,
            weights: weights.len(),
            parts: weights.iter().map(|id| self.tensor_of(*id).weight().map_or(1, Weight::parts)).sum(),
            out: options.out,
        };
        self.push(op, &inputs)
    }
}

/// Inputs: x, the weights, and at the given positions what is present.
#[derive(Debug)]
struct Matmul {
    /// How many there are.
    weights: usize,
    bias: Option<usize>,
    activation: Activation,
    multiplier: Option<usize>,
    residual: Option<usize>,
    gate: Option<usize>,
    gate_row: usize,
    split: Option<Split>,
    first_row: Option<usize>,
    /// Matrices that are stacked in the weights: products of their own, if nothing were fused.
    parts: usize,
    out: DType,
}

params! {
    /// Of `matmul.wgsl`.
    struct MatmulParams {
        rows: u32, cols: u32, segments: u32, segment_length: u32, x_stride: u32, x_start: u32, out_cols: u32,
        col_start: u32, gate_start: u32, split_rows: u32, split_start: u32, row_start: u32, patch_t: u32, patch_h: u32, patch_w: u32, frames: u32,
        height: u32, width: u32,
    }
}

const NAME: &str = "matmul";

/// Checks the operands of a product of rows; returns (K, N).
pub(super) fn check_operands(
    op: &'static str,
    x: &TensorDesc,
    weight: &TensorDesc,
) -> Result<(usize, usize), OpError> {
    OpError::expect_activation(op, "x", x)?;
    if weight.dtype == DType::U32 {
        return Err(OpError::DType { op, what: "weight", got: weight.dtype, expected: "f32, f16 or bf16" });
    }
    let (k, n) = (x.cols(), weight.shape.first().copied().unwrap_or(0));
    if k == 0 || n == 0 || weight.elements() != n * k {
        return Err(OpError::shape(op, "weight", &weight.shape, &[n, k]));
    }
    Ok((k, n))
}

/// Checks an optional vector of `n` values.
pub(super) fn check_bias(op: &'static str, bias: Option<&TensorDesc>, n: usize) -> Result<(), OpError> {
    let Some(bias) = bias else { return Ok(()) };
    OpError::expect_dtype(op, "bias", bias, DType::F32)?;
    OpError::expect_shape(op, "bias", bias, &[n])
}

/// How a product's operands are read on the CPU: the weight, input 1, is packed.
pub(super) fn weight_form(inputs: &[TensorDesc], index: usize) -> WeightForm {
    match index {
        1 => WeightForm::matrix(&inputs[1], Operands::of(inputs[0].dtype)),
        _ => WeightForm::Dense,
    }
}

/// The consts of `epilogue.wgsl`, all off.
pub(super) fn plain_epilogue(variant: Variant) -> Variant {
    variant
        .constant("HAS_BIAS", 0)
        .constant("HAS_MUL", 0)
        .constant("HAS_GATE", 0)
        .constant("RESIDUAL", 0)
        .constant("ACTIVATION", 0)
        .import("EPILOGUE", "epilogue")
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        if self.weights == 0 {
            return Err(OpError::value(NAME, "weights", 0, "at least one"));
        }
        let mut n = 0;
        for weight in self.columns(inputs) {
            n += check_operands(NAME, &inputs[0], &inputs[weight.input])?.1;
        }
        let mut shape = inputs[0].shape.clone();
        shape.pop();
        shape.push(n);
        let product = TensorDesc::new(&shape, self.out);
        OpError::expect_activation(NAME, "out", &product)?;
        check_bias(NAME, self.bias.map(|i| &inputs[i]), n)?;
        let output = match self.first_row {
            Some(first) => self.check_rows(first, &product, inputs)?,
            None => product.clone(),
        };
        for (what, input, like) in
            [("multiplier", self.multiplier, &product), ("residual", self.residual, &output)]
        {
            let Some(input) = input.map(|i| &inputs[i]) else { continue };
            OpError::expect_activation(NAME, what, input)?;
            if input.cols() != n || input.elements() != like.elements() {
                return Err(OpError::shape(NAME, what, &input.shape, &like.shape));
            }
        }
        if let Some(gate) = self.gate.map(|i| &inputs[i]) {
            OpError::expect_dtype(NAME, "gate", gate, DType::F32)?;
            if gate.cols() != n {
                return Err(OpError::shape(NAME, "gate", &gate.shape, &[gate.rows(), n]));
            }
            for row in [self.gate_row, self.gate_row + self.split.map_or(0, |split| split.offset)] {
                if row >= gate.rows() {
                    return Err(OpError::value(NAME, "gate row", row, format!("below {}", gate.rows())));
                }
            }
        }
        Ok(output)
    }

    fn in_place(&self) -> Option<usize> {
        self.residual
    }

    fn flops(&self, inputs: &[TensorDesc], output: &TensorDesc) -> u64 {
        2 * (inputs[0].elements() * output.cols()) as u64
    }

    fn fused(&self, _: &[TensorDesc]) -> usize {
        let products = self.parts * (1 + usize::from(self.bias.is_some()));
        let options = [
            self.activation != Activation::None,
            self.multiplier.is_some(),
            self.gate.is_some(),
            self.split.is_some(),
            self.residual.is_some(),
        ];
        products - self.weights + options.into_iter().filter(|used| *used).count()
    }

    fn reads(&self, inputs: &[TensorDesc], index: usize) -> u64 {
        let gates = 1 + u64::from(self.split.is_some());
        let (rows, desc) = (inputs[0].rows(), &inputs[index]);
        if self.gate == Some(index) {
            gates * 4 * desc.cols() as u64
        } else if self.residual == Some(index) {
            (rows * desc.dtype.bytes(desc.cols())) as u64
        } else {
            desc.bytes()
        }
    }

    fn writes(&self, inputs: &[TensorDesc], output: &TensorDesc) -> u64 {
        (inputs[0].rows() * output.dtype.bytes(output.cols())) as u64
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let parts: Vec<Lowered> =
            self.columns(io.inputs).map(|weight| self.lower_part(io, target, &weight)).collect();
        // A choice is of one form for all launches: where there are several weights, each takes what is known to be best for it.
        let choice = parts.first().filter(|_| parts.len() == 1).and_then(|part| part.choice.clone());
        let copied = self.residual.filter(|_| self.copies_residual(io.aliased));
        let choice = choice.filter(|_| copied.is_none());
        let copies = copied.map(|residual| concat_rows::copy(io, residual, 0, target));
        let launches = copies.into_iter().flatten().chain(parts.into_iter().flat_map(|part| part.launches));
        Ok(Lowered { launches: launches.collect(), scratch: Vec::new(), choice })
    }

    fn weight_form(&self, inputs: &[TensorDesc], index: usize) -> WeightForm {
        if (1..=self.weights).contains(&index) {
            WeightForm::matrix(&inputs[index], Operands::of(inputs[0].dtype))
        } else {
            WeightForm::Dense
        }
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (k, n) = (io.desc(0).cols(), io.output_desc.cols());
        let (x, rows) = (View::contiguous(io.input(0), k), io.desc(0).rows());
        let out = std::mem::take(&mut io.output);
        let copies = self.copies_residual(io.aliased);
        if let Some(residual) = self.residual.filter(|_| copies) {
            out.copy_from_slice(io.input(residual));
        }
        let first = self.first_row.unwrap_or(0);
        let descs: Vec<TensorDesc> = (0..=self.weights).map(|index| io.desc(index).clone()).collect();
        for Columns { input, range } in self.columns(&descs) {
            let view = |i: usize| View { offset: range.start, ..View::contiguous(io.input(i), n) };
            let epilogue = Epilogue {
                bias: self.bias.map(|i| &io.input(i)[range.clone()]),
                activation: self.activation.cpu(),
                multiplier: self.multiplier.map(view),
                gate: self.gate.map(|i| {
                    let row = |row: usize| &io.input(i)[row * n..][range.clone()];
                    let moved =
                        |split: Split| (split.rows.saturating_sub(first), row(self.gate_row + split.offset));
                    let first = self.split.map(moved);
                    RowGate { row: row(self.gate_row), first }
                }),
                residual: match self.residual {
                    None => Residual::None,
                    Some(i) if copies || io.aliased == Some(i) => Residual::Output,
                    Some(i) => Residual::Separate(view(i)),
                },
            };
            let to = ViewMut { offset: first * n + range.start, ..ViewMut::contiguous(&mut *out, n) };
            gemm::matmul(x, rows, &io.matrix(input), &epilogue, to);
        }
    }
}

/// Columns of the result that a weight makes.
struct Columns {
    /// The weight.
    input: usize,
    range: Range<usize>,
}

impl Matmul {
    /// Checks where the product's rows lie; the result is as large as the residual.
    fn check_rows(
        &self,
        first: usize,
        product: &TensorDesc,
        inputs: &[TensorDesc],
    ) -> Result<TensorDesc, OpError> {
        let Some(residual) = self.residual.map(|i| &inputs[i]) else {
            return Err(OpError::value(NAME, "residual", "absent", "there, for there is a first row"));
        };
        OpError::expect_dtype(NAME, "residual", residual, self.out)?;
        rows::check_first_row(NAME, first)?;
        if first + product.rows() > residual.rows() {
            let expected = format!("within 0..{}", residual.rows());
            return Err(OpError::value(NAME, "rows", first..first + product.rows(), expected));
        }
        Ok(residual.clone())
    }

    /// Whether the rows that the product leaves alone have to come to the result from elsewhere.
    fn copies_residual(&self, aliased: Option<usize>) -> bool {
        self.first_row.is_some() && aliased != self.residual
    }

    fn columns<'a>(&self, inputs: &'a [TensorDesc]) -> impl Iterator<Item = Columns> + use<'a> {
        let mut start = 0;
        (1..=self.weights).map(move |input| {
            let range = start..start + inputs[input].shape.first().copied().unwrap_or(0);
            start = range.end;
            Columns { input, range }
        })
    }

    /// The product with one weight.
    fn lower_part(&self, io: &Io<'_>, target: &Target, part: &Columns) -> Lowered {
        let desc = |input: Option<usize>| input.map(|i| &io.inputs[i]);
        let (k, n) = (io.inputs[0].cols(), io.output.cols());
        let product = Product {
            x: &io.inputs[0],
            rows: io.inputs[0].rows(),
            weight: &io.inputs[part.input],
            segment_length: k,
            x_aligned: k.is_multiple_of(4),
        };
        let tiled = product.tiled(NAME, target);
        let in_place =
            self.residual.is_some() && (io.aliased == self.residual || self.copies_residual(io.aliased));
        let first = self.first_row.unwrap_or(0);
        let variant = plain_epilogue(tiled.variant.clone())
            .alias("Out", elem(io.output))
            .alias("Mul", optional_elem(desc(self.multiplier)))
            .alias("Res", optional_elem(desc(self.residual).filter(|_| !in_place)))
            .constant("HAS_BIAS", self.bias.is_some().into())
            .constant("ACTIVATION", self.activation.code())
            .constant("HAS_MUL", self.multiplier.is_some().into())
            .constant("HAS_GATE", u32::from(self.gate.is_some()) + u32::from(self.split.is_some()))
            .constant("RESIDUAL", if in_place { 2 } else { self.residual.is_some().into() })
            .import("STORE", "store_rows");
        let row_bytes = [Some(&io.inputs[0]), Some(io.output), desc(self.multiplier), desc(self.residual)]
            .into_iter()
            .flatten()
            .map(|d| d.cols() * d.dtype.size())
            .max()
            .unwrap_or(0);
        let mut launches = Vec::new();
        for rows in product.row_tiles(target, row_bytes) {
            for cols in product.col_tiles(target) {
                let split = self.split.unwrap_or(Split { rows: 0, offset: 0 });
                let params = MatmulParams {
                    gate_start: clamp_u32(self.gate_row * n),
                    split_rows: clamp_u32(split.rows.saturating_sub(first + rows.start)),
                    split_start: clamp_u32((self.gate_row + split.offset) * n),
                    ..rows_params(&rows, &(part.range.start + cols.start..part.range.start + cols.end), k, n)
                };
                let by_rows = |input| optional(input, |i| io.bind_input_rows(i, &rows, n));
                let out_rows = first + rows.start..first + rows.end;
                launches.push(Launch {
                    kernel: &shaders::MATMUL,
                    variant: variant.clone(),
                    params: bytemuck::bytes_of(&params).to_vec(),
                    bindings: vec![
                        io.bind_input_rows(0, &rows, k),
                        io.bind_input_rows(part.input, &cols, k),
                        optional(self.bias, |i| io.bind_input(i)),
                        by_rows(self.residual.filter(|_| !in_place)),
                        optional(self.gate, |i| io.bind_input(i)),
                        by_rows(self.multiplier),
                        io.bind_output_rows(&out_rows, n),
                    ],
                    grid: tiled.grid(target, rows.len(), cols.len()),
                });
            }
        }
        Lowered { launches, scratch: Vec::new(), choice: Some(tiled.choice) }
    }
}

/// The parameters of a part of a product of whole rows.
pub(super) fn rows_params(rows: &Range<usize>, cols: &Range<usize>, k: usize, n: usize) -> MatmulParams {
    MatmulParams {
        rows: clamp_u32(rows.len()),
        cols: clamp_u32(cols.len()),
        segments: 1,
        segment_length: clamp_u32(k),
        x_stride: clamp_u32(k),
        x_start: 0,
        out_cols: clamp_u32(n),
        col_start: clamp_u32(cols.start),
        gate_start: 0,
        split_rows: 0,
        split_start: 0,
        row_start: clamp_u32(rows.start),
        patch_t: 1,
        patch_h: 1,
        patch_w: 1,
        frames: 1,
        height: 1,
        width: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;

    #[test]
    fn params_match_the_kernel() {
        let desc = TensorDesc::new(&[64, 64], DType::F32);
        let product = Product { x: &desc, rows: 64, weight: &desc, segment_length: 64, x_aligned: true };
        let variant = plain_epilogue(product.tiled(NAME, &Target::webgpu_defaults()).variant)
            .alias("Out", elem(&desc))
            .alias("Mul", elem(&desc))
            .alias("Res", elem(&desc))
            .import("STORE", "store_rows");
        check_params::<MatmulParams>(&shaders::MATMUL, &variant);
    }
}
