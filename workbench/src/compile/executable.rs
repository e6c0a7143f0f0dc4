//! What a compiler tells of a compiled kernel.
use super::assembly::{LoopCounts, hottest_loop};
use shaders::Variant;

/// A compiled kernel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Executable {
    /// Invocations that run in lockstep, as the driver chose.
    pub subgroup_size: u32,
    /// Numbers of the compiler.
    pub statistics: Statistics,
    /// The machine code as text, where there is any.
    pub assembly: Option<String>,
}

impl Executable {
    /// What its hottest loop does; `None` without assembly.
    pub fn hottest_loop(&self) -> Option<LoopCounts> {
        hottest_loop(self.assembly.as_deref()?)
    }

    /// Whether registers did not suffice.
    pub fn spills(&self) -> bool {
        let Statistics { spilled_vgprs, scratch_bytes, .. } = self.statistics;
        spilled_vgprs > 0 || scratch_bytes > 0
    }

    /// The subgroup size that a variant is written for, if this is not it: cooperative kernels then store NaN, and the
    /// tuner refuses the form.
    pub fn misses_lanes_of(&self, variant: &Variant) -> Option<u32> {
        let on_matrices = !variant.enables.is_empty();
        variant.consts.get("LANES").copied().filter(|lanes| on_matrices && *lanes != self.subgroup_size)
    }
}

/// What RADV's compiler says of its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Vector registers of an invocation.
    pub vgprs: u64,
    /// Scalar registers of a subgroup.
    pub sgprs: u64,
    /// Vector registers that did not fit.
    pub spilled_vgprs: u64,
    /// Scalar registers that did not fit.
    pub spilled_sgprs: u64,
    /// Bytes of memory beside the registers, for each invocation or subgroup as the driver counts.
    pub scratch_bytes: u64,
    /// Bytes of workgroup memory.
    pub lds_bytes: u64,
    /// Subgroups that a SIMD holds at once.
    pub subgroups_per_simd: u64,
    /// Bytes of machine code.
    pub code_bytes: u64,
    /// Instructions.
    pub instructions: u64,
    /// Cycles that a subgroup alone takes, with loops guessed to run a few times.
    pub latency_cycles: u64,
    /// Cycles after which the next subgroup can be done, likewise.
    pub throughput_cycles: u64,
}
