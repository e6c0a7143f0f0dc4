//! Formats of single elements: to the nearest value, ties to even.

use half::{bf16, f16};

use crate::Format;

pub(super) fn encode_f32(values: &[f32], out: &mut [u8]) {
    for (value, out) in values.iter().zip(out.as_chunks_mut().0) {
        *out = value.to_le_bytes();
    }
}

pub(super) fn encode_f16(values: &[f32], out: &mut [u8]) {
    for (&value, out) in values.iter().zip(out.as_chunks_mut().0) {
        *out = f16::from_f32(value).to_le_bytes();
    }
}

pub(super) fn encode_bf16(values: &[f32], out: &mut [u8]) {
    for (&value, out) in values.iter().zip(out.as_chunks_mut().0) {
        *out = bf16::from_f32(value).to_le_bytes();
    }
}

/// Codes without their sign bit are in the order of their values.
pub(super) fn encode_f8(format: Format, values: &[f32], out: &mut [u8]) {
    let codes: Vec<u8> = (0..0x80).collect();
    let mut table = format.to_f32(&codes);
    table.retain(|value| value.is_finite());
    for (value, out) in values.iter().zip(out) {
        let (magnitude, sign) = (value.abs(), u8::from(value.is_sign_negative()) << 7);
        let above = table.partition_point(|&entry| entry < magnitude).min(table.len() - 1);
        let below = above.saturating_sub(1);
        let (up, down) = (table[above] - magnitude, magnitude - table[below]);
        let nearest = if down < up || (down == up && below.is_multiple_of(2)) { below } else { above };
        *out = codes[nearest] | sign;
    }
}
