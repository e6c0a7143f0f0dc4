//! Tokenizers that come with the files of text encoders, or as files of their own.

use super::NamedFile;
use crate::{Bytes, Checkpoint, Result, infer};

/// The files of a tokenizer by their path in a model folder.
pub(super) type Files = Vec<(String, Bytes)>;

/// A sentencepiece model as a tensor of bytes, in ComfyUI's files.
const PIECES: &str = "spiece_model";

const JSON: &str = "tokenizer/tokenizer.json";
const SENTENCEPIECE: &str = "tokenizer/spiece.model";
const CONFIG: &str = "tokenizer/tokenizer_config.json";

/// The sentencepiece model that a file holds as a tensor: in a whole checkpoint it stands beside the text encoders.
pub(crate) fn pieces_of(file: &Checkpoint, prefix: &str) -> Option<Bytes> {
    let outside = prefix.split_inclusive('.').next().unwrap_or_default();
    [prefix, outside, ""].iter().find_map(|front| file.bytes_of(&format!("{front}{PIECES}")))
}

/// What a file with a text encoder has of a tokenizer.
///
/// # Errors
/// When that is damaged.
pub(super) fn of_checkpoint(file: &Checkpoint, prefix: &str) -> Result<Option<Files>> {
    if let Some(bytes) = pieces_of(file, prefix) {
        return Ok(Some(vec![(SENTENCEPIECE.to_owned(), bytes)]));
    }
    let Some(metadata) = file.gguf() else { return Ok(None) };
    let found = infer::gguf_tokenizer(file.file(), metadata)?;
    Ok(found.map(|(model, config)| {
        vec![(SENTENCEPIECE.to_owned(), Bytes::from(model)), (CONFIG.to_owned(), Bytes::from(config))]
    }))
}

/// A tokenizer's own file: JSON begins with a brace.
pub(super) fn of_file(file: &NamedFile) -> Files {
    let is_json = file.bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    vec![((if is_json { JSON } else { SENTENCEPIECE }).to_owned(), file.bytes.clone())]
}
