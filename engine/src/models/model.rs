//! What the pipeline asks of a model family. A family is a folder of small files that implements these traits over
//! shared layers and ops; the pipeline knows nothing else of it.
use super::{DenoisingTransformer, EncoderSpec, LatentDecoder, PictureEncoder, TinyDetail};
use model_loader::{Checkpoint, LoadError};
use std::fmt::Debug;

/// A model opened from a folder, without its text encoders: configs read, weights mapped, nothing loaded yet.
pub trait VideoModel: Debug + Send + Sync {
    /// The settings published for it, for whatever neither the caller nor the folder says.
    fn published(&self) -> PublishedSettings;

    /// Which videos it was made for.
    fn made_for(&self) -> MadeFor;

    /// The text encoders that it reads prompts with, in the order in which its transformers take them.
    fn encoders(&self) -> Vec<EncoderSpec>;

    /// The denoising networks, in the order in which a schedule uses them.
    fn experts(&self) -> Vec<Expert> {
        vec![Expert { component: "transformer", down_to: 0.0 }]
    }

    /// How a video's sizes become those of its latents.
    fn latent_sizes(&self) -> LatentSizes;

    /// Whether the components fit each other and text encoders of these widths, in the order of
    /// [`VideoModel::encoders`].
    ///
    /// # Errors
    /// If two configs contradict each other.
    fn check(&self, text_widths: &[usize]) -> Result<(), Mismatch>;

    /// Channels beside the latents that tell of the picture a video starts from; 0 for a model that takes none.
    fn condition_channels(&self) -> usize {
        0
    }

    /// The weights of the expert at `expert` of [`VideoModel::experts`].
    fn transformer_weights(&self, expert: usize) -> &Checkpoint;

    /// The weights of the autoencoder.
    fn vae_weights(&self) -> &Checkpoint;

    /// Takes the weights of the expert at `expert` of [`VideoModel::experts`].
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    fn load_transformer(&self, expert: usize) -> Result<Box<dyn DenoisingTransformer>, LoadError>;

    /// Takes the decoder's weights.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    fn load_decoder(&self) -> Result<Box<dyn LatentDecoder>, LoadError>;

    /// The weights of a tiny decoder, if the model came with one.
    fn tiny_weights(&self) -> Option<&Checkpoint> {
        None
    }

    /// Takes the weights of the tiny decoder, if the model came with one.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    fn load_tiny_decoder(&self, detail: TinyDetail) -> Result<Option<Box<dyn LatentDecoder>>, LoadError> {
        let _ = detail;
        Ok(None)
    }

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

/// Which videos a model was made for. Others come out worse: repeated strips, mush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeFor {
    /// Frames of the published size alone.
    PublishedSize,
    /// Frames of any shape whose pixels are within this range.
    Pixels {
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
    },
}

/// One of the denoising networks that take turns along a schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expert {
    /// The component of the folder: its config and weights.
    pub component: &'static str,
    /// The lowest timestep that it serves, 0 to 1000; later steps belong to the next expert.
    pub down_to: f64,
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
