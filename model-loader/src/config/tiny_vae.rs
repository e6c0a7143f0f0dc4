//! `tiny_vae/config.json`: the small decoder that stands in for an autoencoder's own (TAEHV). Its files have no config: what stands
//! here is read off their shapes.

use crate::config::{Fields, limits};
use crate::{ModelFolder, Result};

/// The numbers of a tiny decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TinyVaeConfig {
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Pixels along the edge of a patch that is folded into channels.
    pub patch_size: usize,
    /// Width of each of the three stages, and of what they end in.
    pub widths: [usize; 4],
    /// Frames that one becomes in each stage.
    pub time_factors: [usize; 3],
}

impl TinyVaeConfig {
    /// The component's name.
    pub const COMPONENT: &'static str = "tiny_vae";

    /// Reads and checks the config, if the folder has such a component.
    ///
    /// # Errors
    /// When it is damaged, or asks for something that is not supported.
    pub fn load_optional(folder: &ModelFolder) -> Result<Option<Self>> {
        let path = format!("{}/config.json", Self::COMPONENT);
        if folder.read_optional(&path)?.is_none() {
            return Ok(None);
        }
        Self::take(Fields::load(folder, &path)?).map(Some)
    }

    fn take(mut fields: Fields) -> Result<Self> {
        const CLASS: &str = "TAEHV";
        fields.only("_class_name", CLASS, CLASS)?;
        fields.refuse_quantised()?;
        let widths: Vec<usize> = fields.required("block_out_channels")?;
        let bad = widths.iter().any(|width| !(1..=limits::COUNT).contains(width));
        let widths = match <[usize; 4]>::try_from(widths.as_slice()) {
            Ok(widths) if !bad => widths,
            _ => {
                let expected = format!("four numbers of 1 to {}", limits::COUNT);
                return Err(fields.bad("block_out_channels", &widths.into(), &expected));
            }
        };
        let time_factors: [usize; 3] = fields.required("temporal_upscale")?;
        if time_factors.iter().any(|factor| !(1..=2).contains(factor)) {
            let value = time_factors.to_vec().into();
            return Err(fields.bad("temporal_upscale", &value, "three numbers of 1 or 2"));
        }
        let config = Self {
            latent_channels: fields.size_or("latent_channels", 16, limits::COUNT)?,
            patch_size: fields.size_or("patch_size", 1, 16)?,
            widths,
            time_factors,
        };
        fields.ignore_rest(CLASS, &[]);
        Ok(config)
    }

    /// Frames that a latent frame becomes.
    #[must_use]
    pub fn scale_factor_temporal(&self) -> usize {
        self.time_factors.iter().product()
    }

    /// Pixels along the edge of a latent position: each stage doubles, and patches are unfolded.
    #[must_use]
    pub const fn scale_factor_spatial(&self) -> usize {
        8 * self.patch_size
    }
}
