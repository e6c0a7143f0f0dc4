//! Group norm over positions, frames or a whole volume, channels last, in two launches.
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Io, Lowered, Op, OpError},
    target::Target,
    tensor::{DType, TensorDesc, TensorId},
};

mod cpu;
mod lower;

/// Which positions share mean and variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Volume,
    /// Those of a frame.
    Frame,
    /// None: each position is normalised over its own channels.
    Position,
}

/// Factors and summands from a smaller volume: each position takes those of the nearest one.
#[derive(Debug, Clone, Copy)]
pub struct NearestModulation {
    /// `[t, h, w, 2 C]` f32: factors of all channels, then summands.
    pub values: TensorId,
    /// Whether the first frame goes with the smaller volume's first alone, and the others with its others.
    pub first_apart: bool,
}

/// How [`Graph::group_norm`] normalises.
#[derive(Debug, Clone, Copy)]
pub struct GroupNormOptions {
    /// Which positions share mean and variance.
    pub scope: Scope,
    /// Groups of neighbouring channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// `[C]` f32.
    pub weight: TensorId,
    /// `[C]` f32.
    pub bias: TensorId,
    /// Applied to the normalised values.
    pub modulation: Option<NearestModulation>,
    /// Whether SiLU follows.
    pub silu: bool,
    /// f32, f16 or bf16.
    pub out: DType,
}

impl Graph {
    /// `(x - mean) / sqrt(variance + eps) * weight + bias` for `[T, H, W, C]`, with mean and variance of each group
    /// of channels over a position, a frame or all frames; then the modulation, then SiLU.
    pub fn group_norm(&mut self, x: TensorId, options: &GroupNormOptions) -> Result<TensorId, OpError> {
        let GroupNormOptions { scope, groups, eps, weight, bias, modulation, silu, out } = *options;
        let mut inputs = vec![x, weight, bias];
        inputs.extend(modulation.map(|m| m.values));
        let first_apart = modulation.map(|m| m.first_apart);
        self.push(GroupNorm { scope, groups, eps, first_apart, silu, out }, &inputs)
    }
}

/// Inputs: x, weight, bias and, if `first_apart` says anything, the modulation.
#[derive(Debug)]
struct GroupNorm {
    scope: Scope,
    groups: usize,
    eps: f32,
    first_apart: Option<bool>,
    silu: bool,
    out: DType,
}

/// Where the modulation is for a position: nearest neighbours, the one before where two are as near.
#[derive(Debug, Clone, Copy)]
struct Nearest {
    from: [usize; 3],
    to: [usize; 3],
    apart: bool,
}

impl Nearest {
    /// The first position of the line that goes with line `y` of frame `t`.
    fn line(&self, t: usize, y: usize) -> usize {
        let ([frames, height, _], [z_frames, z_height, z_width]) = (self.from, self.to);
        let t = match (self.apart, t) {
            (false, t) => t * z_frames / frames,
            (true, 0) => 0,
            (true, t) => 1 + (t - 1) * (z_frames - 1) / (frames - 1),
        };
        (t * z_height + y * z_height / height) * z_width
    }
}

const NAME: &str = "group_norm";

impl GroupNorm {
    /// Segments with statistics of their own, and positions in one.
    fn segments(&self, x: &TensorDesc) -> (usize, usize) {
        match self.scope {
            Scope::Volume => (1, x.rows()),
            Scope::Frame => (x.shape[0], x.shape[1] * x.shape[2]),
            Scope::Position => (x.rows(), 1),
        }
    }

    fn nearest(&self, inputs: &[TensorDesc]) -> Option<Nearest> {
        let apart = self.first_apart?;
        let extents = |desc: &TensorDesc| [desc.shape[0], desc.shape[1], desc.shape[2]];
        Some(Nearest { from: extents(&inputs[0]), to: extents(&inputs[3]), apart })
    }

    fn check_modulation(&self, x: [usize; 4], inputs: &[TensorDesc]) -> Result<(), OpError> {
        let (Some(apart), Some(modulation)) = (self.first_apart, inputs.get(3)) else { return Ok(()) };
        let [t, h, w, c] = super::window::frames(NAME, "modulation", modulation)?;
        OpError::expect_dtype(NAME, "modulation", modulation, DType::F32)?;
        let sound = c == 2 * x[3] && t > 0 && h > 0 && w > 0;
        if !sound {
            let expected = format!("[frames, height, width, {}]", 2 * x[3]);
            return Err(OpError::value(NAME, "modulation", &modulation.shape, expected));
        }
        if apart && (t < 2 || x[0] < 2) {
            let expected = "two or more in both volumes, the first being apart";
            return Err(OpError::value(NAME, "the number of frames", [x[0], t], expected));
        }
        Ok(())
    }
}

impl Op for GroupNorm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let extents = super::window::frames(NAME, "x", &inputs[0])?;
        let channels = extents[3];
        OpError::expect_activation(NAME, "x", &inputs[0])?;
        if self.groups == 0 || channels == 0 || !channels.is_multiple_of(self.groups) {
            let expected = format!("a divisor of x's {channels} channels");
            return Err(OpError::value(NAME, "groups", self.groups, expected));
        }
        for (what, desc) in [("weight", &inputs[1]), ("bias", &inputs[2])] {
            OpError::expect_dtype(NAME, what, desc, DType::F32)?;
            OpError::expect_shape(NAME, what, desc, &[channels])?;
        }
        self.check_modulation(extents, inputs)?;
        let out = TensorDesc::new(&inputs[0].shape, self.out);
        OpError::expect_activation(NAME, "out", &out)?;
        Ok(out)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        let modulation = if self.first_apart.is_some() { 2 } else { 0 };
        let activation = if self.silu { 4 } else { 0 };
        (8 + modulation + activation) * output.elements() as u64
    }

    fn fused(&self, _: &[TensorDesc]) -> usize {
        // Factor and summand of the channels; those of the modulation, once resized.
        2 + 3 * usize::from(self.first_apart.is_some()) + usize::from(self.silu)
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        Ok(lower::Lowering::new(self, io, target).run())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        cpu::evaluate(self, io);
    }
}
