//! A sentencepiece model as the metadata of a GGUF file.

use crate::gguf_writer::GgufValue;
use crate::tokenizer::Pieces;
use crate::{Bytes, Checkpoint, LoadError, Result, assembly, infer};

/// The sentencepiece model in a file with a text encoder.
///
/// # Errors
/// When the tokenizer in a GGUF file's metadata is damaged.
pub(super) fn pieces_of(file: &Checkpoint, prefix: &str) -> Result<Option<Bytes>> {
    if let Some(metadata) = file.gguf() {
        let found = infer::gguf_tokenizer(file.file(), metadata)?;
        return Ok(found.map(|(model, _)| Bytes::from(model)));
    }
    Ok(assembly::tokenizer::pieces_of(file, prefix))
}

/// Keys and values by which programs find the tokens.
///
/// # Errors
/// When the model is damaged.
pub(super) fn metadata(file: &str, model: &[u8]) -> Result<Vec<(String, GgufValue)>> {
    let bad = |reason: String| LoadError::BadTokenizer { file: file.to_owned(), reason };
    let pieces = Pieces::parse(model).map_err(bad)?;
    let unknown = u32::try_from(pieces.unknown).map_err(|_| bad("it has no unknown piece".to_owned()))?;
    let values = [
        ("model", GgufValue::Text("t5".to_owned())),
        ("tokens", GgufValue::Texts(pieces.texts)),
        ("scores", GgufValue::F32s(pieces.scores)),
        ("token_type", GgufValue::I32s(pieces.kinds)),
        ("add_space_prefix", GgufValue::Bool(true)),
        ("remove_extra_whitespaces", GgufValue::Bool(true)),
        ("eos_token_id", GgufValue::U32(1)),
        ("padding_token_id", GgufValue::U32(0)),
        ("unknown_token_id", GgufValue::U32(unknown)),
        ("add_bos_token", GgufValue::Bool(false)),
        ("add_eos_token", GgufValue::Bool(true)),
    ];
    let map =
        (!pieces.charsmap.is_empty()).then_some(("precompiled_charsmap", GgufValue::Bytes(pieces.charsmap)));
    let named = |(key, value): (&str, GgufValue)| (format!("tokenizer.ggml.{key}"), value);
    Ok(values.into_iter().chain(map).map(named).collect())
}
