//! Group norms over frames and volumes.
use crate::{Case, CaseInput, Tolerance};
use engine::{
    DType::{self, F16, F32},
    ops::{GroupNormOptions, Scope},
};

const EPS: f32 = 1e-6;

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scope in [Scope::Volume, Scope::Frame] {
        for (x, out) in [(F32, F32), (F16, F16), (F16, F32)] {
            cases.extend([
                case([1, 1, 2, 1], 1, scope, true, x, out),
                case([3, 5, 7, 12], 4, scope, true, x, out),
                case([2, 3, 11, 32], 32, scope, false, x, out),
                case([1, 13, 17, 6], 2, scope, false, x, out),
            ]);
        }
        // A chunk has 8192 elements of a group: one less, as many, one more, and several chunks.
        cases.extend([
            case([1, 1, 8191, 1], 1, scope, true, F32, F32),
            case([1, 64, 64, 4], 2, scope, true, F32, F32),
            case([1, 1, 8193, 2], 2, scope, true, F32, F32),
            case([2, 59, 61, 24], 3, scope, true, F32, F32),
        ]);
        cases.extend([far_from_zero(scope, F32), in_place(scope)]);
    }
    cases
}

fn tolerance(dtype: DType) -> Tolerance {
    match dtype {
        F16 => Tolerance { abs: 1e-5, rel: 1e-3 },
        // Tens of thousands of values up to 20 in f32.
        _ => Tolerance { abs: 1e-5, rel: 1e-5 },
    }
}

fn reference(data: &[Vec<f64>], shape: [usize; 4], groups: usize, scope: Scope, silu: bool) -> Vec<f64> {
    let [t, h, w, c] = shape;
    let (frames, n) = (if scope == Scope::Frame { 1 } else { t }, c / groups);
    let mut out = data[0].clone();
    for segment in out.chunks_mut(frames * h * w * c) {
        for g in 0..groups {
            let inside = |i: &usize| i % c / n == g;
            let places: Vec<usize> = (0..segment.len()).filter(inside).collect();
            let count = places.len() as f64;
            let mean = places.iter().map(|i| segment[*i]).sum::<f64>() / count;
            let variance = places.iter().map(|i| (segment[*i] - mean).powi(2)).sum::<f64>() / count;
            for i in places {
                let y = (segment[i] - mean) / (variance + f64::from(EPS)).sqrt() * data[1][i % c]
                    + data[2][i % c];
                segment[i] = if silu { y / (1.0 + (-y).exp()) } else { y };
            }
        }
    }
    out
}

fn inputs(shape: [usize; 4], x: DType) -> Vec<CaseInput> {
    let channels = shape[3];
    vec![
        CaseInput::activation(&shape, x).spiked(),
        CaseInput::vector(&[channels]).range(0.5, 2.0),
        CaseInput::vector(&[channels]),
    ]
}

fn case(shape: [usize; 4], groups: usize, scope: Scope, silu: bool, x: DType, out: DType) -> Case {
    Case::new(
        format!("group_norm/{shape:?}/{groups}/{scope:?}/{silu}/{x}/{out}"),
        inputs(shape, x),
        move |graph, ids| {
            let options =
                GroupNormOptions { scope, groups, eps: EPS, weight: ids[1], bias: ids[2], silu, out };
            graph.group_norm(ids[0], &options)
        },
        move |data| reference(data, shape, groups, scope, silu),
        tolerance(out),
    )
}

/// Mean 1000, variance 1: a mean of squares less the squared mean would keep two digits of the variance at best.
fn far_from_zero(scope: Scope, dtype: DType) -> Case {
    let (shape, groups) = ([3, 19, 23, 16], 4);
    let mut inputs = inputs(shape, dtype);
    let half_width = 3.0_f64.sqrt();
    inputs[0] = CaseInput::activation(&shape, dtype).range(1000.0 - half_width, 1000.0 + half_width);
    Case::new(
        format!("group_norm/far from zero/{scope:?}/{dtype}"),
        inputs,
        move |graph, ids| {
            let (weight, bias) = (ids[1], ids[2]);
            let options = GroupNormOptions { scope, groups, eps: EPS, weight, bias, silu: false, out: F32 };
            graph.group_norm(ids[0], &options)
        },
        move |data| reference(data, shape, groups, scope, false),
        // The mean is an f32 near 1000: half a unit in its last place is 3e-5, and weights go up to 2.
        Tolerance { abs: 2e-4, rel: 1e-5 },
    )
}

/// The norm takes over the buffer of the sum before it.
fn in_place(scope: Scope) -> Case {
    let (shape, groups) = ([2, 9, 11, 12], 3);
    let mut inputs = inputs(shape, F32);
    inputs.push(CaseInput::activation(&shape, F32));
    Case::new(
        format!("group_norm/in place/{scope:?}"),
        inputs,
        move |graph, ids| {
            let sum = graph.add(ids[0], ids[3])?;
            let (weight, bias) = (ids[1], ids[2]);
            let options = GroupNormOptions { scope, groups, eps: EPS, weight, bias, silu: true, out: F32 };
            graph.group_norm(sum, &options)
        },
        move |data| {
            let mut data = data.to_vec();
            let y = data[3].clone();
            data[0].iter_mut().zip(y).for_each(|(x, y)| *x += y);
            reference(&data, shape, groups, scope, true)
        },
        tolerance(F32),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Graph, TensorId};

    #[test]
    fn shapes_and_dtypes_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 2, 3, 8], F32);
        let flat = graph.input("flat", &[6, 8], F32);
        let (weight, short) = (graph.input("weight", &[8], F32), graph.input("short", &[7], F32));
        let mut refused = |x: TensorId, groups: usize, bias: TensorId, out: DType| {
            let scope = Scope::Volume;
            let options = GroupNormOptions { scope, groups, eps: EPS, weight, bias, silu: true, out };
            graph.group_norm(x, &options).unwrap_err().to_string()
        };
        assert_eq!(
            refused(flat, 4, weight, F32),
            "group_norm: x is [6, 8], expected [frames, height, width, channels]"
        );
        assert_eq!(
            refused(x, 3, weight, F32),
            "group_norm: groups is 3, expected a divisor of x's 8 channels"
        );
        assert_eq!(refused(x, 4, short, F32), "group_norm: bias is [7], expected [8]");
        assert_eq!(refused(x, 4, weight, DType::U32), "group_norm: out is u32, expected f32 or f16");
    }
}
