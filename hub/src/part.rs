//! A file that is being downloaded: `blobs/{etag}.incomplete`, and the hash of what is in it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::checksum::Checksum;
use crate::listing::Content;
use crate::{HubError, Result};

/// How much is read at once while hashing.
const CHUNK: usize = 1 << 20;

pub(crate) struct Part {
    path: PathBuf,
    file: File,
    content: Content,
    hash: Checksum,
    len: u64,
}

impl Part {
    /// Takes up what an earlier run left. It is hashed; `each` hears how far and may stop it.
    pub(crate) fn open(
        path: PathBuf,
        content: &Content,
        mut each: impl FnMut(u64) -> Result<()>,
    ) -> Result<Self> {
        let opened = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = opened.map_err(|error| HubError::io(&path, error))?;
        let hash = Checksum::new(&content.etag, content.size);
        let mut part = Self { path, file, content: content.clone(), hash, len: 0 };
        let length = part.file.metadata().map_err(|error| part.error(error))?.len();
        if length > content.size {
            part.restart()?;
            return Ok(part);
        }
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = part.file.read(&mut buffer).map_err(|error| part.error(error))?;
            if count == 0 {
                return Ok(part);
            }
            part.hash.update(&buffer[..count]);
            part.len += count as u64;
            each(part.len)?;
        }
    }

    /// How much is there.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.len == self.content.size
    }

    /// How much is still to come.
    pub(crate) fn rest(&self) -> u64 {
        self.content.size - self.len
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| self.error(error))?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what is there.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|error| self.error(error))?;
        self.hash = Checksum::new(&self.content.etag, self.content.size);
        self.len = 0;
        Ok(())
    }

    /// The hash of what is there, if it is not what it must be.
    pub(crate) fn fault(&self) -> Option<String> {
        self.hash.clone().differs(&self.content.etag)
    }

    /// Gives the whole file its name.
    pub(crate) fn finish(self, blob: &Path) -> Result<()> {
        self.file.sync_data().map_err(|error| self.error(error))?;
        let Self { path, file, .. } = self;
        drop(file);
        fs::rename(&path, blob).map_err(|error| HubError::io(blob, error))
    }

    /// Leaves nothing behind.
    pub(crate) fn discard(self) -> Result<()> {
        let Self { path, file, .. } = self;
        drop(file);
        fs::remove_file(&path).map_err(|error| HubError::io(&path, error))
    }

    fn error(&self, error: io::Error) -> HubError {
        HubError::io(&self.path, error)
    }
}
