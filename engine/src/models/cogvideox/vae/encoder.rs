//! Video to the moments of its latents.
use super::{
    FRAMES, RGB, chunk_lengths,
    stage::{Downsampler, Resnets},
};
use crate::{
    graph::Graph,
    nn::{CausalConv, ConvMemory, FeatureNorm, GroupNorm},
    op::OpError,
    ops::{Conv3dOptions, Fill},
    tensor::DType,
};
use model_loader::{Checkpoint, LoadError, config::CogVideoXVaeConfig};

/// The encoder.
#[derive(Debug)]
pub struct CogVideoXVaeEncoder {
    conv_in: CausalConv,
    stages: Vec<Stage>,
    middle: Resnets<GroupNorm>,
    norm_out: GroupNorm,
    conv_out: CausalConv,
}

#[derive(Debug)]
struct Stage {
    resnets: Resnets<GroupNorm>,
    downsampler: Option<Downsampler>,
}

impl CogVideoXVaeEncoder {
    /// Takes the weights from a checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    pub fn load(checkpoint: &Checkpoint, config: &CogVideoXVaeConfig) -> Result<Self, LoadError> {
        const EPS_OUT: f32 = 1e-6;
        let widths = &config.block_out_channels;
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let norm = |name: &str, channels| {
            GroupNorm::load(checkpoint, name, channels, config.norm_num_groups, config.norm_eps)
        };
        let stage = |index: usize| {
            let name = format!("encoder.down_blocks.{index}");
            let (input, output) = (widths[index.saturating_sub(1)], widths[index]);
            let downsampler = if index + 1 < widths.len() {
                Some(Downsampler::load(checkpoint, &name, output, index < config.temporal_stages())?)
            } else {
                None
            };
            let resnets = Resnets::load(checkpoint, &name, config.layers_per_block, [input, output], norm)?;
            Ok(Stage { resnets, downsampler })
        };
        let moments = 2 * config.latent_channels;
        Ok(Self {
            conv_in: CausalConv::load(checkpoint, "encoder.conv_in.conv", &[first, RGB, 3, 3, 3])?,
            stages: (0..widths.len()).map(stage).collect::<Result<_, LoadError>>()?,
            middle: Resnets::load(checkpoint, "encoder.mid_block", 2, [last, last], norm)?,
            norm_out: GroupNorm::load(checkpoint, "encoder.norm_out", last, config.norm_num_groups, EPS_OUT)?,
            conv_out: CausalConv::load(checkpoint, "encoder.conv_out.conv", &[moments, last, 3, 3, 3])?,
        })
    }

    /// Frames of each chunk. Other chunks would give other latents.
    pub fn chunk_lengths(&self, frames: usize) -> Vec<usize> {
        chunk_lengths(frames, FRAMES)
    }

    /// The graph of a chunk of `frames` frames.
    ///
    /// Input `video` `[T, H, W, 3]` f32 in -1..1; output `moments` `[t, h, w, 2 z]` f32, means then log-variances.
    ///
    /// # Errors
    /// If the frames are too small for the model.
    pub fn chunk_graph(
        &self,
        first: bool,
        [frames, height, width]: [usize; 3],
        memory: &ConvMemory,
    ) -> Result<Graph, OpError> {
        let fill = if first { Fill::FirstFrame } else { Fill::Zeros };
        let conv = Conv3dOptions { fill, ..Conv3dOptions::new(DType::F32) };
        let mut graph = Graph::new();
        let video = graph.input("video", &[frames, height, width, RGB], DType::F32);
        let mut x = self.conv_in.forward(&mut graph, video, Some(memory), conv)?;
        for stage in &self.stages {
            x = stage.resnets.forward(&mut graph, x, (), memory, fill)?;
            if let Some(downsampler) = &stage.downsampler {
                x = downsampler.forward(&mut graph, x)?;
            }
        }
        let x = self.middle.forward(&mut graph, x, (), memory, fill)?;
        let normed = self.norm_out.forward(&mut graph, x, (), true, memory.precision().activation())?;
        let moments = self.conv_out.forward(&mut graph, normed, Some(memory), conv)?;
        graph.output("moments", moments);
        Ok(graph)
    }
}
