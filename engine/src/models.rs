//! The model families: each a folder of small files over shared layers and ops, behind the traits of `model`,
//! `encoder`, `transformer` and `decoder`.
pub mod cogvideox;
mod decoder;
mod encoder;
pub mod encoders;
mod model;
mod rope;
pub mod taehv;
mod transformer;
pub mod wan;

pub use decoder::{DecoderChunk, DecoderOutput, LatentDecoder};
pub use encoder::{EncoderSpec, Padding, PictureEncoder, PromptStyle, TextEncoder, TextEncoderModel};
pub use model::{Expert, LatentSizes, MadeFor, Mismatch, PublishedSettings, VideoModel};
pub use rope::RopeTables;
pub use taehv::TinyDetail;
pub use transformer::{
    Context, ContextInputs, DenoisingTransformer, StepInputs, TapLayout, Times, embeds_name,
};
