//! Products and convolutions on cooperative matrices, on every adapter.
use engine::{
    DType,
    compute::{
        executor::Executor,
        gpu::{Gpu, GpuExecutor, GpuOptions},
        ops::{Activation, Fill, OutputFrames, matrix_trials},
        plan::{Plan, PlanTarget},
        target::Target,
    },
};
use kinora_tests::{
    Case, Tolerance,
    cooperative::{check, forms, targets},
    groups,
    ops::{
        causal_conv3d::{self, Conv},
        matmul::{self, Sizes},
    },
    run,
};
use model_loader::Format;

/// With what weights in f32 lose when they are staged as f16: products of up to 20, of which it keeps 5e-4.
fn rounded(mut case: Case) -> Case {
    case.tolerance = Tolerance { abs: 2e-2, rel: 1e-3 };
    case
}

/// Sizes around the tiles of 32 to 128 rows and columns and the steps of 16 and 32 values.
fn sizes(x: DType) -> Vec<Case> {
    let plain =
        |[rows, cols, k]: [usize; 3]| matmul::plain(Sizes { dtypes: [x; 3], ..Sizes::f32(rows, cols, k) });
    [[17, 1, 16], [63, 65, 64], [64, 64, 32], [65, 129, 36], [257, 130, 20], [130, 63, 52]].map(plain).into()
}

/// What is fused on, other stored dtypes and rows that are read one by one.
fn fusions(x: DType) -> Vec<Case> {
    use DType::{Bf16, F16, F32};
    let sizes = |dtypes, k| Sizes { dtypes, ..Sizes::f32(66, 67, k) };
    let mut cases = vec![
        matmul::plain(sizes([x, Bf16, F32], 40)),
        rounded(matmul::plain(sizes([x, F32, x], 33))),
        matmul::plain(sizes([x, F16, x], 35)),
        matmul::unpatchify([2, 9, 8], [1, 2, 2], 16, 32, x),
    ];
    for (format, k) in [(Format::Q8_0, 96), (Format::Q4K, 256), (Format::Q6K, 256), (Format::F8E4M3, 48)] {
        let mut case = matmul::plain(sizes([x, groups::dtype(format, k), F32], k));
        // Several hundred products of up to 20: 2.5e-2 seen.
        case.tolerance = Tolerance { abs: 6e-2, rel: 1e-3 };
        cases.push(case);
    }
    // Those of everything in f16, or in f32, at 35x41x24.
    let wanted = format!("/35x41x24/{x}-{x}-{x}");
    cases.extend(matmul::cases().into_iter().filter(|case| case.name.contains(&wanted)).step_by(2));
    if x == F16 {
        cases = cases
            .into_iter()
            .map(|case| if case.name.contains("unpatchify") { rounded(case) } else { case })
            .collect();
    }
    cases
}

/// Convolutions: caches, enlarging, frame pairs, residuals, channels that fill no step.
fn convolutions(x: DType) -> Vec<Case> {
    const CUBE: [usize; 3] = [3, 3, 3];
    let conv = |input, n, kernel| Conv { dtypes: [x; 3], ..Conv::new(input, n, kernel) };
    let cases = [
        conv([3, 5, 7, 16], 20, CUBE).cached(),
        Conv { fill: Fill::FirstFrame, residual: Some(x), ..conv([2, 5, 9, 24], 65, CUBE) },
        Conv { upsample: true, activation: Activation::Silu, ..conv([1, 5, 7, 33], 16, [1, 3, 3]) },
        Conv { frames: OutputFrames::Halves, ..conv([3, 4, 5, 36], 16, [3, 1, 1]) }.cached(),
    ];
    cases.map(causal_conv3d::case).into()
}

#[test]
fn products_are_right_in_every_form() {
    for adapter in run::adapters() {
        for (index, target) in targets(&adapter.target).iter().enumerate() {
            let x = target.cooperative[0].operands;
            let sizes = sizes(x);
            let forms = forms(&sizes[1], target);
            assert!(forms.len() > 2, "{forms:?}");
            check(&adapter, target, &forms[0], true, &sizes[..2]);
            check(&adapter, target, &forms[0], false, &sizes);
            if index == 0 || !target.cooperative[0].emulated {
                for form in &forms[1..] {
                    check(&adapter, target, form, false, &sizes);
                }
                check(&adapter, target, &forms[0], false, &fusions(x));
            }
        }
    }
}

#[test]
fn convolutions_are_right_and_cut_where_bindings_are_narrow() {
    for adapter in run::adapters() {
        for (index, target) in targets(&adapter.target).iter().enumerate() {
            let x = target.cooperative[0].operands;
            let cases = convolutions(x);
            let count = if index == 0 { cases.len() } else { 1 };
            check(&adapter, target, &forms(&cases[0], target)[0], false, &cases[..count]);
            // Frames that all taps see together exceed a binding: partial sums come from other launches.
            let wide = causal_conv3d::case(
                Conv { dtypes: [x; 3], ..Conv::new([2, 24, 40, 16], 10, [3, 3, 3]) }.cached(),
            );
            let narrow = Target { max_binding_bytes: 64 << 10, ..target.clone() };
            if index == 0 {
                check(&adapter, &narrow, &forms(&wide, &narrow)[0], false, &[wide]);
            }
        }
    }
}

/// What the device multiplies right is what plans use before anything is tuned.
#[test]
fn matrices_that_are_proven_are_the_heuristics_choice() {
    for adapter in run::adapters() {
        let Some(target) = targets(&adapter.target).into_iter().next() else { continue };
        let x = target.cooperative[0].operands;
        let case = matmul::plain(Sizes { dtypes: [x; 3], ..Sizes::f32(40, 48, 64) });
        let options = GpuOptions { guard_bands: true, ..GpuOptions::default() };
        let gpu = pollster::block_on(Gpu::open(adapter.index, options));
        let gpu = gpu.unwrap_or_else(|e| panic!("{e}")).with_target(target.clone());
        let mut executor = GpuExecutor::new(gpu);
        let (graph, _) = case.graph().unwrap_or_else(|e| panic!("{e}"));
        let on_matrices = |target: &Target| {
            let plan = Plan::new(&graph, &PlanTarget::Gpu(target.clone())).unwrap_or_else(|e| panic!("{e}"));
            plan.ops.iter().flat_map(|op| &op.launches).all(|l| l.variant.imports.contains_key("FRAGMENTS"))
        };
        assert!(!on_matrices(executor.gpu().target()));
        pollster::block_on(executor.prove_matrices(matrix_trials)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(executor.gpu().target().cooperative[0].proven_lanes, Some(32), "{}", adapter.name);
        assert!(on_matrices(executor.gpu().target()));
        run::run_case(&case, &mut Executor::Gpu(Box::new(executor))).unwrap_or_else(|e| panic!("{e}"));
    }
}
