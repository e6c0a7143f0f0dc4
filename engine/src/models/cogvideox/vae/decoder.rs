//! Latents to video.
use super::{
    LATENT_FRAMES, RGB, chunk_lengths,
    stage::{Resnets, Upsampler},
};
use crate::{
    graph::{Graph, State},
    models::{DecoderChunk, DecoderOutput, LatentDecoder},
    nn::{CausalConv, ConvMemory, FeatureNorm, SpatialNorm},
    op::OpError,
    ops::{Conv3dOptions, Fill},
    tensor::{DType, TensorId},
    tiling::{TileAxis, Tiling},
};
use model_loader::{Checkpoint, LoadError, config::CogVideoXVaeConfig};

/// The decoder. Its norms are guided by the latents.
#[derive(Debug)]
pub struct CogVideoXVaeDecoder {
    config: CogVideoXVaeConfig,
    conv_in: CausalConv,
    middle: Resnets<SpatialNorm>,
    stages: Vec<Stage>,
    norm_out: SpatialNorm,
    conv_out: CausalConv,
}

#[derive(Debug)]
struct Stage {
    resnets: Resnets<SpatialNorm>,
    upsampler: Option<Upsampler>,
}

impl CogVideoXVaeDecoder {
    /// Takes the weights from a checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    pub fn load(checkpoint: &Checkpoint, config: &CogVideoXVaeConfig) -> Result<Self, LoadError> {
        let widths: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (top, last, z) = (widths[0], widths[widths.len() - 1], config.latent_channels);
        let norm =
            |name: &str, channels| SpatialNorm::load(checkpoint, name, channels, z, config.norm_num_groups);
        let stage = |index: usize| {
            let name = format!("decoder.up_blocks.{index}");
            let (input, output) = (widths[index.saturating_sub(1)], widths[index]);
            let upsampler = if index + 1 < widths.len() {
                Some(Upsampler::load(checkpoint, &name, output, index < config.temporal_stages())?)
            } else {
                None
            };
            let count = config.layers_per_block + 1;
            Ok(Stage { resnets: Resnets::load(checkpoint, &name, count, [input, output], norm)?, upsampler })
        };
        Ok(Self {
            conv_in: CausalConv::load(checkpoint, "decoder.conv_in.conv", &[top, z, 3, 3, 3])?,
            middle: Resnets::load(checkpoint, "decoder.mid_block", 2, [top, top], norm)?,
            stages: (0..widths.len()).map(stage).collect::<Result<_, LoadError>>()?,
            norm_out: norm("decoder.norm_out", last)?,
            conv_out: CausalConv::load(checkpoint, "decoder.conv_out.conv", &[RGB, last, 3, 3, 3])?,
            config: config.clone(),
        })
    }

    /// The graph of a chunk.
    ///
    /// `latents` is `[.., C, F, H, W]` f32; input `frame` `[1]` u32 is the chunk's first latent frame. Latents
    /// are divided by the config's scaling factor. Values of `video` are nominally in -1..1, and are not kept to that.
    ///
    /// # Errors
    /// If the latents do not fit the model.
    pub fn chunk_graph(
        &self,
        latents: &State,
        chunk: DecoderChunk,
        memory: &ConvMemory,
        output: DecoderOutput,
        taps: bool,
    ) -> Result<Graph, OpError> {
        let mut graph = Graph::with_taps(taps);
        let z = self.config.latent_channels;
        let factor = narrow(1.0 / self.config.scaling_factor);
        let z = chunk.latents(&mut graph, latents, vec![factor; z], vec![0.0; z])?;
        let fill = if chunk.first { Fill::FirstFrame } else { Fill::Zeros };
        let video = self.forward(&mut graph, z, fill, memory)?;
        output.add_to(&mut graph, video)?;
        Ok(graph)
    }

    fn forward(
        &self,
        graph: &mut Graph,
        z: TensorId,
        fill: Fill,
        memory: &ConvMemory,
    ) -> Result<TensorId, OpError> {
        let conv = Conv3dOptions { fill, ..Conv3dOptions::new(DType::F32) };
        let x = self.conv_in.forward(graph, z, Some(memory), conv)?;
        graph.tap("conv_in", x);
        let mut x = self.middle.forward(graph, x, z, memory, fill)?;
        graph.tap("mid_block", x);
        for (index, stage) in self.stages.iter().enumerate() {
            x = stage.resnets.forward(graph, x, z, memory, fill)?;
            if let Some(upsampler) = &stage.upsampler {
                x = upsampler.forward(graph, x)?;
            }
            graph.tap(&format!("up_blocks.{index}"), x);
        }
        if graph.keeps_taps() {
            let plain = self.norm_out.forward(graph, x, z, false, DType::F32)?;
            graph.tap("norm_out", plain);
        }
        let normed = self.norm_out.forward(graph, x, z, true, memory.precision().activation())?;
        self.conv_out.forward(graph, normed, Some(memory), conv)
    }
}

impl LatentDecoder for CogVideoXVaeDecoder {
    /// Two latent frames at a time, whatever the budget: other chunks would give another video.
    fn chunks(&self, latent_frames: usize, _: usize, _: usize, _: usize) -> Vec<DecoderChunk> {
        let lengths = chunk_lengths(latent_frames, LATENT_FRAMES).into_iter().enumerate();
        lengths.map(|(index, latent_frames)| DecoderChunk { first: index == 0, latent_frames }).collect()
    }

    /// A first chunk of an even number of latent frames has no frame of its own for the first: it is decoded to as many
    /// frames as the others, all the same.
    fn repeated_frames(&self, latent_frames: usize) -> usize {
        let first = chunk_lengths(latent_frames, LATENT_FRAMES)[0];
        if first.is_multiple_of(2) { self.config.temporal_compression_ratio - 1 } else { 0 }
    }

    fn graph(
        &self,
        latents: &State,
        chunk: DecoderChunk,
        memory: &ConvMemory,
        output: DecoderOutput,
        taps: bool,
    ) -> Result<Graph, OpError> {
        self.chunk_graph(latents, chunk, memory, output, taps)
    }

    /// A sixth of each tile's height and a fifth of its width are shared with the next.
    fn tiling(&self, stride: [usize; 2]) -> Tiling {
        let scale = self.config.spatial_compression_ratio();
        let axis = |stride: usize, parts: usize| {
            let part = stride.div_ceil(parts - 1).max(1);
            let stride = (parts - 1) * part;
            TileAxis { tile: parts * part, stride, blend: part * scale, limit: stride * scale, unit: 1 }
        };
        Tiling { rows: axis(stride[0], 6), columns: axis(stride[1], 5) }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
fn narrow(value: f64) -> f32 {
    value as f32
}
