//! What a video should be.
use crate::{
    diffusion::{NoiseSource, SchedulerKind},
    picture::Fit,
    video::Frame,
};

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
    /// Whether the guidance scale changes from step to step as CogVideoX's dynamic guidance has it.
    pub dynamic_guidance: bool,
    /// The picture that the video starts from, of any size: for models that take one.
    pub image: Option<Frame>,
    /// How the picture becomes as large as the video.
    pub image_fit: Fit,
    /// What the noise grows from.
    pub seed: u64,
    /// Which generator the seed feeds.
    pub noise: NoiseSource,
    /// Another noise scheduler than the model's.
    pub scheduler: Option<SchedulerKind>,
    /// Another flow shift than the scheduler's.
    pub flow_shift: Option<f64>,
    /// Latents to start from instead of noise, `[C, F, H, W]`, or `[F, C, H, W]` where the family has frames first.
    pub initial_latents: Option<Vec<f32>>,
    /// Noise to take instead of drawing it.
    pub recorded_noise: RecordedNoise,
    /// Bytes that a stage may take on the device, weights included. Frames that would take more are decoded in tiles.
    pub memory: Option<u64>,
    /// Whether intermediate tensors are reported as [`super::Event::Tensor`].
    pub dump: bool,
    /// Whether launches are timed and reported as [`super::Event::Timing`].
    pub trace: bool,
}

/// Noise from elsewhere, to repeat a run that drew it in another way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordedNoise {
    /// For the picture's latents, `[C, H, W]`.
    pub image: Option<Vec<f32>>,
    /// For each step of a stochastic noise scheduler, laid out as the initial latents; empty to draw it.
    pub steps: Vec<Vec<f32>>,
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
            dynamic_guidance: false,
            image: None,
            image_fit: Fit::default(),
            seed: 0,
            noise: NoiseSource::default(),
            scheduler: None,
            flow_shift: None,
            initial_latents: None,
            recorded_noise: RecordedNoise::default(),
            memory: None,
            dump: false,
            trace: false,
        }
    }
}
