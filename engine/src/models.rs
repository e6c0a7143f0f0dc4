//! The model families: each a folder of small files over shared layers and ops, behind the traits of `family`.
pub mod cogvideox;
mod decoding;
mod family;
mod rope;
pub mod t5;
pub mod wan;

pub use family::{
    DecoderChunk, DecoderOutput, DenoisingTransformer, LatentDecoder, LatentSizes, Mismatch, Padding,
    PictureEncoder, PromptStyle, PublishedSettings, TapLayout, TextContext, VideoModel,
};
pub use rope::RopeTables;
