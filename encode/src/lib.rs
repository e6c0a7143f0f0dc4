//! Frames into files: MP4, animated PNG, PNG and Y4M, with the settings that made them, written to anything that can be
//! written to. No names of files and no command line: those are the programs'.
//!
//! ```
//! use engine::Frame;
//! use kinora_encode::{Apng, Rate, VideoEncoder, VideoInfo};
//!
//! # fn main() -> Result<(), kinora_encode::EncodeError> {
//! let info =
//!     VideoInfo { width: 2, height: 1, rate: Rate::from_fps(16.0), frames: 1, metadata: Vec::new() };
//! let mut apng = Apng::new(Vec::new(), &info)?;
//! apng.frame(&Frame { width: 2, height: 1, rgb: vec![255, 0, 0, 0, 0, 255] })?;
//! let bytes: Vec<u8> = apng.finish()?;
//! assert!(bytes.starts_with(b"\x89PNG"));
//! # Ok(())
//! # }
//! ```

mod apng;
pub mod color;
mod enlarge;
mod error;
pub mod metadata;
pub mod mp4;
pub mod png;
mod provenance;
mod rate;
mod y4m;

pub use apng::Apng;
pub use enlarge::{enlarge, factor};
pub use error::EncodeError;
#[cfg(feature = "openh264")]
pub use mp4::Mp4;
pub use mp4::{Codec, Muxer, Sample};
pub use provenance::{Provenance, rate_value};
pub use rate::{NotARate, Rate, frames_per_second};
pub use y4m::Y4m;

use engine::Frame;

/// What an encoder has to know before the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoInfo {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames per second.
    pub rate: Rate,
    /// How many frames will come.
    pub frames: u32,
    /// Keyword and text, written into the file where its format has a place for it. The keywords are those of PNG:
    /// `Title`, `Software`, `Comment`.
    pub metadata: Vec<(String, String)>,
}

/// A video being written. Dropped before [`VideoEncoder::finish`], what it wrote is no complete file.
pub trait VideoEncoder {
    /// Where it is written to.
    type To;

    /// Adds the next frame, of the size that was announced.
    ///
    /// # Errors
    /// If it cannot be encoded or written.
    fn frame(&mut self, frame: &Frame) -> Result<(), EncodeError>;

    /// Completes the video and gives back where it was written to, flushed.
    ///
    /// # Errors
    /// If frames are missing in a format that counts them, or what is left cannot be written.
    fn finish(self) -> Result<Self::To, EncodeError>;
}

#[cfg(test)]
mod tests;
