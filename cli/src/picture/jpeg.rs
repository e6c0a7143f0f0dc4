//! Where the first picture in a JPEG file ends. Phones put more behind it: a second picture, a depth map, a film.

/// The end marker.
pub(super) const END: u8 = 0xD9;
const START: u8 = 0xD8;
const SCAN: u8 = 0xDA;

/// How the first picture ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// With its end marker, before this byte.
    Whole {
        /// The length of the picture.
        end: usize,
    },
    /// With the file, within the data of a scan or right after them.
    Cut {
        /// Whether the scan is the only one of a picture that has one alone, so that all may be there.
        is_sequential: bool,
    },
}

/// Follows the segments of a file from its start marker on; nothing if they make no sense.
pub(super) fn extent(bytes: &[u8]) -> Option<Extent> {
    let (mut at, mut scans, mut is_progressive) = (2, 0, false);
    loop {
        // Bytes that belong to no segment are skipped, as decoders do.
        let marker = next_marker(bytes, at);
        let Some((marker, after)) = marker else {
            let is_sequential = scans == 1 && !is_progressive;
            return (scans > 0).then_some(Extent::Cut { is_sequential });
        };
        at = after;
        match marker {
            END if scans > 0 => return Some(Extent::Whole { end: at }),
            // Another picture begins before this one has ended.
            END | START => return None,
            _ => {}
        }
        let length = bytes.get(at..at + 2)?;
        at += usize::from(u16::from_be_bytes([length[0], length[1]]));
        match marker {
            SCAN => scans += 1,
            // All frames but the two sequential ones.
            0xC2 | 0xC6 | 0xCA | 0xCE => is_progressive = true,
            _ => {}
        }
    }
}

/// The next marker and what follows it. Stuffed bytes, restarts and fill bytes are none.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        match *bytes.get(at + 1)? {
            0xFF => at += 1,
            0x00 | 0x01 | 0xD0..=0xD7 => at += 2,
            marker => return Some((marker, at + 2)),
        }
    }
}
