//! Animated PNG: every pixel exact, plays in browsers, no patents and no codec needed.

use crate::{EncodeError, VideoEncoder, VideoInfo};
use engine::Frame;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// An animated PNG being written.
pub struct Apng<W: Write> {
    writer: png::Writer<Lent<W>>,
    to: Lent<W>,
    info: VideoInfo,
}

impl<W: Write> Apng<W> {
    /// Starts a file. The format wants the number of frames in its header.
    ///
    /// # Errors
    /// If it cannot be written, or there are no frames or no pixels.
    pub fn new(to: W, info: &VideoInfo) -> Result<Self, EncodeError> {
        let to = Lent(Arc::new(Mutex::new(to)));
        let mut encoder = crate::png::encoder(to.clone(), info.width, info.height, &info.metadata)?;
        let (numerator, denominator) = info.rate.delay();
        encoder.set_animated(info.frames, 0)?;
        encoder.validate_sequence(true);
        encoder.set_frame_delay(numerator, denominator)?;
        Ok(Self { writer: encoder.write_header()?, to, info: info.clone() })
    }
}

impl<W: Write> VideoEncoder for Apng<W> {
    type To = W;

    fn frame(&mut self, frame: &Frame) -> Result<(), EncodeError> {
        self.info.check(frame)?;
        Ok(self.writer.write_image_data(&frame.rgb)?)
    }

    fn finish(self) -> Result<W, EncodeError> {
        // Flushes too, and drops its hold.
        self.writer.finish()?;
        let to = Arc::into_inner(self.to.0).ok_or_else(|| io::Error::other("the file is still lent"))?;
        Ok(to.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where it is written to, lent to the encoder of PNG, which does not give it back.
struct Lent<W>(Arc<Mutex<W>>);

impl<W> Clone for Lent<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W: Write> Write for Lent<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}
