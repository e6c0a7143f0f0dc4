//! The config of a Wan transformer from its shapes.

use serde_json::json;

use super::{Config, blocks, extent, object};
use crate::Checkpoint;

/// Channels of a head in every published model; the file does not tell.
const HEAD: usize = 128;

/// Values of the patch: 1 x 2 x 2.
const PATCH: usize = 4;

pub(super) fn config(weights: &Checkpoint) -> Option<Config> {
    let dim = *weights.shape("scale_shift_table")?.last()?;
    if dim == 0 || !dim.is_multiple_of(HEAD) {
        return None;
    }
    let outputs = extent(weights, "proj_out.weight", 0)?;
    // GGUF files fold the kernel into rows: then all that is known is how many values it has.
    let patch = weights.shape("patch_embedding.weight")?;
    let in_channels = patch.iter().product::<usize>() / (dim * PATCH);
    let time = "condition_embedder.time_embedder.linear_1.weight";
    let text = "condition_embedder.text_embedder.linear_1.weight";
    let mut config = object(json!({
        "_class_name": "WanTransformer3DModel",
        "patch_size": [1, 2, 2],
        "num_attention_heads": dim / HEAD,
        "attention_head_dim": HEAD,
        "in_channels": in_channels,
        "out_channels": outputs / PATCH,
        "text_dim": extent(weights, text, 1)?,
        "freq_dim": extent(weights, time, 1)?,
        "ffn_dim": extent(weights, "blocks.0.ffn.net.0.proj.weight", 0)?,
        "num_layers": blocks(weights, "blocks."),
        "cross_attn_norm": weights.contains("blocks.0.norm2.weight"),
        "qk_norm": "rms_norm_across_heads",
        "eps": 1e-6,
    }));
    if let Some(width) = extent(weights, "condition_embedder.image_embedder.norm1.weight", 0) {
        config.insert("image_dim".to_owned(), width.into());
        config.insert("added_kv_proj_dim".to_owned(), dim.into());
    }
    if let Some(length) = extent(weights, "condition_embedder.image_embedder.pos_embed", 1) {
        config.insert("pos_embed_seq_len".to_owned(), length.into());
    }
    Some(config)
}
