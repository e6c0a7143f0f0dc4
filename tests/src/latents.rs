//! Latents as transformers leave them, from those that the reference's decoders get: decoders scale the former to the latter.
use model_loader::config::{CogVideoXVaeConfig, WanVaeConfig};

/// Each value times the scaling factor.
pub fn scaled_cogvideox(latents: &[f32], config: &CogVideoXVaeConfig) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
    let factor = config.scaling_factor as f32;
    latents.iter().map(|value| value * factor).collect()
}

/// Of `[C, ..]`: less the channel's mean, divided by its standard deviation.
pub fn scaled_wan(latents: &[f32], config: &WanVaeConfig) -> Vec<f32> {
    let plane = latents.len() / config.z_dim;
    let channel = |i: usize| (config.latents_mean[i / plane], config.latents_std[i / plane]);
    let scaled = |(i, value): (usize, &f32)| (value - channel(i).0) / channel(i).1;
    latents.iter().enumerate().map(scaled).collect()
}
