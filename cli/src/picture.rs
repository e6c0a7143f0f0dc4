//! Pictures from files: PNG, JPEG and WebP to 8-bit RGB, the right way up.

mod decode;
mod jpeg;
mod orientation;
#[cfg(test)]
mod tests;

use crate::error::{Failure, Result};
use engine::Frame;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The most pixels of a picture; a video's frames have some hundred times fewer.
const MOST_PIXELS: u64 = 1 << 27;
/// The most bytes of a picture's file: as many as its pixels have without compression.
const MOST_BYTES: u64 = 4 * MOST_PIXELS;

/// Why bytes are not a picture.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// None of the formats.
    Unknown,
    /// One of the formats, but damaged.
    Damaged {
        /// The format's name.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// More pixels than allowed.
    Gigantic {
        /// Columns.
        width: u64,
        /// Rows.
        height: u64,
    },
}

/// Reads a picture. Transparency is dropped, not blended, and the orientation that a camera noted is applied.
pub(crate) fn open(path: &Path) -> Result<Frame> {
    let failure = |error| Failure::io("read", path, &error);
    let mut file = File::open(path).map_err(failure)?;
    let mut bytes = Vec::new();
    (&mut file).take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failure)?;
    if bytes.len() as u64 > MOST_BYTES {
        let message = format!("`{}` has more than {}", path.display(), crate::ui::bytes(MOST_BYTES));
        return Err(Failure::user(message).hint(KNOWN));
    }
    parse(&bytes).map_err(|refusal| explain(path, refusal))
}

const KNOWN: &str = "give a PNG, JPEG or WebP file";

fn explain(path: &Path, refusal: Refusal) -> Failure {
    let path = path.display();
    match refusal {
        Refusal::Unknown => Failure::user(format!("`{path}` is not a picture of a known format")).hint(KNOWN),
        Refusal::Damaged { format, reason } => {
            Failure::user(format!("`{path}` is a damaged {format} file: {reason}"))
                .hint("get the file again, or open it in an image editor and save it anew")
        }
        Refusal::Gigantic { width, height } => {
            let most = MOST_PIXELS / 1_000_000;
            Failure::user(format!("`{path}` has {width} x {height} pixels, more than {most} million"))
                .hint("scale it down to the size of the video")
        }
    }
}

fn parse(bytes: &[u8]) -> std::result::Result<Frame, Refusal> {
    let (picture, exif) = match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => decode::png(bytes)?,
        [0xFF, 0xD8, 0xFF, ..] => decode::jpeg(bytes)?,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => decode::webp(bytes)?,
        _ => return Err(Refusal::Unknown),
    };
    let orientation = exif.as_deref().and_then(orientation::of).unwrap_or(1);
    Ok(orientation::upright(picture, orientation))
}
