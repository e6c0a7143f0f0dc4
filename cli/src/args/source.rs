//! The flags that name a model's files.

use clap::Args;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::model::DEFAULT_NAME;
use model_loader::config::TinyVaeConfig;

/// The component that stands beside an autoencoder, not in its place.
const TINY: &str = TinyVaeConfig::COMPONENT;

/// Where a model is read from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ModelArgs {
    /// Model folder in the diffusers layout, a file of weights (safetensors, GGUF or .pth, one part or a whole checkpoint), or a
    /// model of the hub, OWNER/NAME or OWNER/NAME@REVISION, which is downloaded once [default: the model inside this program]
    #[arg(short, long, value_name = "PATH", allow_hyphen_values = true)]
    pub(crate) model: Option<PathBuf>,

    /// The parts of a model in files of their own
    #[command(flatten)]
    pub(crate) parts: PartArgs,
}

/// The parts of a model in files of their own.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PartArgs {
    /// File of the transformer, in place of the model's
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, help_heading = "Model")]
    pub(crate) transformer: Option<PathBuf>,

    /// File of the text encoder, in place of the model's
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, help_heading = "Model")]
    pub(crate) text_encoder: Option<PathBuf>,

    /// File of the autoencoder, in place of the model's
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, help_heading = "Model")]
    pub(crate) vae: Option<PathBuf>,

    /// File of a tiny decoder (TAEHV) beside the autoencoder, such as taew2_1.safetensors: for `--decoder tiny` and `--preview`
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, help_heading = "Model")]
    pub(crate) tiny_vae: Option<PathBuf>,

    /// File of the tokenizer, tokenizer.json or spiece.model, in place of the model's
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, help_heading = "Model")]
    pub(crate) tokenizer: Option<PathBuf>,

    /// LoRA laid over the transformer, and how strongly [default weight: 1]; may be repeated, they add up
    #[arg(long, value_name = "FILE[:WEIGHT]", allow_hyphen_values = true, help_heading = "Model")]
    pub(crate) lora: Vec<LoraArg>,
}

/// A LoRA and its weight.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LoraArg {
    /// The file.
    pub(crate) path: PathBuf,
    /// What its changes are multiplied by.
    pub(crate) weight: f32,
}

impl FromStr for LoraArg {
    type Err = String;

    /// A number behind the last colon is the weight, unless a file has that name.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((path, weight)) = text.rsplit_once(':')
            && !path.is_empty()
            && !Path::new(text).exists()
            && let Ok(weight) = weight.trim().parse::<f32>()
        {
            if !weight.is_finite() {
                return Err(format!("the weight is {weight}, expected a number"));
            }
            return Ok(Self { path: path.into(), weight });
        }
        Ok(Self { path: text.into(), weight: 1.0 })
    }
}

impl std::fmt::Display for LoraArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.weight)
    }
}

impl PartArgs {
    /// The files of components, by the names that model folders have for them.
    pub(crate) fn components(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let all = [
            ("transformer", &self.transformer),
            ("text_encoder", &self.text_encoder),
            ("vae", &self.vae),
            (TINY, &self.tiny_vae),
        ];
        all.into_iter().filter_map(|(component, path)| Some((component, path.as_deref()?)))
    }

    /// Whether parts are named that make a model of their own where no other is named. A tiny decoder comes beside one.
    pub(crate) fn replace_any(&self) -> bool {
        self.components().any(|(component, _)| component != TINY)
    }

    /// Every file with the flag that names it.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let single = [
            ("--transformer", self.transformer.as_ref()),
            ("--text-encoder", self.text_encoder.as_ref()),
            ("--vae", self.vae.as_ref()),
            ("--tiny-vae", self.tiny_vae.as_ref()),
            ("--tokenizer", self.tokenizer.as_ref()),
        ];
        let single = single.into_iter().filter_map(|(flag, path)| Some((flag, path?)));
        single.chain(self.lora.iter().map(|lora| ("--lora", &lora.path)))
    }
}

impl ModelArgs {
    /// Whether all weights are those inside this program, changed by LoRAs perhaps. A folder of that name wins over the word.
    pub(crate) fn is_embedded(&self) -> bool {
        !self.parts.replace_any() && is_embedded(self.model.as_deref())
    }
}

/// Whether `path` means the model inside this program. A folder of that name wins over the word.
pub(crate) fn is_embedded(path: Option<&Path>) -> bool {
    path.is_none_or(|path| path == Path::new(DEFAULT_NAME) && !path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_the_last_colon_is_the_weight() {
        for (text, path, weight) in [
            ("a.safetensors", "a.safetensors", 1.0),
            ("a.safetensors:0.75", "a.safetensors", 0.75),
            ("a.safetensors:-0.6", "a.safetensors", -0.6),
            ("C:\\a.safetensors", "C:\\a.safetensors", 1.0),
            ("C:\\a:b.safetensors:2", "C:\\a:b.safetensors", 2.0),
        ] {
            assert_eq!(text.parse(), Ok(LoraArg { path: path.into(), weight }), "{text}");
        }
        assert!("a:inf".parse::<LoraArg>().is_err());
        let lora = LoraArg { path: "a b".into(), weight: 0.5 };
        assert_eq!(lora.to_string().parse(), Ok(lora));
    }
}
