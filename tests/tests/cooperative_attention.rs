//! Attention on cooperative matrices, on every adapter.
use engine::{DType, compute::ops::Mask, compute::target::Target};
use kinora_tests::{
    Case, Tolerance,
    cooperative::{check, forms, outputs, targets},
    narrow,
    ops::attention::{self, biased, fused, masked},
    relative_l2, run,
};

/// The softmax hands over its weights in f16, which keeps 5e-4 of them, and values reach twenty.
fn weighted(mut case: Case) -> Case {
    case.tolerance = Tolerance { abs: 5e-3, rel: 2e-3 };
    case
}

fn of(groups: usize, queries: usize, keys: usize, heads: usize, head_dim: usize) -> attention::Sizes {
    attention::Sizes { groups, queries, keys, heads, head_dim }
}

#[test]
fn attention_is_right_in_every_form() {
    for adapter in run::adapters() {
        for (index, target) in targets(&adapter.target).iter().enumerate() {
            let x = target.cooperative[0].operands;
            let judged = |case: Case| if x == DType::F16 { weighted(case) } else { case };
            // Blocks are of 16 to 128 queries and 16 to 64 keys.
            let rows = |rows: &[usize]| -> Vec<Case> {
                rows.iter().map(|rows| judged(fused(of(1, *rows, *rows, 2, 32), x))).collect()
            };
            let all = forms(&rows(&[1])[0], target);
            assert!(all.len() > 2, "{all:?}");
            check(&adapter, target, &all[0], true, &rows(&[1, 31, 32, 33, 64, 65]));
            check(&adapter, target, &all[0], false, &rows(&[33]));
            if index > 0 && target.cooperative[0].emulated {
                continue;
            }
            for form in &all[1..] {
                check(&adapter, target, form, false, &rows(&[33, 131]));
            }
            for case in [
                fused(of(1, 67, 67, 1, 64), x),
                fused(of(3, 35, 35, 2, 80), x),
                fused(of(1, 40, 40, 2, 96), x),
                fused(of(1, 70, 70, 1, 128), x),
                attention::cross(of(1, 70, 77, 2, 32), x),
                attention::cross(of(1, 33, 1, 1, 64), x),
                biased(of(1, 66, 66, 2, 64), x),
                masked(of(1, 70, 131, 2, 64), Mask::Causal { block: 5 }, x),
                masked(of(1, 70, 70, 2, 64), Mask::Window { before: 20, after: 3 }, x),
            ]
            .map(judged)
            {
                // Wide heads leave room for few forms, and in f32 on small devices for none.
                let last = forms(&case, target).pop();
                if let Some(form) = last {
                    check(&adapter, target, &form, false, &[case]);
                } else {
                    assert!(x == DType::F32, "{} has no form", case.name);
                }
            }
        }
    }
}

#[test]
fn what_attention_carries_from_launch_to_launch_is_right() {
    for adapter in run::adapters() {
        for target in &targets(&adapter.target)[..1] {
            let x = target.cooperative[0].operands;
            let narrow = Target { max_binding_bytes: 64 << 10, ..target.clone() };
            let case = fused(of(1, 301, 301, 2, 32), x);
            let case = if x == DType::F16 { weighted(case) } else { case };
            check(&adapter, &narrow, &forms(&case, &narrow)[0], false, &[case]);
        }
    }
}

/// Bases of the softmax are raised late and seldom: that must cost no precision, however the scores run.
#[test]
fn how_scores_run_costs_no_precision() {
    for adapter in run::adapters() {
        let Some(target) =
            targets(&adapter.target).into_iter().find(|target| target.cooperative[0].operands == DType::F16)
        else {
            continue;
        };
        for case in attention::scores(DType::F16) {
            let want: Vec<f32> = case.expected().into_iter().map(narrow).collect();
            let off = |form: Option<&str>| relative_l2(&outputs(&adapter, &target, form, &case), &want);
            let plain = off(None);
            for form in forms(&case, &target).iter().take(1) {
                // Weights are rounded to f16, half of whose last place is 2.4e-4.
                let error = off(Some(form));
                assert!(
                    error <= plain + 2.5e-4,
                    "{}: {}: `{form}`: {error:.2e}, {plain:.2e} without",
                    adapter.name,
                    case.name
                );
                eprintln!("{}: {}: `{form}`: {error:.2e}, {plain:.2e} without", adapter.name, case.name);
            }
        }
    }
}
