//! What a video should be: a request, and the settings that it becomes for a model.
use super::{EngineError, Model, Notice, sizes};
use crate::{
    diffusion::{NoiseSource, SchedulerKind},
    picture::Fit,
    video::Frame,
};
use model_loader::config::GenerationConfig;

/// What is asked for. Whatever is left out comes from the model's folder (`generation.json`), or else is what its family
/// publishes.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What to show.
    pub prompt: String,
    /// What not to show.
    pub negative_prompt: Option<String>,
    /// Columns of a frame; a multiple of the model's step (16 for Wan).
    pub width: Option<usize>,
    /// Rows of a frame.
    pub height: Option<usize>,
    /// Frames; rounded to what the model makes, a multiple of its step plus one.
    pub num_frames: Option<usize>,
    /// Frames per second.
    pub fps: Option<f64>,
    /// Denoising steps, 1 to 1000.
    pub num_inference_steps: Option<usize>,
    /// Guidance scale; 1 and below is off.
    pub guidance_scale: Option<f64>,
    /// Whether the guidance scale changes from step to step as in CogVideoX's dynamic guidance.
    pub dynamic_guidance: Option<bool>,
    /// The picture that the video starts from, of any size: for models that take one.
    pub image: Option<Frame>,
    /// How the picture becomes as large as the video.
    pub image_fit: Fit,
    /// What the noise is made from.
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
}

impl Request {
    /// A video of a prompt, with everything else as the model has it.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), ..Self::default() }
    }
}

/// Everything that decides a video, complete and checked. [`Model::resolve`] makes it from a [`Request`], where each field
/// is described.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are those of `Request`")]
pub struct Settings {
    pub prompt: String,
    pub negative_prompt: String,
    pub width: usize,
    pub height: usize,
    pub num_frames: usize,
    pub fps: f64,
    pub num_inference_steps: usize,
    pub guidance_scale: f32,
    pub dynamic_guidance: bool,
    pub image: Option<Frame>,
    pub image_fit: Fit,
    pub seed: u64,
    pub noise: NoiseSource,
    pub scheduler: Option<SchedulerKind>,
    pub flow_shift: Option<f64>,
    pub initial_latents: Option<Vec<f32>>,
    pub recorded_noise: RecordedNoise,
}

/// Noise from elsewhere, to repeat a run that drew it in another way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordedNoise {
    /// For the picture's latents, `[C, H, W]`.
    pub image: Option<Vec<f32>>,
    /// For each step of a stochastic noise scheduler, laid out as the initial latents; empty to draw it.
    pub steps: Vec<Vec<f32>>,
}

impl Model {
    /// Completes a request by what the folder and the family say, and checks it. The notices tell what was rounded, and
    /// what will have no effect or a bad one.
    ///
    /// # Errors
    /// If a number that is asked for is out of range.
    pub fn resolve(&self, request: &Request) -> Result<(Settings, Vec<Notice>), EngineError> {
        let (folder, published) = (self.generation(), self.published());
        let mut notices: Vec<Notice> = self.notices().collect();
        let frames = request.num_frames.or(folder.num_frames).unwrap_or(published.num_frames);
        let num_frames = sizes::frames(frames, self.frame_step())?;
        if num_frames != frames {
            notices.push(Notice::FramesRounded { asked: frames, made: num_frames, step: self.frame_step() });
        }
        let side = |what, asked: Option<usize>, own: Option<usize>, published| {
            sizes::side(what, asked.or(own).unwrap_or(published), self.side_step())
        };
        let steps = request.num_inference_steps.or(folder.num_inference_steps);
        let guidance = request.guidance_scale.or(folder.guidance_scale).unwrap_or(published.guidance_scale);
        let settings = Settings {
            prompt: request.prompt.clone(),
            negative_prompt: negative_prompt(request, folder),
            width: side("width", request.width, folder.width, published.width)?,
            height: side("height", request.height, folder.height, published.height)?,
            num_frames,
            fps: sizes::fps(request.fps.or(folder.fps).unwrap_or(published.fps))?,
            num_inference_steps: sizes::steps(steps.unwrap_or(published.num_inference_steps))?,
            guidance_scale: sizes::guidance(guidance)?,
            dynamic_guidance: request.dynamic_guidance.or(folder.dynamic_guidance).unwrap_or(false),
            image: request.image.clone(),
            image_fit: request.image_fit,
            seed: request.seed,
            noise: request.noise,
            scheduler: request.scheduler,
            flow_shift: request.flow_shift.or(folder.flow_shift),
            initial_latents: request.initial_latents.clone(),
            recorded_noise: request.recorded_noise.clone(),
        };
        notices.extend(self.poor_size(&settings));
        notices.extend(unused_negative(request, &settings));
        notices.extend(stretched(&settings));
        Ok((settings, notices))
    }
}

fn negative_prompt(request: &Request, folder: &GenerationConfig) -> String {
    request.negative_prompt.clone().or_else(|| folder.negative_prompt.clone()).unwrap_or_default()
}

/// Said of a negative prompt that no guidance pass reads.
fn unused_negative(request: &Request, settings: &Settings) -> Option<Notice> {
    let is_given = request.negative_prompt.as_ref().is_some_and(|text| !text.is_empty());
    (is_given && settings.guidance_scale <= 1.0).then_some(Notice::NegativePromptUnused)
}

/// Said of a picture whose shape changes visibly.
fn stretched(settings: &Settings) -> Option<Notice> {
    let image = settings.image.as_ref().filter(|_| settings.image_fit == Fit::Stretch)?;
    let change =
        (f64::from(image.width) * settings.height as f64) / (f64::from(image.height) * settings.width as f64);
    let is_visible = !(0.97..=1.03).contains(&change);
    is_visible.then_some(Notice::PictureStretched {
        from: [image.width as usize, image.height as usize],
        to: [settings.width, settings.height],
    })
}
