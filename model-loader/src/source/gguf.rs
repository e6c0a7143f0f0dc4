//! The header of a GGUF file (ggml's `docs/gguf.md`), checked so that no entry can reach outside of the file.

mod reader;
mod value;

use std::collections::{BTreeMap, HashSet};

use super::{Entry, Parsed};
use crate::{Bytes, Format, LoadError, Result};
use reader::Reader;
pub(crate) use value::Value;

/// How every GGUF file begins.
pub(super) const MAGIC: &[u8; 4] = b"GGUF";

const DEFAULT_ALIGNMENT: u64 = 32;

/// Where a writer notes the shape that a folded tensor has in torch, before the tensor's name.
const ORIGINAL_SHAPE: &str = "comfy.gguf.orig_shape.";

/// Tensors that writers fold into fewer extents, or drop an extent of 1 of.
const FOLDED: [&str; 2] = ["patch_embedding.weight", "modulation"];

/// The most extents of a tensor: more than any model has, and few enough for any machine.
const MOST_DIMS: u32 = 16;

/// Ids of the formats that are read.
const FORMATS: &[(u32, Format)] = &[
    (0, Format::F32),
    (1, Format::F16),
    (2, Format::Q4_0),
    (3, Format::Q4_1),
    (6, Format::Q5_0),
    (7, Format::Q5_1),
    (8, Format::Q8_0),
    (10, Format::Q2K),
    (11, Format::Q3K),
    (12, Format::Q4K),
    (13, Format::Q5K),
    (14, Format::Q6K),
    (20, Format::Iq4Nl),
    (30, Format::BF16),
];

/// Names of the ids that exist, or existed, and are not read.
const OTHER_TYPES: &[(u32, &str)] = &[
    (4, "Q4_2, which ggml has removed"),
    (5, "Q4_3, which ggml has removed"),
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4, which ggml has removed"),
    (32, "Q4_0_4_8, which ggml has removed"),
    (33, "Q4_0_8_8, which ggml has removed"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (36, "IQ4_NL_4_4, which ggml has removed"),
    (37, "IQ4_NL_4_8, which ggml has removed"),
    (38, "IQ4_NL_8_8, which ggml has removed"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

/// The id of a format in GGUF files, if they have it.
pub(crate) fn type_id(format: Format) -> Option<u32> {
    FORMATS.iter().find(|(_, known)| *known == format).map(|(id, _)| *id)
}

/// The metadata of a GGUF file, by key.
pub(crate) type Metadata = BTreeMap<String, Value>;

/// One tensor as its info says, not checked yet.
struct Info {
    name: String,
    /// Slowest first, as torch has them.
    shape: Vec<u64>,
    type_id: u32,
    offset: u64,
}

/// Reads and checks the header of the file `file`.
pub(super) fn parse(file: &str, bytes: &Bytes) -> Result<Parsed> {
    let bad = |reason: String| LoadError::BadGguf { file: file.to_owned(), reason };
    let mut reader = Reader::new(bytes);
    check_magic(&mut reader).map_err(bad)?;
    let tensors = reader.u64("the tensor count").map_err(bad)?;
    let keys = reader.u64("the metadata count").map_err(bad)?;
    // A tensor info takes 32 bytes at least (name's length, extents, one extent, type, offset), a key 13.
    reader.check_count("tensors", tensors, 24).map_err(bad)?;
    reader.check_count("metadata keys", keys, 13).map_err(bad)?;
    let mut metadata = Metadata::new();
    for _ in 0..keys {
        let key = reader.string("a metadata key").map_err(bad)?;
        let value = reader.value().map_err(|reason| bad(format!("metadata `{key}`: {reason}")))?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(bad(format!("metadata `{key}` is there twice")));
        }
    }
    let alignment = alignment(&metadata).map_err(bad)?;
    let mut infos = Vec::new();
    for index in 0..tensors {
        infos.push(info(&mut reader).map_err(|reason| bad(format!("tensor {index}: {reason}")))?);
    }
    let start = (reader.position() as u64).next_multiple_of(alignment);
    let mut names = HashSet::new();
    let mut entries = Vec::with_capacity(infos.len());
    for info in infos {
        let tensor = info.name.clone();
        let bad =
            |reason: String| LoadError::BadTensor { file: file.to_owned(), tensor: tensor.clone(), reason };
        if !names.insert(info.name.clone()) {
            return Err(bad("the header lists it twice".to_owned()));
        }
        entries.push(info.check(start, alignment, bytes.len() as u64, &metadata).map_err(bad)?);
    }
    check_overlaps(file, &mut entries)?;
    Ok(Parsed { entries, gguf: Some(metadata), ..Parsed::default() })
}

fn check_magic(reader: &mut Reader<'_>) -> std::result::Result<(), String> {
    let magic = reader.bytes::<4>("the magic number")?;
    if &magic != MAGIC {
        return Err(format!("it begins with {magic:02X?}, expected `GGUF`"));
    }
    match reader.u32("the version")? {
        2 | 3 => Ok(()),
        version if matches!(version.swap_bytes(), 1..=3) => {
            Err("it is written in the byte order of other machines (big endian)".to_owned())
        }
        version => Err(format!("it is of version {version}, expected 2 or 3")),
    }
}

fn alignment(metadata: &Metadata) -> std::result::Result<u64, String> {
    let Some(value) = metadata.get("general.alignment") else { return Ok(DEFAULT_ALIGNMENT) };
    value.as_u64().filter(|n| n.is_power_of_two() && *n <= 1 << 20).ok_or_else(|| {
        format!("`general.alignment` is {value}, expected a power of two such as {DEFAULT_ALIGNMENT}")
    })
}

fn info(reader: &mut Reader<'_>) -> std::result::Result<Info, String> {
    let name = reader.string("its name")?;
    let named = |reason: String| format!("`{name}`: {reason}");
    let count = reader.u32("the number of its extents").map_err(named)?;
    if count > MOST_DIMS {
        return Err(named(format!("it has {count} extents, more than {MOST_DIMS}")));
    }
    let mut shape = Vec::new();
    for _ in 0..count {
        shape.push(reader.u64("an extent").map_err(named)?);
    }
    shape.reverse();
    let type_id = reader.u32("its type").map_err(named)?;
    let offset = reader.u64("its offset").map_err(named)?;
    Ok(Info { name, shape, type_id, offset })
}

impl Info {
    fn check(
        self,
        start: u64,
        alignment: u64,
        file_len: u64,
        metadata: &Metadata,
    ) -> std::result::Result<Entry, String> {
        let format = format_of(self.type_id)?;
        let shape: Option<Vec<usize>> = self.shape.iter().map(|&n| usize::try_from(n).ok()).collect();
        let elements = shape
            .as_ref()
            .and_then(|shape| shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n)));
        let (Some(shape), Some(elements)) = (shape, elements) else {
            return Err(format!("its shape {:?} is larger than any memory", self.shape));
        };
        if elements == 0 {
            return Err(format!("its shape is {shape:?}, expected no extent of 0"));
        }
        let row = shape.last().copied().unwrap_or(1);
        if !row.is_multiple_of(format.group_len()) {
            let len = format.group_len();
            return Err(format!(
                "its rows have {row} values ({shape:?}), expected a multiple of {len} for {format}"
            ));
        }
        if !self.offset.is_multiple_of(alignment) {
            return Err(format!("its offset is {}, expected a multiple of {alignment}", self.offset));
        }
        let bytes =
            format.bytes(elements).ok_or_else(|| format!("its shape {shape:?} is larger than any memory"))?;
        let begin = start.checked_add(self.offset);
        let end = begin.and_then(|begin| begin.checked_add(bytes as u64)).filter(|end| *end <= file_len);
        let (Some(begin), Some(end)) = (begin, end) else {
            return Err(format!(
                "its {bytes} bytes begin {} after the header, at {start}; the file has {file_len}",
                self.offset
            ));
        };
        let [begin, end] = [begin, end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
        let original = original_shape(metadata, &self.name, elements)?;
        Ok(Entry {
            format: Ok(format),
            is_folded: FOLDED.iter().any(|name| self.name.ends_with(name)),
            ..Entry::new(self.name, original.unwrap_or(shape), elements, begin..end)
        })
    }
}

fn format_of(id: u32) -> std::result::Result<Format, String> {
    if let Some((_, format)) = FORMATS.iter().find(|(known, _)| *known == id) {
        return Ok(*format);
    }
    Err(match OTHER_TYPES.iter().find(|(known, _)| *known == id) {
        Some((_, name)) => format!("its type is {id} ({name}), which is not supported"),
        None => format!("its type is {id}, which is unknown"),
    })
}

/// The shape that a writer noted for a tensor that it folded.
fn original_shape(
    metadata: &Metadata,
    name: &str,
    elements: usize,
) -> std::result::Result<Option<Vec<usize>>, String> {
    let Some(value) = metadata.get(&format!("{ORIGINAL_SHAPE}{name}")) else { return Ok(None) };
    let shape: Option<Vec<usize>> = value
        .as_array()
        .and_then(|items| items.iter().map(|item| usize::try_from(item.as_u64()?).ok()).collect());
    match shape {
        Some(shape) if shape.iter().try_fold(1_usize, |n, &m| n.checked_mul(m)) == Some(elements) => {
            Ok(Some(shape))
        }
        _ => {
            Err(format!("`{ORIGINAL_SHAPE}{name}` is {value}, expected extents of {elements} values in all"))
        }
    }
}

/// No two tensors share bytes; their order is free, and there may be holes. Sorts them by their bytes.
fn check_overlaps(file: &str, entries: &mut [Entry]) -> Result<()> {
    entries.sort_by_key(|entry| (entry.range.start, entry.range.end));
    for pair in entries.windows(2) {
        if pair[1].range.start < pair[0].range.end {
            let reason = format!(
                "its bytes are {:?} and overlap those of `{}`, {:?}",
                pair[1].range, pair[0].name, pair[0].range
            );
            return Err(LoadError::BadTensor { file: file.to_owned(), tensor: pair[1].name.clone(), reason });
        }
    }
    Ok(())
}
