//! A model's networks with their weights, as long as somebody wants them.
use super::{EngineError, JobOptions, Model};
use crate::models::{DenoisingTransformer, LatentDecoder, PictureEncoder, TextEncoder, TinyDetail};
use model_loader::LoadError;
use std::sync::Arc;

/// How long a pipeline keeps weights on its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightPolicy {
    /// Each stage's weights go when the stage is over: for one video in the least memory.
    #[default]
    DropAfterStage,
    /// All weights stay: for one video after the other.
    Keep,
}

/// Which network makes frames of latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecoderKind {
    /// The model's own.
    #[default]
    Full,
    /// The tiny one that came with it: a fraction of the time and memory, with less detail.
    Tiny,
}

/// The networks that were taken from a model's files. A weight lives on the device as long as its network is here or a
/// stage holds it.
#[derive(Debug, Default)]
pub(super) struct Networks {
    policy: WeightPolicy,
    encoders: Vec<Slot<dyn TextEncoder>>,
    picture_encoder: Slot<dyn PictureEncoder>,
    transformers: Vec<Slot<dyn DenoisingTransformer>>,
    decoder: Slot<dyn LatentDecoder>,
    tiny_decoder: Slot<dyn LatentDecoder>,
    preview_decoder: Slot<dyn LatentDecoder>,
}

/// One network, if it was taken.
#[derive(Debug)]
struct Slot<T: ?Sized>(Option<Arc<T>>);

impl<T: ?Sized> Default for Slot<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: ?Sized> Slot<T> {
    fn get(&mut self, load: impl FnOnce() -> Result<Box<T>, LoadError>) -> Result<Arc<T>, LoadError> {
        match &self.0 {
            Some(network) => Ok(Arc::clone(network)),
            None => Ok(Arc::clone(self.0.insert(Arc::from(load()?)))),
        }
    }
}

impl Networks {
    pub(super) fn new(policy: WeightPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Takes all networks that a job needs, so that weights that do not fit their config are refused before any work.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config, or there is no such decoder.
    pub(super) fn check(&mut self, model: &Model, options: JobOptions) -> Result<(), EngineError> {
        for expert in 0..model.family.experts().len() {
            self.transformer(model, expert)?;
        }
        self.picture_encoder(model)?;
        self.decoder(model, options.decoder)?;
        if options.preview {
            self.preview_decoder(model)?;
        }
        Ok(())
    }

    pub(super) fn encoder(
        &mut self,
        model: &Model,
        index: usize,
    ) -> Result<Arc<dyn TextEncoder>, EngineError> {
        Ok(slot(&mut self.encoders, index).get(|| model.encoders[index].model.load())?)
    }

    /// `None` for a model that takes no picture.
    pub(super) fn picture_encoder(
        &mut self,
        model: &Model,
    ) -> Result<Option<Arc<dyn PictureEncoder>>, EngineError> {
        if self.picture_encoder.0.is_none() {
            self.picture_encoder.0 = model.family.load_picture_encoder()?.map(Arc::from);
        }
        Ok(self.picture_encoder.0.clone())
    }

    pub(super) fn transformer(
        &mut self,
        model: &Model,
        expert: usize,
    ) -> Result<Arc<dyn DenoisingTransformer>, EngineError> {
        Ok(slot(&mut self.transformers, expert).get(|| model.family.load_transformer(expert))?)
    }

    pub(super) fn decoder(
        &mut self,
        model: &Model,
        kind: DecoderKind,
    ) -> Result<Arc<dyn LatentDecoder>, EngineError> {
        match kind {
            DecoderKind::Full => Ok(self.decoder.get(|| model.family.load_decoder())?),
            DecoderKind::Tiny => tiny(&mut self.tiny_decoder, model, TinyDetail::Full),
        }
    }

    pub(super) fn preview_decoder(&mut self, model: &Model) -> Result<Arc<dyn LatentDecoder>, EngineError> {
        tiny(&mut self.preview_decoder, model, TinyDetail::Preview)
    }

    /// The texts and the picture are encoded.
    pub(super) fn done_encoding(&mut self) {
        if self.policy == WeightPolicy::DropAfterStage {
            self.encoders.clear();
            self.picture_encoder.0 = None;
        }
    }

    /// This expert has made its last step.
    pub(super) fn done_denoising(&mut self, expert: usize) {
        if self.policy == WeightPolicy::DropAfterStage {
            slot(&mut self.transformers, expert).0 = None;
        }
    }

    /// A job is over, well or not.
    pub(super) fn done(&mut self) {
        if self.policy == WeightPolicy::DropAfterStage {
            *self = Self::default();
        }
    }
}

/// The tiny decoder, which must have come with the model.
fn tiny(
    slot: &mut Slot<dyn LatentDecoder>,
    model: &Model,
    detail: TinyDetail,
) -> Result<Arc<dyn LatentDecoder>, EngineError> {
    if let Some(decoder) = &slot.0 {
        return Ok(Arc::clone(decoder));
    }
    let decoder = model.family.load_tiny_decoder(detail)?.ok_or(EngineError::NoTinyDecoder)?;
    Ok(Arc::clone(slot.0.insert(Arc::from(decoder))))
}

fn slot<T: ?Sized>(slots: &mut Vec<Slot<T>>, index: usize) -> &mut Slot<T> {
    if slots.len() <= index {
        slots.resize_with(index + 1, Slot::default);
    }
    &mut slots[index]
}
