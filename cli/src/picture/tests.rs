//! Small files that PIL wrote, against the pixels that PIL reads from them.

use super::{Refusal, open, parse};
use crate::error::Blame;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

/// The pixels as PIL has them, in a lossless file that has been checked by other means below.
fn expected(name: &str) -> Vec<u8> {
    open(&path(name)).unwrap().rgb
}

#[test]
fn lossless_files_are_exact() {
    let rgb = open(&path("rgb.png")).unwrap();
    assert_eq!((rgb.width, rgb.height), (9, 6));
    let pixel = |x: u32, y: u32| [x * 28, y * 51, (x * 7 + y * 11) * 2].map(|value| value.to_le_bytes()[0]);
    let pattern: Vec<u8> = (0..6).flat_map(|y| (0..9).flat_map(move |x| pixel(x, y))).collect();
    assert_eq!(rgb.rgb, pattern);
    for same in ["rgba.png", "lossless.webp", "rgba.webp", "sixteen.png"] {
        assert_eq!(open(&path(same)).unwrap(), rgb, "{same}");
    }
    let turned = open(&path("turned.png")).unwrap();
    assert_eq!((turned.width, turned.height), (6, 9));
    assert_eq!(turned.rgb[..3], pixel(0, 5));
    assert_eq!(expected("palette.png"), expected("palette-expected.png"));
    assert_eq!(expected("gray.png"), expected("gray-expected.png"));
}

/// Decoders may round differently; PIL's is libjpeg-turbo's and libwebp.
#[test]
fn lossy_files_are_close() {
    for (name, want) in [
        ("color.jpg", "color-expected.png"),
        ("subsampled.jpg", "subsampled-expected.png"),
        ("progressive.jpg", "progressive-expected.png"),
        ("gray.jpg", "grayjpg-expected.png"),
        ("turned.jpg", "turnedjpg-expected.png"),
        ("lossy.webp", "lossy-expected.png"),
    ] {
        let (got, want) = (open(&path(name)).unwrap(), open(&path(want)).unwrap());
        assert_eq!((got.width, got.height), (want.width, want.height), "{name}");
        let worst = got.rgb.iter().zip(&want.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 3, "{name}: off by {worst}");
    }
}

#[test]
fn a_file_that_is_cut_off_is_damaged() {
    for (name, format) in [
        ("rgb.png", "PNG"),
        ("color.jpg", "JPEG"),
        ("progressive.jpg", "JPEG"),
        ("lossless.webp", "WebP"),
        ("lossy.webp", "WebP"),
    ] {
        let whole = bytes(name);
        for cut in 16..whole.len() {
            // What follows on the pixels may be missing: a PNG's last chunk, a WebP's padding.
            let got = parse(&whole[..cut]);
            let is_complete = got.as_ref().is_ok_and(|picture| picture.rgb == expected(name));
            let is_damaged = matches!(&got, Err(Refusal::Damaged { format: named, .. }) if *named == format);
            assert!(is_damaged || (is_complete && cut + 16 > whole.len()), "{name} cut at {cut}: {got:?}");
        }
    }
}

/// The segments after the start marker with one more before them.
fn with_segment(jpeg: &[u8], marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xFF, marker], &length, payload, &jpeg[2..]].concat()
}

/// Phones put depth maps, second pictures and films behind the first one, and thumbnails in front of it.
#[test]
fn what_surrounds_a_picture_does_no_harm() {
    for name in ["color.jpg", "progressive.jpg", "subsampled.jpg", "gray.jpg"] {
        let (whole, other) = (bytes(name), bytes("subsampled.jpg"));
        let film =
            [&b"\0\0\0\x18ftypmp42"[..], &[0xFF, 0xDA, 0xFF, 0xD8, 0xFF, 0xFF, 0xC0, 7].repeat(99)].concat();
        for tail in [&[0; 40][..], b"\xFF", &other, &other[..other.len() / 2], &film] {
            let got = parse(&[&whole[..], tail].concat());
            assert!(got.is_ok_and(|picture| picture.rgb == expected(name)), "{name} and {tail:?}");
        }
        for (marker, payload) in
            [(0xE2, &b"MPF\0II*\0\x08\0\0\0\0\0"[..]), (0xE5, &other[..]), (0xFE, b"\xFF\xD9 words")]
        {
            let got = parse(&with_segment(&whole, marker, payload));
            assert!(got.is_ok_and(|picture| picture.rgb == expected(name)), "{name} and {marker:x}");
        }
    }
    for name in ["rgb.png", "lossless.webp", "lossy.webp"] {
        let got = parse(&[&bytes(name)[..], b"and more"].concat());
        assert!(got.is_ok_and(|picture| picture.rgb == expected(name)), "{name}");
    }
}

#[test]
fn a_missing_end_marker_does_no_harm_where_all_else_is_there() {
    for name in ["color.jpg", "subsampled.jpg", "gray.jpg"] {
        let whole = bytes(name);
        for missing in [1, 2] {
            let got = parse(&whole[..whole.len() - missing]).map(|picture| picture.rgb);
            assert!(got == Ok(expected(name)), "{name} without {missing}");
        }
        assert!(parse(&whole[..whole.len() - 4]).is_err(), "{name}");
    }
}

#[test]
fn anything_else_is_no_picture() {
    for bytes in [&b""[..], b"GIF89a", b"<svg>", b"\x89PNG", b"RIFF\0\0\0\0WAVE", &[0; 64]] {
        assert_eq!(parse(bytes), Err(Refusal::Unknown));
    }
}

#[test]
fn gigantic_pictures_are_refused_before_they_are_decoded() {
    let mut png = bytes("rgb.png");
    png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(parse(&png), Err(Refusal::Gigantic { width: 65536, height: 65536 }));
    png[16..24].fill(0);
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    assert!(matches!(parse(&png), Err(Refusal::Damaged { format: "PNG", .. })));

    let mut jpeg = bytes("color.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xFF);
    assert_eq!(parse(&jpeg), Err(Refusal::Gigantic { width: 65535, height: 65535 }));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn errors_name_the_file_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let message = |name: &str, bytes: Option<&[u8]>| {
        let path = folder.path().join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        let failure = open(&path).unwrap_err();
        assert_eq!(failure.blame(), Blame::User);
        assert!(failure.to_string().contains(path.to_str().unwrap()), "{failure}");
        (failure.to_string(), failure.hint_text().unwrap_or_default().to_owned())
    };
    assert!(message("absent.png", None).0.starts_with("cannot read"));
    let (text, hint) = message("words.txt", Some(b"a picture of a cat"));
    assert!(
        text.ends_with("is not a picture of a known format") && hint.contains("PNG, JPEG or WebP"),
        "{text}"
    );
    let (text, hint) = message("cut.png", Some(&bytes("rgb.png")[..60]));
    assert!(text.contains("is a damaged PNG file: ") && hint.contains("get the file again"), "{text}");
}
