//! What the forms on cooperative matrices share: which fragments a target multiplies, and how a variant says it.
use super::{AttentionInputs, Mask, MatmulOptions};
use crate::{
    graph::Graph,
    op::OpError,
    target::{CooperativeMatrices, Target},
    tensor::{DType, TensorDesc},
};
use shaders::{Elem, Variant};
use std::fmt;

/// Fragments as a kernel uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fragments {
    /// Rows and columns.
    pub(super) size: u32,
    /// Invocations of a subgroup.
    pub(super) lanes: u32,
    /// What operands are staged as.
    elem: Elem,
    emulated: bool,
    /// Whether the device was seen to multiply them right in subgroups of this size.
    pub(super) proven: bool,
}

impl fmt::Display for Fragments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, lanes, elem, emulated, .. } = self;
        let emulated = if *emulated { "emulated " } else { "" };
        write!(f, "{emulated}cooperative {size} {}, {lanes} lanes", elem.wgsl())
    }
}

impl Fragments {
    /// What a target has for operands of which these are activations.
    ///
    /// Fragments of f16 take only activations in f16: what is in f32 is meant to be as precise.
    pub(super) fn of(target: &Target, activations: &[&TensorDesc]) -> Vec<Self> {
        let fits = |dtype: DType| activations.iter().all(|desc| desc.dtype == dtype);
        let Some((least, most)) = target.subgroups else { return Vec::new() };
        let mut lanes = vec![least];
        if most != least {
            lanes.push(most);
        }
        let sizes =
            target.cooperative.iter().filter(|matrices| fits(matrices.operands)).flat_map(|matrices| {
                let elem = if matrices.operands == DType::F16 { Elem::F16 } else { Elem::F32 };
                let CooperativeMatrices { size, emulated, proven_lanes, .. } = *matrices;
                lanes.iter().map(move |lanes| Self {
                    size,
                    lanes: *lanes,
                    elem,
                    emulated,
                    proven: proven_lanes == Some(*lanes),
                })
            });
        sizes.filter(|fragments| matches!(fragments.lanes, 8 | 16 | 32 | 64)).collect()
    }

    /// Registers that an invocation has a fragment of sums in.
    pub(super) fn sum_registers(self) -> u32 {
        self.size * self.size / self.lanes
    }

    /// Registers that an invocation has a fragment of an operand in, where that is dearest: a line of it in every lane, as on AMD.
    pub(super) fn operand_registers(self) -> u32 {
        self.size * self.bytes() / 4
    }

    /// Bytes of a value of an operand.
    pub(super) fn bytes(self) -> u32 {
        if self.elem == Elem::F16 { 2 } else { 4 }
    }

    /// Values between lines of a staged tile: 16 bytes.
    pub(super) fn pad(self) -> u32 {
        16 / self.bytes()
    }

    /// Whether operands must stay in the workgroup memory that they were loaded from (`QUERIES_STAY`).
    pub(super) fn operands_stay(self) -> bool {
        self.emulated
    }

    /// The part of a variant that says it.
    pub(super) fn variant(self, variant: Variant) -> Variant {
        let variant = variant
            .alias("Frag", self.elem)
            .constant("SIZE", self.size)
            .constant("LANES", self.lanes)
            .constant("PAD", self.pad());
        if self.emulated {
            return variant.import("FRAGMENTS", "fragments_emulated");
        }
        let file = if self.size == 8 { "fragments_8" } else { "fragments_16" };
        variant.import("FRAGMENTS", file).enabling("wgpu_cooperative_matrix")
    }
}

/// A product and an attention of operands of this dtype, alone in a graph each, with sizes that fill no tile.
pub fn matrix_trials(dtype: DType) -> Vec<Graph> {
    [product(dtype), attention(dtype)].into_iter().flatten().collect()
}

fn product(dtype: DType) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    let (x, weight) = (graph.input("x", &[72, 96], dtype), graph.input("weight", &[80, 96], dtype));
    let out = graph.matmul(x, weight, &MatmulOptions::new(DType::F32))?;
    graph.output("out", out);
    Ok(graph)
}

fn attention(dtype: DType) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    let qkv = graph.input("qkv", &[72, 96], dtype);
    let out = graph.attention(&AttentionInputs {
        q: (qkv, 0),
        k: (qkv, 32),
        v: (qkv, 64),
        heads: 1,
        head_dim: 32,
        scale: 0.25,
        bias: None,
        mask: Mask::None,
        groups: 1,
        out: DType::F32,
    })?;
    graph.output("out", out);
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn fragments_are_those_of_the_activations_dtype_for_every_size_of_subgroup() {
        let matrices =
            |size, operands| CooperativeMatrices { size, operands, emulated: false, proven_lanes: None };
        let target = Target {
            subgroups: Some((32, 64)),
            cooperative: vec![matrices(16, DType::F16), matrices(8, DType::F16), matrices(8, DType::F32)],
            ..Target::webgpu_defaults()
        };
        let desc = |dtype| TensorDesc::new(&[4, 4], dtype);
        let (half, single) = (desc(DType::F16), desc(DType::F32));
        let names = |activations: &[&TensorDesc]| -> Vec<String> {
            Fragments::of(&target, activations).iter().map(ToString::to_string).collect()
        };
        assert_eq!(names(&[&half])[..2], ["cooperative 16 f16, 32 lanes", "cooperative 16 f16, 64 lanes"]);
        assert_eq!(names(&[&half]).len(), 4);
        assert_eq!(names(&[&single]), ["cooperative 8 f32, 32 lanes", "cooperative 8 f32, 64 lanes"]);
        assert!(names(&[&half, &single]).is_empty());
        assert!(Fragments::of(&Target { subgroups: None, ..target.clone() }, &[&half]).is_empty());
    }
}
