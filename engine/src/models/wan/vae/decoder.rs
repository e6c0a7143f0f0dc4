//! Latents to video.
use super::{RGB, middle::Middle, patch, resample::Upsampler, wan_resnet};
use crate::{
    graph::{Graph, State},
    models::{DecoderChunk, DecoderOutput, LatentDecoder},
    nn::{CausalConv, ChannelNorm, ConvMemory, Linear, ResnetBlock},
    op::OpError,
    ops::{Conv3dOptions, Fill},
    tensor::{DType, TensorId},
    tiling::{TileAxis, Tiling},
};
use model_loader::{Checkpoint, LoadError, config::WanVaeConfig};

/// The decoder with `post_quant_conv`.
#[derive(Debug)]
pub struct WanVaeDecoder {
    config: WanVaeConfig,
    post_quant: Linear,
    conv_in: CausalConv,
    middle: Middle,
    stages: Vec<Stage>,
    norm_out: ChannelNorm,
    conv_out: CausalConv,
}

#[derive(Debug)]
struct Stage {
    resnets: Vec<ResnetBlock<ChannelNorm>>,
    upsampler: Option<Upsampler>,
    /// Output channels and time factor of the shortcut around the stage (2.2).
    shortcut: Option<(usize, usize)>,
}

impl WanVaeDecoder {
    /// Takes the weights from a checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    pub fn load(checkpoint: &Checkpoint, config: &WanVaeConfig) -> Result<Self, LoadError> {
        let base = config.decoder_base_dim.unwrap_or(config.base_dim);
        let widths: Vec<usize> = config.dim_mult.iter().rev().map(|m| m * base).collect();
        let (top, last) = (widths[0], widths[widths.len() - 1]);
        let stages = (0..widths.len())
            .map(|index| Stage::load(checkpoint, config, &widths, index))
            .collect::<Result<_, _>>()?;
        let (z, out) = (config.z_dim, config.out_channels);
        Ok(Self {
            post_quant: Linear::load(checkpoint, "post_quant_conv", &[z, z, 1, 1, 1])?,
            conv_in: CausalConv::load(checkpoint, "decoder.conv_in", &[top, z, 3, 3, 3])?,
            middle: Middle::load(checkpoint, "decoder.mid_block", top)?,
            stages,
            norm_out: ChannelNorm::load(checkpoint, "decoder.norm_out", last, 3)?,
            conv_out: CausalConv::load(checkpoint, "decoder.conv_out", &[out, last, 3, 3, 3])?,
            config: config.clone(),
        })
    }

    /// Frames that a chunk becomes: one if it is the first, which holds the first latent frame alone.
    pub fn frames(&self, chunk: DecoderChunk) -> usize {
        let factor: usize =
            self.stages.iter().filter_map(|s| s.upsampler.as_ref()).map(Upsampler::time_factor).product();
        if chunk.first { 1 } else { chunk.latent_frames * factor }
    }

    /// Latent frames per chunk after the first, so that the widest feature map stays near `budget` bytes.
    ///
    /// Always a divisor of `remaining`: all chunks then share one graph.
    pub fn chunk_length(&self, remaining: usize, height: usize, width: usize, budget: usize) -> usize {
        let scale = self.config.scale_factor_spatial / patch(&self.config);
        let base = self.config.decoder_base_dim.unwrap_or(self.config.base_dim);
        let widest = base * self.config.dim_mult.iter().take(2).max().copied().unwrap_or(1);
        let frames = self.frames(DecoderChunk { first: false, latent_frames: 1 });
        let bytes = frames * height * width * scale * scale * widest * 4;
        let most = (budget / bytes.max(1)).clamp(1, remaining.max(1));
        (1..=most).rev().find(|n| remaining.is_multiple_of(*n)).unwrap_or(1)
    }

    /// The graph of one kind of chunk.
    ///
    /// `latents` is `[.., C, F, H, W]` f32; input `frame` `[1]` u32 is the chunk's first latent frame. Latents are
    /// multiplied by the config's standard deviations, and its means are added.
    pub fn chunk_graph(
        &self,
        latents: &State,
        chunk: DecoderChunk,
        memory: &ConvMemory,
        output: DecoderOutput,
        taps: bool,
    ) -> Result<Graph, OpError> {
        let mut graph = Graph::with_taps(taps);
        let (std, mean) = (self.config.latents_std.clone(), self.config.latents_mean.clone());
        let x = chunk.latents(&mut graph, latents, std, mean)?;
        let x = self.forward(&mut graph, x, chunk.first, memory)?;
        let video = graph.unpatchify_frames(x, patch(&self.config), output == DecoderOutput::Frames)?;
        output.add_to(&mut graph, video)?;
        Ok(graph)
    }

    fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        first_chunk: bool,
        memory: &ConvMemory,
    ) -> Result<TensorId, OpError> {
        let dtype = memory.precision().activation();
        let x = self.post_quant.forward(graph, x, DType::F32)?;
        graph.tap("post_quant", x);
        let x = self.conv_in.forward(graph, x, Some(memory), Conv3dOptions::new(DType::F32))?;
        graph.tap("conv_in", x);
        let mut x = self.middle.forward(graph, x, memory)?;
        graph.tap("mid_block", x);
        for (index, stage) in self.stages.iter().enumerate() {
            x = stage.forward(graph, x, memory, first_chunk)?;
            graph.tap(&format!("up_blocks.{index}"), x);
        }
        if graph.keeps_taps() {
            let plain = self.norm_out.forward(graph, x, false, DType::F32)?;
            graph.tap("norm_out", plain);
        }
        let normed = self.norm_out.forward(graph, x, true, dtype)?;
        let x = self.conv_out.forward(graph, normed, Some(memory), Conv3dOptions::new(DType::F32))?;
        graph.tap("conv_out", x);
        debug_assert_eq!(self.config.out_channels, RGB * patch(&self.config).pow(2));
        Ok(x)
    }
}

impl LatentDecoder for WanVaeDecoder {
    fn chunks(&self, latent_frames: usize, height: usize, width: usize, budget: usize) -> Vec<DecoderChunk> {
        let remaining = latent_frames - 1;
        let length = self.chunk_length(remaining, height, width, budget);
        let chunk = DecoderChunk { first: false, latent_frames: length };
        let first = DecoderChunk { first: true, latent_frames: 1 };
        std::iter::once(first).chain(std::iter::repeat_n(chunk, remaining / length)).collect()
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

    /// A fourth of each tile is shared with the next, as in the reference's 256 pixels that are 192 apart.
    fn tiling(&self, stride: [usize; 2]) -> Tiling {
        let (scale, unit) = (self.config.scale_factor_spatial, patch(&self.config));
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
        config: &WanVaeConfig,
        widths: &[usize],
        index: usize,
    ) -> Result<Self, LoadError> {
        let residual = config.is_residual;
        let output = widths[index];
        let input = match index {
            0 => widths[0],
            // Without a shortcut the upsampler before has halved the width.
            _ if residual => widths[index - 1],
            _ => widths[index - 1] / 2,
        };
        let name = format!("decoder.up_blocks.{index}");
        let resnets = (0..=config.num_res_blocks)
            .map(|i| {
                let input = if i == 0 { input } else { output };
                wan_resnet(checkpoint, &format!("{name}.resnets.{i}"), input, output)
            })
            .collect::<Result<_, _>>()?;
        let doubles = index + 1 < widths.len();
        if !doubles {
            return Ok(Self { resnets, upsampler: None, shortcut: None });
        }
        let temporal = config.temperal_downsample.iter().rev().nth(index).copied().unwrap_or(false);
        let (upsampler, width) = if residual { ("upsampler", output) } else { ("upsamplers.0", output / 2) };
        let upsampler = Upsampler::load(checkpoint, &format!("{name}.{upsampler}"), output, width, temporal)?;
        let shortcut = residual.then_some((output, if temporal { 2 } else { 1 }));
        Ok(Self { resnets, upsampler: Some(upsampler), shortcut })
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
        let Some(upsampler) = &self.upsampler else { return Ok(x) };
        let shortcut = match self.shortcut {
            Some((channels, factor_t)) => Some(graph.dup_up(input, channels, factor_t, 2, first_chunk)?),
            None => None,
        };
        upsampler.forward(graph, x, memory, first_chunk, shortcut)
    }
}
