//! The matrix product core in every form on every adapter, whichever it would be given, also cut to narrow bindings.
use engine::{
    DType,
    compute::adapter::AdapterSummary,
    compute::executor::Executor,
    compute::gpu::{Gpu, GpuExecutor, GpuOptions},
    compute::ops::{Activation, Fill, OutputFrames},
    compute::plan::{Plan, PlanTarget},
    compute::target::Target,
};
use kinora_tests::{
    Case, groups,
    ops::{
        causal_conv3d::{self, Conv},
        matmul::{self, Sizes},
        patch_embedding,
    },
    run,
};
use model_loader::Format;
use shaders::Variant;
use std::collections::HashSet;

/// Through workgroup memory; in registers without subgroups; in registers with them.
fn forms(own: &Target) -> Vec<Target> {
    let shared = Target { software: false, ..own.clone() };
    let lone = Target { software: true, subgroups: None, ..own.clone() };
    let spread = Target { software: true, ..own.clone() };
    vec![shared, lone, spread]
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

/// Every `step`th case, and those that need no kernel beyond theirs: compiling is what takes time.
fn some_cases(target: &Target, step: usize) -> Vec<Case> {
    let all = [matmul::cases(), patch_embedding::cases(), causal_conv3d::cases()];
    let cases = all.into_iter().flatten().filter(|case| target.shader_f16 || !case.needs_f16());
    let (every, others): (Vec<_>, Vec<_>) = cases.enumerate().partition(|(index, _)| index % step == 0);
    let variants = |case: &Case| -> HashSet<(&'static str, Variant)> {
        let (graph, _) = case.graph().unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let plan = Plan::new(&graph, &PlanTarget::Gpu(target.clone())).unwrap_or_else(|e| panic!("{e}"));
        let launches = plan.ops.into_iter().flat_map(|op| op.launches);
        launches.map(|launch| (launch.kernel.name, launch.variant)).collect()
    };
    let compiled: HashSet<_> = every.iter().flat_map(|(_, case)| variants(case)).collect();
    let free = others.into_iter().filter(|(_, case)| variants(case).is_subset(&compiled));
    every.into_iter().chain(free).map(|(_, case)| case).collect()
}

/// Each form with every how manieth of its kernels; those of the form that an adapter is given run with all ops.
fn check_forms(runtime_checks: bool, steps: [usize; 3]) {
    for adapter in run::adapters() {
        for (form, step) in
            forms(&adapter.target).iter().zip(steps).filter(|(form, _)| **form != adapter.target)
        {
            check(&adapter, form, runtime_checks, &some_cases(form, step));
        }
    }
}

#[test]
fn every_form_is_right_on_every_adapter() {
    check_forms(false, [2, 9, 2]);
}

#[test]
fn every_form_is_right_on_every_adapter_with_runtime_checks() {
    check_forms(true, [6, 18, 6]);
}

#[test]
fn what_exceeds_a_binding_is_cut() {
    let matmul = [
        matmul::plain(Sizes::f32(700, 40, 32)),
        matmul::plain(Sizes::f32(20, 600, 32)),
        matmul::plain(Sizes { dtypes: [DType::F16, DType::Bf16, DType::F16], ..Sizes::f32(601, 201, 119) }),
        matmul::unpatchify([2, 13, 17], [1, 2, 2], 4, 64, DType::F32),
        matmul::plain(Sizes {
            dtypes: [DType::F32, groups::dtype(Format::Q8_0, 160), DType::F32],
            ..Sizes::f32(10, 1200, 160)
        }),
        patch_embedding::case(None, [4, 3, 24, 40], [1, 2, 2], 45, [DType::F32; 3]),
    ];
    // A frame of 61 KB, of which three never fit.
    let wide = Conv::new([2, 24, 40, 16], 10, [3, 3, 3]);
    let convs = [
        wide,
        wide.cached(),
        Conv { residual: Some(DType::F32), activation: Activation::Silu, ..wide.cached() },
        Conv {
            dtypes: [DType::F16; 3],
            residual: Some(DType::F16),
            ..Conv::new([3, 24, 40, 16], 10, [3, 3, 3]).cached()
        },
        Conv::new([3, 24, 40, 16], 17, [1, 3, 3]),
        Conv { upsample: true, ..Conv::new([2, 17, 23, 16], 9, [1, 3, 3]) },
        Conv { frames: OutputFrames::Halves, ..Conv::new([2, 21, 25, 20], 26, [3, 1, 1]) }.cached(),
        Conv { frames: OutputFrames::Twice, ..Conv::new([3, 24, 40, 16], 10, [1, 3, 3]) },
        Conv {
            frames: OutputFrames::TwiceButFirst,
            upsample: true,
            ..Conv::new([3, 9, 11, 8], 9, [1, 3, 3])
        },
        Conv { fill: Fill::FirstFrame, ..wide },
        Conv { fill: Fill::FirstFrame, ..Conv::new([9, 11, 13, 16], 12, [3, 3, 3]) },
        // Small frames, of which some fit.
        Conv::new([9, 11, 13, 16], 12, [3, 3, 3]).cached(),
        Conv { stride: [2, 1, 1], front: Some(1), ..Conv::new([8, 11, 13, 16], 12, [3, 1, 1]) }.cached(),
    ];
    let cases: Vec<Case> = matmul.into_iter().chain(convs.map(causal_conv3d::case)).collect();
    for adapter in run::adapters() {
        let narrow = Target { max_binding_bytes: 64 << 10, ..adapter.target.clone() };
        for case in cases.iter().filter(|case| narrow.shader_f16 || !case.needs_f16()) {
            let (graph, _) = case.graph().unwrap_or_else(|e| panic!("{e}"));
            let plan = Plan::new(&graph, &PlanTarget::Gpu(narrow.clone())).unwrap_or_else(|e| panic!("{e}"));
            assert!(plan.launches() > 1, "{}: nothing is cut", case.name);
        }
        check(&adapter, &narrow, false, &cases);
    }
}

/// Every form with the first case, and one form or another with each of the rest.
#[test]
fn few_rows_are_right_in_every_form_made_for_them() {
    for adapter in run::adapters() {
        let target = Target { software: false, ..adapter.target.clone() };
        let cases = matmul::thin().into_iter().filter(|case| target.shader_f16 || !case.needs_f16());
        let mut tried = 0;
        for (index, case) in cases.enumerate() {
            let (graph, _) = case.graph().unwrap_or_else(|e| panic!("{e}"));
            let plan = Plan::new(&graph, &PlanTarget::Gpu(target.clone())).unwrap_or_else(|e| panic!("{e}"));
            let choice = plan.ops[0].choice.clone().unwrap_or_else(|| panic!("{}: no choice", case.name));
            let forms: Vec<&String> = choice.forms.iter().filter(|form| form.starts_with("vector")).collect();
            for form in forms.iter().cycle().skip(index).take(if index == 0 { forms.len() } else { 1 }) {
                let tuning = target.tuning.with(&choice.key, form);
                check(&adapter, &Target { tuning, ..target.clone() }, true, std::slice::from_ref(&case));
                tried += 1;
            }
        }
        assert!(tried > 7, "{}: {tried} runs", adapter.name);
    }
}
