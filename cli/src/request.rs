//! What `generate` was asked for, complete and checked.

use crate::args::{DecoderArg, GenerateArgs};
use crate::distinct;
use crate::error::{Failure, Result};
use crate::hints::Setup;
use crate::model;
use crate::output::{Target, check_folder};
use engine::pipeline::{JobOptions, Model, Notice, Settings};
use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::hash::BuildHasher;
use std::path::Path;

/// A video to be made.
#[derive(Debug)]
pub(crate) struct Request {
    /// Where it goes.
    pub(crate) target: Target,
    /// Where previews go.
    pub(crate) preview: Option<Target>,
    /// The model's files.
    pub(crate) model: Model,
    /// What decides the video.
    pub(crate) settings: Settings,
    /// How it is made.
    pub(crate) options: JobOptions,
    /// What to tell the person about all this.
    pub(crate) notices: Vec<String>,
}

impl Request {
    /// Checks everything that can be checked before any work.
    pub(crate) fn new(args: &GenerateArgs) -> Result<Self> {
        let seed = args.video.seed.unwrap_or_else(fresh_seed);
        let target = match &args.output {
            Some(output) => Target::parse(output)?,
            None => Target::derived(&args.video.prompt, seed),
        };
        for path in [&args.trace, &args.dump].into_iter().flatten() {
            check_folder(path)?;
        }
        let preview = args.preview.as_deref().map(preview_target).transpose()?;
        distinct::check(args, &target, preview.as_ref())?;

        let model = model::read(&model::open(args.source.model.as_deref(), &args.source.parts, args.quiet)?)?;
        check_picture(args.video.image.as_deref(), model.takes_picture(), model.name())?;
        let (settings, notices) = model
            .resolve(&args.video.request(seed)?)
            .map_err(|error| Failure::of_engine(&error, Setup::default()))?;
        let options = JobOptions {
            memory: args.memory,
            decoder: args.decoder.into(),
            preview: preview.is_some(),
            dump: args.dump.is_some(),
            trace: args.trace.is_some(),
        };
        let mut notices: Vec<String> = notices.iter().map(told).collect();
        if args.source.parts.tiny_vae.is_some() && preview.is_none() && args.decoder == DecoderArg::Full {
            notices.push("the tiny decoder is not used: add `--decoder tiny` or `--preview FILE`".to_owned());
        }
        Ok(Self { target, preview, model, settings, options, notices })
    }
}

/// A file for previews, which is written again and again.
fn preview_target(path: &OsStr) -> Result<Target> {
    match Target::parse(path)? {
        Target::Stdout => Err(Failure::user("previews are not written to the standard output")
            .hint("name a file, such as `--preview preview.apng`")),
        target => Ok(target),
    }
}

/// A notice with the flag that changes what it tells.
pub(crate) fn told(notice: &Notice) -> String {
    match notice {
        Notice::PictureStretched { .. } => format!("{notice}; `--image-fit crop` keeps its shape"),
        _ => notice.to_string(),
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

    fn shape(request: &Request) -> ([usize; 3], f64) {
        let settings = &request.settings;
        ([settings.width, settings.height, settings.num_frames], settings.fps)
    }

    #[test]
    fn the_embedded_model_brings_its_own_settings() {
        let request = request(&["a red balloon", "--seed", "7"]).unwrap();
        assert_eq!(shape(&request), ([128, 80, 33], 16.0));
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
        assert_eq!(shape(&request), ([32, 80, 9], 24.0));
        assert_eq!((request.settings.num_inference_steps, request.settings.guidance_scale), (3, 1.0));
        let notices = request.notices.join("\n");
        assert!(notices.contains("making 9 frames instead of 8"), "{notices}");
        assert!(notices.contains("the model was made for 128x80"), "{notices}");
    }

    #[test]
    fn a_folder_without_settings_gets_the_published_ones() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/wan");
        let request = request(&["x", "--model", folder]).unwrap();
        assert_eq!(shape(&request), ([832, 480, 81], 16.0));
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
    fn a_stretched_picture_is_told_with_its_flag() {
        let notice = Notice::PictureStretched { from: [75, 50], to: [64, 48] };
        assert_eq!(
            told(&notice),
            "the picture is stretched from 75x50 to 64x48; `--image-fit crop` keeps its shape"
        );
    }

    #[test]
    fn a_negative_prompt_without_guidance_is_told_of() {
        let notices = |flags: &[&str]| request(&[&["x"], flags].concat()).unwrap().notices;
        let told = &notices(&["--negative", "blurry", "--guidance", "1"])[0];
        assert!(told.starts_with("the negative prompt is not used: guidance of 1 or less"), "{told}");
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
