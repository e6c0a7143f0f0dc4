//! The folder of one repository in the cache: `blobs`, `snapshots` and `refs`, as `huggingface_hub` lays them out.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{iter, process};

use crate::repo::is_commit;
use crate::retry::wait;
use crate::{Cancel, HubError, Links, RepoId, Result, Settings};

/// Between two looks at a lock that another process holds.
const LOOK: Duration = Duration::from_millis(100);
/// Tells programs that make backups to leave the cache out (bford.info/cachedir).
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This file is a cache directory tag created by huggingface_hub.\n\
    # For information about cache directory tags, see:\n\
    #\thttps://bford.info/cachedir/\n";

pub(crate) struct RepoCache {
    root: PathBuf,
    folder: PathBuf,
    locks: PathBuf,
    links: Links,
}

impl RepoCache {
    pub(crate) fn new(settings: &Settings, repo: &RepoId) -> Self {
        let root = settings.cache.clone();
        let folder = root.join(repo.folder());
        let locks = root.join(".locks").join(repo.folder());
        Self { root, folder, locks, links: settings.links }
    }

    pub(crate) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    pub(crate) fn incomplete(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{etag}.incomplete"))
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Makes the folders that files are put in.
    pub(crate) fn prepare(&self) -> Result<()> {
        make_folder(&self.folder.join("blobs"))?;
        make_folder(&self.locks)?;
        let tag = self.root.join("CACHEDIR.TAG");
        if tag.exists() { Ok(()) } else { fs::write(&tag, TAG).map_err(|error| HubError::io(&tag, error)) }
    }

    /// The commit that a revision was at when it was last fetched.
    pub(crate) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Notes at which commit a revision is. A commit needs no note.
    pub(crate) fn note(&self, revision: &str, commit: &str) -> Result<()> {
        if self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        make_folder(path.parent().unwrap_or(&self.folder))?;
        let mut new = path.clone().into_os_string();
        new.push(format!(".{}.tmp", process::id()));
        let new = PathBuf::from(new);
        let written = fs::write(&new, commit).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| HubError::io(&path, error))
    }

    /// Lets one process at a time write a blob. `waiting` is called once if another holds the lock.
    pub(crate) fn lock(&self, etag: &str, cancel: &Cancel, waiting: impl FnOnce()) -> Result<File> {
        let path = self.locks.join(format!("{etag}.lock"));
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|error| HubError::io(&path, error))?;
        let mut waiting = Some(waiting);
        loop {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                // File systems without locks do without; the hash still tells when two wrote one file.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            wait(LOOK, cancel)?;
        }
    }

    /// Puts a blob in its place in a snapshot. A `fresh` one is not used by any other snapshot.
    pub(crate) fn place(&self, etag: &str, commit: &str, file: &str, fresh: bool) -> Result<()> {
        let place = self.snapshot(commit).join(file);
        make_folder(place.parent().unwrap_or(&self.folder))?;
        let done = remove(&place).and_then(|()| self.link(etag, &place, file, fresh));
        done.map_err(|error| HubError::io(&place, error))
    }

    fn link(&self, etag: &str, place: &Path, file: &str, fresh: bool) -> io::Result<()> {
        let blob = self.blob(etag);
        if self.links >= Links::Symbolic {
            // In parts, for Windows follows no link with forward slashes.
            let up = iter::repeat_n("..", 2 + file.matches('/').count());
            let to: PathBuf = up.chain(["blobs", etag]).collect();
            if symlink(&to, place).is_ok() {
                return Ok(());
            }
        }
        if self.links >= Links::Hard && fs::hard_link(&blob, place).is_ok() {
            return Ok(());
        }
        if fresh { fs::rename(&blob, place) } else { fs::copy(&blob, place).map(drop) }
    }
}

pub(crate) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| HubError::io(path, error))
}

/// Whether a file of this size is there, behind links.
pub(crate) fn is_file(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.len() == size)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn symlink(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(windows)]
fn symlink(to: &Path, at: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(to, at)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
