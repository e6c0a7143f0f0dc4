//! The endings of a LoRA's keys.

/// What a key holds of its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    /// `[rank, in]`.
    Down,
    /// `[out, rank]`.
    Up,
    /// What the rank is compared with.
    Alpha,
    /// A difference of the weight.
    Diff,
    /// A difference of the bias.
    DiffBias,
    /// A difference of a block's modulation.
    DiffModulation,
    /// Part of something else than a low-rank change.
    Refused,
}

/// A key, taken apart.
#[derive(Debug, PartialEq)]
pub(super) struct Key<'a> {
    pub(super) module: &'a str,
    pub(super) piece: Piece,
}

const ENDINGS: &[(&str, Piece)] = &[
    (".lora_A.weight", Piece::Down),
    (".lora_B.weight", Piece::Up),
    (".lora_A.default.weight", Piece::Down),
    (".lora_B.default.weight", Piece::Up),
    (".lora_A", Piece::Down),
    (".lora_B", Piece::Up),
    (".lora_down.weight", Piece::Down),
    (".lora_up.weight", Piece::Up),
    (".lora_down", Piece::Down),
    (".lora_up", Piece::Up),
    (".lora.down.weight", Piece::Down),
    (".lora.up.weight", Piece::Up),
    ("_lora.down.weight", Piece::Down),
    ("_lora.up.weight", Piece::Up),
    (".alpha", Piece::Alpha),
    (".diff", Piece::Diff),
    (".diff_b", Piece::DiffBias),
    (".diff_m", Piece::DiffModulation),
];

/// What DoRA, LoHa, LoKr, LyCORIS and others put into keys.
const REFUSED: &[&str] = &[
    ".dora_scale",
    ".lora_magnitude_vector",
    ".lora_mid",
    ".hada_",
    ".lokr_",
    ".reshape_weight",
    ".set_weight",
    ".w_norm",
    ".b_norm",
    ".oft_",
    ".lora_B.bias",
];

impl<'a> Key<'a> {
    /// `None` for a key that is no part of a LoRA.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        if let Some(at) = REFUSED.iter().find_map(|mark| name.find(mark)) {
            return Some(Self { module: &name[..at], piece: Piece::Refused });
        }
        let ending = |(ending, piece): &(&str, Piece)| {
            name.strip_suffix(ending).map(|module| Self { module, piece: *piece })
        };
        ENDINGS.iter().find_map(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grammar_has_its_endings() {
        for (name, module, piece) in [
            ("transformer.blocks.0.attn1.to_q.lora_A.weight", "transformer.blocks.0.attn1.to_q", Piece::Down),
            (
                "base_model.model.blocks.0.ffn.0.lora_B.default.weight",
                "base_model.model.blocks.0.ffn.0",
                Piece::Up,
            ),
            ("lora_unet_blocks_0_ffn_0.alpha", "lora_unet_blocks_0_ffn_0", Piece::Alpha),
            ("diffusion_model.blocks.0.diff_m", "diffusion_model.blocks.0", Piece::DiffModulation),
            ("blocks.0.norm3.diff_b", "blocks.0.norm3", Piece::DiffBias),
            ("a.lora_A", "a", Piece::Down),
            ("a_lora.up.weight", "a", Piece::Up),
            ("a.lokr_w1", "a", Piece::Refused),
            ("a.dora_scale", "a", Piece::Refused),
        ] {
            assert_eq!(Key::parse(name), Some(Key { module, piece }), "{name}");
        }
        assert_eq!(Key::parse("blocks.0.ffn.0.weight"), None);
    }
}
