//! Parts of a tensor's values, so that no tensor has to be in memory as a whole.

use std::ops::Range;

use crate::{Bytes, Change, HostTensor, LowRank};

/// The bytes of the values in `range`, which begins with a whole group.
pub(super) fn bytes(tensor: &HostTensor, range: &Range<usize>) -> Bytes {
    let (len, bytes) = (tensor.format.group_len(), tensor.format.group_bytes());
    tensor.bytes.slice(range.start / len * bytes..range.end.div_ceil(len) * bytes)
}

/// The values in `range`, as [`HostTensor::to_f32`] has them.
pub(super) fn widen(tensor: &HostTensor, bytes: &[u8], range: Range<usize>, values: &mut [f32]) {
    if values.len().is_multiple_of(tensor.format.group_len()) {
        tensor.format.widen(bytes, values);
    } else {
        // The last group is longer than the tensor.
        values.copy_from_slice(&tensor.format.to_f32(bytes)[..values.len()]);
    }
    if let Some(scale) = &tensor.scale {
        let row = (tensor.elements() / scale.len().max(1)).max(1);
        for_rows(row, range.start, values, |index, _, values| {
            let Some(factor) = scale.get(index) else { return };
            values.iter_mut().for_each(|value| *value *= factor);
        });
    }
    for change in &tensor.changes {
        match change {
            Change::Full { values: change, factor } => {
                let mut changes = vec![0.0; values.len()];
                widen(change, &self::bytes(change, &range), range.clone(), &mut changes);
                for (value, change) in values.iter_mut().zip(&changes) {
                    *value += factor * change;
                }
            }
            Change::LowRank(change) => add_low_rank(change, range.start, values),
        }
    }
}

fn add_low_rank(change: &LowRank, start: usize, values: &mut [f32]) {
    let (rank, columns) = (change.rank(), change.down.row_len());
    if rank == 0 || columns == 0 {
        return;
    }
    let (up, down) = (change.up.to_f32(), change.down.to_f32());
    let mut sums = vec![0.0_f32; columns];
    for_rows(columns, start, values, |index, column, values| {
        let sums = &mut sums[..values.len()];
        sums.fill(0.0);
        let Some(ups) = up.get(index * rank..(index + 1) * rank) else { return };
        for (down, up) in down.chunks(columns).zip(ups) {
            for (sum, down) in sums.iter_mut().zip(&down[column..]) {
                *sum += up * down;
            }
        }
        for (value, sum) in values.iter_mut().zip(&*sums) {
            *value += change.factor * sum;
        }
    });
}

/// Calls `each` with the values of every row of `len`, or the part of it that is there: its index, and the column of its first value.
fn for_rows(
    len: usize,
    start: usize,
    mut values: &mut [f32],
    mut each: impl FnMut(usize, usize, &mut [f32]),
) {
    let mut at = start;
    while !values.is_empty() {
        let column = at % len;
        let (row, rest) = values.split_at_mut(values.len().min(len - column));
        each(at / len, column, row);
        at += row.len();
        values = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    #[test]
    fn parts_are_parts_of_the_whole() {
        let stored: Vec<f32> = (0..512u16).map(|i| f32::from(i % 37) - 11.5).collect();
        let mut bytes = Vec::new();
        Format::Q8_0.quantise(&stored, &mut bytes).unwrap();
        let mut tensor = HostTensor::new("t", Format::Q8_0, &[4, 125], Bytes::from(bytes));
        tensor.scale = Some([0.5, 1.0, -2.0, 3.0].into());
        let plain = |shape: &[usize], values: &[f32]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            HostTensor::new("c", Format::F32, shape, Bytes::from(bytes))
        };
        let up: Vec<f32> = (0..8u8).map(|i| f32::from(i) * 0.5 - 1.0).collect();
        let down: Vec<f32> = (0..250u8).map(|i| f32::from(i % 7) - 3.0).collect();
        let full: Vec<f32> = (0..500u16).map(|i| f32::from(i % 5)).collect();
        let low = LowRank { up: plain(&[4, 2], &up), down: plain(&[2, 125], &down), factor: 0.75 };
        let full = Change::Full { values: plain(&[4, 125], &full), factor: -0.5 };
        tensor.changes = vec![Change::LowRank(low), full];
        let whole = tensor.to_f32();
        for range in [0..500, 0..32, 32..96, 96..500, 480..500, 128..160] {
            let mut values = vec![0.0; range.len()];
            widen(&tensor, &super::bytes(&tensor, &range), range.clone(), &mut values);
            assert_eq!(values, whole[range.clone()], "{range:?}");
        }
    }
}
