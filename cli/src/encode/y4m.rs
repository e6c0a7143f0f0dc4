//! YUV4MPEG2: uncompressed, full-resolution chroma, in limited range. What `ffmpeg -i -` reads from a pipe.
//!
//! The format has no field for the matrix. ffmpeg takes BT.601 at every size, and players do up to 576 rows, so that is
//! what is written.

use super::color::{Matrix, Planes};
use super::staging::{Existing, StagedFile};
use super::{VideoInfo, VideoWriter, Written};
use crate::error::{Failure, Result};
use crate::video::Frame;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A Y4M file or stream being written.
pub(crate) struct Y4m {
    sink: Sink,
}

enum Sink {
    File(StagedFile),
    Stdout(BufWriter<io::Stdout>),
}

impl Y4m {
    /// Starts a file.
    pub(crate) fn create(target: &Path, info: &VideoInfo) -> Result<Self> {
        Self::start(Sink::File(StagedFile::create(target, Existing::Replace)?), info)
    }

    /// Starts a stream on the standard output.
    pub(crate) fn stdout(info: &VideoInfo) -> Result<Self> {
        Self::start(Sink::Stdout(BufWriter::new(io::stdout())), info)
    }

    fn start(mut sink: Sink, info: &VideoInfo) -> Result<Self> {
        let header = format!(
            "YUV4MPEG2 W{} H{} F{}:{} Ip A1:1 C444 XCOLORRANGE=LIMITED\n",
            info.width, info.height, info.rate.numerator, info.rate.denominator
        );
        sink.write(&[header.as_bytes()])?;
        Ok(Self { sink })
    }
}

impl Sink {
    fn write(&mut self, parts: &[&[u8]]) -> Result<()> {
        match self {
            Self::File(staged) => {
                let mut file = BufWriter::new(staged.file());
                let done = parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.flush());
                drop(file);
                done.map_err(|e| staged.failure(&e))
            }
            // Flushed at every frame: a player at the other end shows it at once.
            Self::Stdout(stdout) => parts
                .iter()
                .try_for_each(|part| stdout.write_all(part))
                .and_then(|()| stdout.flush())
                .map_err(|e| Failure::stdout(&e)),
        }
    }
}

impl VideoWriter for Y4m {
    fn frame(&mut self, frame: &Frame) -> Result<()> {
        let planes = Planes::full(Matrix::Bt601, frame.width as usize, frame.height as usize, &frame.rgb);
        self.sink.write(&[b"FRAME\n", &planes.y, &planes.cb, &planes.cr])
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        match self.sink {
            Sink::File(staged) => staged.commit().map(Written::from),
            Sink::Stdout(_) => Ok(Written { name: None, notices: Vec::new() }),
        }
    }
}
