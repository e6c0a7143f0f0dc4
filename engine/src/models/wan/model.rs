//! A Wan 2.1 folder as the pipeline sees it.
use super::{WanTransformer, WanVaeDecoder};
use crate::models::{
    DenoisingTransformer, EncoderSpec, LatentDecoder, LatentSizes, MadeFor, Mismatch, Padding, PromptStyle,
    PublishedSettings, TinyDetail, VideoModel, taehv::TinyDecoder,
};
use model_loader::{
    Checkpoint, LoadError, ModelFolder, WeightSource,
    config::{TinyVaeConfig, WanTransformerConfig, WanVaeConfig},
};

/// The longest prompt in tokens; the published pipeline's default.
const MAX_SEQUENCE_LENGTH: usize = 512;

/// Configs and mapped weights of a Wan text-to-video model.
#[derive(Debug)]
pub struct WanModel {
    transformer: WanTransformerConfig,
    transformer_weights: Checkpoint,
    vae: WanVaeConfig,
    vae_weights: Checkpoint,
    tiny: Option<(TinyVaeConfig, Checkpoint)>,
}

impl WanModel {
    /// Reads the configs, and the headers of the weights if they are stored.
    ///
    /// # Errors
    /// If a file is missing or damaged, or a config asks for what there is not.
    pub fn open(folder: &ModelFolder, weights: WeightSource) -> Result<Self, LoadError> {
        let tiny = match TinyVaeConfig::load_optional(folder)? {
            Some(config) => {
                Some((config, Checkpoint::from_source(folder, TinyVaeConfig::COMPONENT, weights)?))
            }
            None => None,
        };
        Ok(Self {
            tiny,
            transformer: WanTransformerConfig::load(folder, "transformer")?,
            transformer_weights: Checkpoint::from_source(folder, "transformer", weights)?,
            vae: WanVaeConfig::load(folder, "vae")?,
            vae_weights: Checkpoint::from_source(folder, "vae", weights)?,
        })
    }
}

impl VideoModel for WanModel {
    /// Those of Wan 2.1 1.3B.
    fn published(&self) -> PublishedSettings {
        PublishedSettings {
            width: 832,
            height: 480,
            num_frames: 81,
            fps: 16.0,
            num_inference_steps: 50,
            guidance_scale: 5.0,
        }
    }

    /// Those of the published models: at 480 and at 720 lines, in any shape.
    fn made_for(&self) -> MadeFor {
        MadeFor::Pixels { least: 480 * 480, most: 1280 * 768 }
    }

    fn encoders(&self) -> Vec<EncoderSpec> {
        let style = PromptStyle { cleaned: true, length: MAX_SEQUENCE_LENGTH, padding: Padding::Zeros };
        vec![EncoderSpec { component: "text_encoder", tokenizer: "tokenizer", style }]
    }

    fn latent_sizes(&self) -> LatentSizes {
        LatentSizes {
            channels: self.vae.z_dim,
            spatial: self.vae.scale_factor_spatial,
            temporal: self.vae.scale_factor_temporal,
            patch: self.transformer.patch_size,
            pads_frames: false,
            frames_first: false,
        }
    }

    fn check(&self, text_widths: &[usize]) -> Result<(), Mismatch> {
        let Self { transformer, vae, .. } = self;
        let text = "text_dim of transformer/config.json";
        let text_width = text_widths.first().copied().unwrap_or(transformer.text_dim);
        let input = ("in_channels of transformer/config.json", transformer.in_channels);
        let output = ("out_channels of transformer/config.json", transformer.out_channels);
        let z_dim = "z_dim of vae/config.json";
        Mismatch::check(&[
            (text, transformer.text_dim, "the width of text_encoder/config.json", text_width),
            (input.0, input.1, z_dim, vae.z_dim),
            (output.0, output.1, z_dim, vae.z_dim),
        ])?;
        let Some((tiny, _)) = &self.tiny else { return Ok(()) };
        let spatial = ("scale_factor_spatial of vae/config.json", vae.scale_factor_spatial);
        let temporal = ("scale_factor_temporal of vae/config.json", vae.scale_factor_temporal);
        Mismatch::check(&[
            ("number of channels that the tiny decoder takes", tiny.latent_channels, z_dim, vae.z_dim),
            ("factor in space of the tiny decoder", tiny.scale_factor_spatial(), spatial.0, spatial.1),
            ("factor in time of the tiny decoder", tiny.scale_factor_temporal(), temporal.0, temporal.1),
        ])
    }

    fn transformer_weights(&self, _: usize) -> &Checkpoint {
        &self.transformer_weights
    }

    fn vae_weights(&self) -> &Checkpoint {
        &self.vae_weights
    }

    fn load_transformer(&self, _: usize) -> Result<Box<dyn DenoisingTransformer>, LoadError> {
        Ok(Box::new(WanTransformer::load(&self.transformer_weights, &self.transformer)?))
    }

    fn load_decoder(&self) -> Result<Box<dyn LatentDecoder>, LoadError> {
        Ok(Box::new(WanVaeDecoder::load(&self.vae_weights, &self.vae)?))
    }

    fn tiny_weights(&self) -> Option<&Checkpoint> {
        self.tiny.as_ref().map(|(_, weights)| weights)
    }

    fn load_tiny_decoder(&self, detail: TinyDetail) -> Result<Option<Box<dyn LatentDecoder>>, LoadError> {
        let Some((config, weights)) = &self.tiny else { return Ok(None) };
        Ok(Some(Box::new(TinyDecoder::load(weights, config, detail)?)))
    }
}
