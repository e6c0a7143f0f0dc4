//! The frames that a causal convolution remembers from one chunk to the next.
use super::window::{grid, window};
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Binding, Io, Launch, Lowered, Op, OpError, Operand, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::{Elem, Kernel, Variant};
use std::ops::Range;

static KERNEL: &Kernel = &shaders::UPDATE_CONV_CACHE;

impl Graph {
    /// Replaces a state `[n, H, W, C]` by the last n frames of itself followed by `x`, `[T, H, W, C]`.
    pub fn update_conv_cache(&mut self, state: TensorId, x: TensorId) -> Result<(), OpError> {
        self.push_into(UpdateConvCache, &[state, x], state)
    }
}

#[derive(Debug)]
struct UpdateConvCache;

params! { struct UpdateConvCacheParams { count: u32, kept: u32, from_skip: u32, to_skip: u32 } }

/// Elements to keep and elements to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Moves {
    /// Of the state, to its front.
    kept: Range<usize>,
    /// Of x, behind what is kept.
    taken: Range<usize>,
}

impl Moves {
    fn new(state: &TensorDesc, x: &TensorDesc) -> Self {
        let (kept, taken) =
            (state.elements().saturating_sub(x.elements()), x.elements().min(state.elements()));
        Self { kept: state.elements() - kept..state.elements(), taken: x.elements() - taken..x.elements() }
    }
}

/// One run of elements to copy.
struct Copy {
    from: (Operand, usize, Elem),
    to: (Operand, usize, Elem),
    count: usize,
    /// Elements in front that move down by `count` in the same launch.
    kept: usize,
    quads: bool,
}

impl Copy {
    fn launches(&self, target: &Target) -> Vec<Launch> {
        // A binding may begin up to 255 bytes early.
        let most = (usize::try_from(target.max_binding_bytes).unwrap_or(usize::MAX) - 256) / 4 / 256 * 256;
        let most = if self.kept > 0 { self.count } else { most };
        let tiles = (0..self.count).step_by(most).map(|start| start..(start + most).min(self.count));
        tiles.map(|tile| self.launch(&tile, target)).collect()
    }

    fn launch(&self, tile: &Range<usize>, target: &Target) -> Launch {
        let unit = if self.quads { 4 } else { 1 };
        let bind = |(operand, start, elem): (Operand, usize, Elem)| -> (Binding, u32) {
            let size = if elem == Elem::F16 { 2 } else { 4 };
            let (binding, skip) = window(operand, &(start + tile.start..start + tile.end), size, target);
            (binding, clamp_u32(skip / unit))
        };
        let ((source, from_skip), (mut out, to_skip)) = (bind(self.from), bind(self.to));
        if self.kept > 0 {
            out.size += out.offset;
            out.offset = 0;
        }
        let (count, kept) = (tile.len() / unit, clamp_u32(self.kept / unit));
        let to_skip = if kept > 0 { kept } else { to_skip };
        let params = UpdateConvCacheParams { count: clamp_u32(count), kept, from_skip, to_skip };
        Launch {
            kernel: KERNEL,
            variant: Variant::new()
                .alias("X", self.from.2)
                .alias("Out", self.to.2)
                .constant("KEEPS", u32::from(self.kept > 0))
                .import("UNIT", if self.quads { "unit_quad" } else { "unit_scalar" }),
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![source, out],
            grid: grid(target, count),
        }
    }
}

impl Op for UpdateConvCache {
    fn name(&self) -> &'static str {
        "update_conv_cache"
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let op = self.name();
        let [_, height, width, channels] = super::window::frames(op, "state", &inputs[0])?;
        let [frames, ..] = super::window::frames(op, "x", &inputs[1])?;
        OpError::expect_activation(op, "state", &inputs[0])?;
        OpError::expect_activation(op, "x", &inputs[1])?;
        OpError::expect_shape(op, "x", &inputs[1], &[frames, height, width, channels])?;
        Ok(inputs[0].clone())
    }

    fn flops(&self, _: &[TensorDesc], _: &TensorDesc) -> u64 {
        0
    }

    fn reads(&self, inputs: &[TensorDesc], index: usize) -> u64 {
        let Moves { kept, taken } = Moves::new(&inputs[0], &inputs[1]);
        let elements = if index == 0 { kept } else { taken };
        (elements.len() * inputs[index].dtype.size()) as u64
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let moves = Moves::new(io.output, &io.inputs[1]);
        let quads =
            [moves.kept.start, moves.taken.start, io.output.elements()].iter().all(|n| n.is_multiple_of(4));
        let (state, x) = (elem(io.output), elem(&io.inputs[1]));
        let kept = moves.kept.len();
        let mut launches = Vec::new();
        let mut scratch = Vec::new();
        let in_one = 4 * io.output.elements() as u64 + 256 <= target.max_binding_bytes;
        if kept > 0 && !in_one {
            // One launch cannot read and write one buffer by two bindings.
            scratch.push((kept * io.output.dtype.size()) as u64);
            let aside = (Operand::Scratch(0), 0, state);
            let from = (Operand::Output, moves.kept.start, state);
            launches.extend(Copy { from, to: aside, count: kept, kept: 0, quads }.launches(target));
            let to = (Operand::Output, 0, state);
            launches.extend(Copy { from: aside, to, count: kept, kept: 0, quads }.launches(target));
        }
        let (from, to) = ((Operand::Input(1), moves.taken.start, x), (Operand::Output, kept, state));
        launches.extend(
            Copy { from, to, count: moves.taken.len(), kept: if in_one { kept } else { 0 }, quads }
                .launches(target),
        );
        Ok(Lowered { launches, scratch, choice: None })
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        const CHUNK: usize = 1 << 16;
        let Moves { kept, taken } = Moves::new(io.output_desc, io.desc(1));
        let (front, x) = (kept.len(), &io.input(1)[taken]);
        io.output.copy_within(kept, 0);
        io.output[front..].par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(to, from)| {
            to.copy_from_slice(from);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{op::check_params, tensor::DType};

    #[test]
    fn params_match_the_kernel() {
        let variant = Variant::new().alias("X", Elem::F32).alias("Out", Elem::F32).constant("KEEPS", 1);
        check_params::<UpdateConvCacheParams>(KERNEL, &variant.import("UNIT", "unit_scalar"));
    }

    #[test]
    fn large_caches_move_in_pieces_that_fit() {
        let target = Target { max_binding_bytes: 4096, ..Target::webgpu_defaults() };
        let state = TensorDesc::new(&[2, 9, 11, 7], DType::F32);
        let inputs = [state.clone(), TensorDesc::new(&[1, 9, 11, 7], DType::F32)];
        let io = Io { inputs: &inputs, output: &state, aliased: Some(0) };
        let lowered = UpdateConvCache.lower(&io, &target).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(lowered.scratch, [4 * 9 * 11 * 7]);
        assert_eq!(lowered.launches.len(), 3);
        let bindings: Vec<&Binding> = lowered.launches.iter().flat_map(|d| &d.bindings).collect();
        assert!(bindings.iter().all(|b| b.size <= 4096 && b.offset % 256 == 0));

        let roomy = Target { max_binding_bytes: 8192, ..target.clone() };
        let lowered = UpdateConvCache.lower(&io, &roomy).unwrap_or_else(|e| panic!("{e}"));
        assert!(lowered.scratch.is_empty() && lowered.launches.len() == 1);

        let small = Target { max_binding_bytes: 2048, ..target };
        let lowered = UpdateConvCache.lower(&io, &small).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(lowered.launches.len(), 9);
        let bindings: Vec<&Binding> = lowered.launches.iter().flat_map(|d| &d.bindings).collect();
        assert!(bindings.iter().all(|b| b.size <= 2048 && b.offset % 256 == 0));
    }
}
