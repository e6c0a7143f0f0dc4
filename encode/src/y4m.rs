//! YUV4MPEG2: uncompressed, full-resolution chroma, in limited range. What `ffmpeg -i -` reads from a pipe.
//!
//! The format has no field for the matrix. ffmpeg takes BT.601 at every size, and players do up to 576 rows, so that is
//! what is written.

use crate::color::{Matrix, Planes};
use crate::{EncodeError, VideoEncoder, VideoInfo};
use engine::Frame;
use std::io::Write;

/// A Y4M file or stream being written.
pub struct Y4m<W> {
    to: W,
    size: (u32, u32),
}

impl<W: Write> Y4m<W> {
    /// Starts a stream with its header.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(mut to: W, info: &VideoInfo) -> Result<Self, EncodeError> {
        let VideoInfo { width, height, rate, .. } = info;
        writeln!(
            to,
            "YUV4MPEG2 W{width} H{height} F{}:{} Ip A1:1 C444 XCOLORRANGE=LIMITED",
            rate.numerator, rate.denominator
        )?;
        to.flush()?;
        Ok(Self { to, size: (*width, *height) })
    }
}

impl<W: Write> VideoEncoder for Y4m<W> {
    type To = W;

    /// Writes a frame and flushes: a player at the other end of a pipe shows it at once.
    fn frame(&mut self, frame: &Frame) -> Result<(), EncodeError> {
        crate::png::check(frame, self.size)?;
        let planes = Planes::full(Matrix::Bt601, frame)?;
        for part in [b"FRAME\n".as_slice(), &planes.y, &planes.cb, &planes.cr] {
            self.to.write_all(part)?;
        }
        Ok(self.to.flush()?)
    }

    fn finish(mut self) -> Result<W, EncodeError> {
        self.to.flush()?;
        Ok(self.to)
    }
}
