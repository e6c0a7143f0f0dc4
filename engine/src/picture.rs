//! Pictures that a video starts from: brought to size as diffusers does, then to numbers.

mod resize;

use crate::video::Frame;

/// How a picture of another shape becomes one of the video's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fit {
    /// Both sides are scaled by themselves; what diffusers' pipelines do.
    #[default]
    Stretch,
    /// Scaled until it covers the video, then cut at the sides that are too long, as much on either.
    Crop,
}

/// The picture cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// It has no pixels.
    #[error("the picture is {width}x{height} pixels, expected at least one")]
    Empty {
        /// Its columns.
        width: u32,
        /// Its rows.
        height: u32,
    },
    /// Size and data disagree.
    #[error("a picture of {width}x{height} pixels has {bytes} bytes, expected three for each pixel")]
    Bytes {
        /// Its columns.
        width: u32,
        /// Its rows.
        height: u32,
        /// Bytes there are.
        bytes: usize,
    },
    /// Some hundreds of times longer than wide: scaled to cover the video, it would not fit into memory.
    #[error("the picture is {width}x{height} pixels, too narrow to be cut to the shape of the video")]
    Narrow {
        /// Its columns.
        width: u32,
        /// Its rows.
        height: u32,
    },
}

/// The most pixels that scaling may produce on the way to a crop.
const MOST_PIXELS: u64 = 1 << 28;

/// `picture` at another size, with Lanczos windows of three lobes as PIL has them: 8 bits between the two passes.
///
/// # Errors
/// If there are no pixels, or not as many as the size says.
pub(crate) fn fit(picture: &Frame, width: u32, height: u32, fit: Fit) -> Result<Frame, PictureError> {
    check(picture)?;
    check_size(width, height)?;
    let (covering_width, covering_height) = match fit {
        Fit::Stretch => (width, height),
        Fit::Crop => covering(picture, width, height)?,
    };
    let scaled = resize::lanczos(picture, covering_width as usize, covering_height as usize);
    if fit == Fit::Stretch {
        return Ok(scaled);
    }
    // diffusers halves each length by itself, so that an odd overhang loses its extra column on the left.
    let left = (covering_width / 2 - width / 2) as usize;
    let top = (covering_height / 2 - height / 2) as usize;
    let (columns, rows) = (width as usize, height as usize);
    let stride = 3 * covering_width as usize;
    let mut rgb = Vec::with_capacity(3 * columns * rows);
    for row in scaled.rgb.chunks_exact(stride).skip(top).take(rows) {
        rgb.extend_from_slice(&row[3 * left..][..3 * columns]);
    }
    Ok(Frame { width, height, rgb })
}

/// `[H, W, 3]` between -1 and 1.
#[must_use]
pub(crate) fn values(picture: &Frame) -> Vec<f32> {
    picture.rgb.iter().map(|byte| 2.0 * (f32::from(*byte) / 255.0) - 1.0).collect()
}

fn check(picture: &Frame) -> Result<(), PictureError> {
    let Frame { width, height, rgb } = picture;
    check_size(*width, *height)?;
    let pixels = u64::from(*width) * u64::from(*height);
    if Some(rgb.len() as u64) != pixels.checked_mul(3) {
        return Err(PictureError::Bytes { width: *width, height: *height, bytes: rgb.len() });
    }
    Ok(())
}

fn check_size(width: u32, height: u32) -> Result<(), PictureError> {
    if width == 0 || height == 0 { Err(PictureError::Empty { width, height }) } else { Ok(()) }
}

/// The smallest size of the picture's shape that covers `width` x `height`.
fn covering(picture: &Frame, width: u32, height: u32) -> Result<(u32, u32), PictureError> {
    let wide = u64::from(width) * u64::from(picture.height) <= u64::from(picture.width) * u64::from(height);
    let (w, h) = if wide {
        (u64::from(picture.width) * u64::from(height) / u64::from(picture.height), u64::from(height))
    } else {
        (u64::from(width), u64::from(picture.height) * u64::from(width) / u64::from(picture.width))
    };
    match (u32::try_from(w), u32::try_from(h)) {
        (Ok(covering_width), Ok(covering_height)) if w.saturating_mul(h) <= MOST_PIXELS => {
            Ok((covering_width, covering_height))
        }
        _ => Err(PictureError::Narrow { width: picture.width, height: picture.height }),
    }
}

#[cfg(test)]
mod tests;
