//! Embeddings from tables in every stored dtype.
use crate::{Case, CaseInput, Tolerance, groups};
use engine::DType;
use model_loader::Format;

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // A workgroup has 64 invocations, one per element; odd widths end in the middle of a word.
    for (ids, cols) in [(1, 1), (1, 63), (2, 32), (5, 13), (31, 1), (7, 64), (226, 67)] {
        for table in [DType::F32, DType::F16, DType::Bf16] {
            cases.push(case(ids, cols, table, DType::F32));
        }
    }
    for table in [DType::F32, DType::F16, DType::Bf16] {
        cases.push(case(5, 13, table, DType::F16));
    }
    for (format, cols) in [(Format::Q8_0, 64), (Format::Q6K, 256), (Format::F8E5M2, 68), (Format::Iq4Nl, 32)]
    {
        cases.push(case(7, cols, groups::dtype(format, cols), DType::F32));
    }
    cases.push(beyond_the_vocabulary());
    cases
}

const VOCABULARY: usize = 101;

fn case(ids: usize, cols: usize, table: DType, out: DType) -> Case {
    Case::new(
        format!("embedding/{ids} of {VOCABULARY}x{cols}/{table}-{out}"),
        vec![CaseInput::ids(&[ids], 101), CaseInput::matrix(&[VOCABULARY, cols], table).range(0.25, 1.0)],
        move |graph, inputs| graph.embedding(inputs[0], inputs[1], out),
        move |data| reference(cols, data),
        match out {
            DType::F32 => Tolerance { abs: 0.0, rel: 0.0 },
            // Half an ulp of f16.
            _ => Tolerance { abs: 0.0, rel: 4.9e-4 },
        },
    )
}

fn beyond_the_vocabulary() -> Case {
    let ids = vec![0.0, 100.0, 101.0, 4e9];
    Case::new(
        "embedding/beyond the vocabulary",
        vec![
            CaseInput::ids(&[4], 101).values(ids),
            CaseInput::matrix(&[VOCABULARY, 9], DType::Bf16).range(0.25, 1.0),
        ],
        |graph, inputs| graph.embedding(inputs[0], inputs[1], DType::F32),
        |data| reference(9, data),
        Tolerance { abs: 0.0, rel: 0.0 },
    )
}

fn reference(cols: usize, data: &[Vec<f64>]) -> Vec<f64> {
    let rows: Vec<&[f64]> = data[1].chunks(cols).collect();
    let row = |id: &f64| (0..VOCABULARY).find(|v| *v as f64 == *id).unwrap_or(VOCABULARY - 1);
    data[0].iter().flat_map(|id| rows[row(id)].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Graph;

    fn refusal(ids: (&[usize], DType), table: (&[usize], DType), out: DType) -> String {
        let mut graph = Graph::new();
        let ids = graph.input("ids", ids.0, ids.1);
        let table = graph.input("table", table.0, table.1);
        graph.embedding(ids, table, out).unwrap_err().to_string()
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let refused = refusal((&[2, 3], DType::U32), (&[9, 4], DType::F32), DType::F32);
        assert_eq!(refused, "embedding: ids is [2, 3], expected [6]");
        let refused = refusal((&[6], DType::F32), (&[9, 4], DType::F32), DType::F32);
        assert_eq!(refused, "embedding: ids is f32, expected u32");
        let refused = refusal((&[6], DType::U32), (&[9, 2, 2], DType::F32), DType::F32);
        assert_eq!(refused, "embedding: table is [9, 2, 2], expected [18, 2]");
        let refused = refusal((&[6], DType::U32), (&[9, 4], DType::U32), DType::F32);
        assert_eq!(refused, "embedding: table is u32, expected f32, f16 or bf16");
        let refused = refusal((&[6], DType::U32), (&[9, 4], DType::Bf16), DType::U32);
        assert_eq!(refused, "embedding: out is u32, expected f32, f16 or bf16");
    }
}
