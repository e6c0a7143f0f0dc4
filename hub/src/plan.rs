//! What a download consists of, before any of it begins.

use std::path::{Path, PathBuf};

use crate::RepoId;

/// The files that are needed, at one commit. [`Hub::fetch`](crate::Hub::fetch) brings what is missing of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(crate) repo: RepoId,
    pub(crate) commit: String,
    pub(crate) snapshot: PathBuf,
    pub(crate) files: Vec<PlannedFile>,
    pub(crate) notice: Option<String>,
    /// Made from the cache alone.
    pub(crate) is_local: bool,
}

/// A file of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) missing: u64,
    pub(crate) is_cached: bool,
    /// What names its blob; empty in a plan made from the cache alone.
    pub(crate) etag: String,
}

impl Plan {
    /// The repository.
    #[must_use]
    pub fn repo(&self) -> &RepoId {
        &self.repo
    }

    /// The commit at which all files are taken.
    #[must_use]
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The folder in which the files are, or will be.
    #[must_use]
    pub fn snapshot(&self) -> &Path {
        &self.snapshot
    }

    /// The files, by name.
    #[must_use]
    pub fn files(&self) -> &[PlannedFile] {
        &self.files
    }

    /// The size of all files, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// How much of it has to be transferred, in bytes.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.missing))
    }

    /// What the user should know, such as that the hub could not be reached and the cache stands in for it.
    #[must_use]
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }
}

impl PlannedFile {
    /// The path in the repository.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How much of it has to be transferred, in bytes.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Whether all of it is in the cache.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        self.is_cached
    }
}
