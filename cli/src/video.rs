//! The picture type that the engine hands over and the encoders take.

/// One picture of a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Pixels in a row.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
    /// Red, green, blue, row by row from the top, no padding.
    pub(crate) rgb: Vec<u8>,
}
