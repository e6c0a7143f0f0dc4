//! The header of a safetensors file, checked so that no entry can reach outside of the file.
//!
//! Not read through the `safetensors` crate, whose errors name no tensor, which keeps the last of several
//! entries of one name, and which refuses a whole file for one tensor of a type it does not know. The tests
//! hold this reader against it: what is accepted here, the crate accepts, with the same content.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{Entry, Parsed};
use crate::{Bytes, Format, LoadError, Result};

/// The format's own limit.
const MAX_HEADER: usize = 100_000_000;
const LENGTH_BYTES: usize = 8;

/// Bits of one element of the types that the format knows and this crate does not read.
const OTHER_TYPES: &[(&str, usize)] = &[
    ("BOOL", 8),
    ("U8", 8),
    ("I8", 8),
    ("U16", 16),
    ("I16", 16),
    ("U32", 32),
    ("I32", 32),
    ("U64", 64),
    ("I64", 64),
    ("F64", 64),
    ("C64", 64),
    ("F8_E8M0", 8),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("F4", 4),
];

/// Reads and checks the header of the file `file`. The entries are in the order of their bytes.
pub(crate) fn parse(file: &str, bytes: &Bytes) -> Result<Parsed> {
    let bad = |reason: String| LoadError::BadWeights { file: file.to_owned(), reason };
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(bad(format!(
            "it has {} bytes, the header's length alone takes {LENGTH_BYTES}",
            bytes.len()
        )));
    };
    let stated = u64::from_le_bytes(*length);
    let length = usize::try_from(stated)
        .ok()
        .filter(|&length| length <= MAX_HEADER)
        .ok_or_else(|| bad(format!("its header claims {stated} bytes, the format allows {MAX_HEADER}")))?;
    if length > rest.len() {
        return Err(bad(format!("its header claims {length} bytes, only {} follow", rest.len())));
    }
    let (header, data) = rest.split_at(length);
    let Header { entries: raw, metadata } =
        serde_json::from_slice(header).map_err(|error| bad(format!("its header: {error}")))?;

    let mut entries = Vec::with_capacity(raw.len());
    for (name, raw) in raw {
        let entry = check_entry(name, raw, data.len()).map_err(|(tensor, reason)| LoadError::BadTensor {
            file: file.to_owned(),
            tensor,
            reason,
        })?;
        entries.push(entry);
    }
    check_layout(file, &mut entries, data.len())?;
    for entry in &mut entries {
        entry.range.start += LENGTH_BYTES + length;
        entry.range.end += LENGTH_BYTES + length;
    }
    Ok(Parsed { entries, metadata, gguf: None })
}

fn check_entry(name: String, raw: RawEntry, data: usize) -> std::result::Result<Entry, (String, String)> {
    let [start, end] = raw.data_offsets;
    let inside = |offset: u64| usize::try_from(offset).ok().filter(|&offset| offset <= data);
    let (Some(start), Some(end)) = (inside(start), inside(end)) else {
        return Err((name, format!("its bytes are {start}..{end}, the file has {data} after the header")));
    };
    if start > end {
        return Err((name, format!("its bytes end at {end}, before they start at {start}")));
    }
    let format = Format::by_name(&raw.dtype).filter(|format| !format.is_grouped());
    let bits = format
        .map(|format| format.group_bytes() * 8)
        .or_else(|| OTHER_TYPES.iter().find(|(other, _)| *other == raw.dtype).map(|&(_, bits)| bits));
    let size = |shape: &[u64]| {
        let shape: Vec<usize> = shape.iter().map(|&n| usize::try_from(n).ok()).collect::<Option<_>>()?;
        let elements = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n))?;
        // Of an unknown type only the extent is known.
        let bytes = bits.map_or(Some(end - start), |bits| Some(elements.checked_mul(bits)?.div_ceil(8)))?;
        Some((shape, elements, bytes))
    };
    let Some((shape, elements, bytes)) = size(&raw.shape) else {
        return Err((name, format!("its shape {:?} is larger than any memory", raw.shape)));
    };
    if bytes != end - start {
        let reason =
            format!("{} {shape:?} takes {bytes} bytes, the header gives it {}", raw.dtype, end - start);
        return Err((name, reason));
    }
    Ok(Entry { format: format.ok_or(raw.dtype), ..Entry::new(name, shape, elements, start..end) })
}

/// Tensors lie one after the other: no overlaps, no holes, nothing after the last, no name twice.
fn check_layout(file: &str, entries: &mut [Entry], data: usize) -> Result<()> {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let reason = "the header lists it twice".to_owned();
        return Err(LoadError::BadTensor { file: file.to_owned(), tensor: pair[0].name.clone(), reason });
    }
    entries.sort_by_key(|entry| (entry.range.start, entry.range.end));
    let mut next = 0;
    for entry in entries.iter() {
        if entry.range.start != next {
            let problem = if entry.range.start < next { "overlap" } else { "leave a hole after" };
            let reason = format!(
                "its bytes start at {} and {problem} those before, which end at {next}",
                entry.range.start
            );
            return Err(LoadError::BadTensor { file: file.to_owned(), tensor: entry.name.clone(), reason });
        }
        next = entry.range.end;
    }
    if next != data {
        let reason = format!("it has {data} bytes of data, its header accounts for {next}");
        return Err(LoadError::BadWeights { file: file.to_owned(), reason });
    }
    Ok(())
}

/// The header's entries as they are written, a repeated name included, and what it says beside them.
struct Header {
    entries: Vec<(String, RawEntry)>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
                let (mut entries, mut metadata) = (Vec::new(), BTreeMap::new());
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        let all: BTreeMap<String, Value> = map.next_value()?;
                        let texts = all.into_iter().filter_map(|(key, value)| match value {
                            Value::String(text) => Some((key, text)),
                            _ => None,
                        });
                        metadata.extend(texts);
                        continue;
                    }
                    let entry = map
                        .next_value()
                        .map_err(|error| serde::de::Error::custom(format!("tensor `{name}`: {error}")))?;
                    entries.push((name, entry));
                }
                Ok(Header { entries, metadata })
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}
