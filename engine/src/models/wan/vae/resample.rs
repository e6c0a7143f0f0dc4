//! Doubling and halving of feature maps, in space and perhaps in time.
use crate::{
    graph::{Graph, State},
    nn::CausalConv,
    op::OpError,
    ops::{Conv3dOptions, Pad},
    tensor::{DType, TensorId},
};
use model_loader::{Checkpoint, LoadError};

/// Doubles rows and columns; with a time convolution, frames as well (but for the first chunk's).
#[derive(Debug)]
pub(super) struct Upsampler {
    spatial: CausalConv,
    temporal: Option<CausalConv>,
}

impl Upsampler {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        name: &str,
        input: usize,
        output: usize,
        temporal: bool,
    ) -> Result<Self, LoadError> {
        let temporal = if temporal {
            Some(CausalConv::load(checkpoint, &format!("{name}.time_conv"), &[2 * input, input, 3, 1, 1])?)
        } else {
            None
        };
        let spatial = CausalConv::load(checkpoint, &format!("{name}.resample.1"), &[output, input, 3, 3])?;
        Ok(Self { spatial, temporal })
    }

    /// Frames that one becomes after the first chunk.
    pub(super) fn time_factor(&self) -> usize {
        if self.temporal.is_some() { 2 } else { 1 }
    }

    pub(super) fn memory(&self, height: usize, width: usize) -> Option<State> {
        self.temporal.as_ref().map(|conv| conv.memory(conv.reach(), height, width, DType::F32))
    }

    /// `residual` is added to the result.
    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        memory: Option<&State>,
        first_chunk: bool,
        residual: Option<TensorId>,
    ) -> Result<TensorId, OpError> {
        let x = match &self.temporal {
            Some(conv) if !first_chunk => {
                // Twice the channels: first those of the even frames, then those of the odd ones.
                let options = Conv3dOptions { split_frames: true, ..Conv3dOptions::new(DType::F32) };
                conv.forward(graph, x, memory, options)?
            }
            _ => x,
        };
        let options = Conv3dOptions { upsample: true, residual, ..Conv3dOptions::new(DType::F32) };
        self.spatial.forward(graph, x, None, options)
    }
}

/// Halves rows and columns; with a time convolution, frames as well (but for the first chunk's).
#[derive(Debug)]
pub(super) struct Downsampler {
    spatial: CausalConv,
    temporal: Option<CausalConv>,
}

impl Downsampler {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        name: &str,
        channels: usize,
        temporal: bool,
    ) -> Result<Self, LoadError> {
        let temporal = if temporal {
            let shape = [channels, channels, 3, 1, 1];
            Some(CausalConv::load(checkpoint, &format!("{name}.time_conv"), &shape)?)
        } else {
            None
        };
        let spatial =
            CausalConv::load(checkpoint, &format!("{name}.resample.1"), &[channels, channels, 3, 3])?;
        Ok(Self { spatial, temporal })
    }

    /// The one frame before a chunk, at the halved size.
    pub(super) fn memory(&self, height: usize, width: usize) -> Option<State> {
        self.temporal.as_ref().map(|conv| conv.memory(1, height, width, DType::F32))
    }

    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        memory: Option<&State>,
        first_chunk: bool,
    ) -> Result<TensorId, OpError> {
        let pad = Pad { top: 0, bottom: 1, left: 0, right: 1 };
        let halved = Conv3dOptions { stride: [1, 2, 2], pad, ..Conv3dOptions::new(DType::F32) };
        let x = self.spatial.forward_padded(graph, x, None, halved)?;
        match (&self.temporal, memory) {
            (Some(_), Some(memory)) if first_chunk => {
                let memory = graph.state(memory);
                graph.update_conv_cache(memory, x)?;
                Ok(x)
            }
            (Some(conv), memory) => {
                let options =
                    Conv3dOptions { stride: [2, 1, 1], front: Some(1), ..Conv3dOptions::new(DType::F32) };
                conv.forward_padded(graph, x, memory, options)
            }
            (None, _) => Ok(x),
        }
    }
}
