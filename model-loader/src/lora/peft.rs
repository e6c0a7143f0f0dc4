//! The settings that PEFT writes into the header of a LoRA.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Checkpoint, LoadError, Result};

const KEY: &str = "lora_adapter_metadata";

/// Alpha and rank of the modules, as far as the file says.
#[derive(Debug, Default)]
pub(super) struct Settings {
    alpha: Option<f32>,
    alphas: BTreeMap<String, f32>,
    /// Whether the square root of the rank counts.
    by_root: bool,
}

impl Settings {
    pub(super) fn of(lora: &Checkpoint) -> Result<Self> {
        let Some(text) = lora.metadata(KEY) else { return Ok(Self::default()) };
        let bad = |reason: String| LoadError::BadWeights {
            file: lora.file().to_owned(),
            reason: format!("`{KEY}` in its header: {reason}"),
        };
        let values: BTreeMap<String, Value> =
            serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        // Keys begin with the component; a file of one component may do without.
        let value = |key: &str| values.get(&format!("transformer.{key}")).or_else(|| values.get(key));
        let is_set = |key: &str| value(key).and_then(Value::as_bool).unwrap_or(false);
        for key in ["use_dora", "lora_bias"] {
            if is_set(key) {
                let file = lora.file().to_owned();
                return Err(LoadError::UnsupportedLora { file, key: format!("{key} of {KEY}") });
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "an alpha is a small number")]
        let number =
            |value: &Value| value.as_f64().map(|alpha| alpha as f32).filter(|alpha| alpha.is_finite());
        let alpha = match value("lora_alpha") {
            None | Some(Value::Null) => None,
            Some(other) => Some(number(other).ok_or_else(|| bad(format!("`lora_alpha` is {other}")))?),
        };
        let mut alphas = BTreeMap::new();
        if let Some(Value::Object(pattern)) = value("alpha_pattern") {
            for (module, value) in pattern {
                let alpha =
                    number(value).ok_or_else(|| bad(format!("`alpha_pattern` of `{module}` is {value}")))?;
                alphas.insert(module.trim_start_matches('^').to_owned(), alpha);
            }
        }
        Ok(Self { alpha, alphas, by_root: is_set("use_rslora") })
    }

    /// What the product of a module's matrices is multiplied by. An alpha of its own beside the matrices counts first.
    pub(super) fn scale(&self, module: &str, own: Option<f32>, rank: usize) -> f32 {
        let matches = |pattern: &str| module == pattern || module.ends_with(&format!(".{pattern}"));
        let of_pattern = self.alphas.iter().find(|(pattern, _)| matches(pattern)).map(|(_, alpha)| *alpha);
        let Some(alpha) = own.or(of_pattern).or(self.alpha) else { return 1.0 };
        #[expect(clippy::cast_precision_loss, reason = "a rank is a small number")]
        let rank = rank as f32;
        alpha / if self.by_root { rank.sqrt() } else { rank }
    }
}
