//! How stored weights are encoded: element by element, or in groups that share their scales.

mod codes;
mod k_groups;
mod plain;
mod small_groups;

pub use codes::Codes;
use std::fmt;

pub(crate) use small_groups::IQ4_NL_VALUES;

/// How the values of a stored tensor are encoded (little endian).
///
/// The values of a row-major tensor are cut into groups of [`Format::group_len`] values, each of [`Format::group_bytes`] bytes.
/// The formats of single elements have groups of one. `Q..` and `IQ..` are the formats of GGUF files, with the layouts of ggml.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single-precision number.
    BF16,
    /// A sign, 4 bits of exponent and 3 of mantissa, without infinities (e4m3fn).
    F8E4M3,
    /// The upper byte of a half-precision number (e5m2).
    F8E5M2,
    /// 32 signed bytes and a scale.
    Q8_0,
    /// 32 times 4 bits around 8, and a scale.
    Q4_0,
    /// 32 times 4 bits, a scale and a minimum.
    Q4_1,
    /// 32 times 5 bits around 16, and a scale.
    Q5_0,
    /// 32 times 5 bits, a scale and a minimum.
    Q5_1,
    /// 32 places of 4 bits in a table of 16 values, and a scale.
    Iq4Nl,
    /// 256 times 2 bits, in runs of 16 with scale and minimum of 4 bits.
    Q2K,
    /// 256 times 3 bits, in runs of 16 with a scale of 6 bits.
    Q3K,
    /// 256 times 4 bits, in runs of 32 with scale and minimum of 6 bits.
    Q4K,
    /// 256 times 5 bits, in runs of 32 with scale and minimum of 6 bits.
    Q5K,
    /// 256 times 6 bits, in runs of 16 with a scale of 8 bits.
    Q6K,
}

/// One format's numbers.
struct Row {
    format: Format,
    name: &'static str,
    group_len: usize,
    group_bytes: usize,
    /// Where in a group its half-precision scale lies, and its minimum.
    halves: &'static [usize],
}

const fn row(
    format: Format,
    name: &'static str,
    group_len: usize,
    group_bytes: usize,
    halves: &'static [usize],
) -> Row {
    Row { format, name, group_len, group_bytes, halves }
}

/// In the order of the enum.
const ROWS: [Row; 16] = [
    row(Format::F32, "F32", 1, 4, &[]),
    row(Format::F16, "F16", 1, 2, &[]),
    row(Format::BF16, "BF16", 1, 2, &[]),
    row(Format::F8E4M3, "F8_E4M3", 1, 1, &[]),
    row(Format::F8E5M2, "F8_E5M2", 1, 1, &[]),
    row(Format::Q8_0, "Q8_0", 32, 34, &[0]),
    row(Format::Q4_0, "Q4_0", 32, 18, &[0]),
    row(Format::Q4_1, "Q4_1", 32, 20, &[0, 2]),
    row(Format::Q5_0, "Q5_0", 32, 22, &[0]),
    row(Format::Q5_1, "Q5_1", 32, 24, &[0, 2]),
    row(Format::Iq4Nl, "IQ4_NL", 32, 18, &[0]),
    row(Format::Q2K, "Q2_K", 256, 84, &[80, 82]),
    row(Format::Q3K, "Q3_K", 256, 110, &[108]),
    row(Format::Q4K, "Q4_K", 256, 144, &[0, 2]),
    row(Format::Q5K, "Q5_K", 256, 176, &[0, 2]),
    row(Format::Q6K, "Q6_K", 256, 210, &[208]),
];

impl Format {
    /// Every format.
    pub const ALL: [Self; 16] = {
        let mut all = [Self::F32; 16];
        let mut index = 0;
        while index < all.len() {
            all[index] = ROWS[index].format;
            index += 1;
        }
        all
    };

    const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// Values of a group: 1, 32 or 256.
    #[must_use]
    pub const fn group_len(self) -> usize {
        self.row().group_len
    }

    /// Bytes of a group.
    #[must_use]
    pub const fn group_bytes(self) -> usize {
        self.row().group_bytes
    }

    /// Where in a group its half-precision scale lies, and its minimum if it has one; nothing for formats of single elements.
    #[must_use]
    pub const fn halves(self) -> &'static [usize] {
        self.row().halves
    }

    /// Whether several values share a scale.
    #[must_use]
    pub const fn is_grouped(self) -> bool {
        self.group_len() > 1
    }

    /// Bytes of so many values; a part of a group counts as a whole one. `None` if there are more than memory can have.
    #[must_use]
    pub const fn bytes(self, values: usize) -> Option<usize> {
        values.div_ceil(self.group_len()).checked_mul(self.group_bytes())
    }

    /// The name in files and messages: that of safetensors or of ggml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The format of this name, in any case: `Q4_K`, `bf16`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// Widens whole groups to f32, which is exact but for one rounding where a minimum is subtracted.
    ///
    /// `bytes` need not be aligned: a tensor may start at any offset of a mapped file.
    ///
    /// # Panics
    /// If `out` is not as long as the groups in `bytes` have values.
    pub fn widen(self, bytes: &[u8], out: &mut [f32]) {
        assert_eq!(self.bytes(out.len()), Some(bytes.len()), "{self}: bytes of {} values", out.len());
        assert!(out.len().is_multiple_of(self.group_len()), "{self}: whole groups");
        match self {
            Self::F32 => plain::widen_f32(bytes, out),
            Self::F16 => plain::widen_f16(bytes, out),
            Self::BF16 => plain::widen_bf16(bytes, out),
            Self::F8E4M3 => plain::widen_f8(bytes, plain::e4m3_values(), out),
            Self::F8E5M2 => plain::widen_f8(bytes, plain::e5m2_values(), out),
            Self::Q8_0 => groups(bytes, out, small_groups::q8_0),
            Self::Q4_0 => groups(bytes, out, small_groups::q4_0),
            Self::Q4_1 => groups(bytes, out, small_groups::q4_1),
            Self::Q5_0 => groups(bytes, out, small_groups::q5_0),
            Self::Q5_1 => groups(bytes, out, small_groups::q5_1),
            Self::Iq4Nl => groups(bytes, out, small_groups::iq4_nl),
            Self::Q2K => groups(bytes, out, k_groups::q2_k),
            Self::Q3K => groups(bytes, out, k_groups::q3_k),
            Self::Q4K => groups(bytes, out, k_groups::q4_k),
            Self::Q5K => groups(bytes, out, k_groups::q5_k),
            Self::Q6K => groups(bytes, out, k_groups::q6_k),
        }
    }

    /// Widens whole groups to f32.
    ///
    /// # Panics
    /// If `bytes` are not whole groups.
    #[must_use]
    pub fn to_f32(self, bytes: &[u8]) -> Vec<f32> {
        let mut out = vec![0.0; bytes.len() / self.group_bytes() * self.group_len()];
        self.widen(bytes, &mut out);
        out
    }
}

/// Widens group by group.
fn groups<const BYTES: usize, const LEN: usize>(
    bytes: &[u8],
    out: &mut [f32],
    widen: impl Fn(&[u8; BYTES], &mut [f32; LEN]),
) {
    for (group, out) in bytes.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        widen(group, out);
    }
}

/// The half-precision number at `at`, widened.
fn half_at(group: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([group[at], group[at + 1]]).to_f32()
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_where_their_formats_count_them() {
        for (index, format) in Format::ALL.into_iter().enumerate() {
            assert_eq!(format as usize, index);
            assert_eq!(Format::by_name(&format.name().to_lowercase()), Some(format));
            assert_eq!(format.bytes(2 * format.group_len()), Some(2 * format.group_bytes()), "{format}");
        }
        assert_eq!(Format::Q8_0.bytes(33), Some(68));
        assert_eq!(Format::F32.bytes(usize::MAX), None);
        assert_eq!(Format::by_name("Q9_0"), None);
    }
}
