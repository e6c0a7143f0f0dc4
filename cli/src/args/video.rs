//! The flags that decide a video, and the request that they make.

use crate::error::Result;
use crate::picture;
use crate::tensors::{initial_latents, recorded_noise};
use clap::{Args, ValueEnum};
use encode::frames_per_second;
use engine::Fit;
use engine::diffusion::{NoiseSource, SchedulerKind};
use engine::pipeline::Request;
use std::path::PathBuf;

/// What decides a video.
#[derive(Clone, Debug, Args)]
pub(crate) struct VideoArgs {
    /// What the video should show
    pub(crate) prompt: String,

    /// Picture to start from, for image-to-video models: PNG, JPEG or WebP, of any size
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) image: Option<PathBuf>,

    /// How a picture of another shape is fitted to the video
    #[arg(long, value_enum, default_value = "stretch", value_name = "HOW", help_heading = "Video")]
    pub(crate) image_fit: FitArg,

    /// Width of a frame, a multiple of 16 [default: the model's]
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, help_heading = "Video")]
    pub(crate) width: Option<u32>,

    /// Height of a frame, a multiple of 16 [default: the model's]
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, help_heading = "Video")]
    pub(crate) height: Option<u32>,

    /// Number of frames; rounded to one that the model makes, such as 4k + 1 [default: the model's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Video")]
    pub(crate) frames: Option<u32>,

    /// Frames per second: a number, or a fraction such as 24000/1001 [default: the model's]
    #[arg(long, value_name = "RATE", value_parser = frames_per_second, allow_negative_numbers = true, help_heading = "Video")]
    pub(crate) fps: Option<f64>,

    /// Denoising steps [default: the model's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Sampling")]
    pub(crate) steps: Option<u32>,

    /// How strongly the video follows the prompt; 1 or less turns guidance off [default: the model's]
    #[arg(long, value_name = "SCALE", allow_negative_numbers = true, help_heading = "Sampling")]
    pub(crate) guidance: Option<f64>,

    /// Change the guidance scale from step to step, as the published settings of CogVideoX 5B do
    #[arg(long, help_heading = "Sampling")]
    pub(crate) dynamic_guidance: bool,

    /// Seed of the noise: the same seed and settings make the same video [default: a new one each time]
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true, help_heading = "Sampling")]
    pub(crate) seed: Option<u64>,

    /// What the video should not show; has no effect without guidance
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(crate) negative: Option<String>,

    /// Noise scheduler [default: the model's]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Sampling")]
    pub(crate) scheduler: Option<SchedulerArg>,

    /// Draw the noise as PyTorch does on a CPU, so that a seed gives the same noise as in diffusers
    #[arg(long, help_heading = "Sampling")]
    pub(crate) torch_noise: bool,

    /// Start from the tensor `latents.init` of this file instead of noise from the seed, and take the noise of the
    /// steps (`sched.stepN.noise`) and of the picture (`img.noise`) from it too where it has them
    #[arg(long, value_name = "FILE.safetensors", allow_hyphen_values = true, help_heading = "Sampling")]
    pub(crate) initial_latents: Option<PathBuf>,
}

impl VideoArgs {
    /// The flags as the engine takes them; pictures and latents are read.
    pub(crate) fn request(&self, seed: u64) -> Result<Request> {
        let count = |number: u32| number as usize;
        let latents = self.initial_latents.as_deref();
        Ok(Request {
            prompt: self.prompt.clone(),
            negative_prompt: self.negative.clone(),
            width: self.width.map(count),
            height: self.height.map(count),
            num_frames: self.frames.map(count),
            fps: self.fps,
            num_inference_steps: self.steps.map(count),
            guidance_scale: self.guidance,
            dynamic_guidance: self.dynamic_guidance.then_some(true),
            image: self.image.as_deref().map(picture::open).transpose()?,
            image_fit: self.image_fit.into(),
            seed,
            noise: if self.torch_noise { NoiseSource::TorchCpu } else { NoiseSource::Philox },
            scheduler: self.scheduler.map(SchedulerKind::from),
            flow_shift: None,
            initial_latents: latents.map(initial_latents).transpose()?,
            recorded_noise: latents.map(recorded_noise).transpose()?.unwrap_or_default(),
        })
    }
}

/// How a picture of another shape becomes one of the video's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FitArg {
    /// Scale both sides by themselves, as diffusers does
    Stretch,
    /// Scale to cover the video and cut what stands over
    Crop,
}

/// Noise schedulers by their short names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchedulerArg {
    /// First order, for flow-matching models
    Euler,
    /// UniPC, second order, for flow-matching models
    Unipc,
    /// First order, for v-prediction models
    Ddim,
    /// DPM-Solver++, second order with fresh noise in every step, for v-prediction models
    Dpm,
}

impl From<FitArg> for Fit {
    fn from(fit: FitArg) -> Self {
        match fit {
            FitArg::Stretch => Self::Stretch,
            FitArg::Crop => Self::Crop,
        }
    }
}

impl From<SchedulerArg> for SchedulerKind {
    fn from(scheduler: SchedulerArg) -> Self {
        match scheduler {
            SchedulerArg::Euler => Self::FlowMatchEuler,
            SchedulerArg::Unipc => Self::UniPc,
            SchedulerArg::Ddim => Self::Ddim,
            SchedulerArg::Dpm => Self::Dpm,
        }
    }
}

/// A seed; the way out is in the words of who asks for a random one by -1 elsewhere.
fn seed(text: &str) -> std::result::Result<u64, String> {
    text.parse().map_err(|_| {
        format!("expected a whole number from 0 to {}; leave `--seed` out for a new one each time", u64::MAX)
    })
}
