//! What stands in front of the data: metadata, and names, shapes, types and places of all tensors.

use std::collections::BTreeSet;

use super::ALIGNMENT;
use crate::source::gguf::type_id;
use crate::{Format, LoadError, Result};

const VERSION: u32 = 3;

/// A tensor that will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorPlan {
    /// Its name in the file.
    pub name: String,
    /// Its sizes, slowest dimension first. A single number is stored as `[1]`.
    pub shape: Vec<usize>,
    /// How its values are stored.
    pub format: Format,
}

/// A value of a GGUF file's metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum GgufValue {
    /// A number of 32 bits.
    U32(u32),
    /// A number of 32 bits with a sign.
    I32(i32),
    /// A number of 64 bits.
    U64(u64),
    /// A number in single precision.
    F32(f32),
    /// A flag.
    Bool(bool),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Numbers of 32 bits with a sign.
    I32s(Vec<i32>),
    /// Numbers in single precision.
    F32s(Vec<f32>),
    /// Texts.
    Texts(Vec<String>),
}

/// The whole header, filled up to where the data begins.
pub(super) fn header(file: &str, metadata: &[(&str, GgufValue)], tensors: &[TensorPlan]) -> Result<Vec<u8>> {
    let mut out = b"GGUF".to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    let mut keys = BTreeSet::new();
    for (key, value) in metadata {
        if !keys.insert(*key) {
            let (file, key) = (file.to_owned(), (*key).to_owned());
            return Err(LoadError::RepeatedKey { file, key });
        }
        text(key, &mut out);
        value.put(&mut out);
    }
    let (mut names, mut offset) = (BTreeSet::new(), 0u64);
    for plan in tensors {
        let unwritable = |reason: String| LoadError::UnwritableTensor {
            file: file.to_owned(),
            tensor: plan.name.clone(),
            reason,
        };
        if !names.insert(&plan.name) {
            return Err(unwritable("it is announced twice".to_owned()));
        }
        let bytes = plan.put(offset, &mut out).map_err(unwritable)?;
        let end = offset.checked_add(bytes).and_then(|end| end.checked_next_multiple_of(ALIGNMENT as u64));
        offset = end.ok_or_else(|| unwritable("the file would be larger than any disk".to_owned()))?;
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    Ok(out)
}

impl TensorPlan {
    /// Writes the entry of a tensor whose data is at `offset`, and says how many bytes the data takes.
    fn put(&self, offset: u64, out: &mut Vec<u8>) -> std::result::Result<u64, String> {
        let Self { name, shape, format } = self;
        let id = type_id(*format)
            .ok_or_else(|| format!("{format} is not a type of GGUF, such as BF16 or Q8_0"))?;
        let shape = if shape.is_empty() { &[1][..] } else { shape };
        let row = shape.last().copied().unwrap_or(1);
        if shape.contains(&0) {
            return Err(format!("it is {shape:?}, GGUF holds no empty tensors"));
        }
        if !row.is_multiple_of(format.group_len()) {
            return Err(format!(
                "its rows have {row} values, {format} needs a multiple of {}",
                format.group_len()
            ));
        }
        let elements = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
        let bytes = elements.and_then(|elements| format.bytes(elements));
        let bytes = bytes.ok_or_else(|| format!("its shape {shape:?} is larger than any memory"))?;
        let dimensions =
            u32::try_from(shape.len()).map_err(|_| format!("it has {} dimensions", shape.len()))?;
        text(name, out);
        out.extend(dimensions.to_le_bytes());
        // The fastest dimension comes first.
        for &extent in shape.iter().rev() {
            out.extend((extent as u64).to_le_bytes());
        }
        out.extend(id.to_le_bytes());
        out.extend(offset.to_le_bytes());
        Ok(bytes as u64)
    }
}

impl GgufValue {
    /// Writes type and value.
    fn put(&self, out: &mut Vec<u8>) {
        let mut kind = |kind: u32| out.extend(kind.to_le_bytes());
        match self {
            Self::U32(_) => kind(4),
            Self::I32(_) => kind(5),
            Self::F32(_) => kind(6),
            Self::Bool(_) => kind(7),
            Self::Text(_) => kind(8),
            Self::U64(_) => kind(10),
            Self::Bytes(_) | Self::I32s(_) | Self::F32s(_) | Self::Texts(_) => kind(9),
        }
        match self {
            Self::U32(value) => out.extend(value.to_le_bytes()),
            Self::I32(value) => out.extend(value.to_le_bytes()),
            Self::F32(value) => out.extend(value.to_le_bytes()),
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::Text(value) => text(value, out),
            Self::U64(value) => out.extend(value.to_le_bytes()),
            Self::Bytes(items) => array(0, items, out, |item, out| out.push(*item)),
            Self::I32s(items) => array(5, items, out, |item, out| out.extend(item.to_le_bytes())),
            Self::F32s(items) => array(6, items, out, |item, out| out.extend(item.to_le_bytes())),
            Self::Texts(items) => array(8, items, out, |item, out| text(item, out)),
        }
    }
}

fn array<T>(kind: u32, items: &[T], out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) {
    out.extend(kind.to_le_bytes());
    out.extend((items.len() as u64).to_le_bytes());
    for item in items {
        put(item, out);
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
