//! Videos as files, one frame at a time; they appear whole or not at all.

pub(crate) mod numbered;
mod sequence;
pub(crate) mod settings;
pub(crate) mod staging;

use crate::error::{Failure, Result};
use crate::output::Target;
use encode::{Apng, EncodeError, Mp4, VideoEncoder, VideoInfo, Y4m, enlarge, factor};
use engine::Frame;
use sequence::PngSequence;
use staging::{Committed, Existing, StagedFile};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

/// What was written, in words for the person who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// The file, or a pattern that names the files; nothing for the standard output.
    pub(crate) name: Option<String>,
    /// What is worth knowing about it.
    pub(crate) notices: Vec<String>,
}

impl From<Committed> for Written {
    fn from(file: Committed) -> Self {
        Self { name: Some(file.path.display().to_string()), notices: file.notice.into_iter().collect() }
    }
}

/// A video being written. Dropped before [`VideoWriter::finish`], it leaves no trace.
pub(crate) trait VideoWriter: Send {
    /// Adds the next frame.
    fn frame(&mut self, frame: &Frame) -> Result<()>;
    /// Completes the file and gives it its name.
    fn finish(self: Box<Self>) -> Result<Written>;
}

/// Opens a video for writing. Small frames are enlarged unless `native_size`.
pub(crate) fn open(target: &Target, info: VideoInfo, native_size: bool) -> Result<Box<dyn VideoWriter>> {
    let factor = if native_size { 1 } else { factor(info.width, info.height) };
    let expected = (info.width, info.height);
    let frames_left = info.frames;
    let info = VideoInfo { width: info.width * factor, height: info.height * factor, ..info };
    if matches!(target, Target::Mp4(_) | Target::Derived(_)) {
        // Before there is a file that would have to go again.
        encode::mp4::check_size(info.width, info.height).map_err(|error| failure(error, Failure::stdout))?;
    }
    let inner: Box<dyn VideoWriter> = match target {
        Target::Mp4(path) => staged(path, Existing::Replace, |file| Mp4::new(file, &info))?,
        Target::Derived(path) => staged(path, Existing::Keep, |file| Mp4::new(file, &info))?,
        Target::PngSequence(path) => Box::new(PngSequence::create(path, info)?),
        Target::Apng(path) => staged(path, Existing::Replace, |file| Apng::new(file, &info))?,
        Target::Y4m(path) => staged(path, Existing::Replace, |file| Y4m::new(file, &info))?,
        Target::Stdout => {
            let stream = Y4m::new(BufWriter::new(io::stdout()), &info);
            Box::new(Stream(stream.map_err(|error| failure(error, Failure::stdout))?))
        }
    };
    Ok(Box::new(Checked { inner, expected, frames_left, factor }))
}

/// A video in a file that takes its name at the end.
struct Staged<E> {
    encoder: E,
    file: StagedFile,
}

fn staged<E: VideoEncoder + Send + 'static>(
    target: &Path,
    existing: Existing,
    start: impl FnOnce(BufWriter<File>) -> std::result::Result<E, EncodeError>,
) -> Result<Box<dyn VideoWriter>> {
    let file = StagedFile::create(target, existing)?;
    let started = file.file().try_clone().map_err(EncodeError::from).map(BufWriter::new).and_then(start);
    let encoder = started.map_err(|error| failure(error, |error| file.failure(error)))?;
    Ok(Box::new(Staged { encoder, file }))
}

impl<E: VideoEncoder + Send> VideoWriter for Staged<E> {
    fn frame(&mut self, frame: &Frame) -> Result<()> {
        self.encoder.frame(frame).map_err(|error| failure(error, |error| self.file.failure(error)))
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        let Self { encoder, file } = *self;
        // What is given back, flushed, is the file once more.
        encoder.finish().map_err(|error| failure(error, |error| file.failure(error)))?;
        file.commit().map(Written::from)
    }
}

/// A video on the standard output.
struct Stream<E>(E);

impl<E: VideoEncoder + Send> VideoWriter for Stream<E> {
    fn frame(&mut self, frame: &Frame) -> Result<()> {
        self.0.frame(frame).map_err(|error| failure(error, Failure::stdout))
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        self.0.finish().map_err(|error| failure(error, Failure::stdout))?;
        Ok(Written { name: None, notices: Vec::new() })
    }
}

/// An encoder's error, with the words for a write that failed.
fn failure(error: EncodeError, io: impl FnOnce(&io::Error) -> Failure) -> Failure {
    match error {
        EncodeError::Io(error) => io(&error),
        error if error.is_users() => {
            Failure::user(error.to_string()).hint("write an .apng, numbered .png files or a .y4m")
        }
        error => Failure::system(error.to_string()),
    }
}

/// Enlarges, and holds the caller to what it announced.
struct Checked {
    inner: Box<dyn VideoWriter>,
    expected: (u32, u32),
    frames_left: u32,
    factor: u32,
}

impl VideoWriter for Checked {
    fn frame(&mut self, frame: &Frame) -> Result<()> {
        let (width, height) = self.expected;
        if (frame.width, frame.height) != self.expected {
            let (got_width, got_height) = (frame.width, frame.height);
            return Err(Failure::system(format!(
                "a frame is {got_width}x{got_height}, expected {width}x{height}"
            )));
        }
        self.frames_left =
            self.frames_left.checked_sub(1).ok_or_else(|| Failure::system("more frames than announced"))?;
        if self.factor == 1 {
            self.inner.frame(frame)
        } else {
            self.inner.frame(&enlarge(frame, self.factor))
        }
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        if self.frames_left > 0 {
            return Err(Failure::system(format!("the video ended {} frames early", self.frames_left)));
        }
        self.inner.finish()
    }
}

#[cfg(test)]
mod tests;
