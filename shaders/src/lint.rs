//! What every variant must keep to, so that it runs wherever WebGPU does.
use crate::{Access, ComposeError, Kernel, Variant};
use naga::{AddressSpace, back::pipeline_constants::process_overrides};

/// The share of the WebGPU default limits that a variant uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Invocations in a workgroup; WebGPU allows 256 by default.
    pub invocations: u32,
    /// Bytes of workgroup memory; WebGPU allows 16,384 by default.
    pub workgroup_bytes: u32,
    /// Storage buffers; WebGPU allows 8 by default.
    pub storage_buffers: usize,
}

/// Measures a variant against the WebGPU defaults and the house rules for bindings.
///
/// # Errors
/// [`ComposeError::Invalid`] naming the rule that the variant breaks.
pub fn lint(kernel: &'static Kernel, variant: &Variant) -> Result<Budget, ComposeError> {
    let broken = |report: String| ComposeError::Invalid { kernel: kernel.name, report };
    let prepared = kernel.prepare(variant)?;
    let info = prepared.validate()?;
    for (position, binding) in prepared.interface.bindings.iter().enumerate() {
        if binding.index as usize != position {
            return Err(broken(format!("binding {} is missing", position)));
        }
        if (position == 0) != (binding.access == Access::Uniform) {
            return Err(broken("binding 0, and no other, is the uniform `params`".to_owned()));
        }
    }
    let constants =
        variant.overrides.iter().map(|(name, value)| ((*name).to_owned(), f64::from(*value))).collect();
    let (module, _) =
        process_overrides(&prepared.module, &info, Some((naga::ShaderStage::Compute, "main")), &constants)
            .map_err(|e| broken(e.to_string()))?;
    let [entry] = module.entry_points.as_slice() else {
        return Err(broken("a kernel has one entry point, `main`".to_owned()));
    };
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).map_err(|e| broken(e.to_string()))?;
    let workgroup_bytes = module
        .global_variables
        .iter()
        .filter(|(_, v)| v.space == AddressSpace::WorkGroup)
        .map(|(_, v)| layouter[v.ty].size)
        .sum();
    let budget = Budget {
        invocations: entry.workgroup_size.iter().product(),
        workgroup_bytes,
        storage_buffers: prepared.interface.bindings.len() - 1,
    };
    if budget.invocations > 256 || budget.workgroup_bytes > 16384 || budget.storage_buffers > 8 {
        return Err(broken(format!("{budget:?} exceeds the WebGPU default limits ({})", variant.label())));
    }
    Ok(budget)
}
