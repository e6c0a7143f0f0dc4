//! The tensors among the values of a pickle.

use std::collections::BTreeSet;

use super::globals::{Global, Rebuild};
use super::pickle::{Items, Value, Values};
use super::storage::{Stated, Storage, Tensor, is_contiguous};
use super::{Archive, printable};
use crate::source::Entry;
use crate::{LoadError, Result};

/// Where trainers keep the weights that are meant for use, the preferred place first.
const PLACES: [&str; 4] = ["generator_ema", "generator", "state_dict", "model"];
/// How deep dicts may lie in each other.
const MAX_DEPTH: usize = 32;
/// As many as torch allows.
const MAX_DIMENSIONS: usize = 64;
/// Bytes that all names and shapes may take together: a pickle can repeat a long one in two bytes.
const MAX_TEXT: usize = 64 << 20;

/// The tensors that the file is for.
pub(super) fn find(archive: &Archive<'_>, values: &Values<'_>) -> Result<Vec<Entry>> {
    let Value::Dict(top) = values.root else {
        return Err(archive.bad(format!("it holds {}, expected a dict of tensors", values.root.kind())));
    };
    for place in PLACES {
        // Of several values of a key, Python keeps the last.
        let dict = values.dict(top).iter().rev().find_map(|(key, value)| match (key, value) {
            (Value::Text(key), Value::Dict(dict)) if *key == place => Some(*dict),
            _ => None,
        });
        if let Some(dict) = dict {
            let entries = Search::new(archive, values).dict(dict)?;
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
    }
    Search::new(archive, values).dict(top)
}

struct Search<'a> {
    archive: &'a Archive<'a>,
    values: &'a Values<'a>,
    entries: Vec<Entry>,
    names: BTreeSet<String>,
    /// The dicts that were seen: one may not hold itself.
    seen: BTreeSet<usize>,
    text: usize,
}

impl<'a> Search<'a> {
    fn new(archive: &'a Archive<'a>, values: &'a Values<'a>) -> Self {
        let (names, seen) = (BTreeSet::new(), BTreeSet::new());
        Self { archive, values, entries: Vec::new(), names, seen, text: 0 }
    }

    fn dict(mut self, dict: usize) -> Result<Vec<Entry>> {
        self.walk(dict, &mut Vec::new())?;
        Ok(self.entries)
    }

    fn walk(&mut self, dict: usize, path: &mut Vec<&'a str>) -> Result<()> {
        if !self.seen.insert(dict) || path.len() > MAX_DEPTH {
            let name = printable(&path.join("."));
            return Err(self
                .archive
                .bad(format!("the dict `{name}` is there twice, holds itself, or is too deep")));
        }
        let values = self.values;
        for &(key, value) in values.dict(dict) {
            // Keys that are no texts are those of optimisers.
            let Value::Text(key) = key else { continue };
            path.push(key);
            match value {
                Value::Dict(dict) => self.walk(dict, path)?,
                Value::Tensor(rebuild, arguments) => self.add(path, rebuild, arguments)?,
                _ => {}
            }
            path.pop();
        }
        Ok(())
    }

    fn add(&mut self, path: &[&str], rebuild: Rebuild, arguments: Items) -> Result<()> {
        let length = path.iter().map(|key| key.len() + 1).fold(0usize, usize::saturating_add);
        self.text = self.text.saturating_add(length.saturating_add(MAX_DIMENSIONS * size_of::<usize>()));
        if self.text > MAX_TEXT {
            return Err(self
                .archive
                .bad(format!("the names of its tensors take more than {MAX_TEXT} bytes")));
        }
        let name = path.join(".");
        if !self.names.insert(name.clone()) {
            let reason = "it is there twice".to_owned();
            return Err(LoadError::BadTensor { file: self.archive.file.to_owned(), tensor: name, reason });
        }
        let entry = self.entry(name, rebuild, arguments)?;
        self.entries.push(entry);
        Ok(())
    }

    fn entry(&self, name: String, rebuild: Rebuild, arguments: Items) -> Result<Entry> {
        let tensor = match self.tensor(rebuild, arguments) {
            Ok(tensor) => tensor,
            Err(reason) => {
                return Err(LoadError::BadTensor {
                    file: self.archive.file.to_owned(),
                    tensor: name,
                    reason,
                });
            }
        };
        let Tensor { dtype, shape, strides, elements, range } = tensor;
        if elements > 0 && !is_contiguous(&shape, &strides) {
            let file = self.archive.file.to_owned();
            return Err(LoadError::StridedTensor { file, tensor: name, shape, strides });
        }
        Ok(Entry { format: dtype.format(), ..Entry::new(name, shape, elements, range) })
    }

    /// The tensor that the arguments describe, or what is wrong with them.
    fn tensor(&self, rebuild: Rebuild, arguments: Items) -> Stated<Tensor> {
        let arguments = self.values.items(arguments);
        let (fixed, stored_type, marks) = match (rebuild, arguments) {
            (Rebuild::Plain, fixed) if fixed.len() == 4 => (fixed, None, None),
            (Rebuild::V2, [fixed @ .., _, _]) if fixed.len() == 4 => (fixed, None, None),
            (Rebuild::V2, [fixed @ .., _, _, marks]) if fixed.len() == 4 => (fixed, None, Some(marks)),
            (Rebuild::V3, [fixed @ .., _, _, dtype]) if fixed.len() == 4 => (fixed, Some(dtype), None),
            (Rebuild::V3, [fixed @ .., _, _, dtype, marks]) if fixed.len() == 4 => {
                (fixed, Some(dtype), Some(marks))
            }
            _ => {
                return Err(format!(
                    "it is made of {} values, which is not how torch does it",
                    arguments.len()
                ));
            }
        };
        if let Some(Value::Dict(marks)) = marks
            && !self.values.dict(*marks).is_empty()
        {
            return Err("it is marked as a conjugated or negated view".to_owned());
        }
        let &[Value::Storage(storage), Value::Int(offset), Value::Tuple(sizes), Value::Tuple(strides)] =
            fixed
        else {
            return Err("it lacks a storage, an offset, a shape or strides".to_owned());
        };
        let storage = self.storage(storage)?;
        let dtype = match (storage.dtype, stored_type) {
            (None, Some(&Value::Global(Global::DType(dtype)))) | (Some(dtype), None) => dtype,
            _ => return Err("it does not say of what type it is".to_owned()),
        };
        storage.tensor(dtype, offset, self.numbers(sizes)?, self.numbers(strides)?)
    }

    /// What a description of a storage means: what it is, of what type, its key, on which device it was, and how many elements it has.
    fn storage(&self, description: Items) -> Stated<Storage> {
        let &[
            Value::Text("storage"),
            Value::Global(Global::Storage(dtype)),
            Value::Text(key),
            _,
            Value::Int(count),
        ] = self.values.items(description)
        else {
            return Err("its storage is described in a way that torch does not use".to_owned());
        };
        let key_name = printable(key);
        let Some(member) = self.archive.storages.get(key) else {
            return Err(format!("its bytes would be in the member `data/{key_name}`, which is absent"));
        };
        let bytes = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(dtype.map_or(1, |dtype| dtype.bytes)));
        let Some(bytes) = bytes.filter(|bytes| *bytes <= member.len()) else {
            let found = member.len();
            return Err(format!(
                "its storage claims {count} elements, the member `data/{key_name}` has {found} bytes"
            ));
        };
        Ok(Storage { dtype, range: member.start..member.start + bytes })
    }

    fn numbers(&self, items: Items) -> Stated<Vec<usize>> {
        let items = self.values.items(items);
        if items.len() > MAX_DIMENSIONS {
            return Err(format!("it has {} dimensions, torch allows {MAX_DIMENSIONS}", items.len()));
        }
        let number = |item: &Value<'_>| match item {
            Value::Int(number) => {
                usize::try_from(*number).map_err(|_| format!("its shape or strides hold {number}"))
            }
            other => Err(format!("its shape or strides hold {}, expected a number", other.kind())),
        };
        items.iter().map(number).collect()
    }
}
