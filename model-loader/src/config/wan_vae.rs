//! `vae/config.json` of Wan: the causal video autoencoder.

use serde_json::Value;

use crate::config::{Fields, limits};
use crate::{ModelFolder, Result};

/// The numbers of an `AutoencoderKLWan`. Absent keys have the defaults of diffusers.
#[derive(Clone, Debug, PartialEq)]
pub struct WanVaeConfig {
    /// Width of the first stage of the encoder.
    pub base_dim: usize,
    /// Width of the last stage of the decoder, when it is not `base_dim`.
    pub decoder_base_dim: Option<usize>,
    /// Channels of the latents.
    pub z_dim: usize,
    /// Width of each stage, as a multiple of the base.
    pub dim_mult: Vec<usize>,
    /// Residual blocks of an encoder stage; a decoder stage has one more.
    pub num_res_blocks: usize,
    /// Scales with attention. Always empty: others are refused.
    pub attn_scales: Vec<f64>,
    /// Which of the encoder's downsamplings halve time as well (spelt as in the file).
    pub temperal_downsample: Vec<bool>,
    /// What is added to each channel of the latents before decoding.
    pub latents_mean: Vec<f32>,
    /// What each channel is multiplied by before that.
    pub latents_std: Vec<f32>,
    /// Whether the stages have shortcuts around them (Wan 2.2).
    pub is_residual: bool,
    /// Channels that the first convolution takes.
    pub in_channels: usize,
    /// Channels that the last convolution makes.
    pub out_channels: usize,
    /// Pixels along the edge of a patch that is folded into channels.
    pub patch_size: Option<usize>,
    /// Frames for each latent frame but the first.
    pub scale_factor_temporal: usize,
    /// Pixels along the edge of a latent position.
    pub scale_factor_spatial: usize,
}

const MEAN: [f64; 16] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632,
    -0.1922, -0.9497, 0.2503, -0.2921,
];
const STD: [f64; 16] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382,
    1.1253, 2.8251, 1.9160,
];

/// Channels of a picture.
const RGB: usize = 3;

impl WanVaeConfig {
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
    /// As [`WanVaeConfig::load`].
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        Self::take(Fields::parse(file, json)?)
    }

    fn take(mut fields: Fields) -> Result<Self> {
        const CLASS: &str = "AutoencoderKLWan";
        fields.only("_class_name", CLASS, CLASS)?;
        fields.refuse_quantised()?;
        let attn_scales: Vec<f64> = fields.or("attn_scales", Vec::new())?;
        if !attn_scales.is_empty() {
            return Err(fields.unsupported("attn_scales", attn_scales, "[]"));
        }
        let config = Self {
            base_dim: fields.size_or("base_dim", 96, limits::COUNT)?,
            decoder_base_dim: fields.optional_size("decoder_base_dim", limits::COUNT)?,
            z_dim: fields.size_or("z_dim", 16, limits::COUNT)?,
            dim_mult: fields.or("dim_mult", vec![1, 2, 4, 4])?,
            num_res_blocks: fields.size_or("num_res_blocks", 2, 64)?,
            attn_scales,
            temperal_downsample: fields.or("temperal_downsample", vec![false, true, true])?,
            latents_mean: fields.floats_or("latents_mean", &MEAN)?,
            latents_std: fields.floats_or("latents_std", &STD)?,
            is_residual: fields.or("is_residual", false)?,
            in_channels: fields.size_or("in_channels", RGB, limits::COUNT)?,
            out_channels: fields.size_or("out_channels", RGB, limits::COUNT)?,
            patch_size: fields.optional_size("patch_size", 16)?,
            scale_factor_temporal: fields.size_or("scale_factor_temporal", 4, limits::COUNT)?,
            scale_factor_spatial: fields.size_or("scale_factor_spatial", 8, limits::COUNT)?,
        };
        config.check_stages(&fields)?;
        config.check_latents(&fields)?;
        config.check_pixels(&fields)?;
        fields.ignore_rest(CLASS, &["dropout"]);
        Ok(config)
    }

    fn check_stages(&self, fields: &Fields) -> Result<()> {
        let stages = self.dim_mult.len();
        let sound = (1..=8).contains(&stages) && self.dim_mult.iter().all(|mult| (1..=64).contains(mult));
        if !sound {
            let value = self.dim_mult.clone().into();
            return Err(fields.bad("dim_mult", &value, "one to eight factors of 1 to 64"));
        }
        if self.temperal_downsample.len() + 1 != stages {
            let value = self.temperal_downsample.clone().into();
            let expected = format!("{} values, one fewer than dim_mult has", stages - 1);
            return Err(fields.bad("temperal_downsample", &value, &expected));
        }
        // Without shortcuts each decoder stage but the last halves its width.
        let base = self.decoder_base_dim.unwrap_or(self.base_dim);
        if !self.is_residual && self.dim_mult[1..].iter().any(|mult| !(mult * base).is_multiple_of(2)) {
            let key = if self.decoder_base_dim.is_some() { "decoder_base_dim" } else { "base_dim" };
            return Err(fields.bad(key, &base.into(), "a number that makes the stages' widths even"));
        }
        Ok(())
    }

    fn check_latents(&self, fields: &Fields) -> Result<()> {
        for (key, values) in [("latents_mean", &self.latents_mean), ("latents_std", &self.latents_std)] {
            if values.len() != self.z_dim {
                let expected = format!("{} numbers, as many as z_dim says", self.z_dim);
                return Err(fields.bad(key, &Value::from(values.clone()), &expected));
            }
        }
        if !self.latents_std.iter().all(|&std| std > 0.0) {
            let value = Value::from(self.latents_std.clone());
            return Err(fields.bad("latents_std", &value, "numbers greater than 0"));
        }
        Ok(())
    }

    fn check_pixels(&self, fields: &Fields) -> Result<()> {
        let patch = self.patch_size.unwrap_or(1);
        let channels = RGB * patch * patch;
        for (key, value) in [("in_channels", self.in_channels), ("out_channels", self.out_channels)] {
            if value != channels {
                let supported = format!("{channels}, RGB in patches of {patch} x {patch}");
                return Err(fields.unsupported(key, value, &supported));
            }
        }
        let halvings = |steps: usize| 1usize << steps;
        let temporal = halvings(self.temperal_downsample.iter().filter(|&&halves| halves).count());
        let spatial = halvings(self.temperal_downsample.len()) * patch;
        for (key, value, implied) in [
            ("scale_factor_temporal", self.scale_factor_temporal, temporal),
            ("scale_factor_spatial", self.scale_factor_spatial, spatial),
        ] {
            if value != implied {
                return Err(fields.bad(
                    key,
                    &value.into(),
                    &format!("{implied}, as the stages and patches imply"),
                ));
            }
        }
        Ok(())
    }
}
