//! `text_encoder/config.json` of the T5 family: T5 v1.1 and UMT5.

use crate::config::{Fields, limits};
use crate::{ModelFolder, Result};

/// The numbers of a `T5EncoderModel` or `UMT5EncoderModel`. Absent keys have the defaults of transformers.
#[derive(Clone, Debug, PartialEq)]
pub struct T5Config {
    /// Rows of the embedding table; may be more than the tokenizer has tokens.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of a head; `num_heads * d_kv` need not be `d_model`.
    pub d_kv: usize,
    /// Inner width of the gated feed-forward layers.
    pub d_ff: usize,
    /// Encoder blocks.
    pub num_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Buckets of relative distance, both directions together.
    pub relative_attention_num_buckets: usize,
    /// The distance from which on all share the last bucket.
    pub relative_attention_max_distance: usize,
    /// Whether the first block's table of position biases serves all (T5), or every block has its own (UMT5).
    pub shared_position_bias: bool,
    /// Epsilon of the norms.
    pub layer_norm_epsilon: f32,
    /// Kind of feed-forward layer: always `gated-gelu`.
    pub feed_forward_proj: String,
    /// Its activation: always `gelu_new`, the tanh form.
    pub dense_act_fn: String,
    /// The token that ends a text.
    pub eos_token_id: usize,
    /// The token that fills a sequence up.
    pub pad_token_id: usize,
}

/// What the two kinds have where a config is silent, as far as it differs.
struct Defaults {
    vocab_size: usize,
    d_ff: usize,
    num_layers: usize,
    num_heads: usize,
    feed_forward: &'static str,
}

/// Keys that say nothing about the encoder's numbers: training, the absent decoder, generation, bookkeeping.
const HARMLESS: &[&str] = &[
    "bos_token_id",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "decoder_start_token_id",
    "diversity_penalty",
    "dropout_rate",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "id2label",
    "initializer_factor",
    "is_encoder_decoder",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "n_positions",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_decoder_layers",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "problem_type",
    "repetition_penalty",
    "return_dict",
    "scalable_attention",
    "scale_decoder_outputs",
    "task_specific_params",
    "temperature",
    "tie_encoder_decoder",
    "tie_word_embeddings",
    "tokenizer_class",
    "top_k",
    "top_p",
    "typical_p",
    "use_bfloat16",
];

impl T5Config {
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
    /// As [`T5Config::load`].
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        Self::take(Fields::parse(file, json)?)
    }

    /// The width of q, k and v: all heads side by side.
    #[must_use]
    pub const fn inner_dim(&self) -> usize {
        self.num_heads * self.d_kv
    }

    fn take(mut fields: Fields) -> Result<Self> {
        let kind: String = fields.required("model_type")?;
        let defaults = match &*kind {
            "t5" => {
                Defaults { vocab_size: 32_128, d_ff: 2048, num_layers: 6, num_heads: 8, feed_forward: "relu" }
            }
            "umt5" => Defaults {
                vocab_size: 250_112,
                d_ff: 1024,
                num_layers: 8,
                num_heads: 6,
                feed_forward: "gated-gelu",
            },
            _ => return Err(fields.unsupported("model_type", kind, "t5, umt5")),
        };
        fields.only("feed_forward_proj", defaults.feed_forward, "gated-gelu")?;
        fields.only("dense_act_fn", "gelu_new", "gelu_new")?;
        fields.only("is_gated_act", true, true)?;
        fields.only("is_decoder", false, false)?;
        fields.absent("pruned_heads")?;
        fields.refuse_quantised()?;
        let config = Self {
            vocab_size: fields.size_or("vocab_size", defaults.vocab_size, limits::LENGTH)?,
            d_model: fields.size_or("d_model", 512, limits::WIDTH)?,
            d_kv: fields.size_or("d_kv", 64, limits::COUNT)?,
            d_ff: fields.size_or("d_ff", defaults.d_ff, limits::WIDTH)?,
            num_layers: fields.size_or("num_layers", defaults.num_layers, limits::COUNT)?,
            num_heads: fields.size_or("num_heads", defaults.num_heads, limits::COUNT)?,
            relative_attention_num_buckets: fields.size_or(
                "relative_attention_num_buckets",
                32,
                limits::COUNT,
            )?,
            relative_attention_max_distance: fields.size_or(
                "relative_attention_max_distance",
                128,
                limits::LENGTH,
            )?,
            shared_position_bias: kind == "t5",
            layer_norm_epsilon: fields.epsilon_or("layer_norm_epsilon", 1e-6)?,
            feed_forward_proj: "gated-gelu".to_owned(),
            dense_act_fn: "gelu_new".to_owned(),
            eos_token_id: fields.optional("eos_token_id")?.unwrap_or(1),
            pad_token_id: fields.optional("pad_token_id")?.unwrap_or(0),
        };
        config.check(&fields)?;
        fields.ignore_rest(if config.shared_position_bias { "T5Config" } else { "UMT5Config" }, HARMLESS);
        Ok(config)
    }

    fn check(&self, fields: &Fields) -> Result<()> {
        let buckets = self.relative_attention_num_buckets;
        if !buckets.is_multiple_of(4) {
            return Err(fields.bad("relative_attention_num_buckets", &buckets.into(), "a multiple of 4"));
        }
        // Half of a direction's buckets hold one distance each, the others grow up to the largest.
        let exact = buckets / 4;
        if self.relative_attention_max_distance <= exact {
            let value = self.relative_attention_max_distance.into();
            return Err(fields.bad("relative_attention_max_distance", &value, &format!("more than {exact}")));
        }
        if self.inner_dim() > limits::WIDTH {
            let expected = format!("heads at most {} wide together (with d_kv {})", limits::WIDTH, self.d_kv);
            return Err(fields.bad("num_heads", &self.num_heads.into(), &expected));
        }
        for (key, id) in [("eos_token_id", self.eos_token_id), ("pad_token_id", self.pad_token_id)] {
            if id >= self.vocab_size {
                return Err(fields.bad(
                    key,
                    &id.into(),
                    &format!("less than vocab_size {}", self.vocab_size),
                ));
            }
        }
        Ok(())
    }
}
