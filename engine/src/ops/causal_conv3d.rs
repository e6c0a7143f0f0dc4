//! Convolution of feature maps, causal in time: earlier frames come from a cache, or are zero.
use super::{gemm::Activation, matmul::check_bias};
use crate::{
    cpu::CpuIo,
    graph::Graph,
    op::{Io, Lowered, Op, OpError},
    plan::PlanError,
    target::Target,
    tensor::{DType, TensorDesc, TensorId},
};
use extents::Extents;

mod cpu;
mod extents;
mod lower;

/// Zeros around a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pad {
    /// Lines above.
    pub top: usize,
    /// Lines below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Pad {
    /// The same on all sides.
    pub fn all(size: usize) -> Self {
        Self { top: size, bottom: size, left: size, right: size }
    }
}

/// What a convolution does beside its sums.
#[derive(Debug, Clone, Copy)]
pub struct Conv3dOptions {
    /// Added to every position, f32 `[N]`.
    pub bias: Option<TensorId>,
    /// The frames in front of x, `[front, H, W, C]` in x's dtype; zeros without one.
    pub cache: Option<TensorId>,
    /// How many frames stand in front of x: one less than the kernel has along time if `None`.
    pub front: Option<usize>,
    /// Steps along time, height and width.
    pub stride: [usize; 3],
    /// Zeros around the (enlarged) picture.
    pub pad: Pad,
    /// Whether x is enlarged twice in height and width first, nearest neighbour.
    pub upsample: bool,
    /// Whether the first half of the channels is an earlier frame than the second: `[T, H, W, 2 M]` becomes `[2 T, H, W, M]`.
    pub split_frames: bool,
    /// Added last; as large as the result.
    pub residual: Option<TensorId>,
    /// Applied to the biased sums.
    pub activation: Activation,
    /// The result's dtype, f32 or f16.
    pub out: DType,
}

impl Conv3dOptions {
    /// Steps of one, no padding in space, causal in time, nothing else.
    pub fn new(out: DType) -> Self {
        Self {
            bias: None,
            cache: None,
            front: None,
            stride: [1; 3],
            pad: Pad::default(),
            upsample: false,
            split_frames: false,
            residual: None,
            activation: Activation::None,
            out,
        }
    }
}

impl Graph {
    /// Convolves `[T, H, W, C]` with `[N, kt, kh, kw, C]` into `[To, Ho, Wo, N]`.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn causal_conv3d(
        &mut self,
        x: TensorId,
        weight: TensorId,
        options: &Conv3dOptions,
    ) -> Result<TensorId, OpError> {
        let mut inputs = vec![x, weight];
        let mut add = |id: Option<TensorId>| {
            id.map(|id| {
                inputs.push(id);
                inputs.len() - 1
            })
        };
        let op = CausalConv3d {
            bias: add(options.bias),
            cache: add(options.cache),
            residual: add(options.residual),
            front: options.front,
            stride: options.stride,
            pad: options.pad,
            upsample: options.upsample,
            split_frames: options.split_frames,
            activation: options.activation,
            out: options.out,
        };
        self.push(op, &inputs)
    }
}

/// Inputs: x, weight, and at the given positions what is present.
#[derive(Debug)]
struct CausalConv3d {
    bias: Option<usize>,
    cache: Option<usize>,
    residual: Option<usize>,
    front: Option<usize>,
    stride: [usize; 3],
    pad: Pad,
    upsample: bool,
    split_frames: bool,
    activation: Activation,
    out: DType,
}

const NAME: &str = "causal_conv3d";

impl CausalConv3d {
    fn extents(&self, x: &TensorDesc, weight: &TensorDesc) -> Result<Extents, OpError> {
        let &[frames, height, width, channels] = x.shape.as_slice() else {
            return Err(OpError::value(NAME, "x", &x.shape, "[frames, height, width, channels]"));
        };
        let &[n, kt, kh, kw, inner] = weight.shape.as_slice() else {
            let expected = format!("[n, time, height, width, {channels}]");
            return Err(OpError::value(NAME, "weight", &weight.shape, expected));
        };
        if inner != channels || channels == 0 || n == 0 {
            return Err(OpError::shape(NAME, "weight", &weight.shape, &[n, kt, kh, kw, channels]));
        }
        let front = self.front.unwrap_or(kt.saturating_sub(1));
        if front >= kt {
            return Err(OpError::value(NAME, "front", front, format!("less than the kernel's {kt} frames")));
        }
        let factor = if self.upsample { 2 } else { 1 };
        let covered = [
            front + frames,
            self.pad.top + factor * height + self.pad.bottom,
            self.pad.left + factor * width + self.pad.right,
        ];
        let (kernel, stride) = ([kt, kh, kw], self.stride);
        if (0..3).any(|axis| kernel[axis] == 0 || kernel[axis] > covered[axis]) {
            let expected = format!("between 1 and the padded input {covered:?}");
            return Err(OpError::value(NAME, "kernel", kernel, expected));
        }
        if stride.contains(&0) {
            return Err(OpError::value(NAME, "stride", stride, "at least 1"));
        }
        let output = std::array::from_fn(|axis| (covered[axis] - kernel[axis]) / stride[axis] + 1);
        let (input, pad) = ([frames, height, width], [self.pad.top, self.pad.left]);
        Ok(Extents { input, channels, kernel, front, stride, pad, factor, output, n })
    }
}

impl Op for CausalConv3d {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let (x, weight) = (&inputs[0], &inputs[1]);
        OpError::expect_activation(NAME, "x", x)?;
        if weight.dtype == DType::U32 {
            let (op, what, got) = (NAME, "weight", weight.dtype);
            return Err(OpError::DType { op, what, got, expected: "f32, f16 or bf16" });
        }
        let Extents { input, channels, front, output: [frames, height, width], n, .. } =
            self.extents(x, weight)?;
        check_bias(NAME, self.bias.map(|i| &inputs[i]), n)?;
        if let Some(cache) = self.cache.map(|i| &inputs[i]) {
            OpError::expect_dtype(NAME, "cache", cache, x.dtype)?;
            OpError::expect_shape(NAME, "cache", cache, &[front, input[1], input[2], channels])?;
        }
        let shape = if self.split_frames {
            if !n.is_multiple_of(2) || self.residual.is_some() {
                let expected = "split into frames only with an even number of channels and no residual";
                return Err(OpError::value(NAME, "weight", &weight.shape, expected));
            }
            [2 * frames, height, width, n / 2]
        } else {
            [frames, height, width, n]
        };
        if let Some(residual) = self.residual.map(|i| &inputs[i]) {
            OpError::expect_activation(NAME, "residual", residual)?;
            OpError::expect_shape(NAME, "residual", residual, &shape)?;
        }
        let output = TensorDesc::new(&shape, self.out);
        OpError::expect_activation(NAME, "out", &output)?;
        Ok(output)
    }

    fn in_place(&self) -> Option<usize> {
        self.residual
    }

    fn flops(&self, inputs: &[TensorDesc], output: &TensorDesc) -> u64 {
        // Split frames are half as wide and twice as many: the number of sums is the same.
        let k = inputs[1].elements() / inputs[1].shape[0].max(1);
        2 * output.elements() as u64 * k as u64
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, PlanError> {
        let extents = self
            .extents(&io.inputs[0], &io.inputs[1])
            .map_err(|e| PlanError::Unsupported { op: NAME, what: e.to_string() })?;
        Ok(lower::Lowering { op: self, io, target, extents }.run())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        if let Ok(extents) = self.extents(io.desc(0), io.desc(1)) {
            cpu::evaluate(self, &extents, io);
        }
    }
}
