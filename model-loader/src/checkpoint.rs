//! The weights of one component: one file, or several with an index.

mod edit;
mod fingerprint;
mod scaled;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::random::RandomWeights;
use crate::source::{self, Entry, gguf};
use crate::weight_files::WeightFiles;
use crate::{Bytes, Change, Format, HostTensor, LoadError, ModelFolder, Result, json};

/// The named tensors of a component. Opening one reads and checks the headers only.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What messages call the whole: the single file, the index of several, or a pattern of their names.
    file: String,
    shards: Vec<Shard>,
    tensors: BTreeMap<String, Located>,
    /// Texts beside the tensors.
    metadata: BTreeMap<String, String>,
    /// Of a GGUF file: its metadata.
    gguf: Option<Arc<gguf::Metadata>>,
    /// Makes up every tensor that is asked for, in place of files.
    random: Option<Arc<RandomWeights>>,
}

#[derive(Clone, Debug)]
struct Shard {
    file: String,
    bytes: Bytes,
}

#[derive(Clone, Debug)]
struct Located {
    shard: usize,
    entry: Entry,
    /// What the stored values are multiplied by.
    scale: Option<Arc<[f32]>>,
    /// What is added to them.
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// Where a model's weights come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightSource {
    /// The folder's files.
    #[default]
    Stored,
    /// Nowhere: they are made up, in this type. A folder of configs alone can be measured so.
    Random(Format),
}

impl Checkpoint {
    /// The weights of `component` from where `source` says.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn from_source(folder: &ModelFolder, component: &str, source: WeightSource) -> Result<Self> {
        match source {
            WeightSource::Stored => Self::open(folder, component),
            WeightSource::Random(format) => Ok(Self {
                random: Some(Arc::new(RandomWeights::new(format))),
                ..Self::empty(format!("{component} of random weights"))
            }),
        }
    }

    fn empty(file: String) -> Self {
        Self {
            file,
            shards: Vec::new(),
            tensors: BTreeMap::new(),
            metadata: BTreeMap::new(),
            gguf: None,
            random: None,
        }
    }

    /// The weights of `component`, such as `transformer`.
    ///
    /// # Errors
    /// When there are none, or a file of them is absent or not sound.
    pub fn open(folder: &ModelFolder, component: &str) -> Result<Self> {
        match folder.part(component) {
            Some(part) => Ok(part.clone()),
            None => Self::open_stored(folder, component)?.scaled(),
        }
    }

    fn open_stored(folder: &ModelFolder, component: &str) -> Result<Self> {
        match WeightFiles::find(folder, component)? {
            WeightFiles::Single(file) => Self::stored_in(&file, folder.read(&file)?),
            WeightFiles::Index(file) => {
                let bytes = folder.read(&file)?;
                Self::from_index(folder, component, file, &bytes)
            }
            WeightFiles::Shards { files, pattern } => {
                let mut checkpoint = Self::empty(pattern);
                for file in files {
                    let bytes = folder.read(&file)?;
                    checkpoint.add_shard(file, bytes)?;
                }
                Ok(checkpoint)
            }
        }
    }

    /// The tensors of the single file at `path`.
    ///
    /// # Errors
    /// When it is absent or not sound.
    pub fn open_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Self::from_bytes(&path.display().to_string(), ModelFolder::open(parent)?.read(&name)?)
    }

    /// The tensors of one file in memory, whose container is recognised by its content; messages call it `file`.
    ///
    /// # Errors
    /// When it is not sound.
    pub fn from_bytes(file: &str, bytes: Bytes) -> Result<Self> {
        Self::stored_in(file, bytes)?.scaled()
    }

    fn stored_in(file: &str, bytes: Bytes) -> Result<Self> {
        let mut checkpoint = Self::empty(file.to_owned());
        checkpoint.add_shard(file.to_owned(), bytes)?;
        Ok(checkpoint)
    }

    fn from_index(folder: &ModelFolder, component: &str, file: String, bytes: &[u8]) -> Result<Self> {
        let ShardIndex { weight_map } = json::parse(&file, bytes)?;
        let mut checkpoint = Self::empty(file.clone());
        for name in weight_map.values().collect::<BTreeSet<_>>() {
            if name.is_empty() || name.contains(['/', '\\', ':']) || name == "." || name == ".." {
                return Err(LoadError::OutsideFolder { file, path: name.clone() });
            }
            let path = format!("{component}/{name}");
            let Some(bytes) = folder.read_optional(&path)? else {
                return Err(LoadError::MissingShard {
                    index: file,
                    shard: path,
                    location: folder.location(),
                });
            };
            checkpoint.add_shard(path, bytes)?;
        }
        for (tensor, shard) in weight_map {
            let shard = format!("{component}/{shard}");
            let located = checkpoint.tensors.get(&tensor);
            if located.is_none_or(|located| checkpoint.shards[located.shard].file != shard) {
                return Err(LoadError::NotInShard { index: file, tensor, shard });
            }
        }
        Ok(checkpoint)
    }

    fn add_shard(&mut self, file: String, bytes: Bytes) -> Result<()> {
        let shard = self.shards.len();
        let parsed = source::parse(&file, &bytes)?;
        self.metadata.extend(parsed.metadata);
        if let Some(metadata) = parsed.gguf {
            self.gguf = Some(Arc::new(metadata));
        }
        for entry in parsed.entries {
            let name = entry.name.clone();
            let located = Located { shard, entry, scale: None, changes: Vec::new() };
            if let Some(earlier) = self.tensors.insert(name.clone(), located) {
                let reason = format!("`{}` holds it as well", self.shards[earlier.shard].file);
                return Err(LoadError::BadTensor { file, tensor: name, reason });
            }
        }
        self.shards.push(Shard { file, bytes });
        Ok(())
    }

    /// What messages call the whole: the file, the index of several, or a pattern of their names.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The tensor `name`, without copying it.
    ///
    /// # Errors
    /// When there is none of that name, or it is stored in a type that is not supported.
    pub fn tensor(&self, name: &str) -> Result<HostTensor> {
        let located = self.locate(name)?;
        let Shard { file, bytes } = &self.shards[located.shard];
        let format = located.entry.format.clone().map_err(|format| LoadError::UnsupportedFormat {
            file: file.clone(),
            tensor: name.to_owned(),
            format,
        })?;
        let bytes = bytes.slice(located.entry.range.clone());
        Ok(HostTensor {
            scale: located.scale.clone(),
            changes: located.changes.clone(),
            ..HostTensor::new(name, format, &located.entry.shape, bytes)
        })
    }

    /// The tensor `name`, which must have the shape `expected`.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`], and when the shape is another.
    pub fn tensor_shaped(&self, name: &str, expected: &[usize]) -> Result<HostTensor> {
        if let Some(random) = &self.random {
            return random.tensor(name, expected);
        }
        let located = self.locate(name)?;
        let same = located.entry.shape == expected
            || located.entry.is_folded && located.entry.elements == expected.iter().product::<usize>();
        if !same {
            return Err(LoadError::WrongShape {
                file: self.shards[located.shard].file.clone(),
                tensor: name.to_owned(),
                got: located.entry.shape.clone(),
                expected: expected.to_vec(),
            });
        }
        Ok(HostTensor { shape: expected.to_vec(), ..self.tensor(name)? })
    }

    fn locate(&self, name: &str) -> Result<&Located> {
        self.tensors.get(name).ok_or_else(|| LoadError::MissingTensor {
            file: self.file.clone(),
            tensor: name.to_owned(),
            closest: self.closest(name),
        })
    }

    /// The name that shares most with `name` at both ends, if it shares at least half.
    fn closest(&self, name: &str) -> Option<String> {
        let shared = |other: &str| {
            let most = name.len().min(other.len());
            let front = name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
            let back = name.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
            (front + back).min(most)
        };
        let (score, best) =
            self.tensors.keys().map(|other| (shared(other), other)).max_by_key(|(s, _)| *s)?;
        (score * 2 >= name.len()).then(|| best.clone())
    }

    /// Whether there is a tensor `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.random.is_some() || self.tensors.contains_key(name)
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of the tensor `name`, if there is one.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|located| located.entry.shape.as_slice())
    }

    /// How many elements all tensors have together, those of types that are not read included.
    #[must_use]
    pub fn total_parameters(&self) -> usize {
        self.tensors.values().fold(0, |sum, located| sum.saturating_add(located.entry.elements))
    }

    /// How many elements are stored in each of the supported formats.
    #[must_use]
    pub fn formats(&self) -> BTreeMap<Format, usize> {
        let mut counts = BTreeMap::new();
        for Located { entry, .. } in self.tensors.values() {
            if let Ok(format) = entry.format {
                *counts.entry(format).or_default() += entry.elements;
            }
        }
        counts
    }

    /// The file, name, stored type and bytes of every tensor, in the order of the files.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (&str, &str, &str, Bytes)> {
        let mut all: Vec<&Located> = self.tensors.values().collect();
        all.sort_by_key(|located| (located.shard, located.entry.range.start));
        all.into_iter().map(|Located { shard, entry, .. }| {
            let Shard { file, bytes } = &self.shards[*shard];
            let format = entry.format.as_ref().map_or_else(|other| &**other, |format| format.name());
            (&**file, &*entry.name, format, bytes.slice(entry.range.clone()))
        })
    }

    /// How many bytes all tensors take together.
    #[must_use]
    pub fn bytes_total(&self) -> usize {
        self.tensors.values().map(|located| located.entry.range.len()).sum()
    }
}
