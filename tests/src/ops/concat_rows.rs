//! Matrices one above the other: parts that begin at unaligned places, one part alone, both dtypes.
use crate::{Case, CaseInput, Tolerance};
use engine::DType;

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for dtype in [DType::F32, DType::F16] {
        cases.push(case(&[5], 7, dtype));
        cases.push(case(&[1, 1], 1, dtype));
        cases.push(case(&[11, 30], 48, dtype));
        cases.push(case(&[3, 129, 2], 67, dtype));
        cases.push(case(&[256, 300], 3, dtype));
    }
    cases
}

/// Rows enough to be cut where bindings are narrow.
pub fn tall() -> Vec<Case> {
    vec![case(&[201, 300], 99, DType::F32)]
}

fn case(rows: &[usize], cols: usize, dtype: DType) -> Case {
    let parts = rows.iter().map(|rows| CaseInput::activation(&[*rows, cols], dtype)).collect();
    Case::new(
        format!("concat_rows/{rows:?}x{cols}/{dtype}"),
        parts,
        |graph, ids| graph.concat_rows(ids),
        |data| data.concat(),
        Tolerance { abs: 0.0, rel: 0.0 },
    )
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph};

    #[test]
    fn parts_that_differ_are_refused() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[3, 8], DType::F32);
        let narrow = graph.input("narrow", &[2, 7], DType::F32);
        let half = graph.input("half", &[2, 8], DType::F16);
        let error = |error: Result<_, engine::compute::op::OpError>| error.unwrap_err().to_string();
        assert_eq!(error(graph.concat_rows(&[x, narrow])), "concat_rows: part is [2, 7], expected [2, 8]");
        assert_eq!(error(graph.concat_rows(&[x, half])), "concat_rows: part is f16, expected f32");
        assert_eq!(error(graph.concat_rows(&[])), "concat_rows: parts is 0, expected at least 1");
    }
}
