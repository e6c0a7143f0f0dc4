//! Latents to video, quickly.
use super::block::{MemBlock, flat};
use crate::{
    graph::{Graph, State},
    models::{DecoderChunk, DecoderOutput, LatentDecoder},
    nn::{CausalConv, ConvMemory},
    op::OpError,
    ops::{Activation, Conv3dOptions, OutputFrames},
    tensor::{DType, TensorId},
    tiling::{TileAxis, Tiling},
    weight::Weight,
};
use model_loader::{Checkpoint, HostTensor, LoadError, config::TinyVaeConfig};

/// Channels of a picture.
const RGB: usize = 3;
/// Latents are kept within this many of their deviations.
const LIMIT: f32 = 3.0;

/// How much of a video a tiny decoder makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TinyDetail {
    /// All of it.
    Full,
    /// One frame for each latent frame, of half the height and width: for previews.
    Preview,
}

/// The decoder of a TAEHV file.
#[derive(Debug)]
pub struct TinyDecoder {
    config: TinyVaeConfig,
    detail: TinyDetail,
    conv_in: CausalConv,
    stages: Vec<Stage>,
    conv_out: CausalConv,
}

/// Blocks of one width, then twice the height and width and perhaps twice the frames.
#[derive(Debug)]
struct Stage {
    blocks: Vec<MemBlock>,
    grow: CausalConv,
    doubles_time: bool,
    doubles_space: bool,
    next: CausalConv,
}

impl TinyDecoder {
    /// Takes the weights from a checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    pub fn load(
        checkpoint: &Checkpoint,
        config: &TinyVaeConfig,
        detail: TinyDetail,
    ) -> Result<Self, LoadError> {
        let widths = config.widths;
        let stages = (0..3).map(|index| Stage::load(checkpoint, config, detail, index));
        Ok(Self {
            conv_in: flat(checkpoint, "decoder.1", [widths[0], config.latent_channels], true)?,
            stages: stages.collect::<Result<_, _>>()?,
            conv_out: conv_out(checkpoint, widths[3], config.patch_size)?,
            config: config.clone(),
            detail,
        })
    }

    /// Frames that a latent frame becomes.
    fn time_factor(&self) -> usize {
        match self.detail {
            TinyDetail::Full => self.config.scale_factor_temporal(),
            TinyDetail::Preview => 1,
        }
    }

    /// Pixels along the edge of a latent position.
    fn space_factor(&self) -> usize {
        match self.detail {
            TinyDetail::Full => self.config.scale_factor_spatial(),
            TinyDetail::Preview => self.config.scale_factor_spatial() / 2,
        }
    }

    fn forward(&self, graph: &mut Graph, x: TensorId, memory: &ConvMemory) -> Result<TensorId, OpError> {
        let dtype = memory.precision().activation();
        let relu = Conv3dOptions { activation: Activation::Relu, ..Conv3dOptions::new(dtype) };
        let x = graph.soft_clamp(x, LIMIT)?;
        let mut x = self.conv_in.forward(graph, x, None, relu)?;
        graph.tap("conv_in", x);
        let last = self.stages.len() - 1;
        for (index, stage) in self.stages.iter().enumerate() {
            // The last convolution of the last stage has an activation behind it.
            let options = if index == last { relu } else { Conv3dOptions::new(dtype) };
            x = stage.forward(graph, x, memory, options)?;
            graph.tap(&format!("stages.{index}"), x);
        }
        self.conv_out.forward(graph, x, None, Conv3dOptions::new(DType::F32))
    }
}

impl LatentDecoder for TinyDecoder {
    /// Chunks of any length have the same result: the longest that the budget allows, and what is left. All are of one kind, the
    /// first too, so that they share a graph.
    fn chunks(&self, latent_frames: usize, height: usize, width: usize, budget: usize) -> Vec<DecoderChunk> {
        let scale = self.space_factor() / self.config.patch_size;
        let bytes = self.time_factor() * height * width * scale * scale * self.config.widths[3] * 4;
        let length = (budget / bytes.max(1)).clamp(1, latent_frames.max(1));
        let starts = (0..latent_frames).step_by(length);
        let left = |start: usize| length.min(latent_frames - start);
        starts.map(|start| DecoderChunk { first: false, latent_frames: left(start) }).collect()
    }

    /// The first latent frame stands for one frame of the video; the others that it becomes come before that one.
    fn repeated_frames(&self, _: usize) -> usize {
        self.time_factor() - 1
    }

    fn graph(
        &self,
        latents: &State,
        chunk: DecoderChunk,
        memory: &ConvMemory,
        output: DecoderOutput,
        taps: bool,
    ) -> Result<Graph, OpError> {
        let mut graph = Graph::with_taps(taps);
        let channels = self.config.latent_channels;
        let x = chunk.latents(&mut graph, latents, vec![1.0; channels], vec![0.0; channels])?;
        let x = self.forward(&mut graph, x, memory)?;
        let clamp = output == DecoderOutput::Frames;
        let video = graph.unpatchify_frames(x, self.config.patch_size, clamp)?;
        output.add_to(&mut graph, video)?;
        Ok(graph)
    }

    /// A fourth of each tile is shared with the next, as with the autoencoder whose place it takes.
    fn tiling(&self, stride: [usize; 2]) -> Tiling {
        let (scale, unit) = (self.space_factor(), self.config.patch_size);
        let axis = |stride: usize| {
            let part = stride.div_ceil(3).max(1);
            TileAxis { tile: 4 * part, stride: 3 * part, blend: part * scale, limit: 3 * part * scale, unit }
        };
        Tiling { rows: axis(stride[0]), columns: axis(stride[1]) }
    }
}

impl Stage {
    fn load(
        checkpoint: &Checkpoint,
        config: &TinyVaeConfig,
        detail: TinyDetail,
        index: usize,
    ) -> Result<Self, LoadError> {
        let (width, next) = (config.widths[index], config.widths[index + 1]);
        // Clamp, convolution and activation come first; a stage is three blocks, an enlargement and two convolutions.
        let first = 3 + 6 * index;
        let blocks = (first..first + 3).map(|at| MemBlock::load(checkpoint, &format!("decoder.{at}"), width));
        let name = format!("decoder.{}.conv", first + 4);
        let rows = width * config.time_factors[index];
        let stored = checkpoint.tensor_shaped(&format!("{name}.weight"), &[rows, width, 1, 1])?;
        let (grown, doubles_time) = match detail {
            TinyDetail::Full => (stored, config.time_factors[index] > 1),
            TinyDetail::Preview => (last_rows(&stored, width), false),
        };
        let kernel = HostTensor { shape: vec![grown.shape[0], width, 1, 1, 1], ..grown };
        Ok(Self {
            blocks: blocks.collect::<Result<_, _>>()?,
            grow: CausalConv::of(&name, Weight::channels_last(&kernel), None),
            doubles_time,
            doubles_space: detail == TinyDetail::Full || index < 2,
            next: flat(checkpoint, &format!("decoder.{}", first + 5), [next, width], false)?,
        })
    }

    /// `next` says what the last convolution does beside its sums.
    fn forward(
        &self,
        graph: &mut Graph,
        mut x: TensorId,
        memory: &ConvMemory,
        next: Conv3dOptions,
    ) -> Result<TensorId, OpError> {
        for block in &self.blocks {
            x = block.forward(graph, x, memory, next.out)?;
        }
        // The reference enlarges first: what a kernel of one pixel makes is the same before and after, and a fourth as much.
        let frames = if self.doubles_time { OutputFrames::Halves } else { OutputFrames::Same };
        let x =
            self.grow.forward(graph, x, None, Conv3dOptions { frames, ..Conv3dOptions::new(next.out) })?;
        self.next.forward(graph, x, None, Conv3dOptions { upsample: self.doubles_space, ..next })
    }
}

/// The last rows of a matrix: of what one frame becomes, the last frame.
fn last_rows(weight: &HostTensor, count: usize) -> HostTensor {
    let stored = weight.in_elements();
    let row = stored.row_len() * stored.format.group_bytes();
    let bytes = stored.bytes.slice(stored.bytes.len() - count * row..stored.bytes.len());
    let shape = [&[count], &stored.shape[1..]].concat();
    HostTensor::new(&*stored.name, stored.format, &shape, bytes)
}

/// The last convolution, for pixels of -1..1 where the reference's are 0..1, with the channels of a patch in the order of
/// [`Graph::unpatchify_frames`]: the reference counts rows first, then columns.
fn conv_out(checkpoint: &Checkpoint, width: usize, patch: usize) -> Result<CausalConv, LoadError> {
    let (name, channels) = ("decoder.22", RGB * patch * patch);
    let weight = checkpoint.tensor_shaped(&format!("{name}.weight"), &[channels, width, 3, 3])?;
    let bias = checkpoint.tensor_shaped(&format!("{name}.bias"), &[channels])?.to_f32();
    let from = |channel: usize| {
        let (rgb, column, row) = (channel / (patch * patch), channel / patch % patch, channel % patch);
        (rgb * patch + row) * patch + column
    };
    let values = weight.to_f32();
    // [in, 3, 3] as [3, 3, in].
    let kernel = |channel: usize| {
        let start = from(channel) * width * 9;
        let values = &values[start..start + width * 9];
        (0..9).flat_map(move |tap| (0..width).map(move |input| 2.0 * values[input * 9 + tap]))
    };
    let kernels = (0..channels).flat_map(kernel).collect();
    let offsets = (0..channels).map(|channel| 2.0 * bias[from(channel)] - 1.0).collect();
    let kernels = Weight::from_f32(&weight.name, &[channels, 1, 3, 3, width], kernels);
    Ok(CausalConv::of(name, kernels, Some(Weight::from_f32(&format!("{name}.bias"), &[channels], offsets))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_frame_of_several_is_the_last_rows() {
        let bytes: Vec<u8> = (0..8_u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
        let weight = HostTensor::new("w", model_loader::Format::F32, &[4, 2, 1, 1], bytes.into());
        let last = last_rows(&weight, 2);
        assert_eq!((last.shape.as_slice(), last.to_f32()), (&[2, 2, 1, 1][..], vec![4.0, 5.0, 6.0, 7.0]));
    }
}
