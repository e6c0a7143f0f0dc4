//! What LoRAs add to stored weights.

use crate::HostTensor;

/// Something that is added to a tensor's values.
#[derive(Clone, Debug)]
pub enum Change {
    /// A product of two thin matrices.
    LowRank(LowRank),
    /// `factor * values`, of as many values as the tensor has.
    Full {
        /// As the LoRA holds them.
        values: HostTensor,
        /// What they are multiplied by.
        factor: f32,
    },
}

/// `factor * up @ down`, added to a tensor that is seen as `[rows, columns]`: all extents but the first are one.
#[derive(Clone, Debug)]
pub struct LowRank {
    /// `[rows, rank]`.
    pub up: HostTensor,
    /// `[rank, columns]`.
    pub down: HostTensor,
    /// What the product is multiplied by: the weight of the LoRA times alpha / rank.
    pub factor: f32,
}

impl Change {
    /// Adds it, in f32.
    pub(crate) fn add_to(&self, values: &mut [f32]) {
        match self {
            Self::LowRank(change) => change.add_to(values),
            Self::Full { values: change, factor } => {
                for (value, change) in values.iter_mut().zip(change.to_f32()) {
                    *value += factor * change;
                }
            }
        }
    }
}

impl LowRank {
    /// Columns of `up` and rows of `down`.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.down.shape.first().copied().unwrap_or(0)
    }

    fn add_to(&self, values: &mut [f32]) {
        let (rank, columns) = (self.rank(), self.down.row_len());
        if rank == 0 || columns == 0 {
            return;
        }
        let (up, down) = (self.up.to_f32(), self.down.to_f32());
        let mut sums = vec![0.0_f32; columns];
        for (row, up) in values.chunks_mut(columns).zip(up.chunks(rank)) {
            sums.fill(0.0);
            for (down, up) in down.chunks(columns).zip(up) {
                for (sum, down) in sums.iter_mut().zip(down) {
                    *sum += up * down;
                }
            }
            for (value, sum) in row.iter_mut().zip(&sums) {
                *value += self.factor * sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes, Format};

    fn tensor(shape: &[usize], values: &[f32]) -> HostTensor {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        HostTensor::new("t", Format::F32, shape, Bytes::from(bytes))
    }

    #[test]
    fn changes_add_up() {
        let low = Change::LowRank(LowRank {
            up: tensor(&[2, 1], &[1.0, 2.0]),
            down: tensor(&[1, 3], &[1.0, 10.0, 100.0]),
            factor: 0.5,
        });
        let full = Change::Full { values: tensor(&[6], &[1.0; 6]), factor: -1.0 };
        let mut values = [0.0; 6];
        for change in [low, full] {
            change.add_to(&mut values);
        }
        assert_eq!(values, [-0.5, 4.0, 49.0, 0.0, 9.0, 99.0]);
    }
}
