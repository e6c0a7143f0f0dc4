//! Groups of 32 values. Where values take 4 bits, the low halves of 16 bytes are the first 16 values and the high halves the others.

use super::half_at;

const LEN: usize = 32;

pub(super) fn q8_0(group: &[u8; 34], out: &mut [f32; LEN]) {
    let scale = half_at(group, 0);
    for (out, &byte) in out.iter_mut().zip(&group[2..]) {
        *out = scale * f32::from(byte.cast_signed());
    }
}

pub(super) fn q4_0(group: &[u8; 18], out: &mut [f32; LEN]) {
    let scale = half_at(group, 0);
    nibbles(&group[2..], out, |nibble| scale * (f32::from(nibble) - 8.0));
}

pub(super) fn q4_1(group: &[u8; 20], out: &mut [f32; LEN]) {
    let (scale, least) = (half_at(group, 0), half_at(group, 2));
    nibbles(&group[4..], out, |nibble| scale * f32::from(nibble) + least);
}

pub(super) fn q5_0(group: &[u8; 22], out: &mut [f32; LEN]) {
    let scale = half_at(group, 0);
    five_bits(&group[2..6], &group[6..], out, |value| scale * (f32::from(value) - 16.0));
}

pub(super) fn q5_1(group: &[u8; 24], out: &mut [f32; LEN]) {
    let (scale, least) = (half_at(group, 0), half_at(group, 2));
    five_bits(&group[4..8], &group[8..], out, |value| scale * f32::from(value) + least);
}

/// What the places of IQ4_NL stand for.
pub(crate) const IQ4_NL_VALUES: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

pub(super) fn iq4_nl(group: &[u8; 18], out: &mut [f32; LEN]) {
    let scale = half_at(group, 0);
    nibbles(&group[2..], out, |place| scale * f32::from(IQ4_NL_VALUES[usize::from(place)]));
}

fn nibbles(bytes: &[u8], out: &mut [f32; LEN], value: impl Fn(u8) -> f32) {
    let (low, high) = out.split_at_mut(LEN / 2);
    for ((&byte, low), high) in bytes.iter().zip(low).zip(high) {
        (*low, *high) = (value(byte & 15), value(byte >> 4));
    }
}

/// The fifth bits of all values lie in one word.
fn five_bits(tops: &[u8], bytes: &[u8], out: &mut [f32; LEN], value: impl Fn(u8) -> f32) {
    let top = |index: usize| (tops[index / 8] >> (index % 8) & 1) << 4;
    for (index, &byte) in bytes.iter().enumerate() {
        out[index] = value(byte & 15 | top(index));
        out[index + LEN / 2] = value(byte >> 4 | top(index + LEN / 2));
    }
}
