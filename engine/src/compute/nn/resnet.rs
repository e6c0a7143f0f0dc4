//! The residual block of a causal video autoencoder.
use super::{CausalConv, ConvMemory, FeatureNorm, Linear};
use crate::{
    graph::Graph,
    op::OpError,
    ops::{Conv3dOptions, Fill},
    tensor::{DType, TensorId},
};
use model_loader::{Checkpoint, LoadError};

/// norm, SiLU, convolution, twice, plus the input (through a 1x1x1 convolution if the width changes).
#[derive(Debug, Clone)]
pub struct ResnetBlock<N> {
    norm1: N,
    conv1: CausalConv,
    norm2: N,
    conv2: CausalConv,
    shortcut: Option<Linear>,
}

impl<N: FeatureNorm> ResnetBlock<N> {
    /// Loads the block `name` from `input` to `output` channels; `norm` loads a norm by name and channels.
    ///
    /// The convolutions are `{name}.conv1{suffix}` and `{name}.conv2{suffix}`.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(
        checkpoint: &Checkpoint,
        name: &str,
        [input, output]: [usize; 2],
        suffix: &str,
        norm: impl Fn(&str, usize) -> Result<N, LoadError>,
    ) -> Result<Self, LoadError> {
        let shortcut = if input == output {
            None
        } else {
            let shape = [output, input, 1, 1, 1];
            Some(Linear::load(checkpoint, &format!("{name}.conv_shortcut"), &shape)?)
        };
        let conv = |conv: &str, input: usize| {
            CausalConv::load(checkpoint, &format!("{name}.{conv}{suffix}"), &[output, input, 3, 3, 3])
        };
        Ok(Self {
            norm1: norm(&format!("{name}.norm1"), input)?,
            conv1: conv("conv1", input)?,
            norm2: norm(&format!("{name}.norm2"), output)?,
            conv2: conv("conv2", output)?,
            shortcut,
        })
    }

    /// `[T, H, W, in]` f32 to `[T, H, W, out]` f32; operands of the convolutions have the memory's precision.
    ///
    /// `fill` says what stands before the first chunk ([`CausalConv::forward`]).
    pub fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        guide: N::Guide,
        memory: &ConvMemory,
        fill: Fill,
    ) -> Result<TensorId, OpError> {
        let dtype = memory.precision().activation();
        let residual = match &self.shortcut {
            Some(shortcut) => shortcut.forward(graph, x, DType::F32)?,
            None => x,
        };
        let options = Conv3dOptions { fill, ..Conv3dOptions::new(DType::F32) };
        let h = self.norm1.forward(graph, x, guide, true, dtype)?;
        let h = self.conv1.forward(graph, h, Some(memory), options)?;
        let h = self.norm2.forward(graph, h, guide, true, dtype)?;
        self.conv2.forward(graph, h, Some(memory), Conv3dOptions { residual: Some(residual), ..options })
    }
}
