//! `transformer/config.json` of CogVideoX: the diffusion transformer.

use serde_json::Value;

use crate::config::{Fields, limits};
use crate::{ModelFolder, Result};

/// The numbers of a `CogVideoXTransformer3DModel`. Absent keys have the defaults of diffusers.
#[derive(Clone, Debug, PartialEq)]
pub struct CogVideoXTransformerConfig {
    /// Heads of the attention.
    pub num_attention_heads: usize,
    /// Width of a head: a multiple of 4, with rotary positions of 16.
    pub attention_head_dim: usize,
    /// Channels that go in: as many as come out, or those twice: latents, then an image's latents.
    pub in_channels: usize,
    /// Channels of the latents and of what comes out.
    pub out_channels: usize,
    /// Width of the time embedding.
    pub time_embed_dim: usize,
    /// Width of the embedding of the constant offset that image-to-video 1.5 has: `time_embed_dim`.
    pub ofs_embed_dim: Option<usize>,
    /// Width of the text encoder's output.
    pub text_embed_dim: usize,
    /// Transformer blocks.
    pub num_layers: usize,
    /// Whether q, k and v have biases.
    pub attention_bias: bool,
    /// Columns of the latents that the model was trained on.
    pub sample_width: usize,
    /// Rows of these.
    pub sample_height: usize,
    /// Frames of the video that these were made from.
    pub sample_frames: usize,
    /// Rows and columns of a patch.
    pub patch_size: usize,
    /// Frames of a patch in the models of kind 1.5; `None` means one frame and a convolution.
    pub patch_size_t: Option<usize>,
    /// Video frames for each latent frame.
    pub temporal_compression_ratio: usize,
    /// Tokens of a text.
    pub max_text_seq_length: usize,
    /// Whether the norms have weights and biases.
    pub norm_elementwise_affine: bool,
    /// Epsilon of the norms but those of q and k.
    pub norm_eps: f32,
    /// What rows and columns are divided by in the sine positions.
    pub spatial_interpolation_scale: f64,
    /// What frames are divided by in these.
    pub temporal_interpolation_scale: f64,
    /// Rotary positions; without them, sine positions are added to the tokens.
    pub use_rotary_positional_embeddings: bool,
    /// A table of positions from the checkpoint is added to the tokens (beside rotary positions).
    pub use_learned_positional_embeddings: bool,
    /// Whether the convolution that makes the tokens has a bias.
    pub patch_bias: bool,
}

impl CogVideoXTransformerConfig {
    /// Reads and checks `component/config.json`.
    ///
    /// # Errors
    /// When it is absent, damaged, or asks for something that is not supported.
    pub fn load(folder: &ModelFolder, component: &str) -> Result<Self> {
        Self::take(Fields::load(folder, &format!("{component}/config.json"))?)
    }

    /// Checks the config in `json`; messages call it `file`.
    ///
    /// # Errors
    /// As [`CogVideoXTransformerConfig::load`].
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        Self::take(Fields::parse(file, json)?)
    }

    /// The width of the tokens: all heads side by side.
    #[must_use]
    pub const fn inner_dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Latent frames, rows and columns that make one token.
    #[must_use]
    pub fn patch(&self) -> [usize; 3] {
        [self.patch_size_t.unwrap_or(1), self.patch_size, self.patch_size]
    }

    /// Channels of the image's latents that go in beside the noisy ones: none in text-to-video models.
    #[must_use]
    pub const fn condition_channels(&self) -> usize {
        self.in_channels - self.out_channels
    }

    fn take(mut fields: Fields) -> Result<Self> {
        const CLASS: &str = "CogVideoXTransformer3DModel";
        fields.only("_class_name", CLASS, CLASS)?;
        fields.refuse_quantised()?;
        fields.only("activation_fn", "gelu-approximate", "gelu-approximate")?;
        fields.only("timestep_activation_fn", "silu", "silu")?;
        fields.only("flip_sin_to_cos", true, true)?;
        fields.only("freq_shift", 0, 0)?;
        let config = Self {
            num_attention_heads: fields.size_or("num_attention_heads", 30, limits::COUNT)?,
            attention_head_dim: fields.size_or("attention_head_dim", 64, limits::COUNT)?,
            in_channels: fields.size_or("in_channels", 16, limits::WIDTH)?,
            out_channels: fields.size_or("out_channels", 16, limits::WIDTH)?,
            time_embed_dim: fields.size_or("time_embed_dim", 512, limits::WIDTH)?,
            ofs_embed_dim: fields.optional_size("ofs_embed_dim", limits::WIDTH)?,
            text_embed_dim: fields.size_or("text_embed_dim", 4096, limits::WIDTH)?,
            num_layers: fields.size_or("num_layers", 30, limits::COUNT)?,
            attention_bias: fields.or("attention_bias", true)?,
            sample_width: fields.size_or("sample_width", 90, limits::COUNT)?,
            sample_height: fields.size_or("sample_height", 60, limits::COUNT)?,
            sample_frames: fields.size_or("sample_frames", 49, limits::COUNT)?,
            patch_size: fields.size_or("patch_size", 2, 64)?,
            patch_size_t: fields.optional_size("patch_size_t", 64)?,
            temporal_compression_ratio: fields.size_or("temporal_compression_ratio", 4, 64)?,
            max_text_seq_length: fields.size_or("max_text_seq_length", 226, limits::COUNT)?,
            norm_elementwise_affine: fields.or("norm_elementwise_affine", true)?,
            norm_eps: fields.epsilon_or("norm_eps", 1e-5)?,
            spatial_interpolation_scale: fields.positive_or("spatial_interpolation_scale", 1.875)?,
            temporal_interpolation_scale: fields.positive_or("temporal_interpolation_scale", 1.0)?,
            use_rotary_positional_embeddings: fields.or("use_rotary_positional_embeddings", false)?,
            use_learned_positional_embeddings: fields.or("use_learned_positional_embeddings", false)?,
            patch_bias: fields.or("patch_bias", true)?,
        };
        config.check_channels(&fields)?;
        config.check_positions(&fields)?;
        fields.ignore_rest(CLASS, &["dropout"]);
        Ok(config)
    }

    fn check_channels(&self, fields: &Fields) -> Result<()> {
        let out = self.out_channels;
        if self.in_channels != out && self.in_channels != 2 * out {
            let supported = format!("out_channels {out}, or twice as many for image-to-video");
            return Err(fields.unsupported("in_channels", self.in_channels, &supported));
        }
        if let Some(width) = self.ofs_embed_dim.filter(|width| *width != self.time_embed_dim) {
            let supported = format!("null or time_embed_dim {}", self.time_embed_dim);
            return Err(fields.unsupported("ofs_embed_dim", width, &supported));
        }
        if self.inner_dim() > limits::WIDTH {
            let head = self.attention_head_dim;
            let expected = format!("a model at most {} wide (with attention_head_dim {head})", limits::WIDTH);
            return Err(fields.bad("num_attention_heads", &self.num_attention_heads.into(), &expected));
        }
        Ok(())
    }

    fn check_positions(&self, fields: &Fields) -> Result<()> {
        let head = self.attention_head_dim;
        // Pairs of channels in three parts of 1/4, 3/8 and 3/8 of the head, or of the whole width.
        if self.use_rotary_positional_embeddings && !head.is_multiple_of(16) {
            return Err(fields.bad("attention_head_dim", &head.into(), "a multiple of 16"));
        }
        if !head.is_multiple_of(4) {
            return Err(fields.bad("attention_head_dim", &head.into(), "a multiple of 4"));
        }
        if !self.use_rotary_positional_embeddings && !self.inner_dim().is_multiple_of(16) {
            let expected =
                format!("heads whose width is a multiple of 16 together (with attention_head_dim {head})");
            return Err(fields.bad("num_attention_heads", &self.num_attention_heads.into(), &expected));
        }
        if self.use_learned_positional_embeddings && !self.use_rotary_positional_embeddings {
            let supported = "false without use_rotary_positional_embeddings";
            return Err(fields.unsupported("use_learned_positional_embeddings", true, supported));
        }
        let added = self.use_learned_positional_embeddings || !self.use_rotary_positional_embeddings;
        if let Some(frames) = self.patch_size_t.filter(|_| added) {
            let supported = "null, for positions are added to the tokens frame by frame";
            return Err(fields.unsupported("patch_size_t", Value::from(frames), supported));
        }
        for (key, size) in [("sample_height", self.sample_height), ("sample_width", self.sample_width)] {
            if size < self.patch_size {
                let expected = format!("at least patch_size {}", self.patch_size);
                return Err(fields.bad(key, &size.into(), &expected));
            }
        }
        Ok(())
    }
}
