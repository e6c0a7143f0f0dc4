//! Wan 2.1 text-to-video: UMT5 encoder, `WanTransformer3DModel`, `AutoencoderKLWan` (2.1 and 2.2 kinds).
mod block;
mod model;
mod rope;
mod text_encoder;
mod transformer;
mod vae;

pub use model::WanModel;
pub use rope::rope_tables;
pub use text_encoder::{TextEncoder, relative_buckets};
pub use transformer::WanTransformer;
pub use vae::{DecoderMemory, EncoderMemory, WanVaeDecoder, WanVaeEncoder};
