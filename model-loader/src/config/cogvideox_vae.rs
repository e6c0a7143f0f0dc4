//! `vae/config.json` of CogVideoX: the causal video autoencoder with group norms.

use serde_json::Value;

use crate::config::{Fields, limits};
use crate::{ModelFolder, Result};

/// The numbers of an `AutoencoderKLCogVideoX`. Absent keys have the defaults of diffusers.
#[derive(Clone, Debug, PartialEq)]
pub struct CogVideoXVaeConfig {
    /// Width of each stage of the encoder; the decoder has them in reverse order.
    pub block_out_channels: Vec<usize>,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Residual blocks of an encoder stage; a decoder stage has one more.
    pub layers_per_block: usize,
    /// Channel groups of the norms.
    pub norm_num_groups: usize,
    /// Added to the variance by the encoder's residual blocks. All other norms add 1e-6.
    pub norm_eps: f32,
    /// Frames for each latent frame but the first: a power of two, at most one doubling a stage.
    pub temporal_compression_ratio: usize,
    /// Height of the videos that it was made for.
    pub sample_height: usize,
    /// Their width.
    pub sample_width: usize,
    /// What the latents of a video are multiplied by to give those that are denoised.
    pub scaling_factor: f64,
    /// Whether the latents of a first frame are divided by it instead.
    pub invert_scale_latents: bool,
}

/// Channels of a picture.
const RGB: usize = 3;

impl CogVideoXVaeConfig {
    /// Reads and checks `component/config.json`.
    ///
    /// # Errors
    /// When it is absent, damaged, or asks for something that is not supported.
    pub fn load(folder: &ModelFolder, component: &str) -> Result<Self> {
        Self::take(Fields::load(folder, &format!("{component}/config.json"))?)
    }

    /// Checks the config in `json`; messages call it `file`.
    ///
    /// # Errors
    /// As [`CogVideoXVaeConfig::load`].
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        Self::take(Fields::parse(file, json)?)
    }

    /// Pixels along the edge of a latent position.
    pub fn spatial_compression_ratio(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    /// Stages of the encoder, from its first, that halve the number of frames; as many of the decoder's first double it.
    pub fn temporal_stages(&self) -> usize {
        self.temporal_compression_ratio.ilog2() as usize
    }

    fn take(mut fields: Fields) -> Result<Self> {
        const CLASS: &str = "AutoencoderKLCogVideoX";
        fields.only("_class_name", CLASS, CLASS)?;
        fields.refuse_quantised()?;
        fields.only("act_fn", "silu", "silu")?;
        for key in ["in_channels", "out_channels"] {
            fields.only(key, RGB, RGB)?;
        }
        for key in ["shift_factor", "latents_mean", "latents_std", "use_quant_conv", "use_post_quant_conv"] {
            fields.absent(key)?;
        }
        let block_out_channels = fields.or("block_out_channels", vec![128, 256, 256, 512])?;
        check_stages(&fields, &block_out_channels)?;
        for (key, block) in
            [("down_block_types", "CogVideoXDownBlock3D"), ("up_block_types", "CogVideoXUpBlock3D")]
        {
            fields.only(key, vec![block; 4], vec![block; block_out_channels.len()])?;
        }
        let config = Self {
            latent_channels: fields.size_or("latent_channels", 16, limits::COUNT)?,
            layers_per_block: fields.size_or("layers_per_block", 3, 64)?,
            norm_num_groups: fields.size_or("norm_num_groups", 32, limits::COUNT)?,
            norm_eps: fields.epsilon_or("norm_eps", 1e-6)?,
            temporal_compression_ratio: temporal_ratio(&mut fields, block_out_channels.len())?,
            sample_height: fields.size_or("sample_height", 480, limits::LENGTH)?,
            sample_width: fields.size_or("sample_width", 720, limits::LENGTH)?,
            scaling_factor: fields.positive_or("scaling_factor", 1.152_584_26)?,
            invert_scale_latents: fields.or("invert_scale_latents", false)?,
            block_out_channels,
        };
        if config.block_out_channels.iter().any(|width| !width.is_multiple_of(config.norm_num_groups)) {
            let value = config.norm_num_groups.into();
            return Err(fields.bad("norm_num_groups", &value, "a divisor of all block_out_channels"));
        }
        fields.ignore_rest(CLASS, &["force_upcast"]);
        Ok(config)
    }
}

fn check_stages(fields: &Fields, widths: &[usize]) -> Result<()> {
    let sound = (1..=8).contains(&widths.len()) && widths.iter().all(|w| (1..=limits::WIDTH).contains(w));
    if sound {
        return Ok(());
    }
    let value = Value::from(widths.to_vec());
    Err(fields.bad("block_out_channels", &value, &format!("one to eight widths of 1 to {}", limits::WIDTH)))
}

/// The library takes a float here, and the whole part of its binary logarithm.
fn temporal_ratio(fields: &mut Fields, stages: usize) -> Result<usize> {
    const KEY: &str = "temporal_compression_ratio";
    let value: f64 = fields.or(KEY, 4.0)?;
    match (0..stages).map(|halvings| 1_u32 << halvings).find(|ratio| f64::from(*ratio) == value) {
        Some(ratio) => Ok(ratio as usize),
        None => {
            let most = 1 << (stages - 1);
            Err(fields.bad(
                KEY,
                &value.into(),
                &format!("a power of two from 1 to {most}, as the stages allow"),
            ))
        }
    }
}
