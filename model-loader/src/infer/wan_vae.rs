//! The config of a Wan autoencoder from its shapes.

use serde_json::{Value, json};

use super::{Config, extent, object};
use crate::Checkpoint;

/// Mean and deviation of the latents of the 2.2 autoencoder; those of 2.1 are the defaults of its config.
const MEAN_22: [f64; 48] = [
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
];
const STD_22: [f64; 48] = [
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885,
    0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338,
    0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458,
    1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
];

pub(super) fn config(weights: &Checkpoint) -> Option<Config> {
    let is_22 = weights.contains("decoder.up_blocks.0.upsampler.resample.1.weight");
    let z_dim = extent(weights, "post_quant_conv.weight", 0)?;
    let base = extent(weights, "encoder.conv_in.weight", 0)?;
    let last = extent(weights, "decoder.norm_out.gamma", 0)?;
    let levels = Levels::of(weights, is_22)?;
    let mut config = object(json!({
        "_class_name": "AutoencoderKLWan",
        "base_dim": base,
        "z_dim": z_dim,
        "num_res_blocks": levels.resnets,
        "attn_scales": [],
        "dim_mult": levels.widths.iter().map(|width| width / base).collect::<Vec<_>>(),
        "temperal_downsample": levels.halves_time,
        "is_residual": is_22,
    }));
    if last != base {
        config.insert("decoder_base_dim".to_owned(), last.into());
    }
    let channels = extent(weights, "encoder.conv_in.weight", 1)?;
    let patch = if channels == 12 { 2 } else { 1 };
    if patch > 1 {
        let spatial = patch << levels.halves_time.len();
        for (key, value) in [("patch_size", patch), ("in_channels", channels), ("out_channels", channels)] {
            config.insert(key.to_owned(), value.into());
        }
        config.insert("scale_factor_spatial".to_owned(), spatial.into());
    }
    let statistics: Option<(&[f64], &[f64])> = match z_dim {
        16 => None,
        48 => Some((&MEAN_22, &STD_22)),
        // Nothing tells them.
        _ => return None,
    };
    if let Some((mean, std)) = statistics {
        config.insert("latents_mean".to_owned(), Value::from(mean));
        config.insert("latents_std".to_owned(), Value::from(std));
    }
    Some(config)
}

/// What the encoder's list of levels says.
struct Levels {
    resnets: usize,
    widths: Vec<usize>,
    halves_time: Vec<bool>,
}

impl Levels {
    fn of(weights: &Checkpoint, nested: bool) -> Option<Self> {
        if nested { Self::nested(weights) } else { Self::flat(weights) }
    }

    fn nested(weights: &Checkpoint) -> Option<Self> {
        let block =
            |level: usize, place: usize| format!("encoder.down_blocks.{level}.resnets.{place}.conv2.weight");
        let resnets = (0..).take_while(|place| weights.contains(&block(0, *place))).count();
        let widths: Vec<usize> = (0..).map_while(|level| extent(weights, &block(level, 0), 0)).collect();
        let levels = widths.len().checked_sub(1)?;
        let time = |level: usize| format!("encoder.down_blocks.{level}.downsampler.time_conv.weight");
        let halves_time = (0..levels).map(|level| weights.contains(&time(level))).collect();
        Some(Self { resnets, widths, halves_time })
    }

    /// One list of residual blocks and, between levels, downsamplers.
    fn flat(weights: &Checkpoint) -> Option<Self> {
        let at = |place: usize, module: &str| format!("encoder.down_blocks.{place}.{module}.weight");
        let mut levels = Self { resnets: 0, widths: Vec::new(), halves_time: Vec::new() };
        let mut in_level = 0;
        for place in 0.. {
            if let Some(width) = extent(weights, &at(place, "conv2"), 0) {
                if in_level == 0 {
                    levels.widths.push(width);
                }
                in_level += 1;
                levels.resnets = levels.resnets.max(in_level);
            } else if weights.contains(&at(place, "resample.1")) {
                levels.halves_time.push(weights.contains(&at(place, "time_conv")));
                in_level = 0;
            } else {
                break;
            }
        }
        (levels.widths.len() == levels.halves_time.len() + 1).then_some(levels)
    }
}
