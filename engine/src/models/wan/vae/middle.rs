//! The middle of encoder and decoder: residual block, attention within each frame, residual block.
use super::wan_resnet;
use crate::{
    graph::Graph,
    nn::{ChannelNorm, ConvMemory, Linear, ResnetBlock},
    op::OpError,
    ops::{AttentionInputs, Fill, MatmulOptions},
    tensor::{DType, TensorId},
};
use model_loader::{Checkpoint, LoadError};

/// `mid_block`.
#[derive(Debug)]
pub(super) struct Middle {
    first: ResnetBlock<ChannelNorm>,
    attention: FrameAttention,
    second: ResnetBlock<ChannelNorm>,
}

impl Middle {
    pub(super) fn load(checkpoint: &Checkpoint, name: &str, channels: usize) -> Result<Self, LoadError> {
        Ok(Self {
            first: wan_resnet(checkpoint, &format!("{name}.resnets.0"), channels, channels)?,
            attention: FrameAttention::load(checkpoint, &format!("{name}.attentions.0"), channels)?,
            second: wan_resnet(checkpoint, &format!("{name}.resnets.1"), channels, channels)?,
        })
    }

    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        memory: &ConvMemory,
    ) -> Result<TensorId, OpError> {
        let x = self.first.forward(graph, x, (), memory, Fill::Zeros)?;
        let x = self.attention.forward(graph, x, memory.precision().activation())?;
        self.second.forward(graph, x, (), memory, Fill::Zeros)
    }
}

/// One head over all positions of a frame.
#[derive(Debug)]
struct FrameAttention {
    norm: ChannelNorm,
    qkv: Linear,
    proj: Linear,
    channels: usize,
}

impl FrameAttention {
    fn load(checkpoint: &Checkpoint, name: &str, channels: usize) -> Result<Self, LoadError> {
        Ok(Self {
            norm: ChannelNorm::load(checkpoint, &format!("{name}.norm"), channels, 2)?,
            qkv: Linear::load(checkpoint, &format!("{name}.to_qkv"), &[3 * channels, channels, 1, 1])?,
            proj: Linear::load(checkpoint, &format!("{name}.proj"), &[channels, channels, 1, 1])?,
            channels,
        })
    }

    fn forward(&self, graph: &mut Graph, x: TensorId, dtype: DType) -> Result<TensorId, OpError> {
        let shape = graph.desc(x).shape.clone();
        let rows = shape[..3].iter().product();
        let x = graph.reshape(x, &[rows, self.channels])?;
        let normed = self.norm.forward(graph, x, false, dtype)?;
        let qkv = self.qkv.forward(graph, normed, dtype)?;
        let c = self.channels;
        let inputs = AttentionInputs::new([(qkv, 0), (qkv, c), (qkv, 2 * c)], 1, c, dtype);
        let attended = graph.attention(&AttentionInputs { groups: shape[0], ..inputs })?;
        let options = MatmulOptions { residual: Some(x), ..MatmulOptions::new(DType::F32) };
        let y = self.proj.forward_with(graph, attended, options)?;
        graph.reshape(y, &shape)
    }
}
