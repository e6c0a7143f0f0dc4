//! Which module of the model a LoRA's key speaks of.

use std::collections::HashMap;

use crate::Checkpoint;
use crate::names::wan_transformer;

/// What may stand before a module's dotted name.
const PREFIXES: &[&str] = &[
    "transformer.",
    "model.diffusion_model.",
    "diffusion_model.",
    "base_model.model.model.",
    "base_model.model.",
    "model.",
];

/// What stands before a name whose dots are underscores.
const FLAT_PREFIXES: &[&str] = &["lora_unet__", "lora_unet_", "lora_transformer_"];

/// Modules that read pictures, by either name.
const OF_PICTURES: &[&str] =
    &["k_img", "v_img", "img_emb", "add_k_proj", "add_v_proj", "norm_added_k", "image_embedder"];

/// Marks of the original names, dotted or flat.
const ORIGINAL: &[&str] =
    &["self_attn", "cross_attn", "diffusion_model.", "time_projection", "head.head", "head_head"];

/// Marks of the names of diffusers.
const DIFFUSERS: &[&str] =
    &["attn1", "attn2", "to_q", "to_out", "ffn.net", "ffn_net", "proj_out", "condition_embedder"];

/// How a file names modules: decided once for the file, for `norm3` means one module here and another there.
pub(super) struct Naming {
    is_original: bool,
    /// The model's modules by their names without dots.
    flat: HashMap<String, String>,
}

impl Naming {
    pub(super) fn of(base: &Checkpoint, lora: &Checkpoint) -> Self {
        let has = |marks: &[&str]| lora.names().any(|name| marks.iter().any(|mark| name.contains(mark)));
        let is_original =
            !has(DIFFUSERS) && (has(ORIGINAL) || !lora.names().any(|name| name.starts_with("transformer.")));
        let mut flat = HashMap::new();
        for module in modules(base) {
            let theirs = if is_original { wan_transformer::module_to_original(module) } else { None };
            flat.insert(theirs.as_deref().unwrap_or(module).replace('.', "_"), module.to_owned());
        }
        Self { is_original, flat }
    }

    /// The module of the model, by the name of diffusers, that has this name in the file.
    pub(super) fn module(&self, base: &Checkpoint, name: &str) -> Option<String> {
        for prefix in FLAT_PREFIXES {
            if let Some(flat) = name.strip_prefix(prefix) {
                return self.flat.get(flat).cloned();
            }
        }
        let dotted = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
        let module = match self.is_original {
            true => wan_transformer::module_to_diffusers(dotted).or_else(|| block(dotted))?,
            false => dotted.to_owned(),
        };
        is_there(base, &module).then_some(module)
    }
}

/// A whole block, whose modulation is changed.
fn block(name: &str) -> Option<String> {
    let index = name.strip_prefix("blocks.")?;
    index.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.to_owned())
}

fn is_there(base: &Checkpoint, module: &str) -> bool {
    ["", ".weight", ".bias", ".scale_shift_table"]
        .iter()
        .any(|leaf| base.contains(&format!("{module}{leaf}")))
}

/// Names of tensors without their last part, and whole.
fn modules(base: &Checkpoint) -> impl Iterator<Item = &str> {
    base.names().flat_map(|name| [Some(name), name.rsplit_once('.').map(|(module, _)| module)]).flatten()
}

/// Whether a key is of a module that only image-to-video models have.
pub(super) fn is_of_pictures(name: &str) -> bool {
    OF_PICTURES.iter().any(|mark| name.contains(mark))
}
