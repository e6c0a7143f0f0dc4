//! Finds stored numbers that are not finite.

use std::fmt;

use crate::{Bytes, Checkpoint};

/// A tensor that holds a number that is not finite: whatever is computed with it is not finite either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// The file that holds the tensor.
    pub file: String,
    /// The tensor's name.
    pub tensor: String,
    /// What it holds: `NaN` or `infinity`.
    pub value: &'static str,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: tensor `{}` holds {}", self.file, self.tensor, self.value)
    }
}

/// A floating-point type: a number is not finite when all bits of its exponent are set, and NaN when a bit of its
/// fraction is set as well.
struct Format {
    name: &'static str,
    bytes: usize,
    exponent: u64,
    fraction: u64,
}

const FORMATS: &[Format] = &[
    Format { name: "F64", bytes: 8, exponent: 0x7FF0_0000_0000_0000, fraction: 0x000F_FFFF_FFFF_FFFF },
    Format { name: "F32", bytes: 4, exponent: 0x7F80_0000, fraction: 0x007F_FFFF },
    Format { name: "F16", bytes: 2, exponent: 0x7C00, fraction: 0x03FF },
    Format { name: "BF16", bytes: 2, exponent: 0x7F80, fraction: 0x007F },
    Format { name: "F8_E5M2", bytes: 1, exponent: 0x7C, fraction: 0x03 },
    // These have no infinity: NaN is all bits but the sign, or all bits.
    Format { name: "F8_E4M3", bytes: 1, exponent: 0x7F, fraction: 0x7F },
    Format { name: "F8_E8M0", bytes: 1, exponent: 0xFF, fraction: 0xFF },
];

/// How much of a mapped file is in memory at once.
const PIECE: usize = 64 << 20;

impl Checkpoint {
    /// The first tensor, in the order of the files, that holds NaN or infinity. Reads all floating-point tensors, so
    /// it is for finding the cause when a result is not finite. Mapped files stay out of memory afterwards.
    #[must_use]
    pub fn first_non_finite(&self) -> Option<NonFinite> {
        self.stored().find_map(|(file, tensor, stored, bytes)| {
            let format = FORMATS.iter().find(|format| format.name == stored)?;
            let value = format.search_mapped(&bytes)?;
            Some(NonFinite { file: file.to_owned(), tensor: tensor.to_owned(), value })
        })
    }
}

impl Format {
    fn search_mapped(&self, bytes: &Bytes) -> Option<&'static str> {
        (0..bytes.len()).step_by(PIECE).find_map(|start| {
            let piece = bytes.slice(start..bytes.len().min(start + PIECE));
            let value = self.search(&piece);
            piece.release_pages();
            value
        })
    }

    fn search(&self, bytes: &[u8]) -> Option<&'static str> {
        let bad = |bits: &u64| bits & self.exponent == self.exponent;
        let found = match self.bytes {
            1 => bytes.iter().map(|&byte| u64::from(byte)).find(bad),
            2 => bytes.as_chunks().0.iter().map(|&half| u64::from(u16::from_le_bytes(half))).find(bad),
            4 => bytes.as_chunks().0.iter().map(|&word| u64::from(u32::from_le_bytes(word))).find(bad),
            _ => bytes.as_chunks().0.iter().map(|&long| u64::from_le_bytes(long)).find(bad),
        };
        found.map(|bits| if bits & self.fraction == 0 { "infinity" } else { "NaN" })
    }
}
