//! Animated PNG: every pixel exact, plays in browsers, no patents and no codec needed.

use super::png::io_error;
use super::staging::{Existing, StagedFile};
use super::{VideoInfo, VideoWriter, Written};
use crate::error::{Failure, Result};
use crate::video::Frame;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

/// An animated PNG being written.
pub(crate) struct Apng {
    writer: png::Writer<BufWriter<File>>,
    staged: StagedFile,
}

impl Apng {
    /// Starts a file. The format wants the number of frames in its header.
    pub(crate) fn create(target: &Path, info: &VideoInfo) -> Result<Self> {
        let staged = StagedFile::create(target, Existing::Replace)?;
        let writer = start(&staged, info).map_err(|e| staged.failure(&e))?;
        Ok(Self { writer, staged })
    }

    fn failure(&self, error: png::EncodingError) -> Failure {
        self.staged.failure(&io_error(error))
    }
}

fn start(staged: &StagedFile, info: &VideoInfo) -> io::Result<png::Writer<BufWriter<File>>> {
    let file = BufWriter::new(staged.file().try_clone()?);
    let mut encoder = super::png::encoder(file, info.width, info.height, &info.metadata)?;
    let (numerator, denominator) = info.rate.delay();
    encoder.set_animated(info.frames, 0).map_err(io_error)?;
    encoder.set_frame_delay(numerator, denominator).map_err(io_error)?;
    encoder.write_header().map_err(io_error)
}

impl VideoWriter for Apng {
    fn frame(&mut self, frame: &Frame) -> Result<()> {
        self.writer.write_image_data(&frame.rgb).map_err(|e| self.failure(e))
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        let Self { writer, staged } = *self;
        // Finishing flushes the buffer too.
        writer.finish().map_err(|e| staged.failure(&io_error(e)))?;
        staged.commit().map(Written::from)
    }
}
