//! The model families: each a folder of small files over shared layers and ops, behind the traits of `family`.
mod family;
pub mod t5;
pub mod wan;

pub use family::{
    DecoderChunk, DecoderSession, DenoisingTransformer, LatentDecoder, LatentSizes, Mismatch, Padding,
    PromptStyle, PublishedSettings, RopeTables, TapLayout, TextContext, VideoModel,
};
