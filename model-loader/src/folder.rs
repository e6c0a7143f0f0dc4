//! A model's files by relative path: a directory, files in memory, or files embedded in the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use crate::notices::Notices;
use crate::{Bytes, Checkpoint, LoadError, ModelIndex, PartOrigin, Result};

/// A folder in the diffusers layout: `model_index.json` and one folder for each component.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    name: String,
    files: Files,
    /// Weights that stand in place of the files', by component.
    parts: Arc<BTreeMap<String, Checkpoint>>,
    /// Files that stand before the others: what single files say in other words.
    written: Arc<BTreeMap<String, Bytes>>,
    origins: Arc<Vec<PartOrigin>>,
    notices: Notices,
}

#[derive(Clone, Debug)]
enum Files {
    Directory(PathBuf),
    Memory(Arc<BTreeMap<String, Bytes>>),
    Embedded(&'static [(&'static str, &'static [u8])]),
}

/// How every Git LFS pointer begins: a small text that stands for a file until `git lfs pull` fetches it.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Smaller files are read, larger ones mapped.
#[cfg(not(target_arch = "wasm32"))]
const MAPPED_FROM: u64 = 1 << 16;

impl ModelFolder {
    /// The folder at `path`.
    ///
    /// # Errors
    /// When `path` is not a readable directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let refuse = |reason: String| LoadError::NotAFolder { path: path.display().to_string(), reason };
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => refuse("it does not exist".to_owned()),
            _ => refuse(error.to_string()),
        })?;
        if !metadata.is_dir() {
            return Err(refuse("it is a file".to_owned()));
        }
        let named = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name =
            named.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into());
        Ok(Self::new(name, Files::Directory(path.to_owned())))
    }

    /// Files embedded in the program, by their path inside the folder.
    #[must_use]
    pub fn embedded(name: &str, files: &'static [(&'static str, &'static [u8])]) -> Self {
        Self::new(name.to_owned(), Files::Embedded(files))
    }

    /// Files in memory, by their path inside the folder.
    pub fn in_memory<B: Into<Bytes>>(name: &str, files: impl IntoIterator<Item = (String, B)>) -> Self {
        let files = files.into_iter().map(|(path, bytes)| (path, bytes.into())).collect();
        Self::new(name.to_owned(), Files::Memory(Arc::new(files)))
    }

    fn new(name: String, files: Files) -> Self {
        Self {
            name,
            files,
            parts: Arc::default(),
            written: Arc::default(),
            origins: Arc::default(),
            notices: Notices::default(),
        }
    }

    /// The same folder under another name, for messages and metadata.
    #[must_use]
    pub fn called(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// A folder without files.
    pub(crate) fn empty(name: &str) -> Self {
        Self::in_memory::<Bytes>(name, [])
    }

    /// The same folder with other weights for some components, and other files before its own.
    pub(crate) fn with_parts(
        self,
        name: String,
        parts: BTreeMap<String, Checkpoint>,
        written: BTreeMap<String, Bytes>,
        origins: Vec<PartOrigin>,
    ) -> Self {
        let (parts, written, origins) = (Arc::new(parts), Arc::new(written), Arc::new(origins));
        Self { name, parts, written, origins, ..self }
    }

    /// Where the parts came from that are not the folder's own.
    #[must_use]
    pub fn origins(&self) -> &[PartOrigin] {
        &self.origins
    }

    /// Whether `component` holds a tokenizer.
    pub(crate) fn has_tokenizer(&self, component: &str) -> bool {
        let names = self.file_names(component);
        ["tokenizer.json", "spiece.model"].iter().any(|file| names.iter().any(|name| name == file))
    }

    /// The weights that stand in place of the files of `component`.
    pub(crate) fn part(&self, component: &str) -> Option<&Checkpoint> {
        self.parts.get(component)
    }

    /// What the user should know about the files that have been read so far, such as keys that were ignored.
    /// Clones of a folder share their notices.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.notices.all()
    }

    pub(crate) const fn notice_board(&self) -> &Notices {
        &self.notices
    }

    /// A short name for messages and metadata: the folder's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the files are, for messages.
    #[must_use]
    pub fn location(&self) -> String {
        match &self.files {
            Files::Directory(path) => path.display().to_string(),
            Files::Memory(_) => format!("{} (in memory)", self.name),
            Files::Embedded(_) => format!("{} (embedded)", self.name),
        }
    }

    /// The parsed and checked `model_index.json`.
    ///
    /// # Errors
    /// When it is absent, damaged, or asks for something that is not supported.
    pub fn index(&self) -> Result<ModelIndex> {
        ModelIndex::load(self)
    }

    /// The file at `path`, which uses `/` between folders.
    ///
    /// # Errors
    /// When it is absent or cannot be read.
    pub fn read(&self, path: &str) -> Result<Bytes> {
        self.read_optional(path)?
            .ok_or_else(|| LoadError::MissingFile { file: path.to_owned(), location: self.location() })
    }

    /// The file at `path`, or `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read, or is the Git LFS pointer to a file that was not fetched.
    pub fn read_optional(&self, path: &str) -> Result<Option<Bytes>> {
        if let Some(bytes) = self.written.get(path) {
            return Ok(Some(bytes.clone()));
        }
        let bytes = match &self.files {
            Files::Directory(directory) => match read_file(&directory.join(path)) {
                Ok(bytes) => Some(bytes),
                Err(error) if is_absence(&error) => None,
                Err(source) => {
                    return Err(LoadError::Read { file: path.to_owned(), location: self.location(), source });
                }
            },
            Files::Memory(files) => files.get(path).cloned(),
            Files::Embedded(files) => {
                files.iter().find(|(name, _)| *name == path).map(|(_, bytes)| Bytes::from_static(bytes))
            }
        };
        if bytes.as_ref().is_some_and(|bytes| bytes.starts_with(LFS_POINTER)) {
            return Err(LoadError::LfsPointer { file: path.to_owned(), location: self.location() });
        }
        Ok(bytes)
    }

    /// The names of the files directly inside the folder `folder`, sorted; none when there is no such folder.
    pub(crate) fn file_names(&self, folder: &str) -> Vec<String> {
        let inside = |path: &str| {
            let name = path.strip_prefix(folder)?.strip_prefix('/')?;
            (!name.contains('/')).then(|| name.to_owned())
        };
        let mut names: Vec<String> = match &self.files {
            Files::Directory(directory) => fs::read_dir(directory.join(folder))
                .into_iter()
                .flatten()
                .flatten()
                .filter(|entry| entry.path().is_file())
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect(),
            Files::Memory(files) => files.keys().filter_map(|path| inside(path)).collect(),
            Files::Embedded(files) => files.iter().filter_map(|(path, _)| inside(path)).collect(),
        };
        names.sort();
        names
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(not(target_arch = "wasm32"))]
fn read_file(path: &Path) -> io::Result<Bytes> {
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() < MAPPED_FROM {
        return Ok(fs::read(path)?.into());
    }
    // SAFETY: the mapping is read-only and its bytes are only ever interpreted as plain numbers and text. What
    // remains is that another program changes or truncates the file while it is in use: then numbers change
    // or the process is killed by the system, as with every program that maps its model files.
    let map = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Bytes::from_map(map))
}

#[cfg(target_arch = "wasm32")]
fn read_file(path: &Path) -> io::Result<Bytes> {
    Ok(fs::read(path)?.into())
}
