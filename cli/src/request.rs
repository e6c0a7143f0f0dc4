//! What `generate` was asked for, complete and checked: the command line over the model's own settings over the
//! family's published ones.

use crate::args::{FitArg, GenerateArgs, SchedulerArg};
use crate::distinct;
use crate::error::{Failure, Result};
use crate::model;
use crate::output::{Target, check_folder};
use crate::picture;
use crate::sizes;
use crate::tensors::{initial_latents, recorded_noise};
use engine::diffusion::{NoiseSource, SchedulerKind};
use engine::picture::Fit;
use engine::pipeline::{GenerationSettings, ModelFacts};
use model_loader::ModelFolder;
use model_loader::config::GenerationConfig;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::Path;

/// A video to be made.
#[derive(Debug)]
pub(crate) struct Request {
    /// Where it goes.
    pub(crate) target: Target,
    /// The model's files.
    pub(crate) folder: ModelFolder,
    /// What the engine is asked for.
    pub(crate) settings: GenerationSettings,
    /// The name of the picture to start from.
    pub(crate) image_name: Option<String>,
    /// Size, length and rate.
    pub(crate) shape: Shape,
    /// What to tell the person about all this.
    pub(crate) notices: Vec<String>,
}

/// Size, length and rate of a video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    /// Columns of a frame.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
    /// Frames.
    pub(crate) frames: u32,
    /// Frames per second.
    pub(crate) fps: f64,
}

/// What the command line says about a shape.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    /// `--width`.
    pub(crate) width: Option<u32>,
    /// `--height`.
    pub(crate) height: Option<u32>,
    /// `--frames`.
    pub(crate) frames: Option<u32>,
    /// `--fps`.
    pub(crate) fps: Option<f64>,
}

impl Shape {
    /// The flags over the model's settings over the published ones, and a notice if frames were rounded.
    pub(crate) fn new(
        flags: &Flags,
        model: &GenerationConfig,
        facts: &ModelFacts,
    ) -> Result<(Self, Option<String>)> {
        let published = &facts.published;
        let width = flags.width.unwrap_or_else(|| whole(model.width, published.width));
        let height = flags.height.unwrap_or_else(|| whole(model.height, published.height));
        let (frames, notice) = sizes::frames(
            flags.frames.unwrap_or_else(|| whole(model.num_frames, published.num_frames)),
            facts.frame_step,
        )?;
        let shape = Self {
            width: sizes::side("width", width, facts.side_step)?,
            height: sizes::side("height", height, facts.side_step)?,
            frames,
            fps: sizes::fps(flags.fps.or(model.fps).unwrap_or(published.fps))?,
        };
        Ok((shape, notice))
    }
}

impl Request {
    /// Checks everything that can be checked before any work.
    pub(crate) fn new(args: &GenerateArgs) -> Result<Self> {
        let seed = args.seed.unwrap_or_else(fresh_seed);
        let target = match &args.output {
            Some(output) => Target::parse(output)?,
            None => Target::derived(&args.prompt, seed),
        };
        for path in [&args.trace, &args.dump].into_iter().flatten() {
            check_folder(path)?;
        }
        distinct::check(args, &target)?;

        let folder = model::open(args.model.as_deref())?;
        let model = GenerationConfig::load(&folder).map_err(model::failure)?;
        let flags = Flags { width: args.width, height: args.height, frames: args.frames, fps: args.fps };
        let facts = model::facts(&folder)?;
        check_picture(args.image.as_deref(), facts.takes_picture, folder.name())?;
        let (shape, notice) = Shape::new(&flags, &model, &facts)?;
        let steps = args
            .steps
            .unwrap_or_else(|| whole(model.num_inference_steps, facts.published.num_inference_steps));
        let guidance = args.guidance.or(model.guidance_scale).unwrap_or(facts.published.guidance_scale);
        let settings = GenerationSettings {
            prompt: args.prompt.clone(),
            negative_prompt: args.negative.clone().or(model.negative_prompt).unwrap_or_default(),
            width: shape.width as usize,
            height: shape.height as usize,
            num_frames: shape.frames as usize,
            num_inference_steps: sizes::steps(steps)? as usize,
            guidance_scale: sizes::guidance(guidance)?,
            dynamic_guidance: args.dynamic_guidance || model.dynamic_guidance.unwrap_or(false),
            image: args.image.as_deref().map(picture::open).transpose()?,
            image_fit: args.image_fit.into(),
            seed,
            noise: if args.torch_noise { NoiseSource::TorchCpu } else { NoiseSource::Philox },
            scheduler: args.scheduler.map(SchedulerKind::from),
            flow_shift: model.flow_shift,
            memory: args.memory,
            initial_latents: args.initial_latents.as_deref().map(initial_latents).transpose()?,
            recorded_noise: args
                .initial_latents
                .as_deref()
                .map(recorded_noise)
                .transpose()?
                .unwrap_or_default(),
            dump: args.dump.is_some(),
            trace: args.trace.is_some(),
        };
        let unused = unused_negative(args.negative.as_deref(), &settings);
        let notices = notice.into_iter().chain(stretched(&settings)).chain(unused).collect();
        let image_name = args.image.as_deref().map(|path| path.display().to_string());
        Ok(Self { target, folder, settings, image_name, shape, notices })
    }
}

/// A picture where the model takes one, and only there.
fn check_picture(image: Option<&Path>, takes_picture: bool, model: &str) -> Result<()> {
    match image {
        Some(path) if !takes_picture => {
            let path = path.display();
            let message = format!("`{path}` has no use: the model `{model}` makes videos from text alone");
            Err(Failure::user(message).hint("leave out `--image`, or choose an image-to-video model"))
        }
        None if takes_picture => {
            let message =
                format!("the model `{model}` makes videos from a picture and text, and there is no picture");
            Err(Failure::user(message).hint("give the picture to start from with `--image FILE`"))
        }
        _ => Ok(()),
    }
}

/// Said of a negative prompt that somebody gave and nothing reads.
fn unused_negative(negative: Option<&str>, settings: &GenerationSettings) -> Option<String> {
    let is_off = settings.guidance_scale <= 1.0;
    (is_off && negative.is_some_and(|text| !text.is_empty())).then(|| {
        format!(
            "the negative prompt is not used: guidance is off at {}; `--guidance` above 1 turns it on",
            settings.guidance_scale
        )
    })
}

/// Said of a picture whose shape changes visibly.
fn stretched(settings: &GenerationSettings) -> Option<String> {
    let image = settings.image.as_ref().filter(|_| settings.image_fit == Fit::Stretch)?;
    let change =
        (f64::from(image.width) * settings.height as f64) / (f64::from(image.height) * settings.width as f64);
    let is_visible = !(0.97..=1.03).contains(&change);
    is_visible.then(|| {
        format!(
            "the picture is stretched from {}x{} to {}x{}; `--image-fit crop` keeps its shape",
            image.width, image.height, settings.width, settings.height
        )
    })
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

/// A setting of the model's, or the published one. A number too large for 32 bits is too large for any check.
fn whole(setting: Option<usize>, published: usize) -> u32 {
    u32::try_from(setting.unwrap_or(published)).unwrap_or(u32::MAX)
}

/// A number nobody chose, short enough to type again.
fn fresh_seed() -> u64 {
    // Each `RandomState` has keys of its own, from the system's random numbers.
    RandomState::new().hash_one(()) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn request(line: &[&str]) -> Result<Request> {
        let cli = Cli::try_parse_from(["kinora", "generate"].iter().chain(line)).unwrap();
        let Command::Generate(args) = cli.command else { panic!() };
        Request::new(&args)
    }

    #[test]
    fn the_embedded_model_brings_its_own_settings() {
        let request = request(&["a red balloon", "--seed", "7"]).unwrap();
        assert_eq!(request.shape, Shape { width: 128, height: 80, frames: 33, fps: 16.0 });
        assert_eq!((request.settings.num_inference_steps, request.settings.guidance_scale), (12, 4.0));
        assert_eq!(request.target, Target::Derived("a-red-balloon-7.mp4".into()));
        assert!(request.notices.is_empty());
    }

    #[test]
    fn flags_win_over_the_model() {
        let request = request(&[
            "x",
            "--width",
            "32",
            "--frames",
            "8",
            "--fps",
            "24",
            "--steps",
            "3",
            "--guidance",
            "1",
        ])
        .unwrap();
        assert_eq!(request.shape, Shape { width: 32, height: 80, frames: 9, fps: 24.0 });
        assert_eq!((request.settings.num_inference_steps, request.settings.guidance_scale), (3, 1.0));
        assert_eq!(request.notices.len(), 1);
    }

    #[test]
    fn a_folder_without_settings_gets_the_published_ones() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/wan");
        let request = request(&["x", "--model", folder]).unwrap();
        assert_eq!(request.shape, Shape { width: 832, height: 480, frames: 81, fps: 16.0 });
        assert_eq!((request.settings.num_inference_steps, request.settings.guidance_scale), (50, 5.0));
    }

    #[test]
    fn a_picture_has_to_suit_the_model() {
        let failure = request(&["x", "--image", "boat.png"]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "`boat.png` has no use: the model `default` makes videos from text alone"
        );
        assert!(failure.hint_text().is_some_and(|hint| hint.contains("leave out `--image`")));
        let failure = check_picture(None, true, "boats").unwrap_err();
        assert!(failure.hint_text().is_some_and(|hint| hint.contains("--image FILE")));
        assert!(check_picture(None, false, "boats").is_ok());
        assert!(check_picture(Some(Path::new("boat.png")), true, "boats").is_ok());
    }

    #[test]
    fn stretching_is_told_of_when_it_shows() {
        let picture = |width, height| engine::video::Frame { width, height, rgb: Vec::new() };
        let mut settings = GenerationSettings::new("x", 64, 48, 9);
        for (image, told) in [(picture(640, 480), false), (picture(641, 480), false), (picture(75, 50), true)]
        {
            settings.image = Some(image);
            assert_eq!(stretched(&settings).is_some(), told);
        }
        settings.image_fit = Fit::Crop;
        assert_eq!(stretched(&settings), None);
    }

    #[test]
    fn a_negative_prompt_without_guidance_is_told_of() {
        let notices = |flags: &[&str]| request(&[&["x"], flags].concat()).unwrap().notices;
        let told = &notices(&["--negative", "blurry", "--guidance", "1"])[0];
        assert!(told.starts_with("the negative prompt is not used: guidance is off at 1;"), "{told}");
        assert!(notices(&["--negative", "blurry"]).is_empty());
        assert!(notices(&["--negative", "", "--guidance", "1"]).is_empty());
        assert!(notices(&["--guidance", "0"]).is_empty());
    }

    #[test]
    fn seeds_differ_when_nobody_chooses() {
        assert_ne!(fresh_seed(), fresh_seed());
        assert!(fresh_seed() <= u64::from(u32::MAX));
    }
}
