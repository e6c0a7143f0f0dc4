//! Which name a finished file takes: the one that was asked for, unless another run has taken it meanwhile.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What becomes of a file that had the name when writing began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is replaced: the name was asked for.
    Replace,
    /// It stays, and the new file takes the next free name.
    Keep,
}

/// A name, and what was there when writing began.
#[derive(Debug)]
pub(super) struct Claim {
    target: PathBuf,
    existing: Existing,
    before: Option<Identity>,
}

/// Whether a name can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is no such file.
    Free,
    /// The file there is the one to be replaced.
    Ours,
    /// The file there has to stay.
    Taken,
}

/// Tells one file of a name from a later one.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    length: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    number: (u64, u64),
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        let there = fs::symlink_metadata(path).ok()?;
        Some(Self {
            length: there.len(),
            modified: there.modified().ok(),
            #[cfg(unix)]
            number: {
                use std::os::unix::fs::MetadataExt;
                (there.dev(), there.ino())
            },
        })
    }
}

impl Claim {
    /// Looks at what is there now.
    pub(super) fn new(target: PathBuf, existing: Existing) -> Self {
        let before = Identity::of(&target);
        Self { target, existing, before }
    }

    /// The name that was asked for.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// The name of this attempt: `a.mp4`, then `a-2.mp4`, `a-3.mp4` and so on.
    pub(super) fn name(&self, attempt: usize) -> PathBuf {
        if attempt == 1 {
            return self.target.clone();
        }
        let mut name = self.target.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{attempt}"));
        if let Some(extension) = self.target.extension() {
            name.push(".");
            name.push(extension);
        }
        self.target.with_file_name(name)
    }

    /// Whether the file may be called `path`, a name of this attempt.
    pub(super) fn state(&self, path: &Path, attempt: usize) -> State {
        match Identity::of(path) {
            None => State::Free,
            now if attempt == 1 && self.existing == Existing::Replace && now == self.before => State::Ours,
            Some(_) => State::Taken,
        }
    }

    /// What to say if a file was wanted at one place and went to `path`.
    pub(super) fn notice(&self, path: &Path) -> Option<String> {
        (self.existing == Existing::Replace && path != self.target).then(|| moved(&self.target, path))
    }
}

/// What to say of a file that went to another place than was asked for.
pub(crate) fn moved(wanted: &Path, path: &Path) -> String {
    format!(
        "`{}` was written by another run meanwhile; this one wrote `{}`",
        wanted.display(),
        path.display()
    )
}

/// Held while a run gives its files their names, so that others look at the names before or after. Where a folder cannot
/// be locked there is nothing to hold.
pub(super) fn turn(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    folder.lock().ok()?;
    Some(folder)
}
