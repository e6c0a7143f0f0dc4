//! The picture that a video starts from, as channels beside the latents.
use super::CogVideoXVaeEncoder;
use crate::{graph::Graph, models::PictureEncoder, nn::ConvMemory, op::OpError};
use model_loader::{Checkpoint, LoadError, config::CogVideoXVaeConfig};

/// Encodes a picture as the one frame of a video, and samples from what the encoder says of its latents.
#[derive(Debug)]
pub struct CogVideoXPictureEncoder {
    encoder: CogVideoXVaeEncoder,
    /// What the sampled latents are multiplied by.
    scale: f64,
}

impl CogVideoXPictureEncoder {
    /// Takes the encoder's weights.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    pub fn load(checkpoint: &Checkpoint, config: &CogVideoXVaeConfig) -> Result<Self, LoadError> {
        let encoder = CogVideoXVaeEncoder::load(checkpoint, config)?;
        let factor = config.scaling_factor;
        let scale = if config.invert_scale_latents { 1.0 / factor } else { factor };
        Ok(Self { encoder, scale })
    }
}

impl PictureEncoder for CogVideoXPictureEncoder {
    fn graph(&self, height: usize, width: usize, memory: &ConvMemory) -> Result<Graph, OpError> {
        self.encoder.chunk_graph(true, [1, height, width], memory)
    }

    fn noise_elements(&self, [channels, _, height, width]: [usize; 4]) -> usize {
        channels * height * width
    }

    /// The first frame is `(mean + exp(log variance / 2) * noise) * scale`, the others are zero. `noise` is `[C, H, W]`.
    fn condition(&self, moments: &[f32], noise: &[f32], latents: [usize; 4]) -> Vec<f32> {
        let [channels, frames, height, width] = latents;
        let positions = height * width;
        let mut condition = vec![0.0; channels * frames * positions];
        for (position, moments) in moments.chunks_exact(2 * channels).enumerate() {
            let (means, log_variances) = moments.split_at(channels);
            for (channel, (mean, log_variance)) in means.iter().zip(log_variances).enumerate() {
                let deviation = (0.5 * f64::from(log_variance.clamp(-30.0, 20.0))).exp();
                let noise = f64::from(noise[channel * positions + position]);
                let sample = (f64::from(*mean) + deviation * noise) * self.scale;
                #[expect(clippy::cast_possible_truncation, reason = "device arithmetic is f32")]
                let sample = sample as f32;
                condition[channel * frames * positions + position] = sample;
            }
        }
        condition
    }
}
