//! Which family a folder belongs to.
use super::EngineError;
use crate::models::{PublishedSettings, VideoModel, cogvideox::CogVideoXModel, wan::WanModel};
use model_loader::{DType, Family, LoadError, ModelFolder, WeightSource};

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

/// What a model publishes about itself, from its configs alone: its default settings, and what its sizes are multiples of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelFacts {
    /// The settings published for it.
    pub published: PublishedSettings,
    /// Frames are a multiple of this plus one.
    pub frame_step: usize,
    /// Sides are multiples of this.
    pub side_step: usize,
    /// Whether a video starts from a picture.
    pub takes_picture: bool,
}

impl ModelFacts {
    /// Reads the configs of a folder, and the headers of its weights.
    ///
    /// # Errors
    /// If the model is damaged or of an unknown kind.
    pub fn read(folder: &ModelFolder) -> Result<Self, EngineError> {
        Ok(Self::of(open_model(folder, WeightSource::Stored)?.as_ref()))
    }

    /// Reads the configs of a folder, whose weights may be absent.
    ///
    /// # Errors
    /// If a config is damaged, or the model of an unknown kind.
    pub fn of_configs(folder: &ModelFolder) -> Result<Self, EngineError> {
        Ok(Self::of(open_model(folder, WeightSource::Random(DType::F16))?.as_ref()))
    }

    fn of(model: &dyn VideoModel) -> Self {
        let sizes = model.latent_sizes();
        let [_, ph, pw] = sizes.patch;
        Self {
            published: model.published(),
            frame_step: sizes.temporal,
            side_step: sizes.spatial * ph.max(pw),
            takes_picture: model.condition_channels() > 0,
        }
    }
}
