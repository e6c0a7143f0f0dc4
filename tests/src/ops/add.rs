//! Sums, in place and not.
use crate::{Case, CaseInput, Tolerance};
use engine::DType::{self, F16, F32};

/// All cases.
pub fn cases() -> Vec<Case> {
    // A workgroup has 256 invocations.
    let mut cases: Vec<Case> = [1, 255, 256, 257, 1031].into_iter().map(|n| case(&[n], F32, F32)).collect();
    for (x, y) in [(F16, F16), (F16, F32), (F32, F16)] {
        cases.extend([case(&[1], x, y), case(&[2, 3, 5, 7], x, y)]);
    }
    cases.extend([in_place(F32), in_place(F16)]);
    cases
}

fn tolerance(dtype: DType) -> Tolerance {
    // The sum is rounded once.
    match dtype {
        F16 => Tolerance { abs: 1e-7, rel: 5e-4 },
        _ => Tolerance { abs: 1e-12, rel: 6e-8 },
    }
}

fn case(shape: &[usize], x: DType, y: DType) -> Case {
    Case::new(
        format!("add/{shape:?}/{x}/{y}"),
        vec![CaseInput::activation(shape, x).spiked(), CaseInput::activation(shape, y)],
        |graph, ids| graph.add(ids[0], ids[1]),
        |data| data[0].iter().zip(&data[1]).map(|(x, y)| x + y).collect(),
        tolerance(x),
    )
}

fn in_place(dtype: DType) -> Case {
    let shape = [3, 5, 67];
    // Multiples of 1/8 below 2^5: all sums are exact.
    let values = |step: usize| (0..1005).map(move |i| (i * step % 197) as f64 / 8.0 - 8.0).collect();
    Case::new(
        format!("add/in place/{dtype}"),
        vec![
            CaseInput::activation(&shape, dtype).values(values(7)),
            CaseInput::activation(&shape, dtype).values(values(31)),
        ],
        |graph, ids| {
            let sum = graph.add(ids[0], ids[1])?;
            graph.add(sum, ids[1])
        },
        |data| data[0].iter().zip(&data[1]).map(|(x, y)| x + 2.0 * y).collect(),
        Tolerance { abs: 0.0, rel: 0.0 },
    )
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph};

    #[test]
    fn shapes_and_dtypes_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, 3], DType::F32);
        let y = graph.input("y", &[3, 2], DType::F32);
        let ids = graph.input("ids", &[2, 3], DType::U32);
        assert_eq!(graph.add(x, y).unwrap_err().to_string(), "add: y is [3, 2], expected [2, 3]");
        assert_eq!(graph.add(ids, x).unwrap_err().to_string(), "add: x is u32, expected f32, f16 or bf16");
        assert_eq!(graph.add(x, ids).unwrap_err().to_string(), "add: y is u32, expected f32, f16 or bf16");
    }
}
