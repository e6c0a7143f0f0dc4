//! Runs cases in the forms on cooperative matrices: with the adapter's own where it has them, and with emulated ones, so that
//! staging, tiling, softmax and epilogues are run everywhere.
use crate::{Case, run};
use engine::{
    DType,
    compute::adapter::AdapterSummary,
    compute::executor::Executor,
    compute::gpu::{Gpu, GpuExecutor, GpuOptions},
    compute::plan::{Plan, PlanTarget},
    compute::target::{CooperativeMatrices, Target},
    compute::tuning::Choice,
};

/// Fragments of each kind, on the adapter as if it were a card with subgroups of 32; then the adapter's own.
pub fn targets(own: &Target) -> Vec<Target> {
    let sizes: &[(u32, DType)] = if own.shader_f16 {
        &[(16, DType::F16), (8, DType::F32), (8, DType::F16)]
    } else {
        &[(8, DType::F32)]
    };
    let card = |cooperative| Target { software: false, cooperative, ..own.clone() };
    let mut targets: Vec<Target> = sizes
        .iter()
        .map(|(size, operands)| {
            let matrices =
                CooperativeMatrices { size: *size, operands: *operands, emulated: true, proven_lanes: None };
            Target { subgroups: Some((32, 32)), ..card(vec![matrices]) }
        })
        .collect();
    // Software keeps in memory what its registers do not hold, and has subgroups so small that much is left for each invocation.
    let registers = if own.software { u32::MAX } else { own.registers };
    targets.extend(own.cooperative.iter().map(|matrices| Target { registers, ..card(vec![*matrices]) }));
    targets
}

fn plan(case: &Case, target: &Target) -> Plan {
    let (graph, _) = case.graph().unwrap_or_else(|e| panic!("{}: {e}", case.name));
    Plan::new(&graph, &PlanTarget::Gpu(target.clone())).unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

fn choices(case: &Case, target: &Target) -> Vec<Choice> {
    plan(case, target).ops.into_iter().filter_map(|op| op.choice).collect()
}

/// The names of a case's forms on cooperative matrices.
///
/// # Panics
/// If it cannot be planned.
pub fn forms(case: &Case, target: &Target) -> Vec<String> {
    let forms = choices(case, target).into_iter().flat_map(|choice| choice.forms);
    let mut forms: Vec<String> = forms.filter(|form| form.contains("cooperative")).collect();
    forms.dedup();
    forms
}

fn open(adapter: &AdapterSummary, target: Target, runtime_checks: bool) -> Executor {
    let options = GpuOptions { runtime_checks, guard_bands: true, ..GpuOptions::default() };
    let gpu = pollster::block_on(Gpu::open(adapter.index, options)).unwrap_or_else(|e| panic!("{e}"));
    Executor::Gpu(Box::new(GpuExecutor::new(gpu.with_target(target))))
}

/// What a case gives in one form, or without a name in the form that no matrices are used for.
///
/// # Panics
/// If it cannot be run.
pub fn outputs(adapter: &AdapterSummary, target: &Target, form: Option<&str>, case: &Case) -> Vec<f32> {
    let mut target = target.clone();
    match form {
        None => target.cooperative.clear(),
        Some(form) => {
            for choice in choices(case, &target) {
                target.tuning = target.tuning.with(&choice.key, form);
            }
        }
    }
    let mut executor = open(adapter, target, false);
    run::outputs(case, &mut executor)
        .unwrap_or_else(|e| panic!("{}: {form:?}: {}: {e}", adapter.name, case.name))
}

/// Runs cases in one form, which all of them must have.
///
/// # Panics
/// If a result is off, or a case lacks the form.
pub fn check(adapter: &AdapterSummary, target: &Target, form: &str, runtime_checks: bool, cases: &[Case]) {
    let mut tuning = target.tuning.clone();
    for choice in cases.iter().flat_map(|case| choices(case, target)) {
        assert!(choice.forms.iter().any(|name| name == form), "{} lacks `{form}`", choice.key);
        tuning = tuning.with(&choice.key, form);
    }
    let target = Target { tuning, ..target.clone() };
    let mut executor = open(adapter, target.clone(), runtime_checks);
    for case in cases.iter().filter(|case| target.shader_f16 || !case.needs_f16()) {
        let launches = plan(case, &target).ops.into_iter().flat_map(|op| op.launches);
        let missed = launches.filter(|launch| !launch.variant.imports.contains_key("FRAGMENTS")).count();
        assert_eq!(missed, 0, "{}: launches in another form", case.name);
        if let Err(e) = run::run_case(case, &mut executor) {
            panic!("{}: `{form}`: {}: {e}", adapter.name, case.name);
        }
    }
}
