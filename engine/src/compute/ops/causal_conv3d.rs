//! Convolution of feature maps, causal in time: earlier frames come from a cache, or are zero.
use super::{gemm::Activation, matmul::check_bias};
use crate::{
    cpu::{CpuIo, Operands, WeightForm},
    error::LowerError,
    graph::Graph,
    op::{Io, Lowered, Op, OpError},
    target::Target,
    tensor::{DType, TensorDesc, TensorId},
};
use extents::Extents;

mod cpu;
mod extents;
mod lower;

/// What the frames in front of the first one are where nothing is remembered of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fill {
    /// Zeros.
    #[default]
    Zeros,
    /// The first frame, repeated.
    FirstFrame,
}

/// How the frames of the sums become those of the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OutputFrames {
    /// One by one.
    #[default]
    Same,
    /// The first half of the channels is an earlier frame than the second: `[T, H, W, 2 M]` becomes `[2 T, H, W, M]`.
    Halves,
    /// Each twice.
    Twice,
    /// The first once, the others twice.
    TwiceButFirst,
}

impl OutputFrames {
    /// Frames and channels of the result for those of the sums.
    fn shape(self, frames: usize, n: usize) -> (usize, usize) {
        match self {
            Self::Same => (frames, n),
            Self::Halves => (2 * frames, n / 2),
            Self::Twice => (2 * frames, n),
            Self::TwiceButFirst => (2 * frames - 1, n),
        }
    }
}

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
    /// The frames in front of x, `[front, H, W, C]` in x's dtype.
    pub cache: Option<TensorId>,
    /// What they are without a cache.
    pub fill: Fill,
    /// How many frames stand in front of x: one less than the kernel has along time if `None`.
    pub front: Option<usize>,
    /// Steps along time, height and width.
    pub stride: [usize; 3],
    /// Zeros around the (enlarged) picture.
    pub pad: Pad,
    /// Whether x is enlarged twice in height and width first, nearest neighbour.
    pub upsample: bool,
    /// How the frames of the sums become those of the result.
    pub frames: OutputFrames,
    /// Added last; as large as the result.
    pub residual: Option<TensorId>,
    /// Applied to the biased sums.
    pub activation: Activation,
    /// The result's dtype: f32, f16 or bf16.
    pub out: DType,
}

impl Conv3dOptions {
    /// Steps of one, no padding in space, causal in time, nothing else.
    pub fn new(out: DType) -> Self {
        Self {
            bias: None,
            cache: None,
            fill: Fill::Zeros,
            front: None,
            stride: [1; 3],
            pad: Pad::default(),
            upsample: false,
            frames: OutputFrames::Same,
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
            fill: options.fill,
            front: options.front,
            stride: options.stride,
            pad: options.pad,
            upsample: options.upsample,
            frames: options.frames,
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
    fill: Fill,
    front: Option<usize>,
    stride: [usize; 3],
    pad: Pad,
    upsample: bool,
    frames: OutputFrames,
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
        let repeats = self.cache.is_none() && self.fill == Fill::FirstFrame;
        Ok(Extents { input, channels, kernel, front, repeats, stride, pad, factor, output, n })
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
        if self.frames == OutputFrames::Halves && !n.is_multiple_of(2) {
            let expected = "an even number of channels, half of them for either frame";
            return Err(OpError::value(NAME, "weight", &weight.shape, expected));
        }
        if self.frames != OutputFrames::Same && self.residual.is_some() {
            return Err(OpError::value(NAME, "frames", self.frames, "Same, as there is a residual"));
        }
        let (frames, n) = self.frames.shape(frames, n);
        let shape = [frames, height, width, n];
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
        let k = inputs[1].elements() / inputs[1].shape[0].max(1);
        let sums = self.extents(&inputs[0], &inputs[1]).map(|e| e.output.iter().product::<usize>() * e.n);
        2 * sums.unwrap_or(output.elements()) as u64 * k as u64
    }

    fn fused(&self, _: &[TensorDesc]) -> usize {
        let options = [
            self.cache.is_some() || self.fill == Fill::FirstFrame,
            self.upsample,
            self.bias.is_some(),
            self.activation != Activation::None,
            self.residual.is_some(),
            self.frames != OutputFrames::Same,
        ];
        options.into_iter().filter(|used| *used).count()
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let extents = self
            .extents(&io.inputs[0], &io.inputs[1])
            .map_err(|e| LowerError { op: NAME, what: e.to_string() })?;
        Ok(lower::Lowering { op: self, io, target, extents }.run())
    }

    fn weight_form(&self, inputs: &[TensorDesc], index: usize) -> WeightForm {
        match index {
            1 => {
                let enlarging = cpu::enlarging(self, &inputs[1].shape);
                WeightForm::conv(&inputs[1], enlarging, Operands::of(inputs[0].dtype))
            }
            _ => WeightForm::Dense,
        }
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        if let Ok(extents) = self.extents(io.desc(0), io.desc(1)) {
            cpu::evaluate(self, &extents, io);
        }
    }
}
