//! Checkpoints made of others: other names, and changes of LoRAs.

use std::collections::BTreeMap;

use super::{Checkpoint, Located};
use crate::source::gguf;
use crate::{Bytes, Change, LoadError, Result};

impl Checkpoint {
    /// The same tensors under the names that `name` gives them, and the names of those that it has none for, which are left out.
    ///
    /// # Errors
    /// When two tensors get one name.
    pub(crate) fn renamed(mut self, name: impl Fn(&str) -> Option<String>) -> Result<(Self, Vec<String>)> {
        let mut tensors: BTreeMap<String, Located> = BTreeMap::new();
        let mut ignored = Vec::new();
        for (theirs, located) in std::mem::take(&mut self.tensors) {
            let Some(ours) = name(&theirs) else {
                ignored.push(theirs);
                continue;
            };
            if let Some(other) = tensors.insert(ours.clone(), located) {
                let reason = format!("it is the `{ours}` of the model, as `{}` is", other.entry.name);
                return Err(LoadError::BadTensor { file: self.file.clone(), tensor: theirs, reason });
            }
        }
        Ok((Self { tensors, ..self }, ignored))
    }

    /// Adds a change to the tensor `name`, which must be there.
    pub(crate) fn change(&mut self, name: &str, change: Change) {
        if let Some(located) = self.tensors.get_mut(name) {
            located.changes.push(change);
        }
    }

    /// The text that the file has beside its tensors under this key.
    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The bytes of a tensor, whatever it is stored as.
    pub(crate) fn bytes_of(&self, name: &str) -> Option<Bytes> {
        let located = self.tensors.get(name)?;
        self.shards[located.shard].bytes.get(located.entry.range.clone())
    }

    /// The metadata of a GGUF file.
    pub(crate) fn gguf(&self) -> Option<&gguf::Metadata> {
        self.gguf.as_deref()
    }
}
