//! `generation.json`: the settings that a model was made for. A model folder may do without it.

use crate::config::{Fields, limits};
use crate::{ModelFolder, Result};

const FILE: &str = "generation.json";

/// Default settings of a model; each may be absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationConfig {
    /// Rows of a frame.
    pub height: Option<usize>,
    /// Columns of a frame.
    pub width: Option<usize>,
    /// Frames of the video.
    pub num_frames: Option<usize>,
    /// Frames per second.
    pub fps: Option<f64>,
    /// Denoising steps.
    pub num_inference_steps: Option<usize>,
    /// Strength of classifier-free guidance.
    pub guidance_scale: Option<f64>,
    /// Whether that strength changes from step to step.
    pub dynamic_guidance: Option<bool>,
    /// Tokens to which a prompt is padded or cut.
    pub max_sequence_length: Option<usize>,
    /// What the video should not show.
    pub negative_prompt: Option<String>,
    /// Shift of the sigmas, in place of the scheduler's.
    pub flow_shift: Option<f64>,
}

impl GenerationConfig {
    /// Reads and checks `generation.json`; without one, every setting is absent.
    ///
    /// # Errors
    /// When it is damaged or has a setting that is unknown or out of range.
    pub fn load(folder: &ModelFolder) -> Result<Self> {
        folder.read_optional(FILE)?.map_or_else(|| Ok(Self::default()), |json| Self::from_json(FILE, &json))
    }

    /// Checks the settings in `json`; messages call it `file`.
    ///
    /// # Errors
    /// As [`GenerationConfig::load`].
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(file, json)?;
        let config = Self {
            height: fields.optional_size("height", limits::WIDTH)?,
            width: fields.optional_size("width", limits::WIDTH)?,
            num_frames: fields.optional_size("num_frames", limits::WIDTH)?,
            fps: fields.optional("fps")?,
            num_inference_steps: fields.optional_size("num_inference_steps", limits::WIDTH)?,
            guidance_scale: fields.optional("guidance_scale")?,
            dynamic_guidance: fields.optional("dynamic_guidance")?,
            max_sequence_length: fields.optional_size("max_sequence_length", limits::WIDTH)?,
            negative_prompt: fields.optional("negative_prompt")?,
            flow_shift: fields.optional("flow_shift")?,
        };
        for (key, value) in [("fps", config.fps), ("flow_shift", config.flow_shift)] {
            if let Some(value) = value {
                fields.check_positive(key, value)?;
            }
        }
        if let Some(scale) = config.guidance_scale.filter(|scale| !(0.0..=1000.0).contains(scale)) {
            return Err(fields.bad("guidance_scale", &scale.into(), "a number from 0 to 1000"));
        }
        fields.refuse_rest()?;
        Ok(config)
    }
}
