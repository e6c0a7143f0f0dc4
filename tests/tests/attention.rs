//! Both forms of attention on every adapter, whichever it would be given, also cut to narrow bindings.
use engine::{
    DType,
    compute::adapter::AdapterSummary,
    compute::executor::Executor,
    compute::gpu::{Gpu, GpuExecutor, GpuOptions},
    compute::ops::Mask,
    compute::plan::{Plan, PlanTarget},
    compute::target::Target,
};
use kinora_tests::{
    Case,
    ops::attention::{Sizes, biased, fused, masked, masks},
    run,
};

/// The form for real GPUs and, where subgroups have one size, the form for software.
fn forms(own: &Target) -> Vec<Target> {
    let plain = Target { software: false, subgroups: None, ..own.clone() };
    let software = Target { software: true, ..own.clone() };
    let uniform = own.subgroups.is_some_and(|(smallest, largest)| smallest == largest && largest <= 16);
    if uniform { vec![plain, software] } else { vec![plain] }
}

fn open(adapter: &AdapterSummary, target: &Target, runtime_checks: bool) -> Executor {
    let options = GpuOptions { runtime_checks, guard_bands: true, ..GpuOptions::default() };
    let gpu = pollster::block_on(Gpu::open(adapter.index, options)).unwrap_or_else(|e| panic!("{e}"));
    Executor::Gpu(Box::new(GpuExecutor::new(gpu.with_target(target.clone()))))
}

fn check(adapter: &AdapterSummary, target: &Target, runtime_checks: bool, cases: &[Case]) {
    let mut executor = open(adapter, target, runtime_checks);
    for case in cases.iter().filter(|case| target.shader_f16 || !case.needs_f16()) {
        if let Err(e) = run::run_case(case, &mut executor) {
            panic!("{} with {target:?}: {}: {e}", adapter.name, case.name);
        }
    }
}

fn sizes(groups: usize, rows: usize, heads: usize, head_dim: usize) -> Sizes {
    Sizes { groups, queries: rows, keys: rows, heads, head_dim }
}

#[test]
fn the_form_for_real_gpus_is_right_on_every_adapter() {
    // A workgroup takes 64 queries (32 if heads are wide) and 32 keys at a time.
    let mut cases: Vec<Case> =
        [1, 31, 32, 33, 63, 64, 65, 131].map(|rows| fused(sizes(1, rows, 2, 16), DType::F32)).into();
    cases.push(fused(sizes(1, 67, 2, 64), DType::F16));
    let few = cases.split_off(7);
    for adapter in run::adapters() {
        let target = &forms(&adapter.target)[0];
        check(&adapter, target, true, &few);
        check(&adapter, target, false, &few);
        check(&adapter, target, false, &cases);
        let wide =
            [(1, 128), (1, 132), (3, 384)].map(|(frames, dim)| fused(sizes(frames, 35, 1, dim), DType::F32));
        check(&adapter, target, false, &wide);
        check(&adapter, target, true, &masks(&[70]));
        check(&adapter, target, false, &[biased(sizes(1, 66, 4, 8), DType::F32)]);
    }
}

#[test]
fn keys_and_queries_beyond_one_binding_are_cut() {
    let cases = [
        fused(sizes(1, 601, 2, 16), DType::F32),
        fused(sizes(2, 301, 1, 80), DType::F32),
        fused(sizes(21, 35, 1, 12), DType::F32),
        biased(sizes(1, 601, 4, 8), DType::F32),
        masked(sizes(1, 601, 2, 16), Mask::Causal { block: 50 }, DType::F32),
        masked(sizes(1, 601, 2, 16), Mask::Window { before: 300, after: 20 }, DType::F32),
        masked(Sizes { queries: 90, ..sizes(2, 640, 2, 16) }, Mask::Causal { block: 1 }, DType::F32),
    ];
    for adapter in run::adapters() {
        for form in forms(&adapter.target) {
            let narrow = Target { max_binding_bytes: 64 << 10, ..form };
            for case in cases.iter().filter(|case| narrow.shader_f16 || !case.needs_f16()) {
                let (graph, _) = case.graph().unwrap_or_else(|e| panic!("{e}"));
                let plan =
                    Plan::new(&graph, &PlanTarget::Gpu(narrow.clone())).unwrap_or_else(|e| panic!("{e}"));
                assert!(plan.launches() > 1, "{}: nothing is cut", case.name);
            }
            check(&adapter, &narrow, false, &cases);
        }
    }
}
