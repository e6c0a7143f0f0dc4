//! A model opened from a folder: its configs, its mapped weights, and what it says of itself. No device.
use super::{EngineError, Notice, Settings, family::open_model};
use crate::{
    diffusion::SchedulerKind,
    executor::Executor,
    models::{EncoderSpec, MadeFor, PublishedSettings, TextEncoderModel, VideoModel, encoders},
    nn::Precision,
};
use model_loader::{
    Format, ModelFolder, Tokenizer, WeightSource,
    config::{GenerationConfig, ModelScheduler},
};
use std::sync::OnceLock;

/// A model's files, read as far as no device is needed.
#[derive(Debug)]
pub struct Model {
    name: String,
    pub(super) family: Box<dyn VideoModel>,
    pub(super) encoders: Vec<OpenEncoder>,
    pub(super) scheduler: ModelScheduler,
    generation: GenerationConfig,
    /// What the user should know of its files.
    notices: Vec<String>,
}

/// A text encoder with its tokenizer.
#[derive(Debug)]
pub(super) struct OpenEncoder {
    pub(super) spec: EncoderSpec,
    pub(super) model: Box<dyn TextEncoderModel>,
    /// None where texts are only planned for.
    tokenizer: Option<Tokenizer>,
    fingerprint: OnceLock<[u8; 32]>,
}

impl OpenEncoder {
    /// What tells its weights from others, worked out once.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        *self.fingerprint.get_or_init(|| self.model.weights().fingerprint())
    }

    /// Padded length: the smaller of what the family publishes and what the tokenizer's config says.
    pub(super) fn length(&self) -> usize {
        let longest = self.spec.style.length;
        let own = self.tokenizer.as_ref().and_then(Tokenizer::model_max_length);
        own.unwrap_or(longest).clamp(1, longest)
    }

    /// The tokenizer of a model whose files are there.
    pub(super) fn tokenizer(&self) -> Result<&Tokenizer, EngineError> {
        let none = || EngineError::Internal("a model of configs alone has no tokenizer".to_owned());
        self.tokenizer.as_ref().ok_or_else(none)
    }
}

impl Model {
    /// Reads the configs of a folder and the headers of its weights, and maps these.
    ///
    /// # Errors
    /// If the model is damaged or of an unknown kind, or its parts do not fit each other.
    pub fn open(folder: &ModelFolder) -> Result<Self, EngineError> {
        let index = folder.index()?;
        let family = open_model(folder, WeightSource::Stored)?;
        let open = |spec: EncoderSpec| -> Result<OpenEncoder, EngineError> {
            let class = index.class(spec.component).unwrap_or("null");
            let model = encoders::open(folder, spec.component, class, WeightSource::Stored)?;
            let tokenizer = Some(Tokenizer::open(folder, spec.tokenizer)?);
            Ok(OpenEncoder { spec, model, tokenizer, fingerprint: OnceLock::new() })
        };
        let encoders = family.encoders().into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let widths: Vec<usize> = encoders.iter().map(|encoder| encoder.model.width()).collect();
        family.check(&widths).map_err(EngineError::Mismatch)?;
        Self::with(folder, family, encoders)
    }

    /// Reads the configs of a folder alone; weights are random numbers in this type. There are no text encoders, so that
    /// no video can be made: to be measured.
    ///
    /// # Errors
    /// If a config is damaged, or the model of an unknown kind.
    pub fn of_configs(folder: &ModelFolder, weights: Format) -> Result<Self, EngineError> {
        let family = open_model(folder, WeightSource::Random(weights))?;
        Self::with(folder, family, Vec::new())
    }

    /// Reads the configs of a folder alone, those of the text encoders too; weights are random numbers in this type: to be planned for.
    ///
    /// # Errors
    /// If a config is damaged, or the model of an unknown kind.
    pub fn for_plans(folder: &ModelFolder, weights: Format) -> Result<Self, EngineError> {
        let (index, weights) = (folder.index()?, WeightSource::Random(weights));
        let family = open_model(folder, weights)?;
        let open = |spec: EncoderSpec| -> Result<OpenEncoder, EngineError> {
            let class = index.class(spec.component).unwrap_or("null");
            let model = encoders::open(folder, spec.component, class, weights)?;
            Ok(OpenEncoder { spec, model, tokenizer: None, fingerprint: OnceLock::new() })
        };
        let encoders = family.encoders().into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        Self::with(folder, family, encoders)
    }

    fn with(
        folder: &ModelFolder,
        family: Box<dyn VideoModel>,
        encoders: Vec<OpenEncoder>,
    ) -> Result<Self, EngineError> {
        let scheduler = ModelScheduler::load(folder, "scheduler")?;
        let generation = GenerationConfig::load(folder)?;
        let (name, notices) = (folder.name().to_owned(), folder.notices());
        Ok(Self { name, family, encoders, scheduler, generation, notices })
    }

    /// What suits the model on this device: see [`super::LoadOptions`].
    pub(super) fn precision_on(&self, executor: &Executor) -> Precision {
        if executor.has_fast_bf16() && self.weights_are_halves() { Precision::Bf16 } else { Precision::F32 }
    }

    /// Whether most weights of the transformer are stored in 16 bits: then rounding to bfloat16 costs none of their values, or
    /// three bits of an f16's.
    fn weights_are_halves(&self) -> bool {
        let counts = self.family.transformer_weights(0).formats();
        let singles = counts.get(&Format::F32).copied().unwrap_or_default();
        counts.values().sum::<usize>() > 2 * singles
    }

    /// The folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The noise scheduler of the folder.
    pub fn scheduler_kind(&self) -> SchedulerKind {
        SchedulerKind::of(&self.scheduler.config)
    }

    /// Whether a video starts from a picture.
    pub fn takes_picture(&self) -> bool {
        self.family.condition_channels() > 0
    }

    /// Frames are a multiple of this plus one.
    pub fn frame_step(&self) -> usize {
        self.family.latent_sizes().temporal
    }

    /// Sides are multiples of this.
    pub fn side_step(&self) -> usize {
        let sizes = self.family.latent_sizes();
        let [_, ph, pw] = sizes.patch;
        sizes.spatial * ph.max(pw)
    }

    /// What a user should know of the model's files.
    pub(super) fn notices(&self) -> impl Iterator<Item = Notice> {
        self.notices.iter().cloned().map(Notice::Files)
    }

    /// The settings that the folder names.
    pub(super) fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// The settings that the family publishes.
    pub(super) fn published(&self) -> PublishedSettings {
        self.family.published()
    }

    /// Rows of a prompt from each text encoder.
    pub(super) fn prompt_rows(&self) -> Vec<usize> {
        if self.encoders.is_empty() {
            return self.family.encoders().iter().map(|spec| spec.style.length).collect();
        }
        self.encoders.iter().map(OpenEncoder::length).collect()
    }

    /// Bytes of all stored weights.
    pub(super) fn bytes(&self) -> u64 {
        let encoders = self.encoders.iter().map(|encoder| encoder.model.weights());
        let experts = (0..self.family.experts().len()).map(|index| self.family.transformer_weights(index));
        let weights = encoders.chain(experts).chain([self.family.vae_weights()]);
        weights.map(|weights| weights.bytes_total() as u64).sum()
    }

    /// Said of sizes and lengths that the model was not made for.
    pub(super) fn poor_size(&self, settings: &Settings) -> Vec<Notice> {
        let (folder, published) = (&self.generation, self.published());
        let own = folder.width.zip(folder.height);
        let (width, height) = own.unwrap_or((published.width, published.height));
        let frames = folder.num_frames.unwrap_or(published.num_frames);
        let asked = [settings.width, settings.height];
        let pixels = settings.width * settings.height;
        let made_for = match self.family.made_for() {
            // A folder that names a size was made for that one.
            MadeFor::Pixels { least, most } if own.is_none() => {
                let side = |pixels: usize| (pixels as f64).sqrt().round();
                let fits = (least..=most).contains(&pixels);
                (!fits).then(|| format!("{:.0}x{0:.0} to {:.0}x{1:.0} pixels", side(least), side(most)))
            }
            _ => (asked != [width, height]).then(|| format!("{width}x{height} pixels")),
        };
        let mut notices = Vec::new();
        notices.extend(made_for.map(|made_for| Notice::PoorSize { asked, made_for }));
        if settings.num_frames > frames {
            notices.push(Notice::PoorLength { asked: settings.num_frames, made_for: frames });
        }
        notices
    }
}
