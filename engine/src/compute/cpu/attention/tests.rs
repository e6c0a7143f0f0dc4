//! Attention against plain loops in double precision.

use super::*;
use crate::cpu::gemm::tests::{assert_close, multiplied, values};

/// The formula, with all scores of a row at once.
fn reference(shape: &AttentionShape, q: View<'_>, k: View<'_>, v: View<'_>, scores: Scores<'_>) -> Vec<f64> {
    let &AttentionShape { groups, queries, keys, heads, head_dim, scale } = shape;
    let at = |view: &View<'_>, row: usize, column: usize| {
        f64::from(view.data[view.offset + row * view.row_stride + column])
    };
    let mut out = vec![0.0; groups * queries * heads * head_dim];
    for (index, out) in out.chunks_exact_mut(head_dim).enumerate() {
        let (row, head) = (index / heads, index % heads);
        let (group, query) = (row / queries, row % queries);
        let scores: Vec<f64> = (0..keys)
            .map(|key| {
                let dot: f64 = (head * head_dim..(head + 1) * head_dim)
                    .map(|c| at(&q, row, c) * at(&k, group * keys + key, c))
                    .sum();
                if scores.seen.is_some_and(|seen| !seen[query].contains(&key)) {
                    return f64::NEG_INFINITY;
                }
                let bias =
                    scores.bias.map_or(0.0, |bias| f64::from(bias[(key + keys - 1 - query) * heads + head]));
                f64::from(scale) * dot + bias
            })
            .collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|x| (x - largest).exp()).sum();
        for (key, score) in scores.iter().enumerate() {
            for (c, out) in out.iter_mut().enumerate() {
                *out += (score - largest).exp() / total * at(&v, group * keys + key, head * head_dim + c);
            }
        }
    }
    out
}

/// Runs one case on every instruction set, q, k and v side by side in one matrix and spiked so that blocks differ.
fn check(shape: AttentionShape, biased: bool) {
    check_seen(shape, biased, None);
}

fn check_seen(shape: AttentionShape, biased: bool, seen: Option<&[Range<usize>]>) {
    let AttentionShape { groups, queries, keys, heads, head_dim, .. } = shape;
    let columns = heads * head_dim;
    let stride = 3 * columns + 1;
    let rows = groups * queries.max(keys);
    let mut all = values(rows * stride, 1);
    for spike in all.iter_mut().step_by(97) {
        *spike *= 8.0;
    }
    let view = |part: usize| View { data: &all, offset: part * columns + 1, row_stride: stride };
    let bias = biased.then(|| values((2 * keys - 1) * heads, 2));
    let scores = Scores { bias: bias.as_deref(), seen };
    let mut want: Vec<(Operands, Vec<f64>)> = Vec::new();
    for arithmetic in Arithmetic::available() {
        let operands = arithmetic.operands();
        if want.last().is_none_or(|(of, _)| *of != operands) {
            let numbers = multiplied(arithmetic, &all);
            let [q, k, v] = [0, 1, 2].map(|part| View { data: &numbers, ..view(part) });
            want.push((operands, reference(&shape, q, k, v, scores)));
        }
        let mut out = vec![f32::NAN; groups * queries * (columns + 2)];
        let to = ViewMut { data: &mut out, offset: 1, row_stride: columns + 2 };
        attention_by(arithmetic, &shape, view(0), view(1), view(2), scores, to);
        let mut got = Vec::new();
        for row in out.chunks_exact(columns + 2) {
            assert!(row[0].is_nan() && row[columns + 1].is_nan(), "{arithmetic:?} {shape:?}: stray write");
            got.extend_from_slice(&row[1..=columns]);
        }
        let tolerance = match arithmetic {
            // Scores up to 100 are rounded to 4e-6, which exp turns into relative errors.
            Arithmetic::F32(_) => 3e-5,
            // Weights are rounded too, by 2^-9 each, and multiply values up to 8 of which few matter.
            Arithmetic::Bf16(_) => 1e-2,
        };
        assert_close(
            &got,
            &want[want.len() - 1].1,
            tolerance,
            &format!("{arithmetic:?} {shape:?} biased {biased}"),
        );
    }
}

#[test]
fn lengths_around_the_tiles_and_blocks() {
    for keys in [1, 2, 7, 8, 9, 15, 17, 31, 33, 255, 256, 257, 600] {
        for queries in [1, 5, 6, 7, 12, 13, 29] {
            check(AttentionShape { groups: 1, queries, keys, heads: 2, head_dim: 16, scale: 0.25 }, false);
        }
    }
}

#[test]
fn head_sizes() {
    for head_dim in [1, 3, 8, 15, 16, 17, 31, 32, 33, 40, 64, 128] {
        check(AttentionShape { groups: 1, queries: 14, keys: 19, heads: 3, head_dim, scale: 0.2 }, false);
    }
}

#[test]
fn groups_and_relative_bias() {
    for length in [1, 5, 32, 61, 300] {
        for groups in [1, 3] {
            let shape =
                AttentionShape { groups, queries: length, keys: length, heads: 2, head_dim: 8, scale: 1.0 };
            check(shape, true);
            check(shape, false);
        }
    }
}

#[test]
fn hidden_keys_count_for_nothing() {
    for length in [1_usize, 7, 31, 257, 600] {
        let shape =
            AttentionShape { groups: 2, queries: length, keys: length, heads: 2, head_dim: 8, scale: 0.5 };
        for (before, after) in [(usize::MAX, 0), (0, 0), (5, 2), (300, 270), (0, usize::MAX)] {
            let seen: Vec<Range<usize>> = (0..length)
                .map(|i| i.saturating_sub(before)..length.min(i.saturating_add(after).saturating_add(1)))
                .collect();
            check_seen(shape, false, Some(&seen));
            check_seen(shape, true, Some(&seen));
        }
    }
}

#[test]
fn many_tasks() {
    check(AttentionShape { groups: 2, queries: 450, keys: 530, heads: 3, head_dim: 12, scale: 0.3 }, false);
}

#[test]
fn very_negative_scores_keep_their_ratios() {
    let shape = AttentionShape { groups: 1, queries: 1, keys: 2, heads: 1, head_dim: 2, scale: 1.0 };
    // Numbers that bfloat16 has.
    let (k, ratio) = ([-4992.0, 0.0, -4992.0, -1.101_562_5], (-1.101_562_5_f32).exp());
    for arithmetic in Arithmetic::available() {
        let mut out = [f32::NAN; 2];
        let [q, k, v] =
            [&[1.0, 1.0][..], &k, &[4.0, 4.0, 8.0, 8.0]].map(|values| View::contiguous(values, 2));
        attention_by(arithmetic, &shape, q, k, v, Scores::default(), ViewMut::contiguous(&mut out, 2));
        let want = (4.0 + 8.0 * ratio) / (1.0 + ratio);
        // Scores are rounded to 5e-4; in bfloat16 the weights, by 2^-9.
        assert!((out[0] - want).abs() < 5e-3, "{arithmetic:?}: {}", out[0]);
    }
}

#[test]
fn not_a_number_is_not_hidden() {
    let shape = AttentionShape { groups: 1, queries: 1, keys: 300, heads: 1, head_dim: 4, scale: 1.0 };
    let mut k = values(1200, 3);
    k[4 * 100] = f32::NAN;
    for arithmetic in Arithmetic::available() {
        let (q, v) = (values(4, 4), values(1200, 5));
        let mut out = [0.0; 4];
        let (q, k, v) = (View::contiguous(&q, 4), View::contiguous(&k, 4), View::contiguous(&v, 4));
        attention_by(arithmetic, &shape, q, k, v, Scores::default(), ViewMut::contiguous(&mut out, 4));
        assert!(out.iter().all(|x| x.is_nan()), "{arithmetic:?}: {out:?}");
    }
}
