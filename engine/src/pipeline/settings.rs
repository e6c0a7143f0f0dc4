//! What a video should be, and whether a model can make it.
use super::EngineError;
use crate::diffusion::{NoiseSource, SchedulerKind};
use model_loader::config::{WanTransformerConfig, WanVaeConfig};

/// Everything that decides a video.
#[derive(Debug, Clone)]
pub struct GenerationSettings {
    /// What to show.
    pub prompt: String,
    /// What not to show.
    pub negative_prompt: String,
    /// Columns of a frame; a multiple of the model's step (16 for Wan).
    pub width: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Frames, 4k + 1.
    pub num_frames: usize,
    /// Denoising steps, 1 to 1000.
    pub num_inference_steps: usize,
    /// Guidance scale; 1 and below is off.
    pub guidance_scale: f32,
    /// What the noise grows from.
    pub seed: u64,
    /// Which generator the seed feeds.
    pub noise: NoiseSource,
    /// Another noise scheduler than the model's.
    pub scheduler: Option<SchedulerKind>,
    /// Another flow shift than the scheduler's.
    pub flow_shift: Option<f64>,
    /// Latents to start from instead of noise, `[C, F, H, W]`.
    pub initial_latents: Option<Vec<f32>>,
    /// Whether intermediate tensors are reported as [`super::Event::Tensor`].
    pub dump: bool,
    /// Whether launches are timed and reported as [`super::Event::Timing`].
    pub trace: bool,
}

/// What the plans of a run need, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlannedMemory {
    /// Constants of the largest stage.
    pub weights: u64,
    /// Slots and states of the largest stage.
    pub working: u64,
}

impl PlannedMemory {
    pub(super) fn include(&mut self, weights: u64, working: u64) {
        self.weights = self.weights.max(weights);
        self.working = self.working.max(working);
    }
}

impl GenerationSettings {
    /// Settings of a size with everything else at its simplest: no negative prompt, seed 0, no reports.
    pub fn new(prompt: &str, width: usize, height: usize, num_frames: usize) -> Self {
        Self {
            prompt: prompt.to_owned(),
            negative_prompt: String::new(),
            width,
            height,
            num_frames,
            num_inference_steps: 50,
            guidance_scale: 5.0,
            seed: 0,
            noise: NoiseSource::default(),
            scheduler: None,
            flow_shift: None,
            initial_latents: None,
            dump: false,
            trace: false,
        }
    }

    /// The latents' shape `[C, F, H, W]`.
    ///
    /// # Errors
    /// If a size does not fit the model.
    pub fn latent_shape(
        &self,
        transformer: &WanTransformerConfig,
        vae: &WanVaeConfig,
    ) -> Result<[usize; 4], EngineError> {
        let side = |what, pixels: usize, patch: usize| {
            let step = vae.scale_factor_spatial * patch;
            if pixels == 0 || !pixels.is_multiple_of(step) {
                let expected = format!("must be a multiple of {step}");
                return Err(EngineError::Setting { what, got: pixels.to_string(), expected });
            }
            Ok(pixels / vae.scale_factor_spatial)
        };
        let temporal = vae.scale_factor_temporal;
        if self.num_frames == 0 || !(self.num_frames - 1).is_multiple_of(temporal) {
            return Err(EngineError::Setting {
                what: "the number of frames",
                got: self.num_frames.to_string(),
                expected: format!("must be a multiple of {temporal} plus one"),
            });
        }
        let [pt, ph, pw] = transformer.patch_size;
        let frames = (self.num_frames - 1) / temporal + 1;
        if !frames.is_multiple_of(pt) {
            return Err(EngineError::Setting {
                what: "the number of latent frames",
                got: frames.to_string(),
                expected: format!("must be a multiple of {pt}"),
            });
        }
        let shape =
            [vae.z_dim, frames, side("the height", self.height, ph)?, side("the width", self.width, pw)?];
        let fits = shape
            .iter()
            .try_fold(1_usize, |product, n| product.checked_mul(*n))
            .is_some_and(|elements| u32::try_from(elements).is_ok());
        if !fits {
            return Err(EngineError::Setting {
                what: "the size of the video",
                got: format!("{}x{}x{}", self.width, self.height, self.num_frames),
                expected: "is too large to be indexed".to_owned(),
            });
        }
        if let Some(latents) = &self.initial_latents
            && latents.len() != shape.iter().product::<usize>()
        {
            return Err(EngineError::Setting {
                what: "the number of initial latents",
                got: latents.len().to_string(),
                expected: format!("must be that of {shape:?}"),
            });
        }
        Ok(shape)
    }
}
