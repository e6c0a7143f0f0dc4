//! Weights made up on the spot: to measure a model whose weights are not there.

use std::sync::{Mutex, PoisonError};

use crate::{Bytes, Format, HostTensor, LoadError, Result};

/// Small numbers for any tensor that is asked for. All tensors are parts of one block, so that a model of any size takes
/// no more memory here than its largest tensor.
#[derive(Debug)]
pub(crate) struct RandomWeights {
    format: Format,
    block: Mutex<Bytes>,
}

impl RandomWeights {
    pub(crate) const fn new(format: Format) -> Self {
        Self { format, block: Mutex::new(Bytes::from_static(&[])) }
    }

    /// The tensor `name` of the shape that its reader expects.
    ///
    /// # Errors
    /// When no memory could hold it.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<HostTensor> {
        // Files keep what is no matrix of whole groups in single elements.
        let fits =
            shape.len() > 1 && shape.last().is_some_and(|cols| cols.is_multiple_of(self.format.group_len()));
        if self.format.is_grouped() && !fits {
            return Ok(HostTensor::new(name, Format::F32, shape, zeros(shape)));
        }
        let elements = shape.iter().try_fold(1_usize, |product, extent| product.checked_mul(*extent));
        let size = elements.and_then(|elements| self.format.bytes(elements)).ok_or_else(|| {
            let reason = format!("its shape {shape:?} is larger than any memory");
            LoadError::BadTensor { file: "random weights".to_owned(), tensor: name.to_owned(), reason }
        })?;
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        if block.len() < size {
            *block = Bytes::from(values(self.format, size));
        }
        Ok(HostTensor::new(name, self.format, shape, block.slice(0..size)))
    }
}

/// A tensor of f32 that says nothing.
fn zeros(shape: &[usize]) -> Bytes {
    Bytes::from(vec![0; 4 * shape.iter().product::<usize>()])
}

/// `size` bytes of numbers of either sign, most of them between 2^-6 and 2^-4, from a linear congruential generator: sums of
/// products with them neither grow without bound nor fade into denormals.
fn values(format: Format, size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        let random = next();
        let sign = random & 0x8000;
        let binade = random >> 14 & 1;
        match format {
            Format::F16 => {
                let bits = sign | (9 + binade) << 10 | random & 0x3FF;
                bytes.extend_from_slice(&bits.to_le_bytes()[..2]);
            }
            Format::BF16 => {
                let bits = sign | (121 + binade) << 7 | random & 0x7F;
                bytes.extend_from_slice(&bits.to_le_bytes()[..2]);
            }
            Format::F32 => {
                let bits = sign << 16 | (121 + binade) << 23 | (random & 0x3FFF) << 9;
                bytes.extend_from_slice(&bits.to_le_bytes());
            }
            Format::F8E4M3 => bytes.push((sign >> 8 | (1 + binade) << 3 | random & 7).to_le_bytes()[0]),
            Format::F8E5M2 => bytes.push((sign >> 8 | (9 + binade) << 2 | random & 3).to_le_bytes()[0]),
            _ => {
                let start = bytes.len();
                bytes.extend((0..format.group_bytes()).map(|_| next().to_le_bytes()[0]));
                // Scales small enough for the largest values below them.
                for at in format.halves() {
                    bytes[start + at..start + at + 2].copy_from_slice(&0x0C00_u16.to_le_bytes());
                }
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_small_and_of_either_sign() {
        for format in Format::ALL {
            let tensor = RandomWeights::new(format).tensor("any", &[8, 256]).unwrap();
            assert_eq!((tensor.elements(), tensor.shape.as_slice()), (2048, &[8, 256][..]));
            let values = tensor.to_f32();
            let (least, most) = if format.is_grouped() { (0.0, 2.0) } else { (1.0 / 64.0, 1.0 / 16.0) };
            assert!(values.iter().all(|v| (least..most).contains(&v.abs())), "{format}");
            let negative = values.iter().filter(|v| **v < 0.0).count();
            // With a minimum most values may be of one sign.
            let range = if format.halves().len() > 1 { 0..2049 } else { 800..1250 };
            assert!(range.contains(&negative), "{format}: {negative}");
        }
    }

    #[test]
    fn a_larger_tensor_makes_the_block_grow() {
        let weights = RandomWeights::new(Format::F16);
        let small = weights.tensor("small", &[3]).unwrap();
        let large = weights.tensor("large", &[5]).unwrap();
        assert_eq!(small.to_f32(), large.to_f32()[..3]);
    }
}
