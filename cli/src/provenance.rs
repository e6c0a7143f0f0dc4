//! Where a video comes from: the settings that are written into its file, and the command that makes it again.

use crate::args::{DecoderArg, GenerateArgs, ModelArgs};
use crate::device::CPU;
use crate::encode::Rate;
use crate::encode::metadata::MARK;
use crate::model::DEFAULT_NAME;
use engine::Fit;
use engine::diffusion::NoiseSource;
use engine::pipeline::{Settings, VideoPipeline};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::path::Path;

/// Everything that decides how a video looks, in the order in which it is written and shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Provenance {
    /// The version of this program; the mark of our settings.
    pub(crate) kinora: &'static str,
    /// What the video should show.
    pub(crate) prompt: String,
    /// What it should not.
    pub(crate) negative_prompt: String,
    /// The model folder as it was given.
    pub(crate) model: String,
    /// The files that stood in place of the model's parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transformer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text_encoder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vae: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tiny_vae: Option<String>,
    /// `tiny`; not written for the full decoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decoder: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokenizer: Option<String>,
    /// LoRAs with their weights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) loras: Vec<String>,
    /// The number that the noise grew from.
    pub(crate) seed: u64,
    /// `philox` or `torch`.
    pub(crate) noise: &'static str,
    /// The file that latents and noise were taken from instead, as far as it has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) initial_latents: Option<String>,
    /// Columns of a frame as generated.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
    /// Frames.
    pub(crate) frames: u32,
    /// Frames per second; see [`rate`].
    pub(crate) fps: Value,
    /// Denoising steps.
    pub(crate) steps: usize,
    /// Guidance scale.
    pub(crate) guidance: f32,
    /// Whether it changes from step to step; written only if so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dynamic_guidance: bool,
    /// The name of the picture that the video starts from, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    /// How the picture became as large as the video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_fit: Option<&'static str>,
    /// The noise scheduler.
    pub(crate) scheduler: String,
    /// Arithmetic of activations.
    pub(crate) precision: String,
    /// Bytes that a stage might take, which decides whether frames are decoded in tiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<u64>,
    /// Whether small frames were left small; written only if so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) native_size: bool,
    /// The device that computed.
    pub(crate) device: String,
}

impl Provenance {
    /// What goes into the file, so that it can be made again.
    pub(crate) fn new(args: &GenerateArgs, settings: &Settings, pipeline: &VideoPipeline) -> Self {
        let typed = |path: &Path| path.display().to_string();
        let parts = &args.source.parts;
        let is_tiny = args.decoder == DecoderArg::Tiny;
        Self {
            kinora: env!("CARGO_PKG_VERSION"),
            prompt: settings.prompt.clone(),
            negative_prompt: settings.negative_prompt.clone(),
            model: model_of(&args.source),
            transformer: parts.transformer.as_deref().map(typed),
            text_encoder: parts.text_encoder.as_deref().map(typed),
            vae: parts.vae.as_deref().map(typed),
            // Previews do not decide how the video looks.
            tiny_vae: parts.tiny_vae.as_deref().filter(|_| is_tiny).map(typed),
            decoder: is_tiny.then_some("tiny"),
            tokenizer: parts.tokenizer.as_deref().map(typed),
            loras: parts.lora.iter().map(ToString::to_string).collect(),
            seed: settings.seed,
            noise: match settings.noise {
                NoiseSource::TorchCpu => "torch",
                NoiseSource::Philox => "philox",
            },
            initial_latents: args.video.initial_latents.as_deref().map(typed),
            width: whole(settings.width),
            height: whole(settings.height),
            frames: whole(settings.num_frames),
            fps: rate(Rate::from_fps(settings.fps)),
            steps: settings.num_inference_steps,
            guidance: settings.guidance_scale,
            dynamic_guidance: settings.dynamic_guidance,
            image: args.video.image.as_deref().map(typed),
            image_fit: args.video.image.as_ref().map(|_| match settings.image_fit {
                Fit::Stretch => "stretch",
                Fit::Crop => "crop",
            }),
            scheduler: settings.scheduler.unwrap_or(pipeline.model().scheduler_kind()).name().to_owned(),
            precision: pipeline.precision().to_string(),
            memory: args.memory,
            native_size: args.native_size,
            device: pipeline.device_name().to_owned(),
        }
    }

    /// Keywords and texts for a file's header.
    pub(crate) fn metadata(&self) -> Vec<(String, String)> {
        debug_assert_eq!(MARK, "kinora");
        let comment = serde_json::to_string(self).unwrap_or_default();
        vec![
            ("Title".into(), self.prompt.clone()),
            ("Software".into(), format!("kinora {}", self.kinora)),
            ("Comment".into(), comment),
        ]
    }
}

/// The model as it was given; nothing if its parts stood by themselves.
fn model_of(source: &ModelArgs) -> String {
    match &source.model {
        Some(path) => path.display().to_string(),
        None if source.is_embedded() => DEFAULT_NAME.to_owned(),
        None => String::new(),
    }
}

/// A checked size or length.
pub(crate) fn whole(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The settings of a file for people, with the command that makes it again.
pub(crate) fn describe(settings: &Map<String, Value>) -> String {
    let width = settings.keys().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (key, value) in settings {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{key:width$}  {}", plain(value));
    }
    let _ = writeln!(text, "\n{}", command(settings));
    text
}

/// Flags whose value is written down under a key, in the order in which they are printed.
const VALUES: [(&str, &str); 19] = [
    ("model", "--model"),
    ("transformer", "--transformer"),
    ("text_encoder", "--text-encoder"),
    ("vae", "--vae"),
    ("tiny_vae", "--tiny-vae"),
    ("decoder", "--decoder"),
    ("tokenizer", "--tokenizer"),
    ("image", "--image"),
    ("image_fit", "--image-fit"),
    ("seed", "--seed"),
    ("initial_latents", "--initial-latents"),
    ("width", "--width"),
    ("height", "--height"),
    ("frames", "--frames"),
    ("fps", "--fps"),
    ("steps", "--steps"),
    ("guidance", "--guidance"),
    ("scheduler", "--scheduler"),
    ("precision", "--precision"),
];

/// The command line that asks for these settings.
fn command(settings: &Map<String, Value>) -> String {
    let get = |key: &str| settings.get(key).map(text).unwrap_or_default();
    let has = |key: &str, value: &str| get(key) == value;
    let is_default_model = ["", DEFAULT_NAME].contains(&get("model").as_str());
    let prompt = get("prompt");
    // After `--` nothing is taken for a flag.
    let is_last = prompt.starts_with('-');
    let mut command = String::from("kinora generate");
    // Writing into a string cannot fail.
    let mut add = |part: &str, value: Option<&str>| {
        let _ = match value {
            Some(value) => write!(command, " {part} {}", quoted(value)),
            None => write!(command, " {part}"),
        };
    };
    if !is_last {
        add(&quoted(&prompt), None);
    }
    // Another model may come with a negative prompt of its own, which an empty one turns off.
    if !get("negative_prompt").is_empty() || (!is_default_model && settings.contains_key("negative_prompt")) {
        add("--negative", Some(&get("negative_prompt")));
    }
    if has("dynamic_guidance", "true") {
        add("--dynamic-guidance", None);
    }
    for (key, flag) in VALUES {
        if settings.contains_key(key) && !(key == "model" && is_default_model) {
            add(flag, Some(&get(key)));
        }
    }
    for lora in settings.get("loras").and_then(Value::as_array).into_iter().flatten() {
        add("--lora", Some(&text(lora)));
    }
    if has("noise", "torch") {
        add("--torch-noise", None);
    }
    if settings.contains_key("memory") {
        add("--memory", Some(&get("memory")));
    }
    if has("device", CPU) {
        add("--device", Some("cpu"));
    }
    if has("native_size", "true") {
        add("--native-size", None);
    }
    if is_last {
        add("--", None);
        add(&quoted(&prompt), None);
    }
    command
}

/// A value without JSON's quotes.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The same for a terminal: control characters, which could drive it, are shown as escapes.
fn plain(value: &Value) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().collect() } else { vec![c] };
    text(value).chars().flat_map(escaped).collect()
}

/// As a shell wants it. Control characters are written as `$'..'` has them, which bash, zsh and ksh read.
fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-+/:=".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.into();
    }
    if !text.contains(char::is_control) {
        return format!("'{}'", text.replace('\'', "'\\''"));
    }
    let mut quoted = String::from("$'");
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\\' | '\'' => quoted.extend(['\\', c]),
            // Three octal digits end by themselves, whatever follows.
            c if c.is_control() => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(quoted, "\\{byte:03o}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// A rate for the file: a number where it is whole, else the exact fraction.
pub(crate) fn rate(rate: Rate) -> Value {
    if rate.denominator == 1 { Value::from(rate.numerator) } else { Value::from(rate.to_string()) }
}

#[cfg(test)]
mod tests;
