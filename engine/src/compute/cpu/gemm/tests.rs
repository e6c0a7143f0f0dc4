//! Products against plain loops in double precision.

use half::{bf16, f16};

use super::*;
use crate::cpu::arithmetic::{Arithmetic, Operands};
use crate::cpu::math::Activation;
use crate::cpu::pack::Weights;
use crate::tensor::Grouping;
use model_loader::Format as StoredFormat;

/// Reproducible values in [-1, 1), different for each seed.
pub(crate) fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) ^ 0x85eb_ca6b;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            f32::from(u16::try_from(state >> 16).unwrap_or(0)) / 32768.0 - 1.0
        })
        .collect()
}

/// The numbers that are multiplied in place of these.
pub(crate) fn multiplied(arithmetic: Arithmetic, values: &[f32]) -> Vec<f32> {
    match arithmetic {
        Arithmetic::F32(_) => values.to_vec(),
        Arithmetic::Bf16(_) => values.iter().map(|&x| bf16::from_f32(x).to_f32()).collect(),
    }
}

/// Panics unless `got` is within `tolerance` of `want`, relative to 1 + |want|; NaN is not.
pub(crate) fn assert_close(got: &[f32], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    assert!(want.iter().any(|&x| x != 0.0), "{what}: the reference is all zero");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let within = (f64::from(got) - want).abs() <= tolerance * (1.0 + want.abs());
        assert!(within, "{what}: element {i} is {got}, expected {want}");
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Relu => x.max(0.0),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        }
    }
}

/// The sums of a contiguous product.
fn reference(arithmetic: Arithmetic, a: &[f32], w: &[f32], [m, n, k]: [usize; 3]) -> Vec<f64> {
    let (a, w) = (multiplied(arithmetic, a), multiplied(arithmetic, w));
    let dot = |i: usize, j: usize| {
        a[i * k..][..k].iter().zip(&w[j * k..][..k]).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    (0..m * n).map(|i| dot(i / n, i % n)).collect()
}

#[test]
fn every_size_around_the_tiles() {
    for arithmetic in Arithmetic::available() {
        let (r, c) = (arithmetic.rows(), arithmetic.columns());
        for m in [1, 2, 3, 5, r - 1, r, r + 1, 2 * r, 31] {
            for n in [1, 3, c / 2, c / 2 + 1, c - 1, c, c + 1, 2 * c, 67] {
                for k in [1, 2, 3, 7, 64, 131] {
                    let (a, w) = (values(m * k, 1), values(n * k, 2));
                    let packed = PackedWeight::for_arithmetic(arithmetic, Weights::F32(&w), n, k);
                    let mut out = vec![f32::NAN; m * n];
                    matmul(
                        View::contiguous(&a, k),
                        m,
                        &packed,
                        &Epilogue::default(),
                        ViewMut::contiguous(&mut out, n),
                    );
                    // A sum of k products of values up to 1: k / 2 ulps at worst, far fewer seen.
                    let what = format!("{arithmetic:?} m {m} n {n} k {k}");
                    assert_close(&out, &reference(arithmetic, &a, &w, [m, n, k]), 4e-6, &what);
                }
            }
        }
    }
}

#[test]
fn k_in_several_blocks_and_columns_in_several_tasks() {
    for arithmetic in Arithmetic::available() {
        for (m, n, k) in [(197, 13, 11_003), (29, 521, 1031), (1, 300, 9001), (400, 33, 70)] {
            let (a, w) = (values(m * k, 3), values(n * k, 4));
            let packed = PackedWeight::for_arithmetic(arithmetic, Weights::F32(&w), n, k);
            let mut out = vec![f32::NAN; m * n];
            matmul(
                View::contiguous(&a, k),
                m,
                &packed,
                &Epilogue::default(),
                ViewMut::contiguous(&mut out, n),
            );
            // Sums wander up to about 60, where half an ulp is 2e-6: 10,000 roundings walk 2e-4.
            assert_close(
                &out,
                &reference(arithmetic, &a, &w, [m, n, k]),
                3e-4,
                &format!("{arithmetic:?} {m} {n} {k}"),
            );
        }
    }
}

/// As devices want them: any codes, scales around 2^-8 of either sign.
fn grouped(grouping: Grouping, count: usize) -> Vec<u8> {
    let random = values(grouping.bytes(count) / 4, 14);
    let words = random.iter().enumerate().map(|(at, x)| {
        let last = (at + 1).is_multiple_of(grouping.words());
        match grouping.layout() {
            None if last => (x / 64.0).to_bits(),
            None => x.to_bits().wrapping_mul(0x9E37_79B9) & 0xBFBF_BFBF,
            Some(_) if last => 0x8C01_1C03 ^ (x.to_bits() & 0x8000_8000),
            Some(_) => x.to_bits().wrapping_mul(0x9E37_79B9),
        }
    });
    words.flat_map(u32::to_le_bytes).collect()
}

#[test]
fn groups_count_as_what_they_are_widened_to() {
    for format in StoredFormat::ALL {
        for [m, n, k] in [[1, 1, 256], [5, 19, 512], [67, 300, 1280], [3, 35, 9 * 256]] {
            let Some(grouping) = Grouping::of(format, k) else { continue };
            let bytes = grouped(grouping, n * k);
            let (a, mut w) = (values(m * k, 15), vec![0.0; n * k]);
            grouping.widen(&bytes, &mut w);
            for arithmetic in Arithmetic::available() {
                let weights = Weights::Grouped(grouping, &bytes);
                let packed = PackedWeight::for_arithmetic(arithmetic, weights, n, k);
                let panels = n.next_multiple_of(arithmetic.columns()) * grouping.bytes(k);
                // In whole lines of a cache.
                assert_eq!(packed.bytes(), panels.next_multiple_of(64));
                let mut out = vec![f32::NAN; m * n];
                let to = ViewMut::contiguous(&mut out, n);
                matmul(View::contiguous(&a, k), m, &packed, &Epilogue::default(), to);
                let want = reference(arithmetic, &a, &w, [m, n, k]);
                assert_close(&out, &want, 2e-4, &format!("{arithmetic:?} {grouping} {m} {n} {k}"));
            }
        }
    }
    // Groups as short as a word, no multiple of what a unit multiplies in one go.
    let (m, n, k) = (7, 9, 4 * 131);
    let grouping = Grouping::of(StoredFormat::F8E4M3, k).unwrap();
    let bytes = grouped(grouping, n * k);
    let (a, mut w) = (values(m * k, 15), vec![0.0; n * k]);
    grouping.widen(&bytes, &mut w);
    for arithmetic in Arithmetic::available() {
        let packed = PackedWeight::for_arithmetic(arithmetic, Weights::Grouped(grouping, &bytes), n, k);
        let mut out = vec![f32::NAN; m * n];
        let to = ViewMut::contiguous(&mut out, n);
        matmul(View::contiguous(&a, k), m, &packed, &Epilogue::default(), to);
        assert_close(&out, &reference(arithmetic, &a, &w, [m, n, k]), 2e-4, &format!("{arithmetic:?}"));
    }
}

#[test]
fn every_epilogue_with_strides_and_guards() {
    let (m, n, k) = (17, 37, 19);
    let (a, w) = (values(m * (k + 5), 5), values(n * k, 6));
    let (bias, gate, first_gate) = (values(n, 7), values(n, 8), values(n, 12));
    let (multiplier, residual, before) =
        (values(3 + m * (n + 1), 9), values(m * (n + 2), 10), values(m * (n + 3), 11));
    let tight: Vec<f32> = (0..m * k).map(|i| a[2 + i / k * (k + 5) + i % k]).collect();
    let view = View { data: &a, offset: 2, row_stride: k + 5 };
    for arithmetic in Arithmetic::available() {
        let sums = reference(arithmetic, &tight, &w, [m, n, k]);
        let packed = PackedWeight::for_arithmetic(arithmetic, Weights::F32(&w), n, k);
        for case in 0..3 * 2 * 2 * 2 * 3 {
            let activation = [Activation::None, Activation::GeluTanh, Activation::Silu][case % 3];
            let on = |bit: usize| case / 3 / bit % 2 == 1;
            let epilogue = Epilogue {
                bias: on(1).then_some(&bias[..]),
                activation,
                multiplier: on(2).then_some(View { data: &multiplier, offset: 3, row_stride: n + 1 }),
                gate: on(4).then_some(RowGate { row: &gate, first: on(2).then_some((5, &first_gate[..])) }),
                residual: match case / 24 {
                    0 => Residual::None,
                    1 => Residual::Output,
                    _ => Residual::Separate(View { data: &residual, offset: 0, row_stride: n + 2 }),
                },
            };
            let mut out = if case / 24 == 1 { before.clone() } else { vec![f32::NAN; m * (n + 3)] };
            let guards = out.clone();
            matmul(view, m, &packed, &epilogue, ViewMut { data: &mut out, offset: 1, row_stride: n + 3 });
            let mut got = Vec::new();
            let mut want = Vec::new();
            for (i, &value) in out.iter().enumerate() {
                let Some((row, column)) =
                    i.checked_sub(1).map(|i| (i / (n + 3), i % (n + 3))).filter(|&(_, column)| column < n)
                else {
                    assert_eq!(
                        value.to_bits(),
                        guards[i].to_bits(),
                        "{arithmetic:?} case {case}: stray write at {i}"
                    );
                    continue;
                };
                let mut y = sums[row * n + column];
                y += epilogue.bias.map_or(0.0, |bias| f64::from(bias[column]));
                y = activate(activation, y);
                y *= epilogue.multiplier.map_or(1.0, |_| f64::from(multiplier[3 + row * (n + 1) + column]));
                let first = on(2) && row < 5;
                y *= epilogue
                    .gate
                    .map_or(1.0, |_| f64::from(if first { first_gate[column] } else { gate[column] }));
                y += match case / 24 {
                    0 => 0.0,
                    1 => f64::from(before[i]),
                    _ => f64::from(residual[row * (n + 2) + column]),
                };
                got.push(value);
                want.push(y);
            }
            assert_close(&got, &want, 4e-6, &format!("{arithmetic:?} case {case}"));
        }
    }
}

#[test]
fn residual_in_place_with_several_blocks_of_k() {
    let (m, n, k) = (13, 40, 9000);
    let (a, w, before) = (values(m * k, 12), values(n * k, 13), values(m * n, 14));
    for arithmetic in Arithmetic::available() {
        let packed = PackedWeight::for_arithmetic(arithmetic, Weights::F32(&w), n, k);
        let mut out = before.clone();
        let epilogue = Epilogue { residual: Residual::Output, ..Epilogue::default() };
        matmul(View::contiguous(&a, k), m, &packed, &epilogue, ViewMut::contiguous(&mut out, n));
        let want: Vec<f64> = reference(arithmetic, &a, &w, [m, n, k])
            .iter()
            .zip(&before)
            .map(|(y, &x)| y + f64::from(x))
            .collect();
        assert_close(&out, &want, 2e-4, &format!("{arithmetic:?}"));
    }
}

#[test]
fn half_and_bfloat16_weights() {
    for arithmetic in Arithmetic::available() {
        for (m, n, k) in [(1, 70, 33), (2, 9, 40), (4, 33, 21), (25, 45, 70)] {
            let (a, w) = (values(m * k, 15), values(n * k, 16));
            let halves: Vec<f16> = w.iter().map(|&x| f16::from_f32(x)).collect();
            let brains: Vec<bf16> = w.iter().map(|&x| bf16::from_f32(x)).collect();
            for weights in [Weights::F16(&halves), Weights::Bf16(&brains)] {
                let packed = PackedWeight::for_arithmetic(arithmetic, weights, n, k);
                let mut out = vec![f32::NAN; m * n];
                matmul(
                    View::contiguous(&a, k),
                    m,
                    &packed,
                    &Epilogue::default(),
                    ViewMut::contiguous(&mut out, n),
                );
                let want = reference(arithmetic, &a, &weights.to_f32(), [m, n, k]);
                assert_close(&out, &want, 4e-6, &format!("{arithmetic:?} {:?} {m} {n} {k}", packed.format()));
            }
        }
    }
}

#[test]
fn empty_operands() {
    let packed = PackedWeight::new(Operands::F32, Weights::F32(&[]), 5, 0);
    let mut out = [f32::NAN; 10];
    let epilogue = Epilogue { bias: Some(&[1.0, 2.0, 3.0, 4.0, 5.0]), ..Epilogue::default() };
    matmul(View::contiguous(&[], 0), 2, &packed, &epilogue, ViewMut::contiguous(&mut out, 5));
    assert_eq!(out, [1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let packed = PackedWeight::new(Operands::F32, Weights::F32(&[1.0; 6]), 3, 2);
    matmul(View::contiguous(&[], 2), 0, &packed, &Epilogue::default(), ViewMut::contiguous(&mut [], 3));
}

#[test]
#[should_panic(expected = "out: 3 rows of 4 from 0 by 4 exceed 11 values")]
fn an_output_too_small_is_refused() {
    let packed = PackedWeight::new(Operands::F32, Weights::F32(&[1.0; 8]), 4, 2);
    let mut out = [0.0; 11];
    matmul(
        View::contiguous(&[1.0; 6], 2),
        3,
        &packed,
        &Epilogue::default(),
        ViewMut::contiguous(&mut out, 4),
    );
}

#[test]
fn blocks_cover_k_once_in_order() {
    for (segments, len, limit) in
        [(1, 10, 100), (27, 32, 256), (1, 1031, 100), (3, 500, 128), (9, 96, 100), (1, 0, 8)]
    {
        let mut at = 0;
        for block in blocks(segments, len, limit, 4) {
            assert_eq!(block.k, at, "{segments} x {len} by {limit}");
            assert_eq!(block.k, block.segments.start * len + block.start);
            assert!(block.segments.len() == 1 || block.len == len);
            assert!(block.start + block.len <= len);
            at += block.segments.len() * block.len;
        }
        assert_eq!(at, segments * len);
    }
}

#[test]
fn tasks_cover_the_output_once() {
    for (rows, columns, threads) in [(1, 4096, 2), (216, 256, 2), (216, 1024, 16), (5, 5, 4), (3000, 700, 3)]
    {
        let cutting = Cutting { tile_rows: 12, tile_columns: 32, task_rows: 192, task_columns: 256 };
        let cut = Cut::new(rows, columns, cutting, threads);
        let mut seen = vec![0_u8; rows * columns];
        for task in 0..cut.count() {
            let (r, c) = cut.task(task);
            assert!(!r.is_empty() && !c.is_empty() && c.start % 32 == 0);
            for row in r {
                for column in c.clone() {
                    seen[row * columns + column] += 1;
                }
            }
        }
        assert!(seen.iter().all(|&times| times == 1), "{rows} {columns} {threads}");
    }
}
