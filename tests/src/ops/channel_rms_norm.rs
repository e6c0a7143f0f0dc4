//! Positions scaled to one length.
use crate::{Case, CaseInput, Tolerance};
use engine::DType::{self, F16, F32};

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // A workgroup has 64 or 256 invocations and up to 32 for a row, each with one or four elements at a time.
    for (rows, cols) in [
        (1, 1),
        (63, 4),
        (64, 3),
        (65, 8),
        (7, 31),
        (257, 16),
        (9, 127),
        (8, 128),
        (7, 129),
        (2, 1031),
        (3, 384),
    ] {
        cases.push(case(&[rows, cols], true, F32, F32));
        cases.push(case(&[rows, cols], false, F16, F16));
    }
    cases.push(case(&[2, 3, 5, 96], true, F32, F16));
    cases.push(case(&[2, 3, 5, 97], true, F16, F32));
    cases.push(zero_rows());
    cases.extend([in_place(&[13, 96]), in_place(&[13, 33])]);
    cases
}

fn tolerance(out: DType) -> Tolerance {
    match out {
        F16 => Tolerance { abs: 1e-6, rel: 1e-3 },
        // A sum of 1031 squares in f32, then a few roundings, and the exponential of SiLU.
        _ => Tolerance { abs: 2e-6, rel: 1e-5 },
    }
}

fn reference(x: &[f64], gamma: &[f64], silu: bool) -> Vec<f64> {
    let mut out = Vec::new();
    for row in x.chunks(gamma.len()) {
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
        for (v, g) in row.iter().zip(gamma) {
            let y = v / length * (gamma.len() as f64).sqrt() * g;
            out.push(if silu { y / (1.0 + (-y).exp()) } else { y });
        }
    }
    out
}

fn inputs(shape: &[usize], dtype: DType) -> Vec<CaseInput> {
    let cols = shape.last().copied().unwrap_or(1);
    vec![CaseInput::activation(shape, dtype).spiked(), CaseInput::vector(&[cols]).range(0.5, 2.0)]
}

fn case(shape: &[usize], silu: bool, x: DType, out: DType) -> Case {
    Case::new(
        format!("channel_rms_norm/{shape:?}/{silu}/{x}/{out}"),
        inputs(shape, x),
        move |graph, ids| graph.channel_rms_norm(ids[0], ids[1], silu, out),
        move |data| reference(&data[0], &data[1], silu),
        tolerance(out),
    )
}

/// Rows of zeros stay zero; a row of tiny values is scaled like any other.
fn zero_rows() -> Case {
    let values = (0..60).map(|i| if i / 12 % 2 == 0 { 0.0 } else { 1e-9 * f64::from(i % 7 - 3) }).collect();
    Case::new(
        "channel_rms_norm/zero rows",
        vec![CaseInput::activation(&[5, 12], F32).values(values), CaseInput::vector(&[12])],
        |graph, ids| graph.channel_rms_norm(ids[0], ids[1], false, F32),
        |data| reference(&data[0], &data[1], false),
        tolerance(F32),
    )
}

/// The norm takes over the buffer of the sum before it.
fn in_place(shape: &[usize]) -> Case {
    let mut inputs = inputs(shape, F32);
    inputs.push(CaseInput::activation(shape, F32));
    Case::new(
        format!("channel_rms_norm/in place/{shape:?}"),
        inputs,
        |graph, ids| {
            let sum = graph.add(ids[0], ids[2])?;
            graph.channel_rms_norm(sum, ids[1], true, F32)
        },
        |data| {
            let sum: Vec<f64> = data[0].iter().zip(&data[2]).map(|(x, y)| x + y).collect();
            reference(&sum, &data[1], true)
        },
        tolerance(F32),
    )
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph};

    #[test]
    fn shapes_and_dtypes_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, 3, 8], DType::F32);
        let gamma = graph.input("gamma", &[7], DType::F32);
        let half = graph.input("half", &[8], DType::F16);
        let mut refused = |gamma| graph.channel_rms_norm(x, gamma, true, DType::F32).unwrap_err().to_string();
        assert_eq!(refused(gamma), "channel_rms_norm: gamma is [7], expected [8]");
        assert_eq!(refused(half), "channel_rms_norm: gamma is f16, expected f32");
        let gamma = graph.input("gamma", &[8], DType::F32);
        assert_eq!(
            graph.channel_rms_norm(x, gamma, true, DType::U32).unwrap_err().to_string(),
            "channel_rms_norm: out is u32, expected f32, f16 or bf16"
        );
    }
}
