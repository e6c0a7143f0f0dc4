//! A CogVideoX folder as the pipeline sees it: the 2B, 5B and 1.5 kinds, from text or from a picture.
use super::{CogVideoXPictureEncoder, CogVideoXTransformer, CogVideoXVaeDecoder};
use crate::models::{
    DenoisingTransformer, LatentDecoder, LatentSizes, Mismatch, Padding, PictureEncoder, PromptStyle,
    PublishedSettings, VideoModel,
};
use model_loader::{
    Checkpoint, LoadError, ModelFolder, WeightSource,
    config::{CogVideoXTransformerConfig, CogVideoXVaeConfig},
};

/// Configs and mapped weights of a CogVideoX model.
#[derive(Debug)]
pub struct CogVideoXModel {
    transformer: CogVideoXTransformerConfig,
    transformer_weights: Checkpoint,
    vae: CogVideoXVaeConfig,
    vae_weights: Checkpoint,
}

impl CogVideoXModel {
    /// Reads the configs, and the headers of the weights if they are stored.
    ///
    /// # Errors
    /// If a file is missing or damaged, or a config asks for what there is not.
    pub fn open(folder: &ModelFolder, weights: WeightSource) -> Result<Self, LoadError> {
        Ok(Self {
            transformer: CogVideoXTransformerConfig::load(folder, "transformer")?,
            transformer_weights: Checkpoint::from_source(folder, "transformer", weights)?,
            vae: CogVideoXVaeConfig::load(folder, "vae")?,
            vae_weights: Checkpoint::from_source(folder, "vae", weights)?,
        })
    }
}

impl VideoModel for CogVideoXModel {
    /// The size that the config says the model was trained at. Those of the 1.5 kind, trained at many, say none of use:
    /// they get the size of their published examples.
    fn published(&self) -> PublishedSettings {
        let config = &self.transformer;
        let spatial = self.vae.spatial_compression_ratio();
        let (width, height, fps) = if config.patch_size_t.is_some() {
            (1360, 768, 16.0)
        } else {
            (config.sample_width * spatial, config.sample_height * spatial, 8.0)
        };
        PublishedSettings {
            width,
            height,
            num_frames: config.sample_frames,
            fps,
            num_inference_steps: 50,
            guidance_scale: 6.0,
        }
    }

    fn prompt_style(&self) -> PromptStyle {
        PromptStyle { cleaned: false, length: self.transformer.max_text_seq_length, padding: Padding::Tokens }
    }

    fn latent_sizes(&self) -> LatentSizes {
        LatentSizes {
            channels: self.vae.latent_channels,
            spatial: self.vae.spatial_compression_ratio(),
            temporal: self.vae.temporal_compression_ratio,
            patch: self.transformer.patch(),
            pads_frames: self.transformer.patch_size_t.is_some(),
            frames_first: true,
        }
    }

    fn check(&self, text_width: usize) -> Result<(), Mismatch> {
        let Self { transformer, vae, .. } = self;
        Mismatch::check(&[
            (
                "text_embed_dim of transformer/config.json",
                transformer.text_embed_dim,
                "d_model of text_encoder/config.json",
                text_width,
            ),
            (
                "out_channels of transformer/config.json",
                transformer.out_channels,
                "latent_channels of vae/config.json",
                vae.latent_channels,
            ),
            (
                "temporal_compression_ratio of transformer/config.json",
                transformer.temporal_compression_ratio,
                "temporal_compression_ratio of vae/config.json",
                vae.temporal_compression_ratio,
            ),
        ])
    }

    fn condition_channels(&self) -> usize {
        self.transformer.condition_channels()
    }

    fn transformer_bytes(&self) -> usize {
        self.transformer_weights.bytes_total()
    }

    fn vae_bytes(&self) -> usize {
        self.vae_weights.bytes_total()
    }

    fn load_transformer(&self) -> Result<Box<dyn DenoisingTransformer>, LoadError> {
        Ok(Box::new(CogVideoXTransformer::load(&self.transformer_weights, &self.transformer)?))
    }

    fn load_decoder(&self) -> Result<Box<dyn LatentDecoder>, LoadError> {
        Ok(Box::new(CogVideoXVaeDecoder::load(&self.vae_weights, &self.vae)?))
    }

    fn load_picture_encoder(&self) -> Result<Option<Box<dyn PictureEncoder>>, LoadError> {
        if self.condition_channels() == 0 {
            return Ok(None);
        }
        Ok(Some(Box::new(CogVideoXPictureEncoder::load(&self.vae_weights, &self.vae)?)))
    }
}
