//! Names and descriptions as browsers give them.

use super::*;

/// What a browser gives for `avc1.42C01E`.
const AVCC: [u8; 19] =
    [1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80];

#[test]
fn names_that_browsers_have_are_known() {
    for (name, description) in [
        ("avc1.42C01E", Some(AVCC.as_slice())),
        ("vp09.00.10.08", None),
        ("vp09.00.10.08.01.01.01.01.00", None),
        ("av01.0.04M.08", None),
        ("av01.0.04M.08", Some(&[0x81, 0x04, 0x0c, 0x00])),
    ] {
        let codec = Codec::new(name, description).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(codec.is_av1(), name.starts_with("av01"));
    }
    assert_eq!(
        Codec::new("av01.0.04M.08", None).unwrap(),
        Codec::new("av01.0.04M.08", Some(&[0x81, 0x04, 0x0c, 0x00])).unwrap()
    );
}

#[test]
fn high_profile_says_its_depth_even_if_the_encoder_does_not() {
    let mut record = AVCC;
    record[1] = 100;
    let Kind::H264(avcc) = Codec::new("avc1.64001E", Some(&record)).unwrap().0 else { panic!() };
    let said = (avcc.chroma_format, avcc.bit_depth_luma_minus8, avcc.bit_depth_chroma_minus8);
    assert_eq!(said, (Some(Uint::new(1)), Some(Uint::new(0)), Some(Uint::new(0))));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    for (name, description, reason) in [
        ("", None, "no codec"),
        ("hvc1.1.6.L93.B0", None, "no codec"),
        ("avc1.42C01E", None, "no parameter sets"),
        ("avc1.42C01E", Some([1, 2, 3].as_slice()), ""),
        ("avc1.42C01E", Some(&[1, 0x42, 0xc0, 0x1e, 0xff, 0xe0, 0]), "missing"),
        ("vp09", None, "VP9"),
        ("vp09.02.10.10", None, "VP9"),
        ("vp09.0x.10.08", None, "VP9"),
        ("av01.0.04M.10", None, "AV1"),
        ("av01.0.04M.08", Some(&[1]), ""),
    ] {
        let text = Codec::new(name, description).unwrap_err().to_string();
        assert!(text.starts_with(&format!("{name}: ")) && text.contains(reason), "{text}");
    }
}

#[test]
fn a_record_cut_anywhere_is_refused() {
    for length in 0..AVCC.len() {
        assert!(Codec::new("avc1.42C01E", Some(&AVCC[..length])).is_err(), "{length}");
    }
}

#[test]
fn the_first_picture_of_av1_tells_the_sequence_header() {
    let codec = Codec::new("av01.0.04M.08", None).unwrap();
    let entry = codec.entry((64, 48), &[0x12, 0, 0x0a, 2, 5, 6, 0x32, 0]).unwrap();
    let SampleEntry::Av01(entry) = entry else { panic!() };
    assert_eq!(entry.av1c_box.config_obus, [0x0a, 2, 5, 6]);
    assert!(codec.entry((64, 48), &[0x12, 0, 0x32, 0]).is_err());
}
