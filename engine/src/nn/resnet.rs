//! The pieces of a causal video autoencoder: channel norm, cached convolution, residual block.
use crate::{
    graph::{Graph, State},
    op::OpError,
    ops::{Conv3dOptions, Pad},
    tensor::{DType, TensorDesc, TensorId},
    weight::Weight,
};
use model_loader::{Checkpoint, LoadError};

use super::Linear;

/// Wan's RMS norm over the channels of each position.
#[derive(Debug, Clone)]
pub struct ChannelNorm {
    gamma: Weight,
}

impl ChannelNorm {
    /// Loads `{name}.gamma` of `[channels, 1, ..]`.
    ///
    /// # Errors
    /// If it is missing or has another size.
    pub fn load(
        checkpoint: &Checkpoint,
        name: &str,
        channels: usize,
        units: usize,
    ) -> Result<Self, LoadError> {
        let mut shape = vec![channels];
        shape.resize(1 + units, 1);
        let gamma = checkpoint.tensor_shaped(&format!("{name}.gamma"), &shape)?;
        Ok(Self { gamma: Weight::from_f32(&gamma.name, &[channels], gamma.to_f32()) })
    }

    /// Normalises `[.., C]`, with SiLU if wanted.
    pub fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        silu: bool,
        out: DType,
    ) -> Result<TensorId, OpError> {
        let gamma = graph.weight(&self.gamma);
        graph.channel_rms_norm(x, gamma, silu, out)
    }
}

/// A 3-D convolution that remembers the last frames of the chunk before.
///
/// The memory starts as zeros, which is the causal padding of the first chunk.
#[derive(Debug, Clone)]
pub struct CausalConv {
    name: String,
    weight: Weight,
    bias: Weight,
    kernel: [usize; 3],
}

impl CausalConv {
    /// Loads `{name}.weight` of `[out, in, kt, kh, kw]` (two-dimensional kernels lack `kt`) and `{name}.bias`.
    ///
    /// # Errors
    /// If either is missing or has another shape.
    pub fn load(checkpoint: &Checkpoint, name: &str, shape: &[usize]) -> Result<Self, LoadError> {
        let mut weight = checkpoint.tensor_shaped(&format!("{name}.weight"), shape)?;
        if weight.shape.len() == 4 {
            weight.shape.insert(2, 1);
        }
        let kernel = [weight.shape[2], weight.shape[3], weight.shape[4]];
        let bias = checkpoint.tensor_shaped(&format!("{name}.bias"), &shape[..1])?;
        Ok(Self {
            name: name.to_owned(),
            weight: Weight::channels_last(&weight),
            bias: Weight::vector(&bias),
            kernel,
        })
    }

    /// A memory for this convolution on feature maps of `height` x `width`: its last `frames` input frames.
    pub fn memory(&self, frames: usize, height: usize, width: usize, dtype: DType) -> State {
        let channels = self.weight.desc().cols();
        State::new(&self.name, TensorDesc::new(&[frames, height, width, channels], dtype))
    }

    /// Frames that the kernel looks back.
    pub fn reach(&self) -> usize {
        self.kernel[0] - 1
    }

    /// "Same" padding in space, causal in time; `memory` is read and then brought up to date.
    pub fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        memory: Option<&State>,
        options: Conv3dOptions,
    ) -> Result<TensorId, OpError> {
        let [_, kh, kw] = self.kernel;
        let pad = Pad { top: kh / 2, bottom: kh / 2, left: kw / 2, right: kw / 2 };
        self.forward_padded(graph, x, memory, Conv3dOptions { pad, ..options })
    }

    /// Like [`CausalConv::forward`] with the padding of `options`.
    pub fn forward_padded(
        &self,
        graph: &mut Graph,
        x: TensorId,
        memory: Option<&State>,
        options: Conv3dOptions,
    ) -> Result<TensorId, OpError> {
        let weight = graph.weight(&self.weight);
        let bias = Some(graph.weight(&self.bias));
        let cache = memory.map(|state| graph.state(state));
        let y = graph.causal_conv3d(x, weight, &Conv3dOptions { bias, cache, ..options })?;
        if let Some(cache) = cache {
            graph.update_conv_cache(cache, x)?;
        }
        Ok(y)
    }
}

/// norm, SiLU, convolution, twice, plus the input (through a 1x1x1 convolution if the width changes).
#[derive(Debug, Clone)]
pub struct ResnetBlock {
    norm1: ChannelNorm,
    conv1: CausalConv,
    norm2: ChannelNorm,
    conv2: CausalConv,
    shortcut: Option<Linear>,
}

/// The memories of the two convolutions of a [`ResnetBlock`].
#[derive(Debug, Clone)]
pub struct ResnetMemory {
    first: State,
    second: State,
}

impl ResnetBlock {
    /// Loads the block `name` from `input` to `output` channels.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(checkpoint: &Checkpoint, name: &str, input: usize, output: usize) -> Result<Self, LoadError> {
        let shortcut = if input == output {
            None
        } else {
            let shape = [output, input, 1, 1, 1];
            Some(Linear::load(checkpoint, &format!("{name}.conv_shortcut"), &shape)?)
        };
        Ok(Self {
            norm1: ChannelNorm::load(checkpoint, &format!("{name}.norm1"), input, 3)?,
            conv1: CausalConv::load(checkpoint, &format!("{name}.conv1"), &[output, input, 3, 3, 3])?,
            norm2: ChannelNorm::load(checkpoint, &format!("{name}.norm2"), output, 3)?,
            conv2: CausalConv::load(checkpoint, &format!("{name}.conv2"), &[output, output, 3, 3, 3])?,
            shortcut,
        })
    }

    /// Memories for feature maps of `height` x `width`.
    pub fn memory(&self, height: usize, width: usize, dtype: DType) -> ResnetMemory {
        ResnetMemory {
            first: self.conv1.memory(self.conv1.reach(), height, width, dtype),
            second: self.conv2.memory(self.conv2.reach(), height, width, dtype),
        }
    }

    /// `[T, H, W, in]` f32 to `[T, H, W, out]` f32; operands of the convolutions are `dtype`.
    pub fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        memory: &ResnetMemory,
        dtype: DType,
    ) -> Result<TensorId, OpError> {
        let residual = match &self.shortcut {
            Some(shortcut) => shortcut.forward(graph, x, DType::F32)?,
            None => x,
        };
        let h = self.norm1.forward(graph, x, true, dtype)?;
        let h = self.conv1.forward(graph, h, Some(&memory.first), Conv3dOptions::new(DType::F32))?;
        let h = self.norm2.forward(graph, h, true, dtype)?;
        let options = Conv3dOptions { residual: Some(residual), ..Conv3dOptions::new(DType::F32) };
        self.conv2.forward(graph, h, Some(&memory.second), options)
    }
}

impl ResnetMemory {
    /// All states.
    pub fn states(&self) -> impl Iterator<Item = &State> {
        [&self.first, &self.second].into_iter()
    }
}
