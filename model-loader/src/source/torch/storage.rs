//! The bytes that tensors share, and where in them a tensor lies.

use std::ops::Range;

use super::globals::DType;

/// What a file says of a tensor, or what is wrong with it.
pub(super) type Stated<T> = Result<T, String>;

/// Bytes of the file.
pub(super) struct Storage {
    pub(super) dtype: Option<&'static DType>,
    pub(super) range: Range<usize>,
}

/// A tensor in its storage.
pub(super) struct Tensor {
    pub(super) dtype: &'static DType,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) elements: usize,
    pub(super) range: Range<usize>,
}

impl Storage {
    /// The tensor at `offset` elements, as if it were contiguous.
    pub(super) fn tensor(
        self,
        dtype: &'static DType,
        offset: i64,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Stated<Tensor> {
        if shape.len() != strides.len() {
            return Err(format!("its shape {shape:?} and its strides {strides:?} differ in length"));
        }
        let elements = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        let Some((elements, bytes)) = elements.and_then(|all| Some((all, all.checked_mul(dtype.bytes)?)))
        else {
            return Err(format!("its shape {shape:?} is larger than any memory"));
        };
        if elements == 0 {
            let range = self.range.start..self.range.start;
            return Ok(Tensor { dtype, shape, strides, elements, range });
        }
        let start = usize::try_from(offset).ok().and_then(|offset| offset.checked_mul(dtype.bytes));
        let end = start.and_then(|start| start.checked_add(bytes));
        let Some((start, end)) = start.zip(end).filter(|(_, end)| *end <= self.range.len()) else {
            let stored = self.range.len();
            return Err(format!(
                "{} {shape:?} at element {offset} takes {bytes} bytes, its storage has {stored}",
                dtype.stored_as
            ));
        };
        let range = self.range.start + start..self.range.start + end;
        Ok(Tensor { dtype, shape, strides, elements, range })
    }
}

/// Whether elements lie one after the other. Strides of dimensions of one element say nothing.
pub(super) fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut next = 1;
    shape.iter().zip(strides).rev().all(|(&extent, &stride)| {
        let fits = extent == 1 || stride == next;
        next *= extent;
        fits
    })
}
