//! Patches of the latents as tokens: a convolution whose stride is its kernel, gathered inside the matrix product.
use super::{
    gemm::{Product, optional, optional_elem},
    matmul::{check_bias, plain_epilogue, weight_form},
};
use crate::{
    cpu::{
        CpuIo, WeightForm,
        gemm::{self, Epilogue, Residual, View, ViewMut},
    },
    error::LowerError,
    graph::Graph,
    op::{Binding, Io, Launch, Lowered, Op, OpError, Operand, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use shaders::Elem;

/// What a patch embedding does beside the product.
#[derive(Debug, Clone, Copy)]
pub struct PatchOptions {
    /// Frames, rows and columns of a patch.
    pub patch: [usize; 3],
    /// Added to every token, f32 `[D]`.
    pub bias: Option<TensorId>,
    /// Added last; as large as the result.
    pub residual: Option<TensorId>,
    /// The result's dtype: f32, f16 or bf16.
    pub out: DType,
}

impl Graph {
    /// Embeds patches: latents `[C, F, H, W]` (or `[n, C, F, H, W]`, of which the first are read) and a weight
    /// `[D, C, pt, ph, pw]` make tokens `[F/pt H/ph W/pw, D]` in the order time, height, width.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn patch_embedding(
        &mut self,
        latents: TensorId,
        weight: TensorId,
        options: &PatchOptions,
    ) -> Result<TensorId, OpError> {
        let PatchOptions { patch, bias, residual, out } = *options;
        let mut inputs = vec![latents, weight];
        inputs.extend(bias);
        inputs.extend(residual);
        self.push(
            PatchEmbedding {
                patch,
                bias: bias.map(|_| 2),
                residual: residual.map(|_| 2 + usize::from(bias.is_some())),
                out,
            },
            &inputs,
        )
    }
}

/// Inputs: latents, weight, and at the given positions what is present.
#[derive(Debug)]
struct PatchEmbedding {
    patch: [usize; 3],
    bias: Option<usize>,
    residual: Option<usize>,
    out: DType,
}

params! {
    /// Of `patch_embedding.wgsl`.
    struct PatchEmbeddingParams {
        rows: u32, cols: u32, segments: u32, segment_length: u32, row_start: u32, out_cols: u32, col_start: u32,
        gate_start: u32, split_rows: u32, split_start: u32, patch_t: u32, patch_h: u32, frames: u32, height: u32, width: u32,
    }
}

const NAME: &str = "patch_embedding";

impl PatchEmbedding {
    /// Channels, frames, height and width of the latents; none if they have another number of axes.
    fn latents(x: &TensorDesc) -> Option<[usize; 4]> {
        let axes = x.shape.len();
        if axes == 5 && x.shape[0] == 0 {
            return None;
        }
        (axes == 4 || axes == 5).then(|| std::array::from_fn(|axis| x.shape[axes - 4 + axis]))
    }
}

impl Op for PatchEmbedding {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let (x, weight) = (&inputs[0], &inputs[1]);
        OpError::expect_activation(NAME, "latents", x)?;
        let Some([channels, extents @ ..]) = Self::latents(x) else {
            return Err(OpError::value(NAME, "latents", &x.shape, "[channels, frames, height, width]"));
        };
        let patch = self.patch;
        let fits = (0..3).all(|axis| patch[axis] > 0 && extents[axis].is_multiple_of(patch[axis]));
        if !fits {
            return Err(OpError::value(NAME, "latents", &x.shape, format!("whole patches of {patch:?}")));
        }
        let width = weight.shape.first().copied().unwrap_or(0);
        let expected = [width, channels, patch[0], patch[1], patch[2]];
        if weight.dtype == DType::U32 {
            let (op, what, got) = (NAME, "weight", weight.dtype);
            return Err(OpError::DType { op, what, got, expected: "f32, f16 or bf16" });
        }
        OpError::expect_shape(NAME, "weight", weight, &expected)?;
        check_bias(NAME, self.bias.map(|i| &inputs[i]), width)?;
        let tokens = (0..3).map(|axis| extents[axis] / patch[axis]).product();
        let output = TensorDesc::new(&[tokens, width], self.out);
        OpError::expect_activation(NAME, "out", &output)?;
        if let Some(residual) = self.residual.map(|i| &inputs[i]) {
            OpError::expect_activation(NAME, "residual", residual)?;
            OpError::expect_shape(NAME, "residual", residual, &output.shape)?;
        }
        Ok(output)
    }

    fn in_place(&self) -> Option<usize> {
        self.residual
    }

    fn flops(&self, inputs: &[TensorDesc], output: &TensorDesc) -> u64 {
        2 * (output.rows() * inputs[1].elements()) as u64
    }

    fn fused(&self, _: &[TensorDesc]) -> usize {
        usize::from(self.bias.is_some()) + usize::from(self.residual.is_some())
    }

    fn reads(&self, inputs: &[TensorDesc], index: usize) -> u64 {
        match (index, Self::latents(&inputs[0])) {
            (0, Some(extents)) => (extents.iter().product::<usize>() * inputs[0].dtype.size()) as u64,
            _ => inputs[index].bytes(),
        }
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let (x, weight, n) = (&io.inputs[0], &io.inputs[1], io.output.cols());
        let [channels, frames, height, width] = Self::latents(x).unwrap_or_default();
        let [patch_t, patch_h, patch_w] = self.patch;
        let product = Product {
            x,
            rows: io.output.rows(),
            weight,
            segment_length: patch_w,
            x_aligned: patch_w.is_multiple_of(4),
        };
        let tiled = product.tiled(NAME, target);
        let in_place = self.residual.is_some() && io.aliased == self.residual;
        let variant = plain_epilogue(tiled.variant.clone())
            .alias("Out", elem(io.output))
            .alias("Mul", Elem::F32)
            .alias("Res", optional_elem(self.residual.filter(|_| !in_place).map(|i| &io.inputs[i])))
            .constant("HAS_BIAS", self.bias.is_some().into())
            .constant("RESIDUAL", if in_place { 2 } else { self.residual.is_some().into() })
            .import("STORE", "store_rows");
        let latents = TensorDesc::new(&[channels, frames, height, width], x.dtype);
        let mut launches = Vec::new();
        let sizes =
            self.residual.map(|i| io.inputs[i].dtype.size()).into_iter().chain([io.output.dtype.size()]);
        for rows in product.row_tiles(target, n * sizes.max().unwrap_or(0)) {
            for cols in product.col_tiles(target) {
                let params = PatchEmbeddingParams {
                    rows: clamp_u32(rows.len()),
                    cols: clamp_u32(cols.len()),
                    segments: clamp_u32(channels * patch_t * patch_h),
                    segment_length: clamp_u32(patch_w),
                    row_start: clamp_u32(rows.start),
                    out_cols: clamp_u32(n),
                    col_start: clamp_u32(cols.start),
                    gate_start: 0,
                    split_rows: 0,
                    split_start: 0,
                    patch_t: clamp_u32(patch_t),
                    patch_h: clamp_u32(patch_h),
                    frames: clamp_u32(frames),
                    height: clamp_u32(height),
                    width: clamp_u32(width),
                };
                let nothing = || optional(None, |i| io.bind_input(i));
                launches.push(Launch {
                    kernel: &shaders::PATCH_EMBEDDING,
                    variant: variant.clone(),
                    params: bytemuck::bytes_of(&params).to_vec(),
                    bindings: vec![
                        Binding::whole(Operand::Input(0), &latents),
                        io.bind_input_rows(1, &cols, product.k()),
                        optional(self.bias, |i| io.bind_input(i)),
                        optional(self.residual, |i| io.bind_input_rows(i, &rows, n)),
                        nothing(),
                        nothing(),
                        io.bind_output_rows(&rows, n),
                    ],
                    grid: tiled.grid(target, rows.len(), cols.len()),
                });
            }
        }
        Ok(Lowered { launches, scratch: Vec::new(), choice: Some(tiled.choice) })
    }

    fn weight_form(&self, inputs: &[TensorDesc], index: usize) -> WeightForm {
        weight_form(inputs, index)
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let [channels, frames, height, width] = Self::latents(io.desc(0)).unwrap_or_default();
        let [patch_t, patch_h, patch_w] = self.patch;
        let (grid_h, grid_w) = (height / patch_h, width / patch_w);
        let (rows, n) = (io.output_desc.rows(), io.output_desc.cols());
        let k = channels * patch_t * patch_h * patch_w;
        let latents = io.input(0);
        let mut patches = Vec::with_capacity(rows * k);
        for token in 0..rows {
            let (t, h, w) = (token / grid_w / grid_h, token / grid_w % grid_h, token % grid_w);
            for line in 0..channels * patch_t * patch_h {
                let (dh, dt, channel) = (line % patch_h, line / patch_h % patch_t, line / patch_h / patch_t);
                let frame = channel * frames + t * patch_t + dt;
                let start = (frame * height + h * patch_h + dh) * width + w * patch_w;
                patches.extend_from_slice(&latents[start..start + patch_w]);
            }
        }
        let residual = match self.residual {
            None => Residual::None,
            Some(i) if io.aliased == Some(i) => Residual::Output,
            Some(i) => Residual::Separate(View::contiguous(io.input(i), n)),
        };
        let epilogue = Epilogue { bias: self.bias.map(|i| io.input(i)), residual, ..Epilogue::default() };
        let out = std::mem::take(&mut io.output);
        let x = View::contiguous(&patches, k);
        gemm::matmul(x, rows, &io.matrix(1), &epilogue, ViewMut::contiguous(out, n));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;

    #[test]
    fn params_match_the_kernel() {
        let desc = TensorDesc::new(&[64, 64], DType::F32);
        let product = Product { x: &desc, rows: 64, weight: &desc, segment_length: 2, x_aligned: false };
        let variant = plain_epilogue(product.tiled(NAME, &Target::webgpu_defaults()).variant)
            .alias("Out", elem(&desc))
            .alias("Mul", elem(&desc))
            .alias("Res", elem(&desc))
            .import("STORE", "store_rows");
        check_params::<PatchEmbeddingParams>(&shaders::PATCH_EMBEDDING, &variant);
    }
}
