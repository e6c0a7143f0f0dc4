//! What the pipeline asks of a model family. A family is a folder of small files that implements these traits over
//! shared layers and ops; the pipeline knows nothing else of it.
use super::RopeTables;
use crate::{
    graph::{Graph, State},
    nn::{ConvMemory, Precision},
    op::OpError,
    tensor::TensorId,
    tiling::Tiling,
};
use model_loader::LoadError;
use std::fmt::Debug;

/// A model opened from a folder, without its text encoder: configs read, weights mapped, nothing loaded yet.
pub trait VideoModel: Debug {
    /// The settings published for it, for whatever neither the caller nor the folder says.
    fn published(&self) -> PublishedSettings;

    /// How prompts are prepared for it.
    fn prompt_style(&self) -> PromptStyle;

    /// How a video's sizes become those of its latents.
    fn latent_sizes(&self) -> LatentSizes;

    /// Whether the components fit each other and a text encoder of this width.
    ///
    /// # Errors
    /// If two configs contradict each other.
    fn check(&self, text_width: usize) -> Result<(), Mismatch>;

    /// Channels beside the latents that tell of the picture a video starts from; 0 for a model that takes none.
    fn condition_channels(&self) -> usize {
        0
    }

    /// Bytes of the transformer's stored weights.
    fn transformer_bytes(&self) -> usize;

    /// Bytes of the autoencoder's stored weights.
    fn vae_bytes(&self) -> usize;

    /// Takes the transformer's weights.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    fn load_transformer(&self) -> Result<Box<dyn DenoisingTransformer>, LoadError>;

    /// Takes the decoder's weights.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    fn load_decoder(&self) -> Result<Box<dyn LatentDecoder>, LoadError>;

    /// Takes the weights that encode a picture, for a model that takes one.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    fn load_picture_encoder(&self) -> Result<Option<Box<dyn PictureEncoder>>, LoadError> {
        Ok(None)
    }
}

/// Default settings of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PublishedSettings {
    /// Columns of a frame.
    pub width: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Frames.
    pub num_frames: usize,
    /// Frames per second.
    pub fps: f64,
    /// Denoising steps.
    pub num_inference_steps: usize,
    /// Guidance scale.
    pub guidance_scale: f64,
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

/// How a video's sizes become those of its latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatentSizes {
    /// Channels of a latent.
    pub channels: usize,
    /// Pixels along the edge of a latent.
    pub spatial: usize,
    /// Frames of a latent frame, but for the first.
    pub temporal: usize,
    /// Latents of a token along t, h, w.
    pub patch: [usize; 3],
    /// Whether latent frames are filled up to whole tokens (the additional ones come first and are not decoded) instead
    /// of being refused.
    pub pads_frames: bool,
    /// Whether the family's files and noise have frames before channels.
    pub frames_first: bool,
}

/// Two configs contradict each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// A field and its file.
    pub what: &'static str,
    /// What it says.
    pub got: usize,
    /// What it must say.
    pub expected: usize,
    /// Why: the other field and its file.
    pub other: &'static str,
}

impl Mismatch {
    /// Compares fields pairwise: what, its value, the other, its value.
    ///
    /// # Errors
    /// The first pair that differs.
    pub fn check(pairs: &[(&'static str, usize, &'static str, usize)]) -> Result<(), Self> {
        match pairs.iter().find(|(_, got, _, expected)| got != expected) {
            Some(&(what, got, other, expected)) => Err(Self { what, got, expected, other }),
            None => Ok(()),
        }
    }
}

/// Prompts as the transformer attends to them in one evaluation: states that a graph has written once.
#[derive(Debug, Clone)]
pub struct TextContext {
    pub(crate) states: Vec<State>,
    /// Prompts whose rows lie one below the other: guidance passes evaluated side by side.
    pub(crate) passes: usize,
}

impl TextContext {
    /// All states, to be dropped when the prompts are done.
    pub fn states(&self) -> &[State] {
        &self.states
    }
}

/// The denoising network.
pub trait DenoisingTransformer: Debug {
    /// How many of `passes` guidance passes over latents `[C, F, H, W]` are better evaluated side by side, as rows of the
    /// same products, than one after the other. At most that many prompts go into one [`TextContext`].
    fn passes_together(&self, latents: [usize; 4], passes: usize) -> usize {
        let _ = (latents, passes);
        1
    }

    /// The graph that brings `passes` prompts of `length` rows into the form that the blocks attend to.
    ///
    /// Input `embeds` `[passes * length, width]` f32; no outputs, but the context's states. With `taps`, what the family
    /// reports of it is kept.
    ///
    /// # Errors
    /// If the weights do not fit the graph, or the family does not evaluate so many passes side by side.
    fn context_graph(
        &self,
        length: usize,
        passes: usize,
        precision: Precision,
        taps: bool,
    ) -> Result<(Graph, TextContext), OpError>;

    /// One evaluation for each context: the model's outputs `[C, F, H, W]` f32, one for each prompt, in the order of
    /// `contexts` and of the prompts in them.
    ///
    /// `latents` is `[.., C, F, H, W]` f32 (the first sample is read), `timestep` `[1]` f32 as the noise scheduler gives
    /// it (0..1000), `condition` what a [`PictureEncoder`] made, for a model that takes a picture.
    ///
    /// # Errors
    /// If the latents do not fit the model.
    fn forward(
        &self,
        graph: &mut Graph,
        latents: TensorId,
        timestep: TensorId,
        contexts: &[&TextContext],
        condition: Option<TensorId>,
        precision: Precision,
    ) -> Result<Vec<TensorId>, OpError>;

    /// The rotary tables for latents `[C, F, H, W]`, if the model rotates.
    fn rope_tables(&self, latents: [usize; 4]) -> Option<RopeTables>;

    /// How the reference lays the tap `name` out.
    fn tap_layout(&self, name: &str) -> TapLayout {
        let _ = name;
        TapLayout::Batched
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

/// Which part of a video a graph decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecoderChunk {
    /// Whether it holds the first latent frame.
    pub first: bool,
    /// Latent frames.
    pub latent_frames: usize,
}

/// What a decoder's graph has as outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecoderOutput {
    /// `video` `[T, H, W, 3]` f32, in -1..1 if the model keeps to that, and the same as `rgb8`.
    Frames,
    /// `video` alone, and before the model keeps it to any range: tiles are blended first.
    Tile,
}

impl DecoderOutput {
    /// Makes `video` an output of a chunk's graph, and its pixels too where they are final.
    pub(super) fn add_outputs(self, graph: &mut Graph, video: TensorId) -> Result<(), OpError> {
        graph.output("video", video);
        if self == Self::Frames {
            let rgb = graph.to_rgb8(video)?;
            graph.output("rgb8", rgb);
        }
        Ok(())
    }
}

/// The decoder of an autoencoder: causal in time, so it runs chunk by chunk and remembers.
pub trait LatentDecoder: Debug {
    /// The chunks of a video in order. Where their lengths do not change the result, the widest feature map stays near
    /// `budget` bytes for latents of `height` x `width`.
    fn chunks(&self, latent_frames: usize, height: usize, width: usize, budget: usize) -> Vec<DecoderChunk>;

    /// How many frames at the start of a video of so many latent frames repeat the frame after them. They are not
    /// part of the video.
    fn repeated_frames(&self, latent_frames: usize) -> usize {
        let _ = latent_frames;
        0
    }

    /// The graph of one kind of chunk.
    ///
    /// `latents` is `[.., C, F, H, W]` f32 (the first sample is read), scaled as the transformer leaves them; input
    /// `frame` `[1]` u32 is the chunk's first latent frame. `memory` is that of the chunks before, empty at first.
    /// Its outputs are those of `output`.
    ///
    /// # Errors
    /// If the latents do not fit the model.
    fn graph(
        &self,
        latents: &State,
        chunk: DecoderChunk,
        memory: &ConvMemory,
        output: DecoderOutput,
        taps: bool,
    ) -> Result<Graph, OpError>;

    /// The smallest tiles whose beginnings are at least `stride` latents apart along height and width, overlapping as the
    /// reference's tiles do.
    fn tiling(&self, stride: [usize; 2]) -> Tiling;
}

/// Encodes the picture that a video starts from.
pub trait PictureEncoder: Debug {
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
