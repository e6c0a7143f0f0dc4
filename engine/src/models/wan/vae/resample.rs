//! Doubling and halving of feature maps, in space and perhaps in time.
use crate::{
    graph::Graph,
    nn::{CausalConv, ConvMemory},
    op::OpError,
    ops::{Conv3dOptions, OutputFrames, Pad},
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

    /// `residual` is added to the result.
    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        memory: &ConvMemory,
        first_chunk: bool,
        residual: Option<TensorId>,
    ) -> Result<TensorId, OpError> {
        let x = match &self.temporal {
            Some(conv) if !first_chunk => {
                // Twice the channels: first those of the even frames, then those of the odd ones.
                let options =
                    Conv3dOptions { frames: OutputFrames::Halves, ..Conv3dOptions::new(DType::F32) };
                conv.forward(graph, x, Some(memory), options)?
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

    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        memory: &ConvMemory,
        first_chunk: bool,
    ) -> Result<TensorId, OpError> {
        let pad = Pad { top: 0, bottom: 1, left: 0, right: 1 };
        let halved = Conv3dOptions { stride: [1, 2, 2], pad, ..Conv3dOptions::new(DType::F32) };
        let x = self.spatial.forward_padded(graph, x, None, halved)?;
        match &self.temporal {
            // The one frame before the next chunk, at the halved size.
            Some(conv) if first_chunk => {
                conv.remember(graph, x, memory, 1)?;
                Ok(x)
            }
            Some(conv) => {
                let options =
                    Conv3dOptions { stride: [2, 1, 1], front: Some(1), ..Conv3dOptions::new(DType::F32) };
                conv.forward_padded(graph, x, Some(memory), options)
            }
            None => Ok(x),
        }
    }
}
