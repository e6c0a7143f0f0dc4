//! What the pipeline asks of a denoising network.
use super::RopeTables;
use crate::{
    graph::{Graph, State},
    nn::Precision,
    op::OpError,
    tensor::TensorId,
};
use std::fmt::Debug;

/// A denoising network with its weights.
pub trait DenoisingTransformer: Debug + Send + Sync {
    /// How many of `passes` guidance passes over latents `[C, F, H, W]` are better evaluated side by side, as rows of the
    /// same products, than one after the other. At most that many prompts go into one [`Context`].
    fn passes_together(&self, latents: [usize; 4], passes: usize) -> usize {
        let _ = (latents, passes);
        1
    }

    /// The graph that brings prompts into the form that the blocks attend to.
    ///
    /// For each text encoder of the model, in its order, one input that [`embeds_name`] names,
    /// `[passes * rows, width]` f32. No outputs, but the context's states.
    ///
    /// # Errors
    /// If the weights do not fit the graph, or the family does not evaluate so many passes side by side.
    fn context_graph(&self, inputs: &ContextInputs<'_>) -> Result<(Graph, Context), OpError>;

    /// One evaluation for each context: the model's outputs `[C, F, H, W]` f32, one for each prompt, in the order of
    /// the contexts and of the prompts in them.
    ///
    /// # Errors
    /// If the latents or the timesteps do not fit the model.
    fn forward(&self, graph: &mut Graph, inputs: &StepInputs<'_>) -> Result<Vec<TensorId>, OpError>;

    /// The rotary tables for latents `[C, F, H, W]`, if the model rotates.
    fn rope_tables(&self, latents: [usize; 4]) -> Option<RopeTables>;

    /// How the reference lays the tap `name` out.
    fn tap_layout(&self, name: &str) -> TapLayout {
        let _ = name;
        TapLayout::Batched
    }
}

/// The prompts that a context graph is made for.
#[derive(Debug, Clone, Copy)]
pub struct ContextInputs<'a> {
    /// Rows of one prompt from each text encoder, in the order of [`super::VideoModel::encoders`].
    pub rows: &'a [usize],
    /// Prompts whose rows lie one below the other.
    pub passes: usize,
    /// How activations are stored.
    pub precision: Precision,
    /// Whether intermediate tensors are kept.
    pub taps: bool,
}

impl<'a> ContextInputs<'a> {
    /// One prompt, without taps.
    pub fn new(rows: &'a [usize], precision: Precision) -> Self {
        Self { rows, passes: 1, precision, taps: false }
    }

    /// Rows of one prompt, for a family with one text encoder.
    ///
    /// # Errors
    /// If there is another number of encoders.
    pub fn only_rows(&self, op: &'static str) -> Result<usize, OpError> {
        match self.rows {
            [rows] => Ok(*rows),
            other => Err(OpError::value(op, "the number of text encoders", other.len(), "1")),
        }
    }
}

/// The input of a context graph that takes the rows of text encoder `index`.
pub fn embeds_name(index: usize) -> String {
    if index == 0 { "embeds".to_owned() } else { format!("embeds_{}", index + 1) }
}

/// Prompts as the transformer attends to them in one evaluation: states that a graph has written once.
#[derive(Debug, Clone)]
pub struct Context {
    /// In the family's own order.
    pub states: Vec<State>,
    /// Prompts whose rows lie one below the other: guidance passes evaluated side by side.
    pub passes: usize,
}

/// What one denoising step is computed from.
#[derive(Debug, Clone, Copy)]
pub struct StepInputs<'a> {
    /// `[.., C, F, H, W]` f32; the first sample is read.
    pub latents: TensorId,
    /// Where in the schedule the latents are.
    pub times: Times,
    /// The prompts.
    pub contexts: &'a [&'a Context],
    /// What the model sees beside the latents, `[condition channels, F, H, W]` f32: for a model that takes a picture.
    pub condition: Option<TensorId>,
    /// How activations are stored.
    pub precision: Precision,
    /// Rows of tokens that a layer makes at a time where all of them would take too much memory, a multiple of
    /// [`crate::ops::ROWS_ALIGNED`]; `None`: all. The results are the same but for rounding.
    pub strip: Option<usize>,
}

/// Timesteps as the noise scheduler gives them, 0 to 1000, f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// `[1]`: all latents are at one timestep.
    Whole(TensorId),
    /// `[F]`: each latent frame has its own.
    PerFrame(TensorId),
}

impl Times {
    /// The one timestep, for a family that knows no other.
    ///
    /// # Errors
    /// If each frame has its own.
    pub fn whole(self, op: &'static str) -> Result<TensorId, OpError> {
        match self {
            Self::Whole(timestep) => Ok(timestep),
            Self::PerFrame(_) => Err(OpError::value(op, "the timestep", "one for each frame", "one for all")),
        }
    }
}

/// How the reference lays a tensor out that is `[rows, columns]` here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapLayout {
    /// With a batch axis in front.
    Batched,
    /// As it is: the row stands for the batch.
    Plain,
    /// Channels before positions, these along t, h, w.
    ChannelsFirst,
}
