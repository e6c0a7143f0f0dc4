//! Groups of 32 values, as `format/small_groups.rs` reads them.

use super::fit::{extreme, inverse, nearest, round, scale, scale_and_least, scale_of_table, weights};
use super::{byte, half, put_half};
use crate::format::IQ4_NL_VALUES;

const LEN: usize = 32;

pub(super) fn q8_0(values: &[f32; LEN], out: &mut [u8; 34]) {
    let scale = half(extreme(values).abs() / 127.0);
    put_half(out, 0, scale);
    let inverse = inverse(scale);
    for (value, out) in values.iter().zip(&mut out[2..]) {
        *out = byte(round((value * inverse).clamp(-127.0, 127.0)));
    }
}

pub(super) fn q4_0(values: &[f32; LEN], out: &mut [u8; 18]) {
    let (scale, levels) = symmetric(values, 8.0);
    put_half(out, 0, scale);
    nibbles(&levels, &mut out[2..]);
}

pub(super) fn q4_1(values: &[f32; LEN], out: &mut [u8; 20]) {
    let (scale, least, levels) = affine(values, 15.0);
    put_half(out, 0, scale);
    put_half(out, 2, least);
    nibbles(&levels, &mut out[4..]);
}

pub(super) fn q5_0(values: &[f32; LEN], out: &mut [u8; 22]) {
    let (scale, levels) = symmetric(values, 16.0);
    put_half(out, 0, scale);
    top_bits(&levels, &mut out[2..6]);
    nibbles(&levels, &mut out[6..]);
}

pub(super) fn q5_1(values: &[f32; LEN], out: &mut [u8; 24]) {
    let (scale, least, levels) = affine(values, 31.0);
    put_half(out, 0, scale);
    put_half(out, 2, least);
    top_bits(&levels, &mut out[4..8]);
    nibbles(&levels, &mut out[8..]);
}

pub(super) fn iq4_nl(values: &[f32; LEN], out: &mut [u8; 18]) {
    let table = IQ4_NL_VALUES.map(f32::from);
    let scale = half(scale_of_table(values, &weights(values), &table));
    put_half(out, 0, scale);
    let inverse = inverse(scale);
    let mut places = [0u8; LEN];
    for (place, value) in places.iter_mut().zip(values) {
        let level = nearest(&table, value * inverse);
        *place = byte(table.iter().map(|other| if *other < level { 1.0 } else { 0.0 }).sum());
    }
    nibbles(&places, &mut out[2..]);
}

/// The scale, and levels from `-most` to `most - 1`, from zero up.
fn symmetric(values: &[f32; LEN], most: f32) -> (f32, [u8; LEN]) {
    let scale = half(scale(values, &weights(values), -most, most - 1.0));
    let inverse = inverse(scale);
    (scale, values.map(|value| byte(round((value * inverse).clamp(-most, most - 1.0)) + most)))
}

/// The scale, the minimum and levels from 0 to `most`.
fn affine(values: &[f32; LEN], most: f32) -> (f32, f32, [u8; LEN]) {
    let (scale, least) = scale_and_least(values, &weights(values), most, false);
    let (scale, least) = (half(scale), half(least));
    let inverse = inverse(scale);
    (scale, least, values.map(|value| byte(round(((value - least) * inverse).clamp(0.0, most)))))
}

/// Low four bits: the first half of the values in low nibbles, the others in high ones.
fn nibbles(levels: &[u8; LEN], out: &mut [u8]) {
    let (low, high) = levels.split_at(LEN / 2);
    for ((low, high), out) in low.iter().zip(high).zip(out) {
        *out = low & 15 | high << 4;
    }
}

/// The fifth bits.
fn top_bits(levels: &[u8; LEN], out: &mut [u8]) {
    for (index, level) in levels.iter().enumerate() {
        out[index / 8] |= (level >> 4 & 1) << (index % 8);
    }
}
