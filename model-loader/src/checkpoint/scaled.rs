//! The scales that stand beside float8 weights, in the four forms that programs write.
//!
//! One rule covers all: a float8 `X.weight` with a sibling `X.weight_scale` or `X.scale_weight` is multiplied by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::Checkpoint;
use crate::{Format, LoadError, Result};

/// The names of a scale beside `X.weight`.
const SCALES: [&str; 2] = ["weight_scale", "scale_weight"];

/// What stands beside scaled weights and says nothing about their values: hints for float8 products.
const HINTS: [&str; 2] = ["input_scale", "scale_input"];

/// Marks a layer: a text of JSON as bytes.
const LAYER_MARK: &str = "comfy_quant";

/// Marks a file.
const FILE_MARK: &str = "scaled_fp8";

/// Marks layers in the header.
const TABLE: &str = "_quantization_metadata";

/// The formats of marked layers that are read.
const FORMATS: [&str; 2] = ["float8_e4m3fn", "float8_e5m2"];

#[derive(Deserialize)]
struct LayerMark {
    format: String,
}

#[derive(Deserialize)]
struct Table {
    layers: BTreeMap<String, LayerMark>,
}

impl Checkpoint {
    /// Takes the scales to their weights. What only says how weights are scaled is left out.
    ///
    /// # Errors
    /// When a scale does not fit its weight, or is missing where the file says that weights are scaled.
    pub(super) fn scaled(mut self) -> Result<Self> {
        if self.tensors.is_empty() || self.random.is_some() {
            return Ok(self);
        }
        let (layers, marked_file) = self.marked()?;
        for layer in &layers {
            let weight = format!("{layer}.weight");
            let is_float8 = self.tensors.get(&weight).is_some_and(|t| is_float8(&t.entry.format));
            if !is_float8 {
                return Err(
                    self.bad(&weight, "the file marks it as float8, but it is not stored so".to_owned())
                );
            }
        }
        let weights: Vec<String> = self
            .tensors
            .iter()
            .filter(|(name, located)| name.ends_with(".weight") && is_float8(&located.entry.format))
            .map(|(name, _)| name.clone())
            .collect();
        let is_marked = marked_file || !layers.is_empty();
        for weight in weights {
            let layer = weight.strip_suffix(".weight").unwrap_or(&weight);
            let scale = self.scale_of(layer)?;
            let must_be_scaled = layers.contains(layer) || is_marked && self.is_block_matrix(&weight);
            if scale.is_none() && must_be_scaled {
                let reason = format!(
                    "it is stored as float8 in a file of scaled weights, and `{layer}.{}` is missing",
                    SCALES[0]
                );
                return Err(self.bad(&weight, reason));
            }
            if let Some(located) = self.tensors.get_mut(&weight) {
                located.scale = scale;
            }
        }
        self.tensors.retain(|name, _| !is_about_scales(name));
        Ok(self)
    }

    /// The layers that the file marks as quantised, and whether it is marked as a whole.
    fn marked(&self) -> Result<(BTreeSet<String>, bool)> {
        let mut layers = BTreeSet::new();
        for name in self.tensors.keys() {
            let Some(layer) = name.strip_suffix(LAYER_MARK).and_then(|front| front.strip_suffix('.')) else {
                continue;
            };
            self.check_mark(layer, &self.bytes_of(name).unwrap_or_default())?;
            layers.insert(layer.to_owned());
        }
        if let Some(text) = self.metadata.get(TABLE) {
            let table: Table = serde_json::from_str(text).map_err(|error| LoadError::BadWeights {
                file: self.file.clone(),
                reason: format!("`{TABLE}` in its header: {error}"),
            })?;
            for (layer, mark) in table.layers {
                self.check_format(&layer, &mark.format)?;
                layers.insert(layer);
            }
        }
        let marked = self.tensors.keys().any(|name| name == FILE_MARK || name.ends_with(".scaled_fp8"));
        Ok((layers, marked))
    }

    fn check_mark(&self, layer: &str, json: &[u8]) -> Result<()> {
        let mark: LayerMark = serde_json::from_slice(json).map_err(|error| {
            self.bad(&format!("{layer}.{LAYER_MARK}"), format!("it is not the JSON it must be: {error}"))
        })?;
        self.check_format(layer, &mark.format)
    }

    fn check_format(&self, layer: &str, format: &str) -> Result<()> {
        if FORMATS.contains(&format) {
            return Ok(());
        }
        Err(LoadError::UnsupportedFormat {
            file: self.file.clone(),
            tensor: format!("{layer}.weight"),
            format: format!("`{format}`"),
        })
    }

    /// The scale of a layer, checked against its weight.
    fn scale_of(&self, layer: &str) -> Result<Option<Arc<[f32]>>> {
        let names = SCALES.map(|suffix| format!("{layer}.{suffix}"));
        let Some(name) = names.iter().find(|name| self.tensors.contains_key(*name)) else { return Ok(None) };
        let rows = self.tensors[&format!("{layer}.weight")].entry.shape.first().copied().unwrap_or(1);
        let elements = self.tensors[name].entry.elements;
        if elements != 1 && elements != rows {
            return Err(
                self.bad(name, format!("it has {elements} values, expected 1, or {rows}: one for each row"))
            );
        }
        let values = self.tensor(name)?.to_f32();
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(self.bad(name, format!("it holds {value}, expected finite numbers"))),
            None => Ok(Some(values.into())),
        }
    }

    /// Whether it is a matrix of one of the model's blocks: in a scaled file all of these are scaled.
    fn is_block_matrix(&self, name: &str) -> bool {
        let in_block = name.split('.').zip(name.split('.').skip(1)).any(|(folder, index)| {
            folder.starts_with("block") && index.bytes().all(|byte| byte.is_ascii_digit())
        });
        in_block && self.tensors[name].entry.shape.len() == 2
    }

    fn bad(&self, tensor: &str, reason: String) -> LoadError {
        LoadError::BadTensor { file: self.file.clone(), tensor: tensor.to_owned(), reason }
    }
}

fn is_float8(format: &std::result::Result<Format, String>) -> bool {
    matches!(format, Ok(Format::F8E4M3 | Format::F8E5M2))
}

fn is_about_scales(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last == FILE_MARK || last == LAYER_MARK || SCALES.contains(&last) || HINTS.contains(&last)
}
