//! A named tensor in host memory, in the format it was stored in.

use std::ops::Range;
use std::sync::Arc;

use crate::{Bytes, Change, Format};

/// A tensor as a file holds it: row-major, contiguous, little endian, maybe unaligned.
#[derive(Clone, Debug)]
pub struct HostTensor {
    /// The name in the checkpoint.
    pub name: String,
    /// How its values are stored.
    pub format: Format,
    /// Sizes, slowest dimension first; empty for a single number.
    pub shape: Vec<usize>,
    /// Its bytes: whole groups of the format.
    pub bytes: Bytes,
    /// What the stored values are multiplied by: one factor, or one for each row (of the first extent). None for a factor of one.
    pub scale: Option<Arc<[f32]>>,
    /// What is added to the values: LoRAs.
    pub changes: Vec<Change>,
}

impl HostTensor {
    /// A tensor that is just what its bytes say.
    #[must_use]
    pub fn new(name: impl Into<String>, format: Format, shape: &[usize], bytes: Bytes) -> Self {
        Self { name: name.into(), format, shape: shape.to_vec(), bytes, scale: None, changes: Vec::new() }
    }

    /// How many elements it has.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Values of a row: of all extents but the first.
    #[must_use]
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Whether the bytes alone say what the values are.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.scale.is_none() && self.changes.is_empty()
    }

    /// All values in f32: widened (exact for the formats of single elements), multiplied by the scale, changes added.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = self.format.to_f32(&self.bytes);
        values.truncate(self.elements());
        if let Some(scale) = &self.scale {
            let row = values.len() / scale.len().max(1);
            for (row, factor) in values.chunks_mut(row.max(1)).zip(&**scale) {
                row.iter_mut().for_each(|value| *value *= factor);
            }
        }
        for change in &self.changes {
            change.add_to(&mut values);
        }
        values
    }

    /// The same values in a format whose bytes alone say them one by one: itself, or in f32.
    #[must_use]
    pub fn in_elements(&self) -> Self {
        let halves_or_singles = matches!(self.format, Format::F32 | Format::F16 | Format::BF16);
        if halves_or_singles && self.is_plain() {
            return self.clone();
        }
        let bytes: Vec<u8> = self.to_f32().into_iter().flat_map(f32::to_le_bytes).collect();
        Self::new(&*self.name, Format::F32, &self.shape, Bytes::from(bytes))
    }

    /// Some rows of a tensor of two extents as a tensor of its own. None if a group of its format crosses rows, or the rows are not there.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Option<Self> {
        let &[count, cols] = self.shape.as_slice() else { return None };
        let whole = cols.is_multiple_of(self.format.group_len()) && self.changes.is_empty();
        if !whole || rows.start > rows.end || rows.end > count {
            return None;
        }
        let row_bytes = self.format.bytes(cols)?;
        let bytes = self.bytes.get(rows.start * row_bytes..rows.end * row_bytes)?;
        let scale = self.scale.as_ref().map(|scale| match scale.len() {
            1 => Arc::clone(scale),
            _ => scale[rows.clone()].into(),
        });
        let shape = vec![rows.len(), cols];
        Some(Self { name: self.name.clone(), format: self.format, shape, bytes, scale, changes: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    fn tensor(format: Format, bytes: Vec<u8>) -> HostTensor {
        // One byte in front: every read is unaligned.
        let shifted: Vec<u8> = std::iter::once(0xFF).chain(bytes).collect();
        let len = shifted.len();
        let bytes = Bytes::from(shifted).slice(1..len);
        let shape = [bytes.len() / format.group_bytes() * format.group_len()];
        HostTensor::new("t", format, &shape, bytes)
    }

    #[test]
    fn every_half_is_widened_exactly() {
        for (format, widened) in [
            (Format::F16, (|bits| f16::from_bits(bits).to_f32()) as fn(u16) -> f32),
            (Format::BF16, |bits| bf16::from_bits(bits).to_f32()),
        ] {
            let bytes = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
            let values = tensor(format, bytes).to_f32();
            assert_eq!(values.len(), 65536);
            for (bits, got) in (0..=u16::MAX).zip(values) {
                let want = widened(bits);
                assert!(got == want || (got.is_nan() && want.is_nan()), "{format} {bits:#06x}: {got} {want}");
            }
        }
    }

    #[test]
    fn floats_are_read_unaligned() {
        let values: Vec<f32> = (0..1000u16).map(|i| f32::from(i).mul_add(0.37, -5.0)).collect();
        let tensor = tensor(Format::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect());
        assert_eq!(tensor.elements(), 1000);
        assert_eq!(tensor.to_f32(), values);
    }

    #[test]
    fn nothing_is_nothing() {
        for format in Format::ALL {
            assert!(tensor(format, Vec::new()).to_f32().is_empty());
        }
    }

    #[test]
    fn scales_multiply_all_rows_or_each_its_own() {
        // 1, 2 | 3, 4 in e4m3.
        let codes = vec![0x38, 0x40, 0x44, 0x48];
        let mut tensor = HostTensor { shape: vec![2, 2], ..tensor(Format::F8E4M3, codes) };
        tensor.scale = Some([0.5].into());
        assert_eq!(tensor.to_f32(), [0.5, 1.0, 1.5, 2.0]);
        tensor.scale = Some([1.0, -2.0].into());
        assert_eq!(tensor.to_f32(), [1.0, 2.0, -6.0, -8.0]);
        assert_eq!(tensor.rows(1..2).unwrap().to_f32(), [-6.0, -8.0]);
        assert!(tensor.rows(1..3).is_none());
    }
}
