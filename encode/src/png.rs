//! Still pictures with the settings in them.

use crate::{EncodeError, VideoInfo};
use engine::Frame;
use std::io::Write;

/// Writes one picture with texts in its header, and flushes.
///
/// # Errors
/// If it cannot be written, or the frame's bytes are not `3 * width * height`.
pub fn write<W: Write>(mut to: W, frame: &Frame, metadata: &[(String, String)]) -> Result<W, EncodeError> {
    let encoder = encoder(&mut to, frame.width, frame.height, metadata)?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&frame.rgb)?;
    writer.finish()?;
    to.flush()?;
    Ok(to)
}

/// An encoder for sRGB pictures with text in the header: tEXt where ASCII suffices, else iTXt.
pub(crate) fn encoder<'a, W: Write>(
    to: W,
    width: u32,
    height: u32,
    metadata: &[(String, String)],
) -> Result<png::Encoder<'a, W>, EncodeError> {
    let mut encoder = png::Encoder::new(to, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    for (keyword, text) in metadata {
        if text.is_ascii() {
            encoder.add_text_chunk(keyword.clone(), text.clone())?;
        } else {
            encoder.add_itxt_chunk(keyword.clone(), text.clone())?;
        }
    }
    Ok(encoder)
}

/// Fails unless a frame is what was announced.
pub(crate) fn check(frame: &Frame, info: (u32, u32)) -> Result<(), EncodeError> {
    let (width, height) = info;
    let bytes = 3 * u64::from(width) * u64::from(height);
    if (frame.width, frame.height) == info && frame.rgb.len() as u64 == bytes {
        return Ok(());
    }
    Err(EncodeError::Frame {
        width: frame.width,
        height: frame.height,
        bytes: frame.rgb.len(),
        expected_width: width,
        expected_height: height,
    })
}

impl VideoInfo {
    /// Fails unless a frame is of the announced size, with all its bytes.
    pub(crate) fn check(&self, frame: &Frame) -> Result<(), EncodeError> {
        check(frame, (self.width, self.height))
    }
}
