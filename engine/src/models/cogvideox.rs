//! CogVideoX, kinds 2B, 5B and 1.5, text-to-video and image-to-video: `CogVideoXTransformer3DModel` and
//! `AutoencoderKLCogVideoX`.
mod block;
mod model;
mod picture;
mod positions;
mod time;
mod tokens;
mod transformer;
mod vae;

pub use model::CogVideoXModel;
pub use picture::CogVideoXPictureEncoder;
pub use transformer::CogVideoXTransformer;
pub use vae::{CogVideoXVaeDecoder, CogVideoXVaeEncoder};
