//! Writing videos: one frame at a time, into files that appear whole or not at all.

mod apng;
mod color;
mod enlarge;
pub(crate) mod metadata;
mod mp4;
pub(crate) mod numbered;
mod png;
mod rate;
pub(crate) mod staging;
mod y4m;

use crate::error::{Failure, Result};
use crate::output::Target;
use crate::video::Frame;
pub(crate) use rate::{Rate, frames_per_second};
use staging::{Committed, Existing};

/// What a writer has to know before the first frame.
#[derive(Clone, Debug)]
pub(crate) struct VideoInfo {
    /// Pixels in a row.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
    /// Frames per second.
    pub(crate) rate: Rate,
    /// How many frames will come.
    pub(crate) frames: u32,
    /// Keyword and text, written into the file where its format has a place for it. The keywords are those of PNG:
    /// `Title`, `Software`, `Comment`.
    pub(crate) metadata: Vec<(String, String)>,
}

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
    let factor = if native_size { 1 } else { enlarge::factor(info.width, info.height) };
    let expected = (info.width, info.height);
    let frames_left = info.frames;
    let info = VideoInfo { width: info.width * factor, height: info.height * factor, ..info };
    let inner: Box<dyn VideoWriter> = match target {
        Target::Mp4(path) => Box::new(mp4::Mp4::create(path, Existing::Replace, &info)?),
        Target::Derived(path) => Box::new(mp4::Mp4::create(path, Existing::Keep, &info)?),
        Target::PngSequence(path) => Box::new(png::PngSequence::create(path, info)?),
        Target::Apng(path) => Box::new(apng::Apng::create(path, &info)?),
        Target::Y4m(path) => Box::new(y4m::Y4m::create(path, &info)?),
        Target::Stdout => Box::new(y4m::Y4m::stdout(&info)?),
    };
    Ok(Box::new(Checked { inner, expected, frames_left, factor }))
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
        if (frame.width, frame.height) != self.expected
            || frame.rgb.len() as u64 != 3 * u64::from(width) * u64::from(height)
        {
            return Err(Failure::system(format!(
                "a frame is {}x{} with {} bytes, expected {width}x{height}",
                frame.width,
                frame.height,
                frame.rgb.len()
            )));
        }
        self.frames_left =
            self.frames_left.checked_sub(1).ok_or_else(|| Failure::system("more frames than announced"))?;
        if self.factor == 1 {
            self.inner.frame(frame)
        } else {
            self.inner.frame(&enlarge::enlarge(frame, self.factor))
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
