//! A folder's T5 as the pipeline sees it.
use super::T5Encoder;
use crate::models::{TextEncoder, TextEncoderModel};
use model_loader::{Checkpoint, LoadError, ModelFolder, WeightSource, config::T5Config};

/// Config and mapped weights.
#[derive(Debug)]
struct T5Model {
    config: T5Config,
    weights: Checkpoint,
}

/// Reads the config of `component` and the headers of its weights.
///
/// # Errors
/// If a file is missing or damaged, or the config asks for what there is not.
pub fn open(
    folder: &ModelFolder,
    component: &str,
    weights: WeightSource,
) -> Result<Box<dyn TextEncoderModel>, LoadError> {
    Ok(Box::new(T5Model {
        config: T5Config::load(folder, component)?,
        weights: Checkpoint::from_source(folder, component, weights)?,
    }))
}

impl TextEncoderModel for T5Model {
    fn width(&self) -> usize {
        self.config.d_model
    }

    fn weights(&self) -> &Checkpoint {
        &self.weights
    }

    fn load(&self) -> Result<Box<dyn TextEncoder>, LoadError> {
        Ok(Box::new(T5Encoder::load(&self.weights, &self.config)?))
    }
}
