//! A convolution over time and space that goes on where the chunk before ended.
use super::ConvMemory;
use crate::{
    graph::Graph,
    op::OpError,
    ops::{Conv3dOptions, Fill, Pad},
    tensor::{TensorDesc, TensorId},
    weight::Weight,
};
use model_loader::{Checkpoint, LoadError};

/// A 3-D convolution that remembers the last frames of the chunk before.
#[derive(Debug, Clone)]
pub struct CausalConv {
    name: String,
    weight: Weight,
    bias: Option<Weight>,
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
        let bias = checkpoint.tensor_shaped(&format!("{name}.bias"), &shape[..1])?;
        Ok(Self::of(name, Weight::channels_last(&weight), Some(Weight::vector(&bias))))
    }

    /// The convolution that goes by `name` with a kernel `[out, kt, kh, kw, in]`.
    ///
    /// # Panics
    /// If the kernel has other than five axes.
    pub(crate) fn of(name: &str, weight: Weight, bias: Option<Weight>) -> Self {
        let &[_, kt, kh, kw, _] = weight.desc().shape.as_slice() else {
            panic!("the kernel of {name} is {:?}", weight.desc().shape)
        };
        Self { name: name.to_owned(), weight, bias, kernel: [kt, kh, kw] }
    }

    /// "Same" padding in space, causal in time; what `memory` has of this convolution is read and then brought up to date.
    ///
    /// A memory starts as zeros, which is the padding of a first chunk in some models. In others, `options.fill` says
    /// that the first frame stands before itself: then nothing is read, and a chunk shorter than what is remembered
    /// must be the video's only one.
    pub fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        memory: Option<&ConvMemory>,
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
        memory: Option<&ConvMemory>,
        options: Conv3dOptions,
    ) -> Result<TensorId, OpError> {
        let weight = graph.weight(&self.weight);
        let bias = self.bias.as_ref().map(|bias| graph.weight(bias));
        let frames = options.front.unwrap_or(self.kernel[0] - 1);
        let remembered = memory.filter(|_| frames > 0);
        let state = remembered.map(|memory| self.state(graph, x, memory, frames));
        let cache = state.filter(|_| options.fill == Fill::Zeros);
        let y = graph.causal_conv3d(x, weight, &Conv3dOptions { bias, cache, ..options })?;
        match state {
            Some(state) if cache.is_some() || graph.desc(x).shape[0] >= frames => {
                graph.update_conv_cache(state, x)?;
            }
            _ => {}
        }
        Ok(y)
    }

    /// Remembers the last `frames` frames of x without convolving it.
    pub(crate) fn remember(
        &self,
        graph: &mut Graph,
        x: TensorId,
        memory: &ConvMemory,
        frames: usize,
    ) -> Result<(), OpError> {
        let state = self.state(graph, x, memory, frames);
        graph.update_conv_cache(state, x)
    }

    fn state(&self, graph: &mut Graph, x: TensorId, memory: &ConvMemory, frames: usize) -> TensorId {
        let mut desc: TensorDesc = graph.desc(x).clone();
        desc.shape[0] = frames;
        graph.state(&memory.state(&self.name, desc))
    }
}
