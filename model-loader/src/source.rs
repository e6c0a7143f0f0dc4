//! Files that hold tensors: what each container says of its contents, checked so that nothing reaches outside of the file.

pub(crate) mod gguf;
mod safetensors;
mod torch;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::{Bytes, Format, Result};

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// How it is stored; `Err` holds the name of a type that is not read.
    pub(crate) format: std::result::Result<Format, String>,
    pub(crate) shape: Vec<usize>,
    pub(crate) elements: usize,
    /// Where in the file its bytes are.
    pub(crate) range: Range<usize>,
    /// Whether its shape may be another one of as many elements.
    pub(crate) is_folded: bool,
}

impl Entry {
    /// A tensor of f32.
    pub(crate) fn new(name: String, shape: Vec<usize>, elements: usize, range: Range<usize>) -> Self {
        Self { name, format: Ok(Format::F32), shape, elements, range, is_folded: false }
    }
}

/// What a file says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parsed {
    /// In the order of their bytes.
    pub(crate) entries: Vec<Entry>,
    /// Texts beside the tensors, by key.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Of a GGUF file: its metadata.
    pub(crate) gguf: Option<gguf::Metadata>,
}

/// Reads and checks the header of the file `file`, whatever it is called.
pub(crate) fn parse(file: &str, bytes: &Bytes) -> Result<Parsed> {
    if bytes.starts_with(gguf::MAGIC) {
        gguf::parse(file, bytes)
    } else if torch::is_torch(bytes) {
        torch::parse(file, bytes)
    } else {
        safetensors::parse(file, bytes)
    }
}
