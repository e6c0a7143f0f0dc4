//! As much of AV1's stream of units (OBUs) as an MP4 needs.

use shiguredo_mp4::Uint;
use shiguredo_mp4::boxes::Av1cBox;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// `av01.<profile>.<level><tier>.<depth>` for pictures of 8 bits in 4:2:0.
pub(super) fn named(fields: &[&str]) -> Option<Av1cBox> {
    let (level, tier) = fields.get(2)?.split_at_checked(2)?;
    let profile = fields.get(1)?.parse::<u8>().ok()?;
    let level = level.parse::<u8>().ok().filter(|level| *level < 32)?;
    let tier = match tier {
        "M" => 0,
        "H" => 1,
        _ => return None,
    };
    (profile == 0 && *fields.get(3)? == "08").then(|| Av1cBox {
        seq_profile: Uint::new(profile),
        seq_level_idx_0: Uint::new(level),
        seq_tier_0: Uint::new(tier),
        high_bitdepth: Uint::new(0),
        twelve_bit: Uint::new(0),
        monochrome: Uint::new(0),
        chroma_subsampling_x: Uint::new(1),
        chroma_subsampling_y: Uint::new(1),
        chroma_sample_position: Uint::new(0),
        initial_presentation_delay_minus_one: None,
        config_obus: Vec::new(),
    })
}

/// The unit with the sequence header, whole.
pub(super) fn sequence_header(mut stream: &[u8]) -> Option<&[u8]> {
    loop {
        let (kind, length) = unit(stream)?;
        let (this, rest) = stream.split_at_checked(length)?;
        if kind == SEQUENCE_HEADER {
            return Some(this);
        }
        stream = rest;
    }
}

/// The stream without the mark of its beginning, which a file has no use for.
pub(super) fn without_delimiter(stream: &[u8]) -> &[u8] {
    match unit(stream) {
        Some((TEMPORAL_DELIMITER, length)) => stream.get(length..).unwrap_or_default(),
        _ => stream,
    }
}

/// The kind of the first unit, and its length with its header. A unit without a size is the last.
fn unit(stream: &[u8]) -> Option<(u8, usize)> {
    let first = *stream.first()?;
    let kind = first >> 3 & 15;
    let header = if first & 4 == 0 { 1 } else { 2 };
    if first & 2 == 0 {
        return Some((kind, stream.len()));
    }
    let (mut size, mut length) = (0_usize, header);
    for place in 0..8 {
        let byte = *stream.get(length)?;
        length += 1;
        size |= usize::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte & 0x80 == 0 {
            return Some((kind, length.checked_add(size)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A delimiter, a header of three bytes, a frame of 200.
    fn stream() -> Vec<u8> {
        let frame: Vec<u8> = [0x32, 0xc8, 0x01].into_iter().chain([7; 200]).collect();
        [&[0x12, 0x00, 0x0a, 0x03, 1, 2, 3], frame.as_slice()].concat()
    }

    #[test]
    fn the_sequence_header_is_found_and_the_delimiter_left_out() {
        let stream = stream();
        assert_eq!(sequence_header(&stream), Some([0x0a, 0x03, 1, 2, 3].as_slice()));
        assert_eq!(without_delimiter(&stream), &stream[2..]);
        assert_eq!(without_delimiter(&stream[2..]), &stream[2..]);
        assert_eq!(sequence_header(&stream[7..]), None);
        // An extension makes the header longer by a byte.
        assert_eq!(sequence_header(&[0x16, 0, 0, 0x0e, 0, 1, 9]), Some([0x0e, 0, 1, 9].as_slice()));
    }

    #[test]
    fn a_stream_cut_anywhere_is_only_cut() {
        let stream = stream();
        for length in 0..stream.len() {
            let found = sequence_header(&stream[..length]);
            assert_eq!(found.is_some(), length >= 7, "{length}");
        }
        assert_eq!(sequence_header(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn names_tell_level_and_tier() {
        let named = |name: &str| named(&name.split('.').collect::<Vec<_>>());
        let av1c = named("av01.0.04M.08").unwrap();
        assert_eq!((av1c.seq_level_idx_0.get(), av1c.seq_tier_0.get()), (4, 0));
        assert_eq!(named("av01.0.13H.08.0.110").unwrap().seq_tier_0.get(), 1);
        for name in
            ["av01", "av01.0", "av01.0.4M", "av01.0.04M", "av01.0.04M.10", "av01.1.04M.08", "av01.0.é4M.08"]
        {
            assert!(named(name).is_none(), "{name}");
        }
    }
}
