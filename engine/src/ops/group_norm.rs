//! Group norm over frames or a whole volume, channels last, in two launches.
use crate::{
    cpu::{CpuIo, math::Activation},
    graph::Graph,
    op::{Binding, Dispatch, Io, Lowered, Op, OpError, Operand, elem},
    params,
    plan::PlanError,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::{Kernel, Variant};
use std::ops::Range;

static MOMENTS: &Kernel = &shaders::GROUP_NORM_MOMENTS;
static KERNEL: &Kernel = &shaders::GROUP_NORM;

/// Which positions share mean and variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Volume,
    /// Those of a frame.
    Frame,
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
    /// Whether SiLU follows.
    pub silu: bool,
    /// f32 or f16.
    pub out: DType,
}

impl Graph {
    /// `(x - mean) / sqrt(variance + eps) * weight + bias` for `[T, H, W, C]`, with mean and variance of each group
    /// of channels over a frame or all frames.
    pub fn group_norm(&mut self, x: TensorId, options: &GroupNormOptions) -> Result<TensorId, OpError> {
        let GroupNormOptions { scope, groups, eps, weight, bias, silu, out } = *options;
        self.push(GroupNorm { scope, groups, eps, silu, out }, &[x, weight, bias])
    }
}

#[derive(Debug)]
struct GroupNorm {
    scope: Scope,
    groups: usize,
    eps: f32,
    silu: bool,
    out: DType,
}

params! {
    struct MomentsParams {
        rows: u32,
        row_start: u32,
        groups: u32,
        group_channels: u32,
        segments: u32,
        segment_rows: u32,
        chunks: u32,
        chunk_rows: u32,
        parts: u32,
        part_start: u32,
    }
}

params! {
    struct GroupNormParams {
        rows: u32,
        row_start: u32,
        groups: u32,
        group_channels: u32,
        segments: u32,
        segment_rows: u32,
        blocks: u32,
        block_rows: u32,
        parts: u32,
        eps: f32,
    }
}

/// Elements of a group that one workgroup works on, more or less.
const BLOCK: usize = 8192;
/// Most chunks of a segment: each workgroup of the second launch merges all of them.
const MOST_CHUNKS: usize = 64;
/// Bytes of `Moments` in the kernels.
const MOMENTS_BYTES: usize = 12;

/// Everything about the two launches that their tiles share.
struct Launches<'a> {
    op: &'a GroupNorm,
    io: &'a Io<'a>,
    target: &'a Target,
    group_channels: usize,
    segments: usize,
    segment_rows: usize,
    chunks: usize,
    parts: usize,
    lanes: u32,
}

impl Launches<'_> {
    fn scratch(&self) -> u64 {
        (self.segments * self.parts * self.op.groups * MOMENTS_BYTES) as u64
    }

    fn cols(&self) -> usize {
        self.op.groups * self.group_channels
    }

    /// x, which may lie in the output's buffer.
    fn source(&self, rows: &Range<usize>) -> Binding {
        let operand = if self.io.aliased == Some(0) { Operand::Output } else { Operand::Input(0) };
        Binding::rows(operand, rows, self.cols() * self.io.inputs[0].dtype.size())
    }

    fn moments(&self, tile: usize, rows: &Range<usize>) -> Dispatch {
        let params = MomentsParams {
            rows: clamp_u32(rows.len()),
            row_start: clamp_u32(rows.start),
            groups: clamp_u32(self.op.groups),
            group_channels: clamp_u32(self.group_channels),
            segments: clamp_u32(self.segments),
            segment_rows: clamp_u32(self.segment_rows),
            chunks: clamp_u32(self.chunks),
            chunk_rows: clamp_u32(self.segment_rows.div_ceil(self.chunks)),
            parts: clamp_u32(self.parts),
            part_start: clamp_u32(tile * self.chunks),
        };
        Dispatch {
            kernel: MOMENTS,
            variant: Variant::new().alias("X", elem(&self.io.inputs[0])).overriding("WG", self.lanes),
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![self.source(rows), Binding::scratch(0, self.scratch())],
            grid: self.target.fold(self.segments * self.chunks * self.op.groups),
        }
    }

    fn normalise(&self, rows: &Range<usize>) -> Dispatch {
        let block_rows = (BLOCK / self.group_channels).clamp(1, self.segment_rows.max(1));
        let blocks = self.segment_rows.div_ceil(block_rows);
        let params = GroupNormParams {
            rows: clamp_u32(rows.len()),
            row_start: clamp_u32(rows.start),
            groups: clamp_u32(self.op.groups),
            group_channels: clamp_u32(self.group_channels),
            segments: clamp_u32(self.segments),
            segment_rows: clamp_u32(self.segment_rows),
            blocks: clamp_u32(blocks),
            block_rows: clamp_u32(block_rows),
            parts: clamp_u32(self.parts),
            eps: self.op.eps,
        };
        let variant = Variant::new()
            .alias("X", elem(&self.io.inputs[0]))
            .alias("Out", elem(self.io.output))
            .constant("SILU", u32::from(self.op.silu))
            .constant("IN_PLACE", u32::from(self.io.aliased == Some(0)))
            .overriding("WG", self.lanes);
        Dispatch {
            kernel: KERNEL,
            variant,
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![
                self.io.bind_input_rows(0, rows, self.cols()),
                Binding::scratch(0, self.scratch()),
                self.io.bind_input(1),
                self.io.bind_input(2),
                self.io.bind_output_rows(rows, self.cols()),
            ],
            grid: self.target.fold(self.segments * blocks * self.op.groups),
        }
    }
}

impl GroupNorm {
    /// Segments with statistics of their own, and positions in one.
    fn segments(&self, x: &TensorDesc) -> (usize, usize) {
        match self.scope {
            Scope::Volume => (1, x.rows()),
            Scope::Frame => (x.shape[0], x.shape[1] * x.shape[2]),
        }
    }
}

impl Op for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let op = self.name();
        let [.., channels] = super::window::frames(op, "x", &inputs[0])?;
        OpError::expect_activation(op, "x", &inputs[0])?;
        if self.groups == 0 || !channels.is_multiple_of(self.groups) {
            let expected = format!("a divisor of x's {channels} channels");
            return Err(OpError::value(op, "groups", self.groups, expected));
        }
        for (what, desc) in [("weight", &inputs[1]), ("bias", &inputs[2])] {
            OpError::expect_dtype(op, what, desc, DType::F32)?;
            OpError::expect_shape(op, what, desc, &[channels])?;
        }
        let out = TensorDesc::new(&inputs[0].shape, self.out);
        OpError::expect_activation(op, "out", &out)?;
        Ok(out)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        (if self.silu { 12 } else { 8 }) * output.elements() as u64
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, PlanError> {
        let (segments, segment_rows) = self.segments(io.output);
        let group_channels = io.output.cols() / self.groups;
        let size = io.inputs[0].dtype.size().max(io.output.dtype.size());
        let tiles = target.row_tiles(io.output.rows(), io.output.cols() * size);
        let chunks = (segment_rows * group_channels).div_ceil(BLOCK).clamp(1, MOST_CHUNKS);
        let launches = Launches {
            op: self,
            io,
            target,
            group_channels,
            segments,
            segment_rows,
            chunks,
            parts: chunks * tiles.len(),
            // Where barriers are dear: few invocations, each with much to do.
            lanes: if target.software { 8 } else { 256 },
        };
        let mut dispatches: Vec<Dispatch> =
            tiles.iter().enumerate().map(|(tile, rows)| launches.moments(tile, rows)).collect();
        dispatches.extend(tiles.iter().map(|rows| launches.normalise(rows)));
        Ok(Lowered { dispatches, scratch: vec![launches.scratch()] })
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (x, weight, bias) = (io.input(0), io.input(1), io.input(2));
        // In place, x is in the output already.
        if !x.is_empty() {
            io.output.copy_from_slice(x);
        }
        let (_, segment_rows) = self.segments(io.output_desc);
        let activation = if self.silu { Activation::Silu } else { Activation::None };
        let cols = weight.len();
        for segment in io.output.chunks_exact_mut(segment_rows * cols) {
            let (mean, scale) = self.statistics(segment, cols);
            segment.par_chunks_mut(64 * cols).for_each(|rows| {
                for row in rows.chunks_exact_mut(cols) {
                    for (c, value) in row.iter_mut().enumerate() {
                        *value = (*value - mean[c]) * scale[c] * weight[c] + bias[c];
                    }
                }
                activation.apply(rows);
            });
        }
    }
}

impl GroupNorm {
    /// For each channel, its group's mean and the reciprocal of its standard deviation.
    fn statistics(&self, segment: &[f32], cols: usize) -> (Vec<f32>, Vec<f32>) {
        let mean = self.means(segment, cols, |value, _| value);
        let squares = self.means(segment, cols, |value, c| (value - mean[c]) * (value - mean[c]));
        let scale = squares.iter().map(|v| narrow(1.0 / (v + f64::from(self.eps)).sqrt())).collect();
        (mean.into_iter().map(narrow).collect(), scale)
    }

    /// For each channel, the mean over its group of a function of value and channel; always summed in the same order.
    fn means(&self, segment: &[f32], cols: usize, term: impl Fn(f64, usize) -> f64 + Sync) -> Vec<f64> {
        let sums: Vec<Vec<f64>> = segment
            .par_chunks(256 * cols)
            .map(|rows| {
                let mut sums = vec![0.0; cols];
                for row in rows.chunks_exact(cols) {
                    for (c, (sum, value)) in sums.iter_mut().zip(row).enumerate() {
                        *sum += term(f64::from(*value), c);
                    }
                }
                sums
            })
            .collect();
        let group_channels = cols / self.groups;
        let count = (segment.len() / self.groups) as f64;
        (0..cols)
            .map(|c| {
                let first = c / group_channels * group_channels;
                sums.iter().map(|s| s[first..first + group_channels].iter().sum::<f64>()).sum::<f64>() / count
            })
            .collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;
    use shaders::Elem;

    #[test]
    fn params_match_the_kernels() {
        check_params::<MomentsParams>(MOMENTS, &Variant::new().alias("X", Elem::F32));
        let variant = Variant::new().alias("X", Elem::F32).alias("Out", Elem::F32);
        check_params::<GroupNormParams>(KERNEL, &variant.constant("SILU", 1).constant("IN_PLACE", 0));
    }
}
