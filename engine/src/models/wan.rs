//! Wan 2.1 text-to-video: `WanTransformer3DModel`, `AutoencoderKLWan` (2.1 and 2.2 kinds).
mod block;
mod model;
mod rope;
mod transformer;
mod vae;

pub use model::WanModel;
pub use rope::rope_tables;
pub use transformer::WanTransformer;
pub use vae::{WanVaeDecoder, WanVaeEncoder};
