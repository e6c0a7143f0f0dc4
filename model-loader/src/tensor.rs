//! A named tensor in host memory, in the type it was stored in.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::{Bytes, DType};

/// A tensor as a file holds it: row-major, contiguous, little endian, maybe unaligned.
#[derive(Clone, Debug)]
pub struct HostTensor {
    /// The name in the checkpoint.
    pub name: String,
    /// How its elements are stored.
    pub dtype: DType,
    /// Sizes, slowest dimension first; empty for a single number.
    pub shape: Vec<usize>,
    /// Its bytes: `elements() * dtype.size()` of them.
    pub bytes: Bytes,
}

impl HostTensor {
    /// How many elements it has.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// All elements, widened to f32 (exact for every stored type).
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        widen(self.dtype, &self.bytes)
    }
}

/// The bytes need not be aligned: a tensor may start at any offset of a mapped file.
fn widen(dtype: DType, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        DType::F32 => bytes.as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect(),
        DType::BF16 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|&chunk| f32::from_bits(u32::from(u16::from_le_bytes(chunk)) << 16))
            .collect(),
        DType::F16 => widen_f16(bytes),
    }
}

/// Converts through an aligned block on the stack, so that the processor's vector conversion is used.
fn widen_f16(bytes: &[u8]) -> Vec<f32> {
    const BLOCK: usize = 256;
    let pairs: &[[u8; 2]] = bytes.as_chunks().0;
    let mut wide = vec![0.0; pairs.len()];
    let mut block = [f16::ZERO; BLOCK];
    for (wide, narrow) in wide.chunks_mut(BLOCK).zip(pairs.chunks(BLOCK)) {
        let block = &mut block[..narrow.len()];
        for (half, &pair) in block.iter_mut().zip(narrow) {
            *half = f16::from_le_bytes(pair);
        }
        block.convert_to_f32_slice(wide);
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    fn tensor(dtype: DType, bytes: Vec<u8>) -> HostTensor {
        // One byte in front: every read is unaligned.
        let shifted: Vec<u8> = std::iter::once(0xFF).chain(bytes).collect();
        let len = shifted.len();
        let bytes = Bytes::from(shifted).slice(1..len);
        HostTensor { name: "t".into(), dtype, shape: vec![bytes.len() / dtype.size()], bytes }
    }

    #[test]
    fn every_half_is_widened_exactly() {
        for (dtype, widened) in [
            (DType::F16, (|bits| f16::from_bits(bits).to_f32()) as fn(u16) -> f32),
            (DType::BF16, |bits| bf16::from_bits(bits).to_f32()),
        ] {
            let bytes = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
            let values = tensor(dtype, bytes).to_f32();
            assert_eq!(values.len(), 65536);
            for (bits, got) in (0..=u16::MAX).zip(values) {
                let want = widened(bits);
                assert!(got == want || (got.is_nan() && want.is_nan()), "{dtype} {bits:#06x}: {got} {want}");
            }
        }
    }

    #[test]
    fn floats_are_read_unaligned() {
        let values: Vec<f32> = (0..1000u16).map(|i| f32::from(i).mul_add(0.37, -5.0)).collect();
        let tensor = tensor(DType::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect());
        assert_eq!(tensor.elements(), 1000);
        assert_eq!(tensor.to_f32(), values);
    }

    #[test]
    fn nothing_is_nothing() {
        for dtype in DType::ALL {
            assert!(tensor(dtype, Vec::new()).to_f32().is_empty());
        }
    }
}
