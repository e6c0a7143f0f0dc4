//! The last projection of a video transformer, whose store puts every token's patch in its place in the latents.
use super::{
    gemm::{Product, optional},
    matmul::{MatmulParams, check_bias, check_operands, plain_epilogue, rows_params, weight_form},
};
use crate::{
    cpu::{
        CpuIo, WeightForm,
        gemm::{self, Epilogue, View, ViewMut},
    },
    error::LowerError,
    graph::Graph,
    op::{Io, Launch, Lowered, Op, OpError},
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use shaders::Elem;

/// How tokens make up latents: token (t, h, w) holds a patch, its channels running fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpatchify {
    /// Tokens along time, height and width.
    pub grid: [usize; 3],
    /// A token's extent in latents along time, height and width.
    pub patch: [usize; 3],
    /// Channels of the latents.
    pub channels: usize,
}

impl Graph {
    /// `x` times the transpose of `weight`, un-patchified: `[tokens, K]` and `[pt ph pw channels, K]` make f32
    /// `[channels, t pt, h ph, w pw]`.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn matmul_unpatchify(
        &mut self,
        x: TensorId,
        weight: TensorId,
        bias: Option<TensorId>,
        layout: Unpatchify,
    ) -> Result<TensorId, OpError> {
        let mut inputs = vec![x, weight];
        inputs.extend(bias);
        self.push(MatmulUnpatchify { has_bias: bias.is_some(), layout }, &inputs)
    }
}

/// Inputs: x, weight, perhaps a bias.
#[derive(Debug)]
struct MatmulUnpatchify {
    has_bias: bool,
    layout: Unpatchify,
}

const NAME: &str = "matmul_unpatchify";

impl MatmulUnpatchify {
    fn bias(&self) -> Option<usize> {
        self.has_bias.then_some(2)
    }

    /// Extents of the latents: frames, height, width.
    fn extents(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.layout.grid[axis] * self.layout.patch[axis])
    }
}

impl Op for MatmulUnpatchify {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let (x, weight) = (&inputs[0], &inputs[1]);
        let (k, n) = check_operands(NAME, x, weight)?;
        let Unpatchify { grid, patch, channels } = self.layout;
        let tokens = grid.iter().product();
        if x.rows() != tokens {
            return Err(OpError::shape(NAME, "x", &x.shape, &[tokens, k]));
        }
        let width = channels * patch.iter().product::<usize>();
        if n != width {
            return Err(OpError::shape(NAME, "weight", &weight.shape, &[width, k]));
        }
        check_bias(NAME, self.bias().map(|i| &inputs[i]), n)?;
        let [frames, height, width] = self.extents();
        Ok(TensorDesc::new(&[channels, frames, height, width], DType::F32))
    }

    fn flops(&self, inputs: &[TensorDesc], output: &TensorDesc) -> u64 {
        2 * output.elements() as u64 * inputs[0].cols() as u64
    }

    fn fused(&self, _: &[TensorDesc]) -> usize {
        // The change of order.
        1 + usize::from(self.has_bias)
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let (x, weight) = (&io.inputs[0], &io.inputs[1]);
        let (k, n) = (x.cols(), weight.shape[0]);
        let product =
            Product { x, rows: x.rows(), weight, segment_length: k, x_aligned: k.is_multiple_of(4) };
        let tiled = product.tiled(NAME, target);
        let variant = plain_epilogue(tiled.variant.clone())
            .alias("Out", Elem::F32)
            .alias("Mul", Elem::F32)
            .alias("Res", Elem::F32)
            .constant("HAS_BIAS", self.has_bias.into())
            .import("STORE", "store_unpatchify");
        let [frames, height, width] = self.extents();
        let mut launches = Vec::new();
        for rows in product.row_tiles(target, k * x.dtype.size()) {
            for cols in product.col_tiles(target) {
                let params = MatmulParams {
                    patch_t: clamp_u32(self.layout.patch[0]),
                    patch_h: clamp_u32(self.layout.patch[1]),
                    patch_w: clamp_u32(self.layout.patch[2]),
                    frames: clamp_u32(frames),
                    height: clamp_u32(height),
                    width: clamp_u32(width),
                    ..rows_params(&rows, &cols, k, n)
                };
                let nothing = || optional(None, |i| io.bind_input(i));
                launches.push(Launch {
                    kernel: &shaders::MATMUL,
                    variant: variant.clone(),
                    params: bytemuck::bytes_of(&params).to_vec(),
                    bindings: vec![
                        io.bind_input_rows(0, &rows, k),
                        io.bind_input_rows(1, &cols, k),
                        optional(self.bias(), |i| io.bind_input(i)),
                        nothing(),
                        nothing(),
                        nothing(),
                        io.bind_output(),
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
        let (k, rows, n) = (io.desc(0).cols(), io.desc(0).rows(), io.desc(1).shape[0]);
        let mut tokens = vec![0.0; rows * n];
        let epilogue = Epilogue { bias: self.bias().map(|i| io.input(i)), ..Epilogue::default() };
        let x = View::contiguous(io.input(0), k);
        gemm::matmul(x, rows, &io.matrix(1), &epilogue, ViewMut::contiguous(&mut tokens, n));
        let Unpatchify { grid: [_, grid_h, grid_w], patch: [patch_t, patch_h, patch_w], channels } =
            self.layout;
        let [frames, height, width] = self.extents();
        for (token, values) in tokens.chunks_exact(n).enumerate() {
            let (t, h, w) = (token / grid_w / grid_h, token / grid_w % grid_h, token % grid_w);
            for (column, value) in values.iter().enumerate() {
                let (channel, offset) = (column % channels, column / channels);
                let frame = t * patch_t + offset / patch_w / patch_h;
                let line = h * patch_h + offset / patch_w % patch_h;
                let column = w * patch_w + offset % patch_w;
                io.output[((channel * frames + frame) * height + line) * width + column] = *value;
            }
        }
    }
}
