//! Groups of 256 values, as `format/k_groups.rs` reads them.

use super::k_fit::{Affine, Symmetric, affine, symmetric};
use super::{byte, put_half};

const LEN: usize = 256;

pub(super) fn q2_k(values: &[f32; LEN], out: &mut [u8; 84]) {
    let Affine { scale, least, scales, leasts, levels } = affine::<16, 16>(values, 3.0, 15.0);
    for (out, (scale, least)) in out.iter_mut().zip(scales.iter().zip(&leasts)) {
        *out = scale | least << 4;
    }
    two_bits(&levels, 0, &mut out[16..80]);
    put_half(out, 80, scale);
    put_half(out, 82, least);
}

pub(super) fn q3_k(values: &[f32; LEN], out: &mut [u8; 110]) {
    let Symmetric { scale, scales, levels } = symmetric::<16, 16>(values, 4.0, 32.0);
    for (index, level) in levels.iter().enumerate() {
        out[index % 32] |= (level >> 2) << (index / 32);
    }
    two_bits(&levels, 0, &mut out[32..96]);
    for (run, scale) in scales.iter().enumerate() {
        let scale = byte(scale + 32.0);
        out[96 + run % 8] |= (scale & 15) << (4 * (run / 8));
        out[104 + run % 4] |= (scale >> 4) << (2 * (run / 4));
    }
    put_half(out, 108, scale);
}

/// Two bits of each level, from the bit `from`: 32 bytes hold four times 32 of them.
fn two_bits(levels: &[u8; LEN], from: usize, out: &mut [u8]) {
    for (index, level) in levels.iter().enumerate() {
        out[32 * (index / 128) + index % 32] |= (level >> from & 3) << (2 * (index / 32 % 4));
    }
}

pub(super) fn q4_k(values: &[f32; LEN], out: &mut [u8; 144]) {
    let Affine { scale, least, scales, leasts, levels } = affine::<8, 32>(values, 15.0, 63.0);
    put_half(out, 0, scale);
    put_half(out, 2, least);
    six_bits(&scales, &leasts, &mut out[4..16]);
    nibbles(&levels, &mut out[16..]);
}

pub(super) fn q5_k(values: &[f32; LEN], out: &mut [u8; 176]) {
    let Affine { scale, least, scales, leasts, levels } = affine::<8, 32>(values, 31.0, 63.0);
    put_half(out, 0, scale);
    put_half(out, 2, least);
    six_bits(&scales, &leasts, &mut out[4..16]);
    for (index, level) in levels.iter().enumerate() {
        out[16 + index % 32] |= (level >> 4) << (index / 32);
    }
    nibbles(&levels, &mut out[48..]);
}

/// Low four bits: 32 bytes hold 32 values in their low halves and the next 32 in the high ones.
fn nibbles(levels: &[u8; LEN], out: &mut [u8]) {
    for (index, level) in levels.iter().enumerate() {
        out[32 * (index / 64) + index % 32] |= (level & 15) << (4 * (index / 32 % 2));
    }
}

/// The first four scales and minima in the low six bits of a byte each, the low halves of the last four in four bytes, and what is
/// left of them in the upper bits of the first eight.
fn six_bits(scales: &[u8; 8], leasts: &[u8; 8], out: &mut [u8]) {
    for run in 0..4 {
        out[run] = scales[run] | scales[run + 4] >> 4 << 6;
        out[run + 4] = leasts[run] | leasts[run + 4] >> 4 << 6;
        out[run + 8] = scales[run + 4] & 15 | leasts[run + 4] << 4;
    }
}

pub(super) fn q6_k(values: &[f32; LEN], out: &mut [u8; 210]) {
    let Symmetric { scale, scales, levels } = symmetric::<16, 16>(values, 32.0, 128.0);
    // 64 bytes hold the low halves of 64 values and of the next 64.
    for (index, level) in levels.iter().enumerate() {
        out[64 * (index / 128) + index % 64] |= (level & 15) << (4 * (index / 64 % 2));
    }
    two_bits(&levels, 4, &mut out[128..192]);
    for (out, scale) in out[192..208].iter_mut().zip(scales) {
        *out = byte(scale);
    }
    put_half(out, 208, scale);
}
