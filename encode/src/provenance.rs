//! Where a video comes from: the settings that are written into its file.

use crate::{Rate, VideoInfo};
use engine::diffusion::NoiseSource;
use engine::{Fit, Settings, VideoPipeline};
use serde::Serialize;
use serde_json::Value;

/// Everything that decides how a video looks, in the order in which it is written and shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provenance {
    /// The version of this program; the key is the mark of our settings, [`crate::metadata::MARK`].
    pub kinora: &'static str,
    /// What the video should show.
    pub prompt: String,
    /// What it should not.
    pub negative_prompt: String,
    /// The model folder as it was given.
    pub model: String,
    /// The file that stood in place of the model's transformer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transformer: Option<String>,
    /// The same of its text encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_encoder: Option<String>,
    /// The same of its decoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vae: Option<String>,
    /// The tiny decoder that made the frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiny_vae: Option<String>,
    /// `tiny`; not written for the full decoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder: Option<&'static str>,
    /// The file that stood in place of the tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// LoRAs with their weights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<String>,
    /// The number that the noise grew from.
    pub seed: u64,
    /// `philox` or `torch`.
    pub noise: &'static str,
    /// The file that latents and noise were taken from instead, as far as it has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_latents: Option<String>,
    /// Columns of a frame as generated.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames.
    pub frames: u32,
    /// Frames per second; see [`rate_value`].
    pub fps: Value,
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f32,
    /// Whether it changes from step to step; written only if so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dynamic_guidance: bool,
    /// The name of the picture that the video starts from, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How the picture became as large as the video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_fit: Option<&'static str>,
    /// The noise scheduler.
    pub scheduler: String,
    /// Arithmetic of activations.
    pub precision: String,
    /// Bytes that a stage might take, which decides whether frames are decoded in tiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Whether small frames were left small; written only if so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub native_size: bool,
    /// The device that computed.
    pub device: String,
}

impl Provenance {
    /// What a pipeline makes of these settings, from the model called `model`. Files in place of the model's parts, the
    /// picture and what else only the caller knows are the caller's to fill in; `image_fit` counts with a picture alone.
    pub fn new(model: String, settings: &Settings, pipeline: &VideoPipeline) -> Self {
        Self {
            kinora: env!("CARGO_PKG_VERSION"),
            prompt: settings.prompt.clone(),
            negative_prompt: settings.negative_prompt.clone(),
            model,
            transformer: None,
            text_encoder: None,
            vae: None,
            tiny_vae: None,
            decoder: None,
            tokenizer: None,
            loras: Vec::new(),
            seed: settings.seed,
            noise: match settings.noise {
                NoiseSource::TorchCpu => "torch",
                NoiseSource::Philox => "philox",
            },
            initial_latents: None,
            width: whole(settings.width),
            height: whole(settings.height),
            frames: whole(settings.num_frames),
            fps: rate_value(Rate::from_fps(settings.fps)),
            steps: settings.num_inference_steps,
            guidance: settings.guidance_scale,
            dynamic_guidance: settings.dynamic_guidance,
            image: None,
            image_fit: settings.image.as_ref().map(|_| match settings.image_fit {
                Fit::Stretch => "stretch",
                Fit::Crop => "crop",
            }),
            scheduler: settings.scheduler.unwrap_or(pipeline.model().scheduler_kind()).name().to_owned(),
            precision: pipeline.precision().to_string(),
            memory: None,
            native_size: false,
            device: pipeline.device_name().to_owned(),
        }
    }

    /// Keywords and texts for a file's header.
    pub fn metadata(&self) -> Vec<(String, String)> {
        let comment = serde_json::to_string(self).unwrap_or_default();
        vec![
            ("Title".into(), self.prompt.clone()),
            ("Software".into(), format!("kinora {}", self.kinora)),
            ("Comment".into(), comment),
        ]
    }
}

impl VideoInfo {
    /// A video of these settings, not enlarged.
    pub fn new(settings: &Settings, provenance: &Provenance) -> Self {
        Self {
            width: whole(settings.width),
            height: whole(settings.height),
            rate: Rate::from_fps(settings.fps),
            frames: whole(settings.num_frames),
            metadata: provenance.metadata(),
        }
    }
}

/// A checked size or length.
fn whole(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A rate for the file: a number where it is whole, else the exact fraction.
pub fn rate_value(rate: Rate) -> Value {
    if rate.denominator == 1 { Value::from(rate.numerator) } else { Value::from(rate.to_string()) }
}
