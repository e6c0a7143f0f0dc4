//! Groups of 256 values in runs of 16 or 32, each run with a small scale of its own.

use super::half_at;

const LEN: usize = 256;

pub(super) fn q2_k(group: &[u8; 84], out: &mut [f32; LEN]) {
    let (scale, least) = (half_at(group, 80), half_at(group, 82));
    for (run, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let (scale, least) = (scale * f32::from(group[run] & 15), least * f32::from(group[run] >> 4));
        let (bytes, shift) = two_bits(&group[16..80], run);
        for (out, byte) in out.iter_mut().zip(bytes) {
            *out = scale * f32::from(byte >> shift & 3) - least;
        }
    }
}

pub(super) fn q3_k(group: &[u8; 110], out: &mut [f32; LEN]) {
    let scale = half_at(group, 108);
    for (run, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let scale = scale * f32::from(q3_k_scale(group, run));
        let (bytes, shift) = two_bits(&group[32..96], run);
        // Of 32 bytes, the first bits belong to the first 32 values, and so on. A bit that is set takes nothing away.
        let tops = &group[16 * (run % 2)..];
        for ((out, byte), top) in out.iter_mut().zip(bytes).zip(tops) {
            let value = f32::from(byte >> shift & 3) - f32::from(4 * (1 - (top >> (run / 2) & 1)));
            *out = scale * value;
        }
    }
}

/// The scale of a run of Q3_K: six bits around 32.
pub(super) fn q3_k_scale(group: &[u8], run: usize) -> i8 {
    let low = group[96 + run % 8] >> (4 * (run / 8)) & 15;
    let high = group[104 + run % 4] >> (2 * (run / 4)) & 3;
    (low | high << 4).cast_signed() - 32
}

/// The bytes of a run of 16 values of two bits, and where in each byte they lie: 32 bytes hold four runs of 32 values.
fn two_bits(bytes: &[u8], run: usize) -> (&[u8], usize) {
    (&bytes[32 * (run / 8) + 16 * (run % 2)..][..16], 2 * (run / 2 % 4))
}

pub(super) fn q4_k(group: &[u8; 144], out: &mut [f32; LEN]) {
    let (scale, least) = (half_at(group, 0), half_at(group, 2));
    for (run, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let [run_scale, run_least] = six_bits(&group[4..16], run).map(f32::from);
        let (scale, least) = (scale * run_scale, least * run_least);
        let bytes = &group[16 + 32 * (run / 2)..][..32];
        let shift = 4 * (run % 2);
        for (out, byte) in out.iter_mut().zip(bytes) {
            *out = scale * f32::from(byte >> shift & 15) - least;
        }
    }
}

pub(super) fn q5_k(group: &[u8; 176], out: &mut [f32; LEN]) {
    let (scale, least) = (half_at(group, 0), half_at(group, 2));
    for (run, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let [run_scale, run_least] = six_bits(&group[4..16], run).map(f32::from);
        let (scale, least) = (scale * run_scale, least * run_least);
        let bytes = &group[48 + 32 * (run / 2)..][..32];
        let shift = 4 * (run % 2);
        for ((out, byte), top) in out.iter_mut().zip(bytes).zip(&group[16..48]) {
            *out = scale * f32::from(byte >> shift & 15 | (top >> run & 1) << 4) - least;
        }
    }
}

/// Scale and minimum of a run of Q4_K and Q5_K. The first four of each have the low six bits of a byte; the upper two bits are part of
/// the last four, whose lower bits share the last four bytes.
pub(super) fn six_bits(packed: &[u8], run: usize) -> [u8; 2] {
    if run < 4 {
        [packed[run] & 63, packed[run + 4] & 63]
    } else {
        let low = packed[run + 4];
        [low & 15 | packed[run - 4] >> 6 << 4, low >> 4 | packed[run] >> 6 << 4]
    }
}

pub(super) fn q6_k(group: &[u8; 210], out: &mut [f32; LEN]) {
    let scale = half_at(group, 208);
    for (run, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let scale = scale * f32::from(group[192 + run].cast_signed());
        // Each half of the values has 64 bytes of low halves and 32 of upper two bits.
        let (half, at) = (run / 8, 16 * (run % 8));
        let lows = &group[64 * half + at % 64..][..16];
        let tops = &group[128 + 32 * half + at % 32..][..16];
        let (low_shift, top_shift) = (4 * (at / 64), 2 * (at / 32));
        for ((out, low), top) in out.iter_mut().zip(lows).zip(tops) {
            let value = low >> low_shift & 15 | (top >> top_shift & 3) << 4;
            *out = scale * (f32::from(value) - 32.0);
        }
    }
}
