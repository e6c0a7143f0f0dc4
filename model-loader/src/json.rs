//! Reads JSON files: UTF-8 text, with or without a byte order mark.

use serde::de::DeserializeOwned;

use crate::{LoadError, Result};

const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The value in `bytes`; messages call the file `file`.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(text(file, bytes)?).map_err(|error| bad(file, error.to_string()))
}

/// The text in `bytes` without the byte order mark that some editors write.
pub(crate) fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a [u8]> {
    // JSON begins with an ASCII character, so one zero among the first two bytes is half of a wide one.
    let wide = matches!(bytes, [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, 1..=255, ..] | [1..=255, 0, ..]);
    if wide {
        return Err(bad(file, "it is UTF-16 text, expected UTF-8".to_owned()));
    }
    Ok(bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes))
}

/// The error for a file that is not the JSON it must be.
pub(crate) fn bad(file: &str, reason: String) -> LoadError {
    LoadError::BadJson { file: file.to_owned(), reason }
}
