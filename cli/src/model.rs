//! Which model: a folder, or the one inside this program.

use crate::error::{Failure, Result};
use crate::hints::Setup;
use engine::pipeline::ModelFacts;
use model_loader::{LoadError, ModelFolder};
use std::path::Path;

/// What the embedded model is called, on the command line too.
pub(crate) const DEFAULT_NAME: &str = "default";

/// The model inside this program.
pub(crate) fn embedded() -> ModelFolder {
    ModelFolder::embedded(DEFAULT_NAME, default_model::FILES)
}

/// The model at `path`, or the embedded one.
pub(crate) fn open(path: Option<&Path>) -> Result<ModelFolder> {
    match path {
        None => Ok(embedded()),
        // A folder of that name wins over the word.
        Some(path) if path == Path::new(DEFAULT_NAME) && !path.exists() => Ok(embedded()),
        Some(path) => ModelFolder::open(path).map_err(failure),
    }
}

/// What the model publishes about itself.
pub(crate) fn facts(folder: &ModelFolder) -> Result<ModelFacts> {
    ModelFacts::read(folder).map_err(|error| Failure::of_engine(&error, Setup::default()))
}

/// The same of a folder whose weights need not be there.
pub(crate) fn facts_of_configs(folder: &ModelFolder) -> Result<ModelFacts> {
    ModelFacts::of_configs(folder).map_err(|error| Failure::of_engine(&error, Setup::default()))
}

/// A loading error in this program's terms: the files are the user's.
pub(crate) fn failure(error: LoadError) -> Failure {
    let failure = Failure::user(error.to_string());
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
