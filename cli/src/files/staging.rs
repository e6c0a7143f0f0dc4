//! Files that appear whole or not at all: written under a temporary name beside the target, renamed at the end.

mod claim;

use crate::error::{Failure, Result};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::{NamedTempFile, TempDir};

use claim::{Claim, State, turn};
pub(crate) use claim::{Existing, moved};

/// What exists under temporary names at this moment, for the exit that runs no destructors.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

const PREFIX: &str = ".kinora-";

/// Removes everything unfinished. Only for a process that is about to exit.
pub(crate) fn remove_unfinished() {
    for path in UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        // Nothing can be done, and nobody told, if this fails now.
        if fs::remove_file(&path).is_err() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// An entry of `UNFINISHED` as long as it lives.
#[derive(Debug)]
struct Registered(PathBuf);

impl Registered {
    fn new(path: &Path) -> Self {
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| *path != self.0);
    }
}

/// A file that takes its name only when it is complete. Dropped before that, it is removed.
#[derive(Debug)]
pub(crate) struct StagedFile {
    file: NamedTempFile,
    claim: Claim,
    _registered: Registered,
}

/// The name that a file got.
#[derive(Debug)]
pub(crate) struct Committed {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Why that is not where it was wanted.
    pub(crate) notice: Option<String>,
}

impl StagedFile {
    /// Opens a temporary file in the folder of `target`.
    pub(crate) fn create(target: &Path, existing: Existing) -> Result<Self> {
        let target = followed(target);
        check_target(&target)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The umask takes its part away, as for any new file.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder_of(&target)).map_err(|e| cannot_write(&target, &e))?;
        let registered = Registered::new(file.path());
        Ok(Self { file, claim: Claim::new(target, existing), _registered: registered })
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Where the file is wanted.
    pub(crate) fn target(&self) -> &Path {
        self.claim.target()
    }

    /// The failure of a write to this file.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        cannot_write(self.target(), error)
    }

    /// Flushes to the disk and gives the file its name, in place of the file that had it when writing began. If another
    /// run has taken the name since, the next free one.
    pub(crate) fn commit(self) -> Result<Committed> {
        self.file.as_file().sync_all().map_err(|e| self.failure(&e))?;
        let _turn = turn(folder_of(self.target()));
        let Self { mut file, claim, _registered } = self;
        for attempt in 1.. {
            let path = claim.name(attempt);
            let done = match claim.state(&path, attempt) {
                State::Taken => continue,
                State::Ours => file.persist(&path),
                State::Free => file.persist_noclobber(&path).or_else(|failed| {
                    // Not every file system has a move that keeps an existing file.
                    if path.exists() { Err(failed) } else { failed.file.persist(&path) }
                }),
            };
            match done {
                Ok(_) => return Ok(Committed { notice: claim.notice(&path), path }),
                Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => file = failed.file,
                Err(failed) => return Err(cannot_write(&path, &failed.error)),
            }
        }
        Err(Failure::system(format!("no name like `{}` is free", claim.target().display())))
    }
}

/// Several files of one folder that take their names together.
#[derive(Debug)]
pub(crate) struct StagedFolder {
    folder: TempDir,
    parent: PathBuf,
    claims: Vec<Claim>,
    created: usize,
    _registered: Registered,
}

impl StagedFolder {
    /// Opens a temporary folder in the folder of `target` for files that will have these names.
    pub(crate) fn create(target: &Path, names: impl Iterator<Item = String>) -> Result<Self> {
        // Empty for a bare name, so that names stay bare.
        let parent = target.parent().map(Path::to_owned).unwrap_or_default();
        let claims = names.map(|name| Claim::new(parent.join(name), Existing::Replace)).collect();
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(".part")
            .tempdir_in(folder_of(target))
            .map_err(|e| cannot_write(target, &e))?;
        let registered = Registered::new(folder.path());
        Ok(Self { folder, parent, claims, created: 0, _registered: registered })
    }

    /// Creates the next file; the path is the one that it is meant for.
    pub(crate) fn create_file(&mut self) -> Result<(File, &Path)> {
        let number = self.created;
        let Some(claim) = self.claims.get(number) else {
            return Err(Failure::system("more files than announced"));
        };
        let file = File::create(self.folder.path().join(number.to_string()))
            .map_err(|e| cannot_write(claim.target(), &e))?;
        self.created += 1;
        Ok((file, claim.target()))
    }

    /// Where a file called `name` is or will be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.parent.join(name)
    }

    /// Gives all files their names, in place of those that had them when writing began. If another run has taken one of
    /// the names since, all get others: `names` tells for each attempt after the first. Says which attempt it was.
    pub(crate) fn commit(self, names: impl Fn(usize) -> Vec<String>) -> Result<usize> {
        let _turn = turn(folder_of(&self.parent.join("file")));
        let claims = &self.claims[..self.created];
        let mut attempt = 1;
        let mut paths: Vec<PathBuf> = claims.iter().map(|claim| claim.target().to_owned()).collect();
        let is_taken = |paths: &[PathBuf], attempt| {
            claims.iter().zip(paths).any(|(claim, path)| claim.state(path, attempt) == State::Taken)
        };
        while is_taken(&paths, attempt) {
            attempt += 1;
            paths = names(attempt).iter().map(|name| self.parent.join(name)).collect();
        }
        for (number, path) in paths.iter().enumerate() {
            fs::rename(self.folder.path().join(number.to_string()), path)
                .map_err(|e| cannot_write(path, &e))?;
        }
        self.folder.close().map_err(|e| cannot_write(&self.parent, &e))?;
        Ok(attempt)
    }
}

/// Fails if a file cannot be put at `path`, because something else is there.
pub(crate) fn check_target(path: &Path) -> Result<()> {
    let wrong = match fs::metadata(path) {
        Ok(there) if there.is_dir() => "it is a folder",
        Ok(there) if !there.is_file() => "it is not a regular file",
        _ => return Ok(()),
    };
    Err(Failure::user(format!("cannot write `{}`: {wrong}", path.display())))
}

/// The failure of a write to `path`.
pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::io("write", path, error);
    match error.kind() {
        io::ErrorKind::NotFound if !folder_of(path).is_dir() => {
            failure.hint(format!("create the folder first: mkdir -p '{}'", folder_of(path).display()))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.hint("the disk is full; an earlier file of that name is untouched")
        }
        io::ErrorKind::FileTooLarge => {
            failure.hint("the file is larger than `ulimit -f` or the file system allows")
        }
        _ => failure,
    }
}

/// The folder that holds `path`; `.` for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The file that a link leads to, so that a link stays one.
fn followed(target: &Path) -> PathBuf {
    if target.is_symlink() {
        target.canonicalize().unwrap_or_else(|_| target.to_owned())
    } else {
        target.to_owned()
    }
}

#[cfg(test)]
mod tests;
