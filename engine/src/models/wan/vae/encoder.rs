//! Video to the moments of its latents.
use super::{
    RGB,
    middle::{Middle, MiddleMemory},
    patch,
    resample::Downsampler,
};
use crate::{
    graph::{Graph, State},
    nn::{CausalConv, ChannelNorm, Linear, Precision, ResnetBlock, ResnetMemory},
    op::OpError,
    ops::Conv3dOptions,
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
    resnets: Vec<ResnetBlock>,
    downsampler: Option<Downsampler>,
    /// Output channels, time and space factors of the shortcut around the stage (2.2).
    shortcut: Option<(usize, usize, usize)>,
}

/// What the encoder remembers from chunk to chunk; made for one size.
#[derive(Debug)]
pub struct EncoderMemory {
    conv_in: State,
    stages: Vec<StageMemory>,
    middle: MiddleMemory,
    conv_out: State,
    precision: Precision,
}

#[derive(Debug)]
struct StageMemory {
    resnets: Vec<ResnetMemory>,
    downsampler: Option<State>,
}

impl EncoderMemory {
    /// All states, to be dropped after the last chunk.
    pub fn states(&self) -> impl Iterator<Item = &State> {
        let stages = self.stages.iter().flat_map(|stage| {
            stage.resnets.iter().flat_map(ResnetMemory::states).chain(stage.downsampler.as_ref())
        });
        [&self.conv_in, &self.conv_out].into_iter().chain(self.middle.states()).chain(stages)
    }
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

    /// A memory for frames of `height` x `width` pixels, full of zeros.
    pub fn memory(&self, height: usize, width: usize, precision: Precision) -> EncoderMemory {
        let dtype = precision.activation();
        let (mut h, mut w) = (height / patch(&self.config), width / patch(&self.config));
        let conv_in = self.conv_in.memory(self.conv_in.reach(), h, w, DType::F32);
        let mut stages = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let resnets = stage.resnets.iter().map(|r| r.memory(h, w, dtype)).collect();
            if stage.downsampler.is_some() {
                (h, w) = (h / 2, w / 2);
            }
            let downsampler = stage.downsampler.as_ref().and_then(|d| d.memory(h, w));
            stages.push(StageMemory { resnets, downsampler });
        }
        EncoderMemory {
            conv_in,
            stages,
            middle: self.middle.memory(h, w, dtype),
            conv_out: self.conv_out.memory(self.conv_out.reach(), h, w, dtype),
            precision,
        }
    }

    /// The graph of one chunk: the first frame alone, or four frames after it.
    ///
    /// Input `video` `[T, H, W, 3]` f32 in -1..1; output `moments` `[t, h, w, 2 z]` f32, means then log-variances.
    pub fn chunk_graph(
        &self,
        first: bool,
        height: usize,
        width: usize,
        memory: &EncoderMemory,
    ) -> Result<Graph, OpError> {
        let dtype = memory.precision.activation();
        let mut graph = Graph::new();
        let frames = if first { 1 } else { self.config.scale_factor_temporal };
        let x = graph.input("video", &[frames, height, width, RGB], DType::F32);
        let x = graph.patchify_frames(x, patch(&self.config))?;
        let conv = Conv3dOptions::new(DType::F32);
        let mut x = self.conv_in.forward(&mut graph, x, Some(&memory.conv_in), conv)?;
        for (stage, memory) in self.stages.iter().zip(&memory.stages) {
            x = stage.forward(&mut graph, x, memory, first, dtype)?;
        }
        let x = self.middle.forward(&mut graph, x, &memory.middle, dtype)?;
        let normed = self.norm_out.forward(&mut graph, x, true, dtype)?;
        let x = self.conv_out.forward(&mut graph, normed, Some(&memory.conv_out), conv)?;
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
            resnets.push(ResnetBlock::load(checkpoint, &name, input, output)?);
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
        memory: &StageMemory,
        first_chunk: bool,
        dtype: DType,
    ) -> Result<TensorId, OpError> {
        let mut x = input;
        for (resnet, memory) in self.resnets.iter().zip(&memory.resnets) {
            x = resnet.forward(graph, x, memory, dtype)?;
        }
        if let Some(downsampler) = &self.downsampler {
            x = downsampler.forward(graph, x, memory.downsampler.as_ref(), first_chunk)?;
        }
        match self.shortcut {
            Some((channels, factor_t, factor_s)) => {
                let shortcut = graph.avg_down(input, channels, factor_t, factor_s)?;
                graph.add(x, shortcut)
            }
            None => Ok(x),
        }
    }
}
