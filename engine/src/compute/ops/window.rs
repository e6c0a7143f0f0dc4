//! What the ops on frames share: shapes, and bindings that begin anywhere in a tensor.
use crate::{
    op::{Binding, OpError, Operand},
    target::Target,
    tensor::TensorDesc,
};
use std::ops::Range;

/// Invocations of a workgroup of the kernels that give each invocation one element.
pub(crate) const GROUP: usize = 256;

/// The workgroups for `count` invocations.
pub(crate) fn grid(target: &Target, count: usize) -> [u32; 3] {
    target.fold(count.div_ceil(GROUP))
}

/// The extents of channels-last frames.
pub(crate) fn frames(op: &'static str, what: &'static str, desc: &TensorDesc) -> Result<[usize; 4], OpError> {
    <[usize; 4]>::try_from(desc.shape.as_slice())
        .map_err(|_| OpError::value(op, what, &desc.shape, "[frames, height, width, channels]"))
}

/// Some elements of an operand as a binding, which begins a little earlier where its offset must be aligned;
/// also how many elements earlier.
pub(crate) fn window(
    operand: Operand,
    elements: &Range<usize>,
    size: usize,
    target: &Target,
) -> (Binding, usize) {
    let alignment = usize::try_from(target.offset_alignment).unwrap_or(256).max(256);
    let start = elements.start * size;
    let offset = start / alignment * alignment;
    let binding = Binding { operand, offset: offset as u64, size: (elements.end * size - offset) as u64 };
    (binding, (start - offset) / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_aligned_and_covers_its_elements() {
        let target = Target::webgpu_defaults();
        let (binding, skip) = window(Operand::Output, &(131..140), 2, &target);
        assert_eq!((binding.offset, binding.size, skip), (256, 24, 3));
        let (binding, skip) = window(Operand::Output, &(0..5), 4, &target);
        assert_eq!((binding.offset, binding.size, skip), (0, 20, 0));
    }
}
