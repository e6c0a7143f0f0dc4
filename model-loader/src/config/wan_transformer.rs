//! `transformer/config.json` of Wan: the diffusion transformer.

use crate::config::{Fields, limits};
use crate::{ModelFolder, Result};

/// The numbers of a `WanTransformer3DModel`. Absent keys have the defaults of diffusers.
#[derive(Clone, Debug, PartialEq)]
pub struct WanTransformerConfig {
    /// Latent frames, rows and columns that make one token.
    pub patch_size: [usize; 3],
    /// Heads of self- and cross-attention.
    pub num_attention_heads: usize,
    /// Width of a head: even, at least six.
    pub attention_head_dim: usize,
    /// Channels of the latents that go in.
    pub in_channels: usize,
    /// Channels of the velocity that comes out: as many as go in.
    pub out_channels: usize,
    /// Width of the text encoder's output.
    pub text_dim: usize,
    /// Width of the sinusoidal embedding of the timestep: even.
    pub freq_dim: usize,
    /// Inner width of the feed-forward layers.
    pub ffn_dim: usize,
    /// Transformer blocks.
    pub num_layers: usize,
    /// Whether the norm before the cross-attention exists.
    pub cross_attn_norm: bool,
    /// How q and k are normalised: always `rms_norm_across_heads`.
    pub qk_norm: String,
    /// Epsilon of the norms.
    pub eps: f32,
    /// Width of image embeddings. Always `None`: image-to-video is refused.
    pub image_dim: Option<usize>,
    /// Width of the image keys and values. Always `None`, as `image_dim`.
    pub added_kv_proj_dim: Option<usize>,
    /// Length of the rotary tables: the most patches along an axis.
    pub rope_max_seq_len: usize,
    /// Length of the learned positions of image tokens. Always `None`, as `image_dim`.
    pub pos_embed_seq_len: Option<usize>,
}

impl WanTransformerConfig {
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
    /// As [`WanTransformerConfig::load`].
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        Self::take(Fields::parse(file, json)?)
    }

    /// The width of the tokens: all heads side by side.
    #[must_use]
    pub const fn inner_dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    fn take(mut fields: Fields) -> Result<Self> {
        const CLASS: &str = "WanTransformer3DModel";
        const QK_NORM: &str = "rms_norm_across_heads";
        fields.only("_class_name", CLASS, CLASS)?;
        fields.refuse_quantised()?;
        fields.only("qk_norm", QK_NORM, QK_NORM)?;
        for key in ["image_dim", "added_kv_proj_dim", "pos_embed_seq_len"] {
            if let Some(value) = fields.optional::<usize>(key)? {
                return Err(fields.unsupported(key, value, "null; image-to-video is not"));
            }
        }
        let patch_size = fields.or("patch_size", [1, 2, 2])?;
        if patch_size.iter().any(|&size| size == 0 || size > 64) {
            return Err(fields.bad("patch_size", &patch_size.to_vec().into(), "three sizes of 1 to 64"));
        }
        let in_channels = fields.size_or("in_channels", 16, limits::WIDTH)?;
        let config = Self {
            patch_size,
            num_attention_heads: fields.size_or("num_attention_heads", 40, limits::COUNT)?,
            attention_head_dim: fields.size_or("attention_head_dim", 128, limits::COUNT)?,
            in_channels,
            out_channels: fields.optional_size("out_channels", limits::WIDTH)?.unwrap_or(in_channels),
            text_dim: fields.size_or("text_dim", 4096, limits::WIDTH)?,
            freq_dim: fields.size_or("freq_dim", 256, limits::WIDTH)?,
            ffn_dim: fields.size_or("ffn_dim", 13824, limits::WIDTH)?,
            num_layers: fields.size_or("num_layers", 40, limits::COUNT)?,
            cross_attn_norm: fields.or("cross_attn_norm", true)?,
            qk_norm: QK_NORM.to_owned(),
            eps: fields.epsilon_or("eps", 1e-6)?,
            image_dim: None,
            added_kv_proj_dim: None,
            rope_max_seq_len: fields.size_or("rope_max_seq_len", 1024, limits::LENGTH)?,
            pos_embed_seq_len: None,
        };
        config.check(&fields)?;
        fields.ignore_rest(CLASS, &[]);
        Ok(config)
    }

    fn check(&self, fields: &Fields) -> Result<()> {
        if self.out_channels != self.in_channels {
            let supported = format!("{}, as in_channels; image-to-video is not", self.in_channels);
            return Err(fields.unsupported("out_channels", self.out_channels, &supported));
        }
        let head = self.attention_head_dim;
        // Rotary positions turn pairs; each of the three axes has at least one.
        if head < 6 || !head.is_multiple_of(2) {
            return Err(fields.bad("attention_head_dim", &head.into(), "an even number of at least 6"));
        }
        if self.freq_dim < 2 || !self.freq_dim.is_multiple_of(2) {
            return Err(fields.bad("freq_dim", &self.freq_dim.into(), "an even number"));
        }
        if self.inner_dim() > limits::WIDTH {
            let expected = format!("a model at most {} wide (with attention_head_dim {head})", limits::WIDTH);
            return Err(fields.bad("num_attention_heads", &self.num_attention_heads.into(), &expected));
        }
        Ok(())
    }
}
