//! Functions of single elements, in place and not.
use crate::{Case, CaseInput, Tolerance};
use engine::{
    DType::{self, F16, F32},
    compute::ops::Activation,
};

/// All cases.
pub fn cases() -> Vec<Case> {
    // A workgroup has 256 invocations.
    let mut cases = Vec::new();
    for n in [1, 255, 256, 257, 1031] {
        cases.extend([relu(&[n], F32), soft_clamp(&[n], F32)]);
    }
    for dtype in [F32, F16] {
        let shape = [2, 3, 5, 7];
        cases.extend([relu(&shape, dtype), soft_clamp(&shape, dtype), in_place(&shape, dtype)]);
        cases.extend([smooth(&shape, dtype, Activation::GeluTanh), smooth(&shape, dtype, Activation::Silu)]);
    }
    cases
}

fn relu(shape: &[usize], dtype: DType) -> Case {
    Case::new(
        format!("relu/{shape:?}/{dtype}"),
        // From a quarter on, so that one value alone is no zero.
        vec![CaseInput::activation(shape, dtype).range(if shape == [1] { 0.25 } else { -1.0 }, 1.0)],
        |graph, ids| graph.relu(ids[0]),
        |data| data[0].iter().map(|x| x.max(0.0)).collect(),
        Tolerance { abs: 0.0, rel: 0.0 },
    )
}

fn smooth(shape: &[usize], dtype: DType, activation: Activation) -> Case {
    let reference = move |x: f64| match activation {
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
        _ => x / (1.0 + (-x).exp()),
    };
    Case::new(
        format!("activate/{activation:?}/{shape:?}/{dtype}"),
        vec![CaseInput::activation(shape, dtype).spiked()],
        move |graph, ids| graph.activate(ids[0], activation),
        move |data| data[0].iter().map(|x| reference(*x)).collect(),
        tolerance(dtype),
    )
}

fn clamped(x: f64) -> f64 {
    3.0 * (x / 3.0).tanh()
}

fn tolerance(dtype: DType) -> Tolerance {
    // 1 - 2 / (exp(2 t) + 1) in f32 is off by some roundings of 1, times 3.
    match dtype {
        F16 => Tolerance { abs: 1e-6, rel: 5e-4 },
        _ => Tolerance { abs: 2e-6, rel: 1e-6 },
    }
}

fn soft_clamp(shape: &[usize], dtype: DType) -> Case {
    Case::new(
        format!("soft_clamp/{shape:?}/{dtype}"),
        // Some lie far beyond where the limit is reached.
        vec![CaseInput::activation(shape, dtype).spiked()],
        |graph, ids| {
            let far = graph.add(ids[0], ids[0])?;
            graph.soft_clamp(far, 3.0)
        },
        |data| data[0].iter().map(|x| clamped(2.0 * x)).collect(),
        tolerance(dtype),
    )
}

/// Nobody else reads what stands between the two.
fn in_place(shape: &[usize], dtype: DType) -> Case {
    Case::new(
        format!("relu/behind a soft clamp/{dtype}"),
        vec![CaseInput::activation(shape, dtype).spiked()],
        |graph, ids| {
            let clamped = graph.soft_clamp(ids[0], 3.0)?;
            graph.relu(clamped)
        },
        |data| data[0].iter().map(|x| clamped(*x).max(0.0)).collect(),
        tolerance(dtype),
    )
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph};

    #[test]
    fn limits_and_dtypes_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, 3], DType::F32);
        let ids = graph.input("ids", &[2, 3], DType::U32);
        assert_eq!(graph.relu(ids).unwrap_err().to_string(), "relu: x is u32, expected f32, f16 or bf16");
        let error = graph.soft_clamp(x, 0.0).unwrap_err().to_string();
        assert!(error.starts_with("soft_clamp: limit is 0"), "{error}");
    }
}
