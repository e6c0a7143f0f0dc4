//! What LoRAs add to stored weights.

use std::sync::Arc;

/// Something that is added to a tensor's values. It holds its own numbers, in f32; clones share them.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// `factor * up @ down`, where the tensor is seen as `[rows, columns]` with all extents but the first flattened.
    LowRank(LowRank),
    /// `factor * values`, of as many values as the tensor has.
    Full {
        /// Row-major.
        values: Arc<[f32]>,
        /// What they are multiplied by.
        factor: f32,
    },
}

/// A product of two thin matrices.
#[derive(Clone, Debug, PartialEq)]
pub struct LowRank {
    /// `[rows, rank]`.
    pub up: Arc<[f32]>,
    /// `[rank, columns]`.
    pub down: Arc<[f32]>,
    /// Columns of `up`.
    pub rank: usize,
    /// What the product is multiplied by: the weight of the LoRA times alpha / rank.
    pub factor: f32,
}

impl Change {
    /// Adds it.
    pub(crate) fn add_to(&self, values: &mut [f32]) {
        match self {
            Self::LowRank(change) => change.add_to(values),
            Self::Full { values: change, factor } => {
                for (value, change) in values.iter_mut().zip(&**change) {
                    *value += factor * change;
                }
            }
        }
    }
}

impl LowRank {
    fn add_to(&self, values: &mut [f32]) {
        let columns = self.down.len() / self.rank.max(1);
        if columns == 0 {
            return;
        }
        let mut sums = vec![0.0_f32; columns];
        for (row, up) in values.chunks_mut(columns).zip(self.up.chunks(self.rank)) {
            sums.fill(0.0);
            for (down, up) in self.down.chunks(columns).zip(up) {
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

    #[test]
    fn changes_add_up() {
        let low = Change::LowRank(LowRank {
            up: [1.0, 2.0].into(),
            down: [1.0, 10.0, 100.0].into(),
            rank: 1,
            factor: 0.5,
        });
        let full = Change::Full { values: [1.0; 6].into(), factor: -1.0 };
        let mut values = [0.0; 6];
        for change in [low, full] {
            change.add_to(&mut values);
        }
        assert_eq!(values, [-0.5, 4.0, 49.0, 0.0, 9.0, 99.0]);
    }
}
