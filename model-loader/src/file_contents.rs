//! What a file of weights holds, for people who look at it.

use std::collections::BTreeMap;

use crate::assembly::{NamedFile, check_architecture};
use crate::{Checkpoint, Format, Result, contents, infer};

/// What a file of weights holds.
#[derive(Clone, Debug)]
pub struct FileContents {
    /// `safetensors`, `GGUF` or `torch`.
    pub container: &'static str,
    /// The parts of a model that are in it.
    pub parts: Vec<PartContents>,
    /// What it is otherwise, in words: a LoRA, or what its first tensors are called.
    pub about: String,
    /// How many tensors it has.
    pub tensors: usize,
    /// How many values they have together.
    pub parameters: usize,
    /// Their bytes.
    pub bytes: usize,
    /// How many values are stored in each format.
    pub formats: BTreeMap<Format, usize>,
}

/// A part of a model in a file.
#[derive(Clone, Debug)]
pub struct PartContents {
    /// The component of a model folder.
    pub component: &'static str,
    /// How its tensors are named.
    pub layout: &'static str,
    /// What stands before their names.
    pub prefix: &'static str,
    /// The keys and values of its config, if its shapes tell them.
    pub config: Option<Vec<(String, String)>>,
}

impl FileContents {
    /// Whether bytes look like a file of weights, sound or not.
    #[must_use]
    pub fn is_likely(bytes: &[u8]) -> bool {
        let is_old_torch = bytes.first() == Some(&0x80);
        is_old_torch
            || bytes.starts_with(b"GGUF")
            || bytes.starts_with(b"PK\x03\x04")
            || bytes.get(8) == Some(&b'{')
    }

    /// Reads the header of a file.
    ///
    /// # Errors
    /// When it is not sound.
    pub fn of(file: &NamedFile) -> Result<Self> {
        let checkpoint = Checkpoint::from_bytes(&file.name, file.bytes.clone())?;
        check_architecture(&checkpoint)?;
        let mut parts = Vec::new();
        for found in contents::find(&checkpoint) {
            let part = found.take(&checkpoint)?;
            let config = infer::config(found.layout.component, &part);
            parts.push(PartContents {
                component: found.layout.component,
                layout: found.layout.about,
                prefix: found.prefix,
                config: config
                    .map(|config| config.into_iter().map(|(key, value)| (key, value.to_string())).collect()),
            });
        }
        Ok(Self {
            container: container(&file.bytes),
            parts,
            about: contents::describe(&checkpoint),
            tensors: checkpoint.names().count(),
            parameters: checkpoint.total_parameters(),
            bytes: checkpoint.bytes_total(),
            formats: checkpoint.formats(),
        })
    }
}

fn container(bytes: &[u8]) -> &'static str {
    match bytes {
        [b'G', b'G', b'U', b'F', ..] => "GGUF",
        [b'P', b'K', ..] => "torch",
        _ => "safetensors",
    }
}
