//! The ops on rows and the norms of feature maps in the form for real GPUs on every adapter, whichever it would be given, and cut to narrow bindings.
use engine::{
    compute::adapter::AdapterSummary,
    compute::executor::Executor,
    compute::gpu::{Gpu, GpuExecutor, GpuOptions},
    compute::plan::{Plan, PlanTarget},
    compute::target::Target,
};
use kinora_tests::{
    Case,
    ops::{concat_rows, group_norm, head_norm, layer_norm, matmul, rms_norm},
    run,
};

fn check(adapter: &AdapterSummary, target: &Target, cases: &[Case]) {
    let options = GpuOptions { runtime_checks: true, guard_bands: true, ..GpuOptions::default() };
    let gpu = pollster::block_on(Gpu::open(adapter.index, options)).unwrap_or_else(|e| panic!("{e}"));
    let mut executor = Executor::Gpu(Box::new(GpuExecutor::new(gpu.with_target(target.clone()))));
    for case in cases.iter().filter(|case| target.shader_f16 || !case.needs_f16()) {
        if let Err(e) = run::run_case(case, &mut executor) {
            panic!("{} with {target:?}: {}: {e}", adapter.name, case.name);
        }
    }
}

#[test]
fn the_form_for_real_gpus_is_right_on_every_adapter() {
    let cases = [layer_norm::cases(), rms_norm::cases(), head_norm::cases(), group_norm::cases()];
    let cases: Vec<Case> = cases.into_iter().flatten().collect();
    for adapter in run::adapters() {
        let target = Target { software: false, subgroups: None, ..adapter.target.clone() };
        check(&adapter, &target, &cases);
    }
}

#[test]
fn what_exceeds_a_binding_is_cut() {
    let cases =
        [layer_norm::tall(), head_norm::tall(), concat_rows::tall(), matmul::tall(), group_norm::tall()];
    let cases: Vec<Case> = cases.into_iter().flatten().collect();
    for adapter in run::adapters() {
        let narrow = Target { max_binding_bytes: 64 << 10, ..adapter.target.clone() };
        for case in &cases {
            let (graph, _) = case.graph().unwrap_or_else(|e| panic!("{e}"));
            let plan = Plan::new(&graph, &PlanTarget::Gpu(narrow.clone())).unwrap_or_else(|e| panic!("{e}"));
            assert!(plan.launches() > 1, "{}: nothing is cut", case.name);
        }
        check(&adapter, &narrow, &cases);
    }
}
