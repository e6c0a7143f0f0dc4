//! Encodes values in any format, the inverse of [`Format::widen`].

mod fit;
mod k_fit;
mod k_groups;
mod plain;
mod small_groups;

use std::fmt;

use crate::Format;

/// A value that a format cannot hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unfit {
    /// Where it is among the values.
    pub index: usize,
    /// The value.
    pub value: f32,
    /// The format that was to hold it.
    pub format: Format,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, value, format } = self;
        if value.is_finite() {
            write!(f, "value {index} is {value:e}, {format} holds up to {:e}", format.largest())
        } else {
            write!(f, "value {index} is {value}, expected a finite number")
        }
    }
}

/// Values that are encoded at once: so many that threads are worth it.
#[cfg(not(target_arch = "wasm32"))]
const PIECE: usize = 1 << 16;

impl Format {
    /// The largest value that is encoded. Formats with a scale in half precision could hold somewhat larger ones.
    const fn largest(self) -> f32 {
        match self {
            Self::F32 => f32::MAX,
            Self::BF16 => 3.389_531_4e38,
            Self::F8E4M3 => 448.0,
            Self::F8E5M2 => 57_344.0,
            _ => 65_504.0,
        }
    }

    /// Appends the encoded values to `out`. Formats of single elements round to the nearest value, ties to even. For groups, scales
    /// and minima are searched that make the squared error small, in which large values weigh more. Work is shared among threads, and
    /// the result is always the same.
    ///
    /// # Errors
    /// When a value is not finite, or larger than the format can hold.
    ///
    /// # Panics
    /// If the values are not whole groups.
    pub fn quantise(self, values: &[f32], out: &mut Vec<u8>) -> Result<(), Unfit> {
        assert!(values.len().is_multiple_of(self.group_len()), "{self}: whole groups");
        let largest = self.largest();
        let fits = |value: &f32| value.abs() <= largest;
        if let Some(index) = values.iter().position(|value| !fits(value)) {
            return Err(Unfit { index, value: values[index], format: self });
        }
        let start = out.len();
        let bytes = values.len() / self.group_len() * self.group_bytes();
        out.resize(start + bytes, 0);
        self.encode_all(values, &mut out[start..]);
        Ok(())
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn encode_all(self, values: &[f32], out: &mut [u8]) {
        use rayon::prelude::*;
        let bytes = PIECE / self.group_len() * self.group_bytes();
        let pieces = values.par_chunks(PIECE).zip(out.par_chunks_mut(bytes));
        pieces.for_each(|(values, out)| self.encode(values, out));
    }

    #[cfg(target_arch = "wasm32")]
    fn encode_all(self, values: &[f32], out: &mut [u8]) {
        self.encode(values, out);
    }

    fn encode(self, values: &[f32], out: &mut [u8]) {
        match self {
            Self::F32 => plain::encode_f32(values, out),
            Self::F16 => plain::encode_f16(values, out),
            Self::BF16 => plain::encode_bf16(values, out),
            Self::F8E4M3 | Self::F8E5M2 => plain::encode_f8(self, values, out),
            Self::Q8_0 => groups(values, out, small_groups::q8_0),
            Self::Q4_0 => groups(values, out, small_groups::q4_0),
            Self::Q4_1 => groups(values, out, small_groups::q4_1),
            Self::Q5_0 => groups(values, out, small_groups::q5_0),
            Self::Q5_1 => groups(values, out, small_groups::q5_1),
            Self::Iq4Nl => groups(values, out, small_groups::iq4_nl),
            Self::Q2K => groups(values, out, k_groups::q2_k),
            Self::Q3K => groups(values, out, k_groups::q3_k),
            Self::Q4K => groups(values, out, k_groups::q4_k),
            Self::Q5K => groups(values, out, k_groups::q5_k),
            Self::Q6K => groups(values, out, k_groups::q6_k),
        }
    }
}

/// Encodes group by group, each into bytes that are zero.
fn groups<const LEN: usize, const BYTES: usize>(
    values: &[f32],
    out: &mut [u8],
    encode: impl Fn(&[f32; LEN], &mut [u8; BYTES]),
) {
    for (values, out) in values.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        encode(values, out);
    }
}

/// The nearest finite number in half precision.
fn half(value: f32) -> f32 {
    half::f16::from_f32(value.clamp(-65_504.0, 65_504.0)).to_f32()
}

/// Writes a number in half precision, which it has already.
fn put_half(out: &mut [u8], at: usize, value: f32) {
    out[at..at + 2].copy_from_slice(&half::f16::from_f32(value).to_le_bytes());
}

/// A level as a byte: negative ones in two's complement.
#[expect(clippy::cast_possible_truncation, reason = "levels are whole and lie between -128 and 255")]
fn byte(level: f32) -> u8 {
    (level as i16).to_le_bytes()[0]
}
