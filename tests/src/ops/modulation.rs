//! Modulation tables with a time embedding of their own size, with one row for all, and stacked.
use crate::{Case, CaseInput, Tolerance};
use engine::DType;

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // A workgroup has 64 invocations, one per element.
    for (rows, cols) in [(1, 1), (1, 63), (2, 32), (5, 13), (6, 127), (2, 1536)] {
        for dtype in [DType::F32, DType::F16] {
            cases.push(case(rows, cols, vec![1, rows * cols], dtype));
            cases.push(case(rows, cols, vec![1, cols], dtype));
        }
    }
    cases.push(case(6, 20, vec![6, 20], DType::F32));
    cases.push(case(18, 23, vec![1, 6 * 23], DType::F32));
    cases
}

fn case(rows: usize, cols: usize, temb: Vec<usize>, dtype: DType) -> Case {
    Case::new(
        format!("modulation/{rows}x{cols} + {temb:?}/{dtype}"),
        vec![CaseInput::vector(&[rows, cols]), CaseInput::activation(&temb, dtype).spiked()],
        |graph, ids| graph.modulation(ids[0], ids[1]),
        |data| data[0].iter().zip(data[1].iter().cycle()).map(|(table, temb)| table + temb).collect(),
        // One rounding of a sum of up to 21.
        Tolerance { abs: 1e-6, rel: 0.0 },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Graph;

    fn refusal(table: (&[usize], DType), temb: (&[usize], DType)) -> String {
        let mut graph = Graph::new();
        let table = graph.input("table", table.0, table.1);
        let temb = graph.input("temb", temb.0, temb.1);
        graph.modulation(table, temb).unwrap_err().to_string()
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let refused = refusal((&[6, 8], DType::F32), (&[1, 47], DType::F32));
        assert_eq!(refused, "modulation: temb is [1, 47], expected [6, 8]");
        let refused = refusal((&[6, 8], DType::F32), (&[4, 8], DType::F32));
        assert_eq!(refused, "modulation: temb is [4, 8], expected [6, 8]");
        let refused = refusal((&[6, 8], DType::F16), (&[8], DType::F32));
        assert_eq!(refused, "modulation: table is f16, expected f32");
        let refused = refusal((&[1, 6, 8], DType::F32), (&[8], DType::F32));
        assert_eq!(refused, "modulation: table is [1, 6, 8], expected [6, 8]");
        let refused = refusal((&[6, 8], DType::F32), (&[8], DType::U32));
        assert_eq!(refused, "modulation: temb is u32, expected f32, f16 or bf16");
    }
}
