//! The config of a T5 encoder from its shapes, and the tokenizer in the metadata of a GGUF file.

use serde_json::json;

use super::{Config, blocks, extent, object};
use crate::source::gguf::{Metadata, Value};
use crate::{Checkpoint, LoadError, Result};

/// Channels of a head in every published model; only GGUF files tell.
const HEAD: usize = 64;

pub(super) fn config(weights: &Checkpoint) -> Option<Config> {
    let query = "encoder.block.0.layer.0.SelfAttention.q.weight";
    let table = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
    let told = |key: &str| number(weights.gguf()?, key);
    let inner = extent(weights, query, 0)?;
    let buckets = extent(weights, table, 0)?;
    let heads = extent(weights, table, 1)?;
    let head = told("attention.key_length").unwrap_or(HEAD);
    if heads * head != inner {
        return None;
    }
    let own_tables = weights.contains("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight");
    let epsilon = weights.gguf().and_then(|all| value(all, "attention.layer_norm_epsilon")?.as_f64());
    Some(object(json!({
        "model_type": if own_tables { "umt5" } else { "t5" },
        "vocab_size": extent(weights, "shared.weight", 0).or_else(|| extent(weights, "encoder.embed_tokens.weight", 0))?,
        "d_model": extent(weights, query, 1)?,
        "d_kv": head,
        "num_heads": heads,
        "num_layers": blocks(weights, "encoder.block."),
        "d_ff": extent(weights, "encoder.block.0.layer.1.DenseReluDense.wo.weight", 1)?,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
        // Metadata has single precision.
        "layer_norm_epsilon": epsilon.map_or(1e-6, |value| (value * 1e9).round() / 1e9),
    })))
}

/// A value whose key begins with the architecture.
fn value<'a>(metadata: &'a Metadata, key: &str) -> Option<&'a Value> {
    let architecture = metadata.get("general.architecture")?.as_text()?;
    metadata.get(&format!("{architecture}.{key}"))
}

fn number(metadata: &Metadata, key: &str) -> Option<usize> {
    usize::try_from(value(metadata, key)?.as_u64()?).ok()
}

/// The tokenizer of a GGUF file as a sentencepiece model and a tokenizer's config; none if the file has none.
///
/// # Errors
/// When it is of a kind that is not supported, or damaged.
pub(crate) fn gguf_tokenizer(file: &str, metadata: &Metadata) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let bad = |reason: String| LoadError::BadTokenizer { file: file.to_owned(), reason };
    let Some(kind) = metadata.get("tokenizer.ggml.model") else { return Ok(None) };
    if kind.as_text() != Some("t5") {
        return Err(bad(format!("`tokenizer.ggml.model` is {kind}, expected `t5`")));
    }
    let list = |key: &str| {
        let value = metadata.get(key).ok_or_else(|| bad(format!("`{key}` is missing")))?;
        value.as_array().ok_or_else(|| bad(format!("`{key}` is {value}, expected a list")))
    };
    let (tokens, scores) = (list("tokenizer.ggml.tokens")?, list("tokenizer.ggml.scores")?);
    let kinds = match metadata.contains_key("tokenizer.ggml.token_type") {
        true => Some(list("tokenizer.ggml.token_type")?),
        false => None,
    };
    if scores.len() != tokens.len() || kinds.is_some_and(|kinds| kinds.len() != tokens.len()) {
        return Err(bad(format!("it has {} tokens and {} scores", tokens.len(), scores.len())));
    }
    let mut model = Vec::new();
    for (index, (token, score)) in tokens.iter().zip(scores).enumerate() {
        let (Some(text), Some(score)) = (token.as_text(), score.as_f64()) else {
            return Err(bad(format!("token {index} is {token} with the score {score}")));
        };
        let kind = kinds.map_or(Some(1), |kinds| kinds[index].as_u64());
        let kind = kind.ok_or_else(|| bad(format!("token {index} is of no known kind")))?;
        #[expect(clippy::cast_possible_truncation, reason = "scores are of single precision")]
        field_of_message(&mut model, 1, &piece(text, score as f32, kind));
    }
    let id = |key: &str, usual: u64| metadata.get(key).and_then(Value::as_u64).unwrap_or(usual);
    let mut trainer = Vec::new();
    field_of_number(&mut trainer, 3, 1);
    field_of_number(&mut trainer, 40, id("tokenizer.ggml.unknown_token_id", 2));
    field_of_message(&mut model, 2, &trainer);
    if let Some(map) = metadata.get("tokenizer.ggml.precompiled_charsmap") {
        let bytes =
            map.as_bytes().ok_or_else(|| bad(format!("`precompiled_charsmap` is {map}, expected bytes")))?;
        let mut normaliser = Vec::new();
        field_of_message(&mut normaliser, 2, bytes);
        field_of_message(&mut model, 3, &normaliser);
    }
    let token = |id: u64, usual: &str| {
        let token = usize::try_from(id).ok().and_then(|id| tokens.get(id)?.as_text());
        token.unwrap_or(usual).to_owned()
    };
    let config = json!({
        "eos_token": token(id("tokenizer.ggml.eos_token_id", 1), "</s>"),
        "pad_token": token(id("tokenizer.ggml.padding_token_id", 0), "<pad>"),
        "extra_ids": 0,
    });
    Ok(Some((model, config.to_string().into_bytes())))
}

fn piece(text: &str, score: f32, kind: u64) -> Vec<u8> {
    let mut piece = Vec::new();
    field_of_message(&mut piece, 1, text.as_bytes());
    varint(&mut piece, 2 << 3 | 5);
    piece.extend_from_slice(&score.to_le_bytes());
    field_of_number(&mut piece, 3, kind);
    piece
}

/// A field of bytes in protobuf's wire format.
fn field_of_message(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn field_of_number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] & 0x7F | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
