//! Which model: a folder, or the one inside this program.

use crate::args::{PartArgs, is_embedded};
use crate::downloads;
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

/// The model in the files that are named, or of the hub: then it is downloaded if it is not in the cache.
pub(crate) fn open(path: Option<&Path>, parts: &PartArgs, quiet: bool) -> Result<ModelFolder> {
    match path.and_then(downloads::repository) {
        Some(repo) => {
            let snapshot = downloads::model(&repo, quiet)?;
            let base = ModelFolder::open(&snapshot).map_err(failure)?.called(&repo.to_string());
            assemble(Some(base), None, parts)
        }
        None => open_local(path, parts),
    }
}

fn open_local(path: Option<&Path>, parts: &PartArgs) -> Result<ModelFolder> {
    let whole = path.filter(|path| path.is_file());
    // Parts without a model stand by themselves.
    let base = match path {
        _ if whole.is_some() => None,
        None if parts.replace_any() => None,
        path => Some(open_folder(path)?),
    };
    assemble(base, whole, parts)
}

/// What the files make of a base, or of nothing.
fn assemble(base: Option<ModelFolder>, whole: Option<&Path>, parts: &PartArgs) -> Result<ModelFolder> {
    let mut assembly = Assembly::new(base);
    let named = |path: &Path| NamedFile::open(path).map_err(failure);
    if let Some(path) = whole {
        assembly.add(&named(path)?).map_err(failure)?;
    }
    for (component, path) in parts.components() {
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
