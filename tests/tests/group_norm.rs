//! Group norm over groups of 50 million values far from zero: mean 1000, variance 1.
#![expect(clippy::print_stdout, reason = "the errors are the result")]

use engine::pipeline::TensorData;
use engine::{
    DType, Graph, Weight,
    compute::ops::{GroupNormOptions, Scope},
    compute::run::RunInput,
};
use kinora_tests::{
    backend::{Backend, compute},
    golden::Recorded,
};
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::Arc;

const SHAPE: [usize; 4] = [5, 2500, 1000, 4];
const EPS: f32 = 1e-6;
/// The mean is an f32 near 1000, where numbers are 6e-5 apart, and the variance is one.
const BOUND: f64 = 1e-4;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    let trials = Backend::all().into_iter().map(|backend| {
        let name = format!("{}/50 million values around 1000", backend.name);
        Trial::test(name, move || check(&backend))
    });
    let mut trials: Vec<Trial> = trials.collect();
    trials.push(Trial::test("a mean of squares less the squared mean fails", naive_fails));
    libtest_mimic::run(&arguments, trials).exit();
}

/// 50 million values, uniform around 1000 with variance 1, by a mixing function of their index.
fn values() -> Vec<f32> {
    let count = u32::try_from(SHAPE.iter().product::<usize>()).unwrap_or(u32::MAX);
    let value = |i: u32| {
        let mut bits = i.wrapping_mul(0x9e37_79b9) ^ (i >> 15);
        bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
        bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
        let unit = (f64::from(bits ^ (bits >> 16)) + 0.5) / 4_294_967_296.0;
        narrow(1000.0 + (unit - 0.5) * 12.0_f64.sqrt())
    };
    (0..count).map(value).collect()
}

/// Mean and variance in f64, by two passes.
fn statistics(values: &[f32]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    (mean, values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count)
}

/// The largest difference from the formula in f64; NaN if there is one.
fn error(values: &[f32], got: &[f32], mean: f64, variance: f64) -> f64 {
    let scale = 1.0 / (variance + f64::from(EPS)).sqrt();
    values.iter().zip(got).map(|(v, g)| ((f64::from(*v) - mean) * scale - f64::from(*g)).abs()).fold(
        0.0,
        |a, b| {
            if b.is_nan() || b > a { b } else { a }
        },
    )
}

fn check(backend: &Arc<Backend>) -> Result<(), Failed> {
    let x = values();
    let (mean, variance) = statistics(&x);
    let mut graph = Graph::new();
    let input = graph.input("x", &SHAPE, DType::F32);
    let weight = graph.weight(&Weight::from_f32("weight", &[4], vec![1.0; 4]));
    let bias = graph.weight(&Weight::from_f32("bias", &[4], vec![0.0; 4]));
    let options = GroupNormOptions {
        scope: Scope::Volume,
        groups: 1,
        eps: EPS,
        weight,
        bias,
        modulation: None,
        silu: false,
        out: DType::F32,
    };
    let out = graph.group_norm(input, &options)?;
    graph.output("out", out);
    let outputs = backend.with(|executor| compute(executor, graph, &[RunInput::f32("x", &x)]))?;
    let Recorded { data: TensorData::F32(got), .. } = &outputs["out"] else { return Err("no floats".into()) };
    if got.len() != x.len() {
        return Err(format!("{} values", got.len()).into());
    }
    let error = error(&x, got, mean, variance);
    println!("{}: off by {error:.1e} at most", backend.name);
    let within = error <= BOUND; // false for NaN
    if within { Ok(()) } else { Err(format!("off by {error:e}").into()) }
}

/// What the test is for: sums of values and of squares in f32, even in chunks as a GPU has them, do not pass it.
fn naive_fails() -> Result<(), Failed> {
    let x = values();
    let (mean, variance) = statistics(&x);
    let sums = x
        .chunks(4096)
        .map(|chunk| chunk.iter().fold((0.0_f32, 0.0_f32), |(sum, squares), v| (sum + v, squares + v * v)));
    let (sum, squares) = sums.fold((0.0_f32, 0.0_f32), |a, b| (a.0 + b.0, a.1 + b.1));
    let count = narrow(x.len() as f64);
    let naive_mean = sum / count;
    let scale = 1.0 / ((squares / count - naive_mean * naive_mean).max(0.0) + EPS).sqrt();
    let got: Vec<f32> = x.iter().map(|v| (v - naive_mean) * scale).collect();
    let error = error(&x, &got, mean, variance);
    println!("naive: off by {error:.1e}");
    if error > 100.0 * BOUND || error.is_nan() { Ok(()) } else { Err(format!("only {error:e}").into()) }
}

/// The nearest f32.
#[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
fn narrow(value: f64) -> f32 {
    value as f32
}
