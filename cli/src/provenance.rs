//! The settings of a video: what is written into its file, and how they read when it is inspected.

use crate::encode::metadata::MARK;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Everything that decides how a video looks, in the order in which it is written and shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Settings {
    /// The version of this program; the mark of our settings.
    pub(crate) kinora: &'static str,
    /// What the video should show.
    pub(crate) prompt: String,
    /// What it should not.
    pub(crate) negative_prompt: String,
    /// The name of the model folder.
    pub(crate) model: String,
    /// The number that the noise grew from.
    pub(crate) seed: u64,
    /// `philox` or `torch`, or `file` where the latents were given.
    pub(crate) noise: &'static str,
    /// Columns of a frame as generated.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
    /// Frames.
    pub(crate) frames: u32,
    /// Frames per second.
    pub(crate) fps: f64,
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
    /// The device that computed.
    pub(crate) device: String,
}

impl Settings {
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

/// The command line that asks for these settings.
fn command(settings: &Map<String, Value>) -> String {
    let get = |key: &str| settings.get(key).map(plain).unwrap_or_default();
    let mut command = format!("kinora generate {}", quoted(&get("prompt")));
    if !get("negative_prompt").is_empty() {
        let _ = write!(command, " --negative {}", quoted(&get("negative_prompt")));
    }
    if !["", crate::model::DEFAULT_NAME].contains(&get("model").as_str()) {
        let _ = write!(command, " --model {}", quoted(&get("model")));
    }
    if settings.get("dynamic_guidance") == Some(&Value::Bool(true)) {
        command.push_str(" --dynamic-guidance");
    }
    for (key, flag) in [("image", "image"), ("image_fit", "image-fit")] {
        if settings.contains_key(key) {
            let _ = write!(command, " --{flag} {}", quoted(&get(key)));
        }
    }
    for flag in ["seed", "width", "height", "frames", "fps", "steps", "guidance", "scheduler", "precision"] {
        if settings.contains_key(flag) {
            let _ = write!(command, " --{flag} {}", quoted(&get(flag)));
        }
    }
    match get("noise").as_str() {
        "torch" => command.push_str(" --torch-noise"),
        "file" => command.push_str(" --initial-latents FILE.safetensors"),
        _ => {}
    }
    command
}

/// A value without JSON's quotes; control characters, which could drive a terminal, are shown as escapes.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// As a shell wants it.
fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-+/:=".contains(c);
    if !text.is_empty() && text.chars().all(safe) && !text.starts_with('-') {
        return text.into();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            kinora: "0.1.0",
            prompt: "the dog's \x1b[31mball".into(),
            negative_prompt: String::new(),
            model: crate::model::DEFAULT_NAME.into(),
            seed: u64::MAX,
            noise: "torch",
            width: 96,
            height: 64,
            frames: 33,
            fps: 16.0,
            steps: 24,
            guidance: 4.0,
            dynamic_guidance: false,
            image: None,
            image_fit: None,
            scheduler: "euler".into(),
            precision: "f32".into(),
            device: "cpu".into(),
        }
    }

    #[test]
    fn what_is_written_reads_back_in_order() {
        let metadata = settings().metadata();
        let map: Map<String, Value> = serde_json::from_str(&metadata[2].1).unwrap();
        assert_eq!(map.keys().next().unwrap(), MARK);
        assert_eq!(map["seed"], Value::from(u64::MAX));
        let text = describe(&map);
        assert!(
            text.starts_with("kinora           0.1.0\nprompt           the dog's \\u{1b}[31mball\n"),
            "{text}"
        );
        let command = text.lines().last().unwrap();
        assert_eq!(
            command,
            "kinora generate 'the dog'\\''s \\u{1b}[31mball' --seed 18446744073709551615 --width 96 --height 64 \
             --frames 33 --fps 16.0 --steps 24 --guidance 4.0 --scheduler euler --precision f32 --torch-noise"
        );
    }

    #[test]
    fn a_picture_and_dynamic_guidance_are_written_down() {
        let settings = Settings {
            dynamic_guidance: true,
            image: Some("a boat.png".into()),
            image_fit: Some("crop"),
            ..settings()
        };
        let map: Map<String, Value> = serde_json::from_str(&settings.metadata()[2].1).unwrap();
        let command = command(&map);
        assert!(
            command.contains(" --dynamic-guidance --image 'a boat.png' --image-fit crop --seed "),
            "{command}"
        );
    }

    #[test]
    fn settings_of_another_version_are_shown_too() {
        let map: Map<String, Value> = serde_json::from_str(r#"{"kinora":"9","new":[1,{"a":2}]}"#).unwrap();
        assert!(describe(&map).contains("new     [1,{\"a\":2}]"));
    }
}
