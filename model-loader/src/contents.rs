//! What a file of weights holds: recognised by the names of its tensors, never by its own name.

use crate::names::{t5, wan_transformer, wan_vae};
use crate::{Checkpoint, Family, LoadError, Result};

/// How the tensors of a component are named.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The component of a model folder.
    pub(crate) component: &'static str,
    /// Models that have such a component; none for what several have.
    pub(crate) family: Option<Family>,
    /// What it is, for people.
    pub(crate) about: &'static str,
    /// Names that are there, and in no other layout together.
    marks: &'static [&'static str],
    /// What may stand before all names.
    prefixes: &'static [&'static str],
    rename: Rename,
}

#[derive(Debug)]
enum Rename {
    /// The names are those of diffusers or transformers.
    Same,
    By(fn(&str) -> Option<String>),
    /// The lists of the autoencoder say how they are to be read.
    WanVae,
}

const TRANSFORMER: &[&str] = &["", "model.diffusion_model.", "diffusion_model.", "model.", "net."];
const TEXT: &[&str] = &["", "text_encoders.umt5xxl.transformer.", "text_encoders.t5xxl.transformer."];
const VAE: &[&str] = &["", "vae.", "first_stage_model."];

const LAYOUTS: &[Layout] = &[
    Layout {
        component: "transformer",
        family: Some(Family::Wan),
        about: "Wan transformer, original names",
        marks: &["head.modulation", "patch_embedding.weight"],
        prefixes: TRANSFORMER,
        rename: Rename::By(wan_transformer::to_diffusers),
    },
    Layout {
        component: "transformer",
        family: Some(Family::Wan),
        about: "Wan transformer, names of diffusers",
        marks: &["condition_embedder.time_proj.weight"],
        prefixes: TRANSFORMER,
        rename: Rename::Same,
    },
    Layout {
        component: "vae",
        family: Some(Family::Wan),
        about: "Wan autoencoder, original names",
        marks: &["decoder.middle.0.residual.0.gamma"],
        prefixes: VAE,
        rename: Rename::WanVae,
    },
    Layout {
        component: "vae",
        family: Some(Family::Wan),
        about: "Wan autoencoder, names of diffusers",
        marks: &["decoder.mid_block.resnets.0.norm1.gamma"],
        prefixes: VAE,
        rename: Rename::Same,
    },
    Layout {
        component: "tiny_vae",
        family: Some(Family::Wan),
        about: "TAEHV, a tiny autoencoder",
        marks: &["decoder.3.conv.0.weight", "decoder.7.conv.weight", "decoder.8.weight", "decoder.22.weight"],
        prefixes: VAE,
        rename: Rename::By(decoder_alone),
    },
    Layout {
        component: "tiny_vae",
        family: Some(Family::Wan),
        about: "TAEHV of the super kind",
        marks: &[SUPER, "decoder.1.conv.0.weight", "decoder.22.weight"],
        prefixes: VAE,
        rename: Rename::Same,
    },
    Layout {
        component: "text_encoder",
        family: None,
        about: "T5 encoder, names of transformers",
        marks: &["encoder.final_layer_norm.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"],
        prefixes: TEXT,
        rename: Rename::By(t5::own),
    },
    Layout {
        component: "text_encoder",
        family: None,
        about: "T5 encoder, names of Wan's code",
        marks: &["token_embedding.weight", "blocks.0.attn.q.weight"],
        prefixes: TEXT,
        rename: Rename::By(t5::from_wan),
    },
    Layout {
        component: "text_encoder",
        family: None,
        about: "T5 encoder, names of GGUF",
        marks: &["token_embd.weight", "enc.blk.0.attn_q.weight"],
        prefixes: TEXT,
        rename: Rename::By(t5::from_gguf),
    },
    Layout {
        component: "transformer",
        family: Some(Family::CogVideoX),
        about: "CogVideoX transformer, names of diffusers",
        marks: &["transformer_blocks.0.norm1.linear.weight", "patch_embed.proj.weight"],
        prefixes: TRANSFORMER,
        rename: Rename::Same,
    },
    Layout {
        component: "vae",
        family: Some(Family::CogVideoX),
        about: "CogVideoX autoencoder, names of diffusers",
        marks: &["decoder.mid_block.resnets.0.norm1.conv_y.conv.weight"],
        prefixes: VAE,
        rename: Rename::Same,
    },
];

/// Only the larger kind of tiny decoder has it.
const SUPER: &str = "decoder.21.conv.weight";

/// Tensors of models that are built on those that can be run, and cannot be run themselves.
const VARIANTS: &[(&str, &str)] = &[
    ("vace_patch_embedding.weight", "Wan VACE"),
    ("control_adapter.conv.weight", "Wan with a camera adapter"),
    ("casual_audio_encoder.", "Wan S2V"),
    ("audio_proj.", "Wan with sound (HuMo, FantasyTalking)"),
    ("face_adapter.", "Wan Animate"),
    ("ref_conv.weight", "Wan-Fun Control"),
    (SUPER, "TAEHV of the super kind"),
];

/// Half of an autoencoder; encoders are not run in their tiny form.
fn decoder_alone(name: &str) -> Option<String> {
    name.starts_with("decoder.").then(|| name.to_owned())
}

/// A component in a file.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) layout: &'static Layout,
    pub(crate) prefix: &'static str,
}

/// Endings that only the tensors of a LoRA have.
const LORA_MARKS: [&str; 5] = ["lora_A", "lora_B", "lora_up", "lora_down", "diff_b"];

/// Whether a file holds changes of weights, and no weights.
pub(crate) fn is_lora(file: &Checkpoint) -> bool {
    file.names().any(|name| {
        let last = name.strip_suffix(".weight").unwrap_or(name).rsplit('.').next().unwrap_or(name);
        let before_default = name.rsplit('.').nth(2).unwrap_or(name);
        LORA_MARKS.contains(&last)
            || LORA_MARKS.contains(&before_default)
            || last == "diff"
            || last == "diff_m"
            || name.contains(".lokr_")
            || name.contains(".hada_")
            || name.contains(".lora.down.")
            || name.contains("_lora.down.")
    })
}

/// The components in a file, in the order of the layouts.
pub(crate) fn find(file: &Checkpoint) -> Vec<Found> {
    let fits = |layout: &'static Layout| {
        let prefix = layout
            .prefixes
            .iter()
            .find(|prefix| layout.marks.iter().all(|mark| file.contains(&format!("{prefix}{mark}"))));
        prefix.map(|prefix| Found { layout, prefix })
    };
    LAYOUTS.iter().filter_map(fits).collect()
}

impl Found {
    /// The component's tensors under the names of diffusers or transformers.
    ///
    /// # Errors
    /// When it is a variant that cannot be run, or two tensors have one name.
    pub(crate) fn take(&self, file: &Checkpoint) -> Result<Checkpoint> {
        let inside = |name: &str| name.strip_prefix(self.prefix).map(str::to_owned);
        for name in file.names().filter_map(|name| name.strip_prefix(self.prefix)) {
            if let Some((_, what)) = VARIANTS.iter().find(|(mark, _)| name.starts_with(mark)) {
                return Err(LoadError::UnsupportedContents {
                    file: file.file().to_owned(),
                    contents: (*what).to_owned(),
                    tensor: name.to_owned(),
                });
            }
        }
        let lists = wan_vae::Lists::of(file.names().filter_map(|name| name.strip_prefix(self.prefix)));
        let (part, _) = file.clone().renamed(|name| {
            let name = inside(name)?;
            match self.layout.rename {
                Rename::Same => Some(name),
                Rename::By(rename) => rename(&name),
                Rename::WanVae => lists?.to_diffusers(&name),
            }
        })?;
        Ok(part)
    }
}

/// What a file holds, in words: for messages.
pub(crate) fn describe(file: &Checkpoint) -> String {
    let found = find(file);
    if !found.is_empty() {
        return found.iter().map(|found| found.layout.about).collect::<Vec<_>>().join(", ");
    }
    if is_lora(file) {
        return "a LoRA".to_owned();
    }
    let names = file.names().take(3).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        "no tensors".to_owned()
    } else {
        format!("tensors that are not known ({names}, ..)")
    }
}
