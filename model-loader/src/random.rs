//! Weights made up on the spot: to measure a model whose weights are not there.

use std::sync::{Mutex, PoisonError};

use crate::{Bytes, DType, HostTensor};

/// Small numbers for any tensor that is asked for. All tensors are parts of one block, so that a model of any size takes
/// no more memory here than its largest tensor.
#[derive(Debug)]
pub(crate) struct RandomWeights {
    dtype: DType,
    block: Mutex<Bytes>,
}

impl RandomWeights {
    pub(crate) const fn new(dtype: DType) -> Self {
        Self { dtype, block: Mutex::new(Bytes::from_static(&[])) }
    }

    /// The tensor `name` of the shape that its reader expects.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> HostTensor {
        let size = shape.iter().product::<usize>() * self.dtype.size();
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        if block.len() < size {
            *block = Bytes::from(values(self.dtype, size));
        }
        HostTensor {
            name: name.to_owned(),
            dtype: self.dtype,
            shape: shape.to_vec(),
            bytes: block.slice(0..size),
        }
    }
}

/// `size` bytes of numbers of either sign between 2^-6 and 2^-4, from a linear congruential generator: sums of products
/// with them neither grow without bound nor fade into denormals.
fn values(dtype: DType, size: usize) -> Vec<u8> {
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
        match dtype {
            DType::F16 => {
                let bits = sign | (9 + binade) << 10 | random & 0x3FF;
                bytes.extend_from_slice(&bits.to_le_bytes()[..2]);
            }
            DType::BF16 => {
                let bits = sign | (121 + binade) << 7 | random & 0x7F;
                bytes.extend_from_slice(&bits.to_le_bytes()[..2]);
            }
            DType::F32 => {
                let bits = sign << 16 | (121 + binade) << 23 | (random & 0x3FFF) << 9;
                bytes.extend_from_slice(&bits.to_le_bytes());
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
        for dtype in DType::ALL {
            let tensor = RandomWeights::new(dtype).tensor("any", &[50, 40]);
            assert_eq!((tensor.elements(), tensor.shape.as_slice()), (2000, &[50, 40][..]));
            let values = tensor.to_f32();
            assert!(values.iter().all(|v| (1.0 / 64.0..1.0 / 16.0).contains(&v.abs())), "{dtype}");
            let negative = values.iter().filter(|v| **v < 0.0).count();
            assert!((800..1200).contains(&negative), "{dtype}: {negative}");
        }
    }

    #[test]
    fn a_larger_tensor_makes_the_block_grow() {
        let weights = RandomWeights::new(DType::F16);
        let small = weights.tensor("small", &[3]);
        let large = weights.tensor("large", &[5]);
        assert_eq!(small.to_f32(), large.to_f32()[..3]);
    }
}
