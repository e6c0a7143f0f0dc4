//! A CogVideoX folder as the pipeline sees it: the 2B, 5B and 1.5 kinds, from text or from a picture.
use super::{CogVideoXPictureEncoder, CogVideoXTransformer, CogVideoXVaeDecoder};
use crate::models::{
    DenoisingTransformer, EncoderSpec, LatentDecoder, LatentSizes, MadeFor, Mismatch, Padding,
    PictureEncoder, PromptStyle, PublishedSettings, VideoModel,
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

    /// The 1.5 kind was trained at many sizes, those before it at one.
    fn made_for(&self) -> MadeFor {
        match self.transformer.patch_size_t {
            None => MadeFor::PublishedSize,
            Some(_) => MadeFor::Pixels { least: 512 * 512, most: 1360 * 1360 },
        }
    }

    fn encoders(&self) -> Vec<EncoderSpec> {
        let length = self.transformer.max_text_seq_length;
        let style = PromptStyle { cleaned: false, length, padding: Padding::Tokens };
        vec![EncoderSpec { component: "text_encoder", tokenizer: "tokenizer", style }]
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

    fn check(&self, text_widths: &[usize]) -> Result<(), Mismatch> {
        let Self { transformer, vae, .. } = self;
        let text_width = text_widths.first().copied().unwrap_or(transformer.text_embed_dim);
        Mismatch::check(&[
            (
                "text_embed_dim of transformer/config.json",
                transformer.text_embed_dim,
                "the width of text_encoder/config.json",
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

    fn transformer_weights(&self, _: usize) -> &Checkpoint {
        &self.transformer_weights
    }

    fn vae_weights(&self) -> &Checkpoint {
        &self.vae_weights
    }

    fn load_transformer(&self, _: usize) -> Result<Box<dyn DenoisingTransformer>, LoadError> {
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
