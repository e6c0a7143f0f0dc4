//! Video to the moments of its latents.
use super::{RGB, middle::Middle, patch, resample::Downsampler, wan_resnet};
use crate::{
    graph::Graph,
    nn::{CausalConv, ChannelNorm, ConvMemory, Linear, ResnetBlock},
    op::OpError,
    ops::{Conv3dOptions, Fill},
    tensor::{DType, TensorId},
};
use model_loader::{Checkpoint, LoadError, config::WanVaeConfig};

/// The encoder with `quant_conv`.
#[derive(Debug)]
pub struct WanVaeEncoder {
    config: WanVaeConfig,
    conv_in: CausalConv,
    stages: Vec<Stage>,
    middle: Middle,
    norm_out: ChannelNorm,
    conv_out: CausalConv,
    quant: Linear,
}

#[derive(Debug)]
struct Stage {
    resnets: Vec<ResnetBlock<ChannelNorm>>,
    downsampler: Option<Downsampler>,
    /// Output channels, time and space factors of the shortcut around the stage (2.2).
    shortcut: Option<(usize, usize, usize)>,
}

impl WanVaeEncoder {
    /// Takes the weights from a checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    pub fn load(checkpoint: &Checkpoint, config: &WanVaeConfig) -> Result<Self, LoadError> {
        let mut widths = vec![config.base_dim];
        widths.extend(config.dim_mult.iter().map(|m| m * config.base_dim));
        let last = widths[widths.len() - 1];
        // Without shortcuts the blocks of all stages are counted through.
        let mut position = 0;
        let stages = (0..config.dim_mult.len())
            .map(|index| Stage::load(checkpoint, config, &widths, index, &mut position))
            .collect::<Result<_, _>>()?;
        let moments = 2 * config.z_dim;
        Ok(Self {
            conv_in: CausalConv::load(
                checkpoint,
                "encoder.conv_in",
                &[config.base_dim, config.in_channels, 3, 3, 3],
            )?,
            stages,
            middle: Middle::load(checkpoint, "encoder.mid_block", last)?,
            norm_out: ChannelNorm::load(checkpoint, "encoder.norm_out", last, 3)?,
            conv_out: CausalConv::load(checkpoint, "encoder.conv_out", &[moments, last, 3, 3, 3])?,
            quant: Linear::load(checkpoint, "quant_conv", &[moments, moments, 1, 1, 1])?,
            config: config.clone(),
        })
    }

    /// The graph of one chunk: the first frame alone, or four frames after it.
    ///
    /// Input `video` `[T, H, W, 3]` f32 in -1..1; output `moments` `[t, h, w, 2 z]` f32, means then log-variances.
    pub fn chunk_graph(
        &self,
        first: bool,
        height: usize,
        width: usize,
        memory: &ConvMemory,
    ) -> Result<Graph, OpError> {
        let dtype = memory.precision().activation();
        let mut graph = Graph::new();
        let frames = if first { 1 } else { self.config.scale_factor_temporal };
        let x = graph.input("video", &[frames, height, width, RGB], DType::F32);
        let x = graph.patchify_frames(x, patch(&self.config))?;
        let conv = Conv3dOptions::new(DType::F32);
        let mut x = self.conv_in.forward(&mut graph, x, Some(memory), conv)?;
        for stage in &self.stages {
            x = stage.forward(&mut graph, x, memory, first)?;
        }
        let x = self.middle.forward(&mut graph, x, memory)?;
        let normed = self.norm_out.forward(&mut graph, x, true, dtype)?;
        let x = self.conv_out.forward(&mut graph, normed, Some(memory), conv)?;
        let moments = self.quant.forward(&mut graph, x, DType::F32)?;
        graph.output("moments", moments);
        Ok(graph)
    }
}

impl Stage {
    fn load(
        checkpoint: &Checkpoint,
        config: &WanVaeConfig,
        widths: &[usize],
        index: usize,
        position: &mut usize,
    ) -> Result<Self, LoadError> {
        let (input, output) = (widths[index], widths[index + 1]);
        let halves = index + 1 < config.dim_mult.len();
        let temporal = halves && config.temperal_downsample.get(index).copied().unwrap_or(false);
        let stage = format!("encoder.down_blocks.{index}");
        let mut flat = || {
            *position += 1;
            format!("encoder.down_blocks.{}", *position - 1)
        };
        let mut resnets = Vec::with_capacity(config.num_res_blocks);
        for i in 0..config.num_res_blocks {
            let name = if config.is_residual { format!("{stage}.resnets.{i}") } else { flat() };
            let input = if i == 0 { input } else { output };
            resnets.push(wan_resnet(checkpoint, &name, input, output)?);
        }
        let downsampler = if halves {
            let name = if config.is_residual { format!("{stage}.downsampler") } else { flat() };
            Some(Downsampler::load(checkpoint, &name, output, temporal)?)
        } else {
            None
        };
        let factors = (output, if temporal { 2 } else { 1 }, if halves { 2 } else { 1 });
        Ok(Self { resnets, downsampler, shortcut: config.is_residual.then_some(factors) })
    }

    fn forward(
        &self,
        graph: &mut Graph,
        input: TensorId,
        memory: &ConvMemory,
        first_chunk: bool,
    ) -> Result<TensorId, OpError> {
        let mut x = input;
        for resnet in &self.resnets {
            x = resnet.forward(graph, x, (), memory, Fill::Zeros)?;
        }
        if let Some(downsampler) = &self.downsampler {
            x = downsampler.forward(graph, x, memory, first_chunk)?;
        }
        match self.shortcut {
            Some((channels, factor_t, factor_s)) => {
                let shortcut = graph.avg_down(input, channels, factor_t, factor_s, Fill::Zeros)?;
                graph.add(x, shortcut)
            }
            None => Ok(x),
        }
    }
}
