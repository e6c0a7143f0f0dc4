//! Against PIL 13.0's `Image.resize(size, LANCZOS)` and diffusers' crop on top of it.

use super::{Fit, PictureError, fit, values};
use crate::video::Frame;

/// Full of edges, so that overshoot is cut off at both ends.
fn pattern(width: u32, height: u32) -> Frame {
    let value =
        |x: u32, y: u32, c: u32| (x * x * 7 + y * 13 * (c + 1) + x * y * 29 + c * 101).to_le_bytes()[0];
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| [0, 1, 2].map(|c| value(x, y, c))));
    Frame { width, height, rgb: pixels.flatten().collect() }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn small_pictures_are_those_of_pil() {
    assert_eq!(fit(&pattern(13, 9), 5, 4, Fit::Stretch).unwrap().rgb, SMALLER);
    assert_eq!(fit(&pattern(3, 2), 5, 4, Fit::Stretch).unwrap().rgb, LARGER);
}

#[test]
fn every_byte_is_that_of_pil() {
    for (size, to, stretched, cropped) in HASHES {
        for (how, want) in [(Fit::Stretch, stretched), (Fit::Crop, cropped)] {
            let got = fit(&pattern(size[0], size[1]), to[0], to[1], how).unwrap();
            assert_eq!((got.width, got.height, got.rgb.len()), (to[0], to[1], 3 * (to[0] * to[1]) as usize));
            assert_eq!(fnv1a(&got.rgb), want, "{size:?} to {to:?}, {how:?}");
        }
    }
}

#[test]
fn values_go_from_minus_one_to_one() {
    let picture = Frame { width: 1, height: 1, rgb: vec![0, 255, 51] };
    assert_eq!(values(&picture), [-1.0, 1.0, 2.0 * 0.2 - 1.0]);
}

#[test]
fn what_is_no_picture_is_refused() {
    let bad = |width, height, bytes| {
        let picture = Frame { width, height, rgb: vec![0; bytes] };
        fit(&picture, 8, 8, Fit::Crop).unwrap_err()
    };
    assert_eq!(bad(0, 5, 0), PictureError::Empty { width: 0, height: 5 });
    assert_eq!(bad(2, 2, 11), PictureError::Bytes { width: 2, height: 2, bytes: 11 });
    assert_eq!(
        bad(u32::MAX, u32::MAX, 3),
        PictureError::Bytes { width: u32::MAX, height: u32::MAX, bytes: 3 }
    );
    assert_eq!(bad(100_000_000, 1, 300_000_000), PictureError::Narrow { width: 100_000_000, height: 1 });
    let message = fit(&pattern(2, 2), 0, 8, Fit::Stretch).unwrap_err().to_string();
    assert_eq!(message, "the picture is 0x8 pixels, expected at least one");
}

type Hashes = ([u32; 2], [u32; 2], u64, u64);

/// Size, new size, hash of the stretched and of the cropped picture.
const HASHES: [Hashes; 10] = [
    ([13, 9], [5, 4], 0xcf2d8b7a0480f82a, 0xcf2d8b7a0480f82a),
    ([5, 4], [13, 9], 0x0f5fbb2ad3458399, 0x91aa992eea7a4b36),
    ([64, 48], [64, 20], 0xd46a1ac82a350e19, 0x09a09facaf7fc265),
    ([64, 48], [20, 48], 0xf02c050866b70b20, 0xead808862deb8035),
    ([64, 48], [64, 48], 0xf47b7d709bf0e4a5, 0xf47b7d709bf0e4a5),
    ([1, 1], [7, 3], 0xf9a86d9195053060, 0xf9a86d9195053060),
    ([200, 3], [16, 16], 0x31408459337acb5f, 0x8320a462f9ccec74),
    ([3, 200], [16, 16], 0xcf3587895a0215c0, 0x0777b27e7040a7b4),
    ([641, 427], [96, 64], 0x0af968156bf331d5, 0x0af968156bf331d5),
    ([31, 33], [96, 64], 0xd69d21c0ba537086, 0xfd79c7b58d53b0f8),
];

const SMALLER: [u8; 60] = [
    29, 137, 139, 129, 134, 113, 148, 119, 114, 117, 117, 78, 159, 112, 122, 110, 136, 93, 152, 138, 83, 142,
    130, 125, 121, 121, 150, 108, 129, 129, 109, 140, 132, 150, 122, 117, 140, 67, 177, 148, 54, 195, 153,
    106, 119, 70, 99, 168, 145, 118, 150, 85, 154, 146, 116, 117, 119, 110, 96, 141,
];

const LARGER: [u8; 60] = [
    0, 97, 193, 0, 95, 209, 0, 98, 242, 11, 109, 255, 17, 116, 255, 3, 107, 214, 5, 109, 193, 17, 121, 165,
    37, 141, 179, 47, 151, 198, 8, 119, 243, 15, 126, 173, 39, 150, 65, 71, 182, 77, 86, 197, 118, 13, 129,
    255, 24, 140, 157, 56, 173, 0, 97, 214, 0, 116, 232, 58,
];
