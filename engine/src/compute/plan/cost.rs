//! What an op takes: arithmetic, functions fused into it, and bytes, both moved and unavoidable.
use crate::{
    op::{Io, Launch, Op, Operand},
    tensor::TensorDesc,
};

/// What one op takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations.
    pub flops: u64,
    /// Functions that it computes along with its own; see [`Op::fused`].
    pub fused: usize,
    /// Bytes that its launches read and write, an operand once for each launch that binds it. What a workgroup finds again
    /// in a cache or in its own memory counts once.
    pub bytes: u64,
    /// Bytes of what it needs and of its result, once each: what no schedule of the graph's ops avoids.
    pub least_bytes: u64,
}

impl Cost {
    /// The cost of an op with these launches; without any, as on the CPU, nothing is moved twice.
    pub(super) fn new(op: &dyn Op, io: &Io<'_>, launches: &[Launch]) -> Self {
        let (inputs, output) = (io.inputs, io.output);
        let needed = (0..inputs.len()).map(|index| op.reads(inputs, index)).sum::<u64>();
        let least_bytes = needed + op.writes(inputs, output);
        Self {
            flops: op.flops(inputs, output),
            fused: op.fused(inputs),
            bytes: if launches.is_empty() { least_bytes } else { moved(op, io, launches) },
            least_bytes,
        }
    }

    /// Bytes moved over unavoidable ones.
    pub fn ratio(&self) -> f64 {
        self.bytes as f64 / self.least_bytes.max(1) as f64
    }
}

fn moved(op: &dyn Op, io: &Io<'_>, launches: &[Launch]) -> u64 {
    let bound = |wanted: &dyn Fn(Operand) -> bool| -> u64 {
        let bindings = launches.iter().flat_map(|launch| &launch.bindings);
        bindings.filter(|binding| wanted(binding.operand)).map(|binding| binding.size).sum()
    };
    let written = bound(&|operand| operand == Operand::Output);
    let mut bytes = written + bound(&|operand| matches!(operand, Operand::Scratch(_)));
    for (index, desc) in io.inputs.iter().enumerate() {
        // What is replaced in place is read where it is written, and perhaps by launches before that.
        let replaced = if io.aliased == Some(index) { written } else { 0 };
        let read = replaced + bound(&|operand| operand == Operand::Input(index));
        bytes += part(read, desc, op.reads(io.inputs, index));
    }
    bytes
}

/// Of what is bound of an operand, what is read if `needed` bytes of the whole are: ranges of rows are bound with all their
/// columns.
fn part(bound: u64, desc: &TensorDesc, needed: u64) -> u64 {
    let whole = desc.bytes().max(1);
    if bound <= whole {
        return bound.min(needed);
    }
    u64::try_from(u128::from(bound) * u128::from(needed) / u128::from(whole)).unwrap_or(u64::MAX)
}
