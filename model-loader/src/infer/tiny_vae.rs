//! The config of a tiny decoder from its shapes.

use serde_json::{Value, json};

use super::{Config, extent, object};
use crate::Checkpoint;

/// Channels of a picture.
const RGB: usize = 3;

/// Stages end with a layer that makes frames of channels, and a convolution to the next width.
const GROW: [&str; 3] = ["decoder.7.conv.weight", "decoder.13.conv.weight", "decoder.19.conv.weight"];
const NEXT: [&str; 3] = ["decoder.8.weight", "decoder.14.weight", "decoder.20.weight"];

pub(super) fn config(weights: &Checkpoint) -> Option<Config> {
    let first = "decoder.1.weight";
    let mut widths = vec![extent(weights, first, 0)?];
    let mut time = Vec::new();
    for (grow, next) in GROW.into_iter().zip(NEXT) {
        time.push(extent(weights, grow, 0)? / extent(weights, grow, 1)?.max(1));
        widths.push(extent(weights, next, 0)?);
    }
    let pixels = extent(weights, "decoder.22.weight", 0)? / RGB;
    Some(object(json!({
        "_class_name": "TAEHV",
        "latent_channels": extent(weights, first, 1)?,
        "patch_size": pixels.isqrt(),
        "block_out_channels": widths,
        "temporal_upscale": Value::from(time),
    })))
}
