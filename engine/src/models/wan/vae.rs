//! `AutoencoderKLWan`, 2.1 and 2.2 kinds: causal in time, so it runs chunk by chunk with exact results.
mod decoder;
mod encoder;
mod middle;
mod resample;

pub use decoder::{DecoderMemory, WanVaeDecoder};
pub use encoder::{EncoderMemory, WanVaeEncoder};

use model_loader::config::WanVaeConfig;

/// Channels of a picture.
const RGB: usize = 3;

/// Pixels along the edge of a patch that is folded into channels.
fn patch(config: &WanVaeConfig) -> usize {
    config.patch_size.unwrap_or(1)
}
