//! How a camera was held: the orientation in EXIF data, and turning a picture upright.

use engine::Frame;

const ORIENTATION: u16 = 0x0112;
const SHORT: u16 = 3;

/// The orientation in EXIF data, 1 to 8, if there is one.
pub(super) fn of(exif: &[u8]) -> Option<u8> {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let is_little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let (low, high) = if is_little { (4, 6) } else { (6, 4) };
    let directory = usize::from(short(high)?) << 16 | usize::from(short(low)?);
    let entries = usize::from(short(directory)?);
    let entry =
        (0..entries).map(|index| directory + 2 + 12 * index).find(|at| short(*at) == Some(ORIENTATION))?;
    let value = u8::try_from(short(entry + 8)?).ok()?;
    (short(entry + 2)? == SHORT && (1..=8).contains(&value)).then_some(value)
}

/// The picture as it was seen.
pub(super) fn upright(picture: Frame, orientation: u8) -> Frame {
    if !(2..=8).contains(&orientation) {
        return picture;
    }
    let (width, height) = (picture.width as usize, picture.height as usize);
    let swaps = orientation >= 5;
    let (columns, rows) = if swaps { (height, width) } else { (width, height) };
    // Column and row that a pixel comes from.
    let source = |x: usize, y: usize| match orientation {
        2 => (width - 1 - x, y),
        3 => (width - 1 - x, height - 1 - y),
        4 => (x, height - 1 - y),
        5 => (y, x),
        6 => (y, height - 1 - x),
        7 => (width - 1 - y, height - 1 - x),
        _ => (width - 1 - y, x),
    };
    let mut rgb = Vec::with_capacity(picture.rgb.len());
    for y in 0..rows {
        for x in 0..columns {
            let (column, row) = source(x, y);
            rgb.extend_from_slice(&picture.rgb[3 * (row * width + column)..][..3]);
        }
    }
    let (width, height) =
        if swaps { (picture.height, picture.width) } else { (picture.width, picture.height) };
    Frame { width, height, rgb }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Frame {
        // Grey 1 2 3 over 4 5 6.
        Frame { width: 3, height: 2, rgb: (1..=6).flat_map(|grey| [grey; 3]).collect() }
    }

    /// As PIL's `exif_transpose` has them.
    #[test]
    fn every_orientation_is_turned_back() {
        let expected: [(u8, u32, [u8; 6]); 8] = [
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [4, 1, 5, 2, 6, 3]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [3, 6, 2, 5, 1, 4]),
        ];
        for (orientation, width, greys) in expected {
            let turned = upright(picture(), orientation);
            assert_eq!((turned.width, turned.height), (width, 6 / width));
            let got: Vec<u8> = turned.rgb.iter().step_by(3).copied().collect();
            assert_eq!(got, greys, "orientation {orientation}");
        }
    }

    #[test]
    fn both_byte_orders_are_read_and_nonsense_is_not() {
        let little = b"II*\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x01\0\0\0\0\0\0\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let big = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0";
        assert_eq!((of(little), of(big)), (Some(6), Some(8)));
        for cut in 0..little.len() - 4 {
            assert!(of(&little[..cut]).is_none_or(|orientation| orientation == 6), "{cut}");
        }
        assert_eq!(of(b"II*\0\xff\xff\xff\xff"), None);
        let nine = little.map(|byte| if byte == 6 { 9 } else { byte });
        assert_eq!(of(&nine), None);
        assert_eq!(of(b""), None);
    }
}
