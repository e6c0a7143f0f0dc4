//! What can go wrong with a video that is written.

use crate::mp4::LARGEST;
use std::io;

/// Why a video cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Where it is written to does not take it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No MP4 has pictures this large.
    #[error("{width}x{height} is too large for an MP4, which takes up to {}x{}, either way round", LARGEST.0, LARGEST.1)]
    TooLarge {
        /// Columns that were asked for.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// No MP4 has pictures this small.
    #[error("{width}x{height} is too small for an MP4, which takes sides from {smallest} pixels")]
    TooSmall {
        /// Columns that were asked for.
        width: u32,
        /// Rows.
        height: u32,
        /// The shortest side, in pixels.
        smallest: u32,
    },
    /// The encoder of pictures failed.
    #[error("H.264: {0}")]
    H264(String),
    /// What an encoder tells of its pictures makes no sense.
    #[error("{codec}: {reason}")]
    Codec {
        /// The codec, as it was named.
        codec: String,
        /// What is wrong.
        reason: String,
    },
    /// The container cannot hold this.
    #[error("MP4: {0}")]
    Mp4(String),
    /// A frame is not of the size that was announced.
    #[error("a frame is {width}x{height} with {bytes} bytes, expected {expected_width}x{expected_height}")]
    Frame {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes of its pixels.
        bytes: usize,
        /// Columns that were announced.
        expected_width: u32,
        /// Rows.
        expected_height: u32,
    },
}

impl EncodeError {
    /// Whether another format or size is what helps, not another machine.
    pub fn is_users(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::TooSmall { .. })
    }

    /// A codec's description that makes no sense.
    pub(crate) fn codec(codec: &str, reason: impl Into<String>) -> Self {
        Self::Codec { codec: codec.to_owned(), reason: reason.into() }
    }
}

impl From<::png::EncodingError> for EncodeError {
    /// What the system said, where it was the system that failed: a full disk stays one.
    fn from(error: ::png::EncodingError) -> Self {
        Self::Io(match error {
            ::png::EncodingError::IoError(error) => error,
            other => io::Error::other(other),
        })
    }
}
