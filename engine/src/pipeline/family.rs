//! Which family a folder belongs to.
use crate::models::{VideoModel, cogvideox::CogVideoXModel, wan::WanModel};
use model_loader::{Family, LoadError, ModelFolder, WeightSource};

/// Opens the networks of a folder by what its `model_index.json` says it is.
pub(super) fn open_model(
    folder: &ModelFolder,
    weights: WeightSource,
) -> Result<Box<dyn VideoModel>, LoadError> {
    // The index refuses pipelines and components that are not supported, by name.
    Ok(match folder.index()?.family {
        Family::Wan => Box::new(WanModel::open(folder, weights)?),
        Family::CogVideoX => Box::new(CogVideoXModel::open(folder, weights)?),
    })
}
