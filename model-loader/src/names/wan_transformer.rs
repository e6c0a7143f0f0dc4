//! Wan's own names of the transformer's modules. Whole modules are matched, for `norm2` and `norm3` change places.

use super::{Table, look_up, split_index, split_leaf};

const TOP: Table = &[
    ("patch_embedding", "patch_embedding"),
    ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
    ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
    ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
    ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
    ("time_projection.1", "condition_embedder.time_proj"),
    ("img_emb.proj.0", "condition_embedder.image_embedder.norm1"),
    ("img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj"),
    ("img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2"),
    ("img_emb.proj.4", "condition_embedder.image_embedder.norm2"),
    ("img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
    ("head.head", "proj_out"),
    ("head.modulation", "scale_shift_table"),
];

const BLOCK: Table = &[
    ("modulation", "scale_shift_table"),
    ("norm1", "norm1"),
    ("norm2", "norm3"),
    ("norm3", "norm2"),
    ("ffn.0", "ffn.net.0.proj"),
    ("ffn.2", "ffn.net.2"),
];

const ATTENTION: Table = &[
    ("q", "to_q"),
    ("k", "to_k"),
    ("v", "to_v"),
    ("o", "to_out.0"),
    ("norm_q", "norm_q"),
    ("norm_k", "norm_k"),
    ("k_img", "add_k_proj"),
    ("v_img", "add_v_proj"),
    ("norm_k_img", "norm_added_k"),
];

/// The name of diffusers for a tensor of this original name.
pub(crate) fn to_diffusers(name: &str) -> Option<String> {
    let (module, leaf) = split_leaf(name);
    module_to_diffusers(module).map(|module| format!("{module}{leaf}"))
}

/// The name of diffusers for a module of this original name.
pub(crate) fn module_to_diffusers(module: &str) -> Option<String> {
    let Some(path) = module.strip_prefix("blocks.") else { return look_up(TOP, module).map(str::to_owned) };
    let (index, path) = split_index(path)?;
    let inner = match path.split_once('.') {
        Some(("self_attn", part)) => format!("attn1.{}", look_up(ATTENTION, part)?),
        Some(("cross_attn", part)) => format!("attn2.{}", look_up(ATTENTION, part)?),
        _ => look_up(BLOCK, path)?.to_owned(),
    };
    Some(format!("blocks.{index}.{inner}"))
}

/// The original name of a module that diffusers calls so.
pub(crate) fn module_to_original(module: &str) -> Option<String> {
    let back = |table: Table, module: &str| {
        table.iter().find(|(_, ours)| *ours == module).map(|(theirs, _)| *theirs)
    };
    let Some(path) = module.strip_prefix("blocks.") else { return back(TOP, module).map(str::to_owned) };
    let (index, path) = split_index(path)?;
    let inner = match path.split_once('.') {
        Some(("attn1", part)) => format!("self_attn.{}", back(ATTENTION, part)?),
        Some(("attn2", part)) => format!("cross_attn.{}", back(ATTENTION, part)?),
        _ => back(BLOCK, path)?.to_owned(),
    };
    Some(format!("blocks.{index}.{inner}"))
}

/// The original name of a tensor that diffusers calls so.
pub(crate) fn to_original(name: &str) -> Option<String> {
    let (module, leaf) = split_leaf(name);
    module_to_original(module).map(|module| format!("{module}{leaf}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for (theirs, ours) in [
            ("head.modulation", "scale_shift_table"),
            ("blocks.11.modulation", "blocks.11.scale_shift_table"),
            ("blocks.0.norm3.weight", "blocks.0.norm2.weight"),
            ("blocks.0.norm2.weight", "blocks.0.norm3.weight"),
            ("blocks.39.cross_attn.norm_k_img.weight", "blocks.39.attn2.norm_added_k.weight"),
            ("blocks.2.self_attn.o.bias", "blocks.2.attn1.to_out.0.bias"),
            ("time_projection.1.weight", "condition_embedder.time_proj.weight"),
            ("blocks.3.ffn.0.weight", "blocks.3.ffn.net.0.proj.weight"),
        ] {
            assert_eq!(to_diffusers(theirs).as_deref(), Some(ours));
            assert_eq!(to_original(ours).as_deref(), Some(theirs));
        }
        for stray in
            ["logit_scale", "blocks.0.self_attn.x.weight", "blocks.x.norm1.weight", "blocks.01.norm1.weight"]
        {
            assert_eq!(to_diffusers(stray), None, "{stray}");
        }
    }
}
