//! Which model: a folder, or the one inside this program.

use crate::args::{PartArgs, is_embedded};
use crate::error::{Failure, Result};
use crate::hints::Setup;
use engine::pipeline::{Model, Request};
use model_loader::{Assembly, Format, LoadError, ModelFolder, NamedFile};
use std::path::Path;

/// What the embedded model is called, on the command line too.
pub(crate) const DEFAULT_NAME: &str = "default";

/// The model inside this program.
pub(crate) fn embedded() -> ModelFolder {
    ModelFolder::embedded(DEFAULT_NAME, default_model::FILES)
}

/// The folder at `path`, or the embedded one.
pub(crate) fn open_folder(path: Option<&Path>) -> Result<ModelFolder> {
    match path {
        Some(path) if !is_embedded(Some(path)) => ModelFolder::open(path).map_err(failure),
        _ => Ok(embedded()),
    }
}

/// The model in the files that are named.
pub(crate) fn open(path: Option<&Path>, parts: &PartArgs) -> Result<ModelFolder> {
    let whole = path.filter(|path| path.is_file());
    let replaced: Vec<(&str, &Path)> = parts.components().collect();
    // Parts without a model stand by themselves.
    let base = match path {
        _ if whole.is_some() => None,
        None if !replaced.is_empty() => None,
        path => Some(open_folder(path)?),
    };
    let mut assembly = Assembly::new(base);
    let named = |path: &Path| NamedFile::open(path).map_err(failure);
    if let Some(path) = whole {
        assembly.add(&named(path)?).map_err(failure)?;
    }
    for (component, path) in replaced {
        assembly.add_part(component, &named(path)?).map_err(failure)?;
    }
    if let Some(path) = &parts.tokenizer {
        assembly.add_tokenizer(named(path)?);
    }
    for lora in &parts.lora {
        assembly.add_lora(&named(&lora.path)?, lora.weight).map_err(failure)?;
    }
    assembly.finish().map_err(failure)
}

/// The model of a folder, read as far as no device is needed.
pub(crate) fn read(folder: &ModelFolder) -> Result<Model> {
    Model::open(folder).map_err(|error| Failure::of_engine(&error, Setup::default()))
}

/// The same of a folder whose weights need not be there: they are random, of this type.
pub(crate) fn read_configs(folder: &ModelFolder, weights: Format) -> Result<Model> {
    Model::of_configs(folder, weights).map_err(|error| Failure::of_engine(&error, Setup::default()))
}

/// The same with its text encoders, to be planned for.
pub(crate) fn read_for_plans(folder: &ModelFolder, weights: Format) -> Result<Model> {
    Model::for_plans(folder, weights).map_err(|error| Failure::of_engine(&error, Setup::default()))
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
