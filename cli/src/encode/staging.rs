//! Files that appear whole or not at all: written under a temporary name beside the target, renamed at the end.

use crate::error::{Failure, Result};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::{NamedTempFile, TempDir};

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
    target: PathBuf,
    _registered: Registered,
}

impl StagedFile {
    /// Opens a temporary file in the folder of `target`.
    pub(crate) fn create(target: &Path) -> Result<Self> {
        let target = followed(target);
        if target.is_dir() {
            return Err(Failure::user(format!("cannot write `{}`: it is a folder", target.display())));
        }
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
        Ok(Self { file, target, _registered: registered })
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Where the file will be.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The failure of a write to this file.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        cannot_write(&self.target, error)
    }

    /// Flushes to the disk and gives the file its name, in place of a file of that name.
    pub(crate) fn commit(self) -> Result<()> {
        self.file.as_file().sync_all().map_err(|e| cannot_write(&self.target, &e))?;
        self.file.persist(&self.target).map_err(|e| cannot_write(&self.target, &e.error))?;
        Ok(())
    }
}

/// Several files of one folder that take their names together.
#[derive(Debug)]
pub(crate) struct StagedFolder {
    folder: TempDir,
    parent: PathBuf,
    names: Vec<String>,
    _registered: Registered,
}

impl StagedFolder {
    /// Opens a temporary folder in the folder of `target`.
    pub(crate) fn create(target: &Path) -> Result<Self> {
        // Empty for a bare name, so that names stay bare.
        let parent = target.parent().map(Path::to_owned).unwrap_or_default();
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(".part")
            .tempdir_in(folder_of(target))
            .map_err(|e| cannot_write(target, &e))?;
        let registered = Registered::new(folder.path());
        Ok(Self { folder, parent, names: Vec::new(), _registered: registered })
    }

    /// Creates the next file. `name` is its name without folder.
    pub(crate) fn create_file(&mut self, name: &str) -> Result<File> {
        let file = File::create(self.folder.path().join(name))
            .map_err(|e| cannot_write(&self.parent.join(name), &e))?;
        self.names.push(name.to_owned());
        Ok(file)
    }

    /// Where the file called `name` will be.
    pub(crate) fn target(&self, name: &str) -> PathBuf {
        self.parent.join(name)
    }

    /// Gives all files their names.
    pub(crate) fn commit(self) -> Result<()> {
        for name in &self.names {
            let target = self.parent.join(name);
            fs::rename(self.folder.path().join(name), &target).map_err(|e| cannot_write(&target, &e))?;
        }
        self.folder.close().map_err(|e| cannot_write(&self.parent, &e))
    }
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
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_dropped_file_leaves_nothing_and_keeps_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.bin");
        fs::write(&target, "old").unwrap();
        let staged = StagedFile::create(&target).unwrap();
        staged.file().write_all(b"new").unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        drop(staged);
        assert_eq!(names(folder.path()), ["a.bin"]);
        assert_eq!(fs::read(&target).unwrap(), b"old");
    }

    #[test]
    fn a_committed_file_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.bin");
        fs::write(&target, "old").unwrap();
        let staged = StagedFile::create(&target).unwrap();
        staged.file().write_all(b"new").unwrap();
        staged.commit().unwrap();
        assert_eq!(names(folder.path()), ["a.bin"]);
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_readable_like_any_other_and_a_link_stays_a_link() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.bin");
        StagedFile::create(&target).unwrap().commit().unwrap();
        let plain = folder.path().join("plain");
        File::create(&plain).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&target), mode(&plain));

        let link = folder.path().join("link.bin");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let staged = StagedFile::create(&link).unwrap();
        staged.file().write_all(b"through").unwrap();
        staged.commit().unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"through");
    }

    #[test]
    fn a_folder_of_files_appears_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("f.png");
        let mut staged = StagedFolder::create(&target).unwrap();
        staged.create_file("f-1.png").unwrap();
        staged.create_file("f-2.png").unwrap();
        drop(staged);
        assert!(names(folder.path()).is_empty());
        let mut staged = StagedFolder::create(&target).unwrap();
        staged.create_file("f-1.png").unwrap();
        staged.create_file("f-2.png").unwrap();
        staged.commit().unwrap();
        assert_eq!(names(folder.path()), ["f-1.png", "f-2.png"]);
    }

    #[test]
    fn a_missing_folder_is_named_with_a_way_out() {
        let failure = StagedFile::create(Path::new("/no/such/folder/a.mp4")).unwrap_err();
        assert!(failure.to_string().contains("`/no/such/folder/a.mp4`"), "{failure}");
        assert!(failure.hint_text().unwrap().contains("/no/such/folder"));
    }
}
