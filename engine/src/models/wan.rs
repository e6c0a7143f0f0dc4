//! Wan 2.1 text-to-video: UMT5 encoder, `WanTransformer3DModel`, `AutoencoderKLWan` (2.1 and 2.2 kinds).
mod block;
mod rope;
mod text_encoder;
mod transformer;
mod vae;

pub use rope::RopeTables;
pub use text_encoder::{TextEncoder, relative_buckets};
pub use transformer::{TextContext, WanTransformer};
pub use vae::{DecoderChunk, DecoderMemory, EncoderMemory, WanVaeDecoder, WanVaeEncoder};
