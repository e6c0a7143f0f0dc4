//! Residual blocks in a row, and the doubling and halving of feature maps between such rows.
use crate::{
    graph::Graph,
    nn::{CausalConv, ConvMemory, FeatureNorm, ResnetBlock},
    op::OpError,
    ops::{Conv3dOptions, Fill, OutputFrames, Pad},
    tensor::{DType, TensorId},
};
use model_loader::{Checkpoint, LoadError};

/// The residual blocks of a stage.
#[derive(Debug)]
pub(super) struct Resnets<N>(Vec<ResnetBlock<N>>);

impl<N: FeatureNorm> Resnets<N> {
    /// Loads `{name}.resnets.{0..count}`; the first goes from `input` to `output` channels.
    pub(super) fn load(
        checkpoint: &Checkpoint,
        name: &str,
        count: usize,
        [input, output]: [usize; 2],
        norm: impl Fn(&str, usize) -> Result<N, LoadError>,
    ) -> Result<Self, LoadError> {
        let block = |i: usize| {
            let widths = [if i == 0 { input } else { output }, output];
            ResnetBlock::load(checkpoint, &format!("{name}.resnets.{i}"), widths, ".conv", &norm)
        };
        Ok(Self((0..count).map(block).collect::<Result<_, _>>()?))
    }

    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        mut x: TensorId,
        guide: N::Guide,
        memory: &ConvMemory,
        fill: Fill,
    ) -> Result<TensorId, OpError> {
        for block in &self.0 {
            x = block.forward(graph, x, guide, memory, fill)?;
        }
        Ok(x)
    }
}

/// Doubles rows and columns, perhaps frames, all by repeating them, then convolves each frame.
#[derive(Debug)]
pub(super) struct Upsampler {
    conv: CausalConv,
    temporal: bool,
}

impl Upsampler {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        stage: &str,
        channels: usize,
        temporal: bool,
    ) -> Result<Self, LoadError> {
        let name = format!("{stage}.upsamplers.0.conv");
        Ok(Self { conv: CausalConv::load(checkpoint, &name, &[channels, channels, 3, 3])?, temporal })
    }

    /// A first frame that makes their number odd is not doubled.
    pub(super) fn forward(&self, graph: &mut Graph, x: TensorId) -> Result<TensorId, OpError> {
        // Frames that are equal before the convolution are equal after it: each is computed once and stored twice.
        let frames = match graph.desc(x).shape[0] {
            1 => OutputFrames::Same,
            _ if !self.temporal => OutputFrames::Same,
            odd if odd % 2 == 1 => OutputFrames::TwiceButFirst,
            _ => OutputFrames::Twice,
        };
        let options = Conv3dOptions { upsample: true, frames, ..Conv3dOptions::new(DType::F32) };
        self.conv.forward(graph, x, None, options)
    }
}

/// Halves frames, perhaps, as means of pairs, then rows and columns by a convolution of each frame.
#[derive(Debug)]
pub(super) struct Downsampler {
    conv: CausalConv,
    temporal: bool,
}

impl Downsampler {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        stage: &str,
        channels: usize,
        temporal: bool,
    ) -> Result<Self, LoadError> {
        let name = format!("{stage}.downsamplers.0.conv");
        Ok(Self { conv: CausalConv::load(checkpoint, &name, &[channels, channels, 3, 3])?, temporal })
    }

    /// A first frame that makes their number odd stays as it is.
    pub(super) fn forward(&self, graph: &mut Graph, x: TensorId) -> Result<TensorId, OpError> {
        let &[frames, .., channels] = graph.desc(x).shape.as_slice() else {
            return Err(OpError::value(
                "downsampler",
                "x",
                &graph.desc(x).shape,
                "[frames, height, width, channels]",
            ));
        };
        let x = if self.temporal && frames > 1 {
            graph.avg_down(x, channels, 2, 1, Fill::FirstFrame)?
        } else {
            x
        };
        let pad = Pad { top: 0, bottom: 1, left: 0, right: 1 };
        let options = Conv3dOptions { stride: [1, 2, 2], pad, ..Conv3dOptions::new(DType::F32) };
        self.conv.forward_padded(graph, x, None, options)
    }
}
