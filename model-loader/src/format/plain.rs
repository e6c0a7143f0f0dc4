//! Formats of single elements.

use std::sync::LazyLock;

use half::f16;
use half::slice::HalfFloatSliceExt;

pub(super) fn widen_f32(bytes: &[u8], out: &mut [f32]) {
    for (out, &chunk) in out.iter_mut().zip(bytes.as_chunks().0) {
        *out = f32::from_le_bytes(chunk);
    }
}

pub(super) fn widen_bf16(bytes: &[u8], out: &mut [f32]) {
    for (out, &chunk) in out.iter_mut().zip(bytes.as_chunks().0) {
        *out = f32::from_bits(u32::from(u16::from_le_bytes(chunk)) << 16);
    }
}

/// Converts through an aligned block on the stack, so that the processor's vector conversion is used.
pub(super) fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    const BLOCK: usize = 256;
    let mut block = [f16::ZERO; BLOCK];
    for (wide, narrow) in out.chunks_mut(BLOCK).zip(bytes.as_chunks().0.chunks(BLOCK)) {
        let block = &mut block[..narrow.len()];
        for (half, &pair) in block.iter_mut().zip(narrow) {
            *half = f16::from_le_bytes(pair);
        }
        block.convert_to_f32_slice(wide);
    }
}

/// The values of all 256 codes.
pub(super) type Codes = [f32; 256];

pub(super) fn widen_f8(bytes: &[u8], values: &Codes, out: &mut [f32]) {
    for (out, &code) in out.iter_mut().zip(bytes) {
        *out = values[usize::from(code)];
    }
}

pub(super) fn e4m3_values() -> &'static Codes {
    static VALUES: LazyLock<Codes> = LazyLock::new(|| codes(e4m3));
    &VALUES
}

pub(super) fn e5m2_values() -> &'static Codes {
    static VALUES: LazyLock<Codes> = LazyLock::new(|| codes(|code| f16::from_le_bytes([0, code]).to_f32()));
    &VALUES
}

fn codes(value: impl Fn(u8) -> f32) -> Codes {
    let mut values = [0.0; 256];
    for code in 0..=u8::MAX {
        values[usize::from(code)] = value(code);
    }
    values
}

/// As a half whose exponent is 8 too small: its bias is 7 in place of 15. All ones are not a number, and there are no infinities.
fn e4m3(code: u8) -> f32 {
    let magnitude = match code & 0x7F {
        0x7F => f32::NAN,
        bits => f16::from_bits(u16::from(bits) << 7).to_f32() * 256.0,
    };
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e4m3_follows_its_definition() {
        for (code, value) in [
            (0x01, 0.125 / 64.0),
            (0x08, 1.0 / 64.0),
            (0x38, 1.0),
            (0x7E, 448.0),
            (0xB9, -1.125),
            (0x80, -0.0),
        ] {
            assert_eq!(e4m3_values()[code], value, "{code:#x}");
        }
        assert!(e4m3_values()[0x7F].is_nan() && e4m3_values()[0xFF].is_nan());
        assert_eq!(e5m2_values()[0x7B], 57344.0);
    }
}
