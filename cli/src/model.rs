//! Which model: a folder, or the one inside this program.

use crate::error::{Failure, Result};
use crate::hints::Setup;
use engine::pipeline::{Model, Request};
use model_loader::{Format, LoadError, ModelFolder};
use std::path::Path;

/// What the embedded model is called, on the command line too.
pub(crate) const DEFAULT_NAME: &str = "default";

/// The model inside this program.
pub(crate) fn embedded() -> ModelFolder {
    ModelFolder::embedded(DEFAULT_NAME, default_model::FILES)
}

/// Whether `path` means the model inside this program. A folder of that name wins over the word.
pub(crate) fn is_embedded(path: Option<&Path>) -> bool {
    path.is_none_or(|path| path == Path::new(DEFAULT_NAME) && !path.exists())
}

/// The model at `path`, or the embedded one.
pub(crate) fn open(path: Option<&Path>) -> Result<ModelFolder> {
    match path {
        Some(path) if !is_embedded(Some(path)) => ModelFolder::open(path).map_err(failure),
        _ => Ok(embedded()),
    }
}

/// The model of a folder, read as far as no device is needed.
pub(crate) fn read(folder: &ModelFolder) -> Result<Model> {
    Model::open(folder).map_err(|error| Failure::of_engine(&error, Setup::default()))
}

/// The same of a folder whose weights need not be there: they are random, of this type.
pub(crate) fn read_configs(folder: &ModelFolder, weights: Format) -> Result<Model> {
    Model::of_configs(folder, weights).map_err(|error| Failure::of_engine(&error, Setup::default()))
}

/// A loading error in this program's terms: the files are the user's.
pub(crate) fn failure(error: LoadError) -> Failure {
    let failure = Failure::user(error.to_string());
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// A video of the asked size without a prompt: for plans and measurements.
pub(crate) fn request_of(width: Option<u32>, height: Option<u32>, frames: Option<u32>) -> Request {
    let count = |number: Option<u32>| number.map(|number| number as usize);
    Request { width: count(width), height: count(height), num_frames: count(frames), ..Request::default() }
}
