//! A value of a GGUF file's metadata.

use std::fmt;

/// One value; widths of numbers do not matter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    /// An array of items of one byte.
    Bytes(Vec<u8>),
    Array(Vec<Self>),
}

impl Value {
    /// An integer that is not negative, of any width.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(value) => Some(*value),
            Self::Signed(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// A number.
    pub(crate) fn as_f64(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "numbers of metadata are small")]
        match self {
            Self::Unsigned(value) => Some(*value as f64),
            Self::Signed(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 8;
        match self {
            Self::Unsigned(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Text(text) => write!(f, "`{}`", text.chars().take(80).collect::<String>()),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Array(items) => {
                let shown: Vec<String> = items.iter().take(MOST).map(ToString::to_string).collect();
                let more = if items.len() > MOST { ", .." } else { "" };
                write!(f, "[{}{more}]", shown.join(", "))
            }
        }
    }
}
