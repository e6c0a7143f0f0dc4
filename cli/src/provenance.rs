//! Where a video comes from: what of its command goes into its file, and the command that makes it again.

use crate::args::{DecoderArg, GenerateArgs, ModelArgs};
use crate::device::CPU;
use crate::model::DEFAULT_NAME;
use encode::Provenance;
use engine::pipeline::{Settings, VideoPipeline};
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::path::Path;

/// What goes into the file, so that it can be made again.
pub(crate) fn of(args: &GenerateArgs, settings: &Settings, pipeline: &VideoPipeline) -> Provenance {
    let typed = |path: &Path| path.display().to_string();
    let parts = &args.source.parts;
    let is_tiny = args.decoder == DecoderArg::Tiny;
    Provenance {
        transformer: parts.transformer.as_deref().map(typed),
        text_encoder: parts.text_encoder.as_deref().map(typed),
        vae: parts.vae.as_deref().map(typed),
        // Previews do not decide how the video looks.
        tiny_vae: parts.tiny_vae.as_deref().filter(|_| is_tiny).map(typed),
        decoder: is_tiny.then_some("tiny"),
        tokenizer: parts.tokenizer.as_deref().map(typed),
        loras: parts.lora.iter().map(ToString::to_string).collect(),
        initial_latents: args.video.initial_latents.as_deref().map(typed),
        image: args.video.image.as_deref().map(typed),
        memory: args.memory,
        native_size: args.native_size,
        ..Provenance::new(model_of(&args.source), settings, pipeline)
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

#[cfg(test)]
mod tests;
