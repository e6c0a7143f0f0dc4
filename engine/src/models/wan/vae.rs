//! `AutoencoderKLWan`, 2.1 and 2.2 kinds: causal in time, so it runs chunk by chunk with exact results.
mod decoder;
mod encoder;
mod middle;
mod resample;

pub use decoder::WanVaeDecoder;
pub use encoder::WanVaeEncoder;

use crate::nn::{ChannelNorm, ResnetBlock};
use model_loader::{Checkpoint, LoadError, config::WanVaeConfig};

/// Channels of a picture.
const RGB: usize = 3;

/// Pixels along the edge of a patch that is folded into channels.
fn patch(config: &WanVaeConfig) -> usize {
    config.patch_size.unwrap_or(1)
}

/// The residual block `name`, whose norms are over channels.
fn wan_resnet(
    checkpoint: &Checkpoint,
    name: &str,
    input: usize,
    output: usize,
) -> Result<ResnetBlock<ChannelNorm>, LoadError> {
    ResnetBlock::load(checkpoint, name, [input, output], "", |name, channels| {
        ChannelNorm::load(checkpoint, name, channels, 3)
    })
}
