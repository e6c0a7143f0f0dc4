//! Still pictures: one numbered PNG to each frame, each with the settings in it.

use super::numbered::Numbered;
use super::staging::{StagedFolder, cannot_write, moved};
use super::{VideoWriter, Written, failure};
use crate::error::Result;
use encode::VideoInfo;
use engine::Frame;
use std::io::BufWriter;
use std::path::Path;

/// Numbered PNG files being written.
pub(crate) struct PngSequence {
    folder: StagedFolder,
    names: Numbered,
    count: u32,
    info: VideoInfo,
}

impl PngSequence {
    /// Starts a sequence: `a/b.png` makes `a/b-0001.png`, `a/b-0002.png`, ..., and so does `a/b-%04d.png`.
    pub(crate) fn create(target: &Path, info: VideoInfo) -> Result<Self> {
        let names = Numbered::parse(target, info.frames)?;
        let folder = StagedFolder::create(target, (1..=info.frames).map(|number| names.name(number)))?;
        Ok(Self { folder, names, count: 0, info })
    }
}

impl VideoWriter for PngSequence {
    fn frame(&mut self, frame: &Frame) -> Result<()> {
        self.count += 1;
        let (file, path) = self.folder.create_file()?;
        encode::png::write(BufWriter::new(file), frame, &self.info.metadata)
            .map_err(|error| failure(error, |error| cannot_write(path, error)))?;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        let Self { folder, names, count, .. } = *self;
        let path = |name: &str| folder.path(name);
        let (wanted, next) = (path(&names.pattern()), path(&names.name(count + 1)));
        let parent = wanted.with_file_name("");
        let earlier = next
            .exists()
            .then(|| format!("`{}` and what follows it are from an earlier run", next.display()));
        let attempt = folder.commit(|attempt| {
            let names = names.other(attempt);
            (1..=count).map(|number| names.name(number)).collect()
        })?;
        let written = parent.join(names.other(attempt).pattern());
        let notice = if attempt == 1 { earlier } else { Some(moved(&wanted, &written)) };
        Ok(Written { name: Some(written.display().to_string()), notices: notice.into_iter().collect() })
    }
}
