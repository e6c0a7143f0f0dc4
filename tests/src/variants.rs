//! Every variant that any target gets, by heuristic or by tuning: what kernels are translated and compiled in.
use crate::{
    Case,
    ops::{self, attention},
};
use engine::{
    DType,
    compute::ops::Mask,
    compute::plan::{Plan, PlanTarget},
    compute::target::{CooperativeMatrices, Target},
};
use shaders::{Kernel, Variant};
use std::collections::BTreeSet;

/// One of each kind of adapter, and one that emulates what only some of them have.
pub fn targets() -> Vec<Target> {
    let browser = Target::webgpu_defaults();
    let desktop = Target {
        shader_f16: true,
        subgroups: Some((32, 32)),
        max_binding_bytes: 2 << 30,
        max_buffer_bytes: 4 << 30,
        max_invocations: 1024,
        max_workgroup_bytes: 48 << 10,
        ..browser.clone()
    };
    let matrices =
        |size, operands, emulated| CooperativeMatrices { size, operands, emulated, proven_lanes: None };
    let tensor_cores = Target { cooperative: vec![matrices(16, DType::F16, false)], ..desktop.clone() };
    let apple = Target {
        cooperative: vec![matrices(8, DType::F16, false), matrices(8, DType::F32, false)],
        max_workgroup_bytes: 32 << 10,
        ..desktop.clone()
    };
    let emulated = Target {
        cooperative: vec![matrices(16, DType::F16, true), matrices(8, DType::F32, true)],
        max_workgroup_bytes: 32 << 10,
        ..desktop.clone()
    };
    let software = Target { software: true, shader_f16: true, subgroups: Some((8, 8)), ..browser.clone() };
    let wide_software = Target { shader_i64: true, ..software.clone() };
    vec![browser, desktop, tensor_cores, apple, emulated, software, wide_software]
}

/// What browsers have: WebGPU's defaults, with f16 or without, on software and on GPUs. No 64-bit integers, no cooperative matrices, and
/// no subgroups as long as wgpu passes none on.
pub fn of_browsers() -> Vec<Target> {
    let plain = Target::webgpu_defaults();
    let roomy = Target {
        max_binding_bytes: 2 << 30,
        max_buffer_bytes: 4 << 30,
        max_invocations: 1024,
        max_workgroup_bytes: 32 << 10,
        ..plain.clone()
    };
    let software = Target { software: true, ..plain.clone() };
    let half = |target: &Target| Target { shader_f16: true, ..target.clone() };
    vec![half(&plain), half(&roomy), half(&software), plain, roomy, software]
}

/// The variants of the heuristics on every kind of adapter, and what the tuner may choose instead: on every target, or on those alone that have
/// no more than WebGPU's defaults.
///
/// # Panics
/// If a case cannot be planned.
pub fn of_all_cases(tuned_everywhere: bool) -> BTreeSet<(&'static str, Variant)> {
    of_targets(&targets(), tuned_everywhere)
}

/// The same on these targets.
///
/// # Panics
/// If a case cannot be planned.
pub fn of_targets(targets: &[Target], tuned_everywhere: bool) -> BTreeSet<(&'static str, Variant)> {
    let mut found = BTreeSet::new();
    let all = ops::all().into_iter().map(|case| (case, u64::MAX));
    // Keys beyond one binding: what attention carries from launch to launch.
    for (case, binding) in all.chain(carried().into_iter().map(|case| (case, 64 << 10))) {
        let (graph, _) = case.graph().unwrap_or_else(|e| panic!("{}: {e}", case.name));
        for target in targets {
            let max_binding_bytes = target.max_binding_bytes.min(binding);
            let target = Target { max_binding_bytes, ..target.clone() };
            if case.needs_f16() && !target.shader_f16 {
                continue;
            }
            let plan = |target: &Target| {
                Plan::new(&graph, &PlanTarget::Gpu(target.clone()))
                    .unwrap_or_else(|e| panic!("{}: {e}", case.name))
            };
            let heuristic = plan(&target);
            note(&mut found, &heuristic);
            if !tuned_everywhere && target.max_workgroup_bytes > Target::webgpu_defaults().max_workgroup_bytes
            {
                continue;
            }
            for choice in heuristic.ops.iter().filter_map(|op| op.choice.as_ref()) {
                for form in &choice.forms {
                    let tuning = target.tuning.with(&choice.key, form);
                    note(&mut found, &plan(&Target { tuning, ..target.clone() }));
                }
            }
        }
    }
    found
}

/// Attention in several launches: alone, biased and masked, in both dtypes.
pub fn carried() -> Vec<Case> {
    let sizes = attention::Sizes { groups: 1, queries: 601, keys: 601, heads: 2, head_dim: 64 };
    [DType::F32, DType::F16]
        .into_iter()
        .flat_map(|dtype| {
            [
                attention::fused(sizes, dtype),
                attention::biased(sizes, dtype),
                attention::masked(sizes, Mask::Causal { block: 50 }, dtype),
                attention::masked(sizes, Mask::Window { before: 300, after: 20 }, dtype),
            ]
        })
        .collect()
}

fn note(found: &mut BTreeSet<(&'static str, Variant)>, plan: &Plan) {
    let launches = plan.ops.iter().flat_map(|op| &op.launches);
    found.extend(launches.map(|launch| (launch.kernel.name, launch.variant.clone())));
}

/// The kernel of this name.
///
/// # Panics
/// If there is none.
pub fn kernel(name: &str) -> &'static Kernel {
    shaders::ALL.iter().find(|k| k.name == name).unwrap_or_else(|| panic!("no kernel {name}"))
}
