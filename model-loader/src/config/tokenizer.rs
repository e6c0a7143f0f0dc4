//! `tokenizer/tokenizer_config.json`: of its many keys, those that the tokenizer's own file does not repeat.

use serde_json::Value;

use crate::config::{Fields, limits};
use crate::{ModelFolder, Result};

/// What a tokenizer's config adds to its `tokenizer.json` or `spiece.model`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerConfig {
    /// The most tokens that the model takes; `None` when the file sets no practical limit.
    pub model_max_length: Option<usize>,
    /// The token that fills a sequence up.
    pub pad_token: String,
    /// The token that ends a text.
    pub eos_token: String,
    /// How many tokens `<extra_id_0>`, ... a sentencepiece model gets behind its pieces.
    pub extra_ids: usize,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            model_max_length: None,
            pad_token: "<pad>".to_owned(),
            eos_token: "</s>".to_owned(),
            extra_ids: 100,
        }
    }
}

impl TokenizerConfig {
    /// Reads `component/tokenizer_config.json`; without one, everything has its default.
    ///
    /// # Errors
    /// When it is damaged or has values of the wrong type.
    pub fn load(folder: &ModelFolder, component: &str) -> Result<Self> {
        let file = format!("{component}/tokenizer_config.json");
        let json = folder.read_optional(&file)?;
        json.map_or_else(|| Ok(Self::default()), |json| Self::from_json(&file, &json))
    }

    /// Reads the config in `json`; messages call it `file`.
    ///
    /// # Errors
    /// As [`TokenizerConfig::load`].
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse(file, json)?;
        let default = Self::default();
        let extra_ids = fields.or("extra_ids", default.extra_ids)?;
        if extra_ids > limits::COUNT {
            return Err(fields.bad("extra_ids", &extra_ids.into(), &format!("0 to {}", limits::COUNT)));
        }
        Ok(Self {
            model_max_length: take_length(&mut fields)?,
            pad_token: take_token(&mut fields, "pad_token", default.pad_token)?,
            eos_token: take_token(&mut fields, "eos_token", default.eos_token)?,
            extra_ids,
        })
    }
}

/// transformers writes 1e30 for "no limit", sometimes with all its digits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the range is checked, and bounds the numbers to those that both types hold"
)]
fn take_length(fields: &mut Fields) -> Result<Option<usize>> {
    const KEY: &str = "model_max_length";
    let Some(length) = fields.optional::<f64>(KEY)? else { return Ok(None) };
    if !(length >= 1.0 && length.fract() == 0.0) {
        return Err(fields.bad(KEY, &length.into(), "a whole number of at least 1"));
    }
    Ok((length <= limits::LENGTH as f64).then_some(length as usize))
}

/// A token is a string, or an object that holds it as `content`.
fn take_token(fields: &mut Fields, key: &str, default: String) -> Result<String> {
    let Some(value) = fields.take(key).filter(|value| !value.is_null()) else { return Ok(default) };
    let content = value.get("content").unwrap_or(&value);
    match content {
        Value::String(token) => Ok(token.clone()),
        _ => Err(fields.bad(key, &value, "a token")),
    }
}
