//! The text encoders that there are, each a folder: what `model_index.json` may name in a `text_encoder`.
pub mod t5;

use super::TextEncoderModel;
use model_loader::{LoadError, ModelFolder, WeightSource};

type Open = fn(&ModelFolder, &str, WeightSource) -> Result<Box<dyn TextEncoderModel>, LoadError>;

/// By the classes of the reference.
const ENCODERS: &[(&str, Open)] = &[("T5EncoderModel", t5::open), ("UMT5EncoderModel", t5::open)];

/// Opens the text encoder in `component`, which the folder says is of `class`.
///
/// # Errors
/// If its files are missing or damaged, or there is no encoder of this class.
pub fn open(
    folder: &ModelFolder,
    component: &str,
    class: &str,
    weights: WeightSource,
) -> Result<Box<dyn TextEncoderModel>, LoadError> {
    match ENCODERS.iter().find(|(name, _)| *name == class) {
        Some((_, open)) => open(folder, component, weights),
        None => Err(LoadError::UnsupportedComponent {
            file: "model_index.json".to_owned(),
            component: component.to_owned(),
            class: class.to_owned(),
            supported: ENCODERS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
        }),
    }
}
