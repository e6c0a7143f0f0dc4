//! What Wan's own code and GGUF files call the tensors of a T5 encoder.

use super::{Table, look_up, split_index};

struct Names {
    embedding: &'static str,
    norm: &'static str,
    blocks: &'static str,
    modules: Table,
}

const WAN: Names = Names {
    embedding: "token_embedding.weight",
    norm: "norm.weight",
    blocks: "blocks.",
    modules: &[
        ("attn.q", "layer.0.SelfAttention.q"),
        ("attn.k", "layer.0.SelfAttention.k"),
        ("attn.v", "layer.0.SelfAttention.v"),
        ("attn.o", "layer.0.SelfAttention.o"),
        ("pos_embedding.embedding", "layer.0.SelfAttention.relative_attention_bias"),
        ("norm1", "layer.0.layer_norm"),
        ("norm2", "layer.1.layer_norm"),
        ("ffn.gate.0", "layer.1.DenseReluDense.wi_0"),
        ("ffn.fc1", "layer.1.DenseReluDense.wi_1"),
        ("ffn.fc2", "layer.1.DenseReluDense.wo"),
    ],
};

const GGUF: Names = Names {
    embedding: "token_embd.weight",
    norm: "enc.output_norm.weight",
    blocks: "enc.blk.",
    modules: &[
        ("attn_q", "layer.0.SelfAttention.q"),
        ("attn_k", "layer.0.SelfAttention.k"),
        ("attn_v", "layer.0.SelfAttention.v"),
        ("attn_o", "layer.0.SelfAttention.o"),
        ("attn_rel_b", "layer.0.SelfAttention.relative_attention_bias"),
        ("attn_norm", "layer.0.layer_norm"),
        ("ffn_norm", "layer.1.layer_norm"),
        ("ffn_gate", "layer.1.DenseReluDense.wi_0"),
        ("ffn_up", "layer.1.DenseReluDense.wi_1"),
        ("ffn_down", "layer.1.DenseReluDense.wo"),
    ],
};

/// The name of transformers for a tensor that Wan's code calls so.
pub(crate) fn from_wan(name: &str) -> Option<String> {
    WAN.to_transformers(name)
}

/// The name of transformers for a tensor that GGUF files call so.
pub(crate) fn from_gguf(name: &str) -> Option<String> {
    GGUF.to_transformers(name)
}

/// What GGUF files call a tensor that has this name in transformers.
pub(crate) fn to_gguf(name: &str) -> Option<String> {
    match name {
        "shared.weight" | "encoder.embed_tokens.weight" => return Some(GGUF.embedding.to_owned()),
        "encoder.final_layer_norm.weight" => return Some(GGUF.norm.to_owned()),
        _ => {}
    }
    let (index, module) = split_index(name.strip_prefix("encoder.block.")?.strip_suffix(".weight")?)?;
    let (theirs, _) = GGUF.modules.iter().find(|(_, ours)| *ours == module)?;
    Some(format!("{}{index}.{theirs}.weight", GGUF.blocks))
}

/// A name of transformers, if it is one of the encoder's.
pub(crate) fn own(name: &str) -> Option<String> {
    (name == "shared.weight" || name.starts_with("encoder.")).then(|| name.to_owned())
}

impl Names {
    fn to_transformers(&self, name: &str) -> Option<String> {
        if name == self.embedding {
            return Some("shared.weight".to_owned());
        }
        if name == self.norm {
            return Some("encoder.final_layer_norm.weight".to_owned());
        }
        let (index, module) = split_index(name.strip_prefix(self.blocks)?.strip_suffix(".weight")?)?;
        Some(format!("encoder.block.{index}.{}.weight", look_up(self.modules, module)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_is_wi_0() {
        let gate = "encoder.block.7.layer.1.DenseReluDense.wi_0.weight";
        assert_eq!(from_wan("blocks.7.ffn.gate.0.weight").as_deref(), Some(gate));
        assert_eq!(from_gguf("enc.blk.7.ffn_gate.weight").as_deref(), Some(gate));
        assert_eq!(to_gguf(gate).as_deref(), Some("enc.blk.7.ffn_gate.weight"));
        assert_eq!(from_gguf("token_embd.weight").as_deref(), Some("shared.weight"));
        assert_eq!(from_wan("blocks.7.ffn.gate.0.bias"), None);
    }
}
