//! What the pipeline asks of the networks that encode what a video is made from: texts and pictures.
use crate::{graph::Graph, nn::ConvMemory, op::OpError};
use model_loader::{Checkpoint, LoadError};
use std::fmt::Debug;

/// A text encoder that a model reads its prompts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderSpec {
    /// The component of the folder: its config and weights.
    pub component: &'static str,
    /// The component that splits texts into its tokens.
    pub tokenizer: &'static str,
    /// How texts are prepared for it.
    pub style: PromptStyle,
}

/// How a prompt becomes the rows that the transformer attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptStyle {
    /// Whether the text is cleaned (HTML, white space, broken encodings) before it is split into tokens.
    pub cleaned: bool,
    /// The longest prompt in tokens; shorter ones are padded to it, or to what the tokenizer's config says if that is less.
    pub length: usize,
    /// What stands after the words.
    pub padding: Padding,
}

/// What fills a prompt up to its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Rows of zeros; the encoder sees the words alone.
    Zeros,
    /// Padding tokens, encoded like words.
    Tokens,
}

/// A text encoder opened from a folder: config read, weights mapped, nothing loaded yet.
pub trait TextEncoderModel: Debug + Send + Sync {
    /// Columns of its hidden states.
    fn width(&self) -> usize;

    /// Its weights.
    fn weights(&self) -> &Checkpoint;

    /// Takes the weights.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    fn load(&self) -> Result<Box<dyn TextEncoder>, LoadError>;
}

/// A text encoder with its weights.
pub trait TextEncoder: Debug + Send + Sync {
    /// The values of a graph's input `embeds` for these tokens, `[ids, columns]`.
    ///
    /// # Errors
    /// If there is no such token: the tokenizer does not belong to this model.
    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, OpError>;

    /// The graph for `rows` tokens, all of which attend to all: input `embeds` `[rows, columns]` f32, output `hidden`
    /// `[rows, width]` f32.
    ///
    /// For a pipeline that masks its padding, the rows are the real tokens alone: masked ones change nothing for them.
    /// For one that does not, they are real tokens and padding.
    ///
    /// # Errors
    /// If the weights do not fit the graph.
    fn graph(&self, rows: usize, taps: bool) -> Result<Graph, OpError>;
}

/// Encodes the picture that a video starts from.
pub trait PictureEncoder: Debug + Send + Sync {
    /// The graph for a picture of `height` x `width`: input `video` `[1, H, W, 3]` f32 in -1..1; output `moments`
    /// `[.., C]` f32, the channels last. `memory` is empty.
    ///
    /// # Errors
    /// If the picture does not fit the model.
    fn graph(&self, height: usize, width: usize, memory: &ConvMemory) -> Result<Graph, OpError>;

    /// How many standard-normal values are drawn to sample the picture's latents, for a video of `latents`
    /// `[C, F, H, W]`; 0 if their mean is taken.
    fn noise_elements(&self, latents: [usize; 4]) -> usize;

    /// What the transformer sees of the picture: `[condition channels, F, H, W]`.
    fn condition(&self, moments: &[f32], noise: &[f32], latents: [usize; 4]) -> Vec<f32>;
}
