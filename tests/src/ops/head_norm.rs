//! Layer norm of heads: one part and two, rotated from the first row on, from a later one and not at all.
use crate::{Case, CaseInput, Tolerance};
use engine::{
    DType,
    compute::ops::{HeadNormOptions, Rope, RotatedRows},
};

const EPS: f32 = 1e-6;

#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    x_cols: usize,
    first_column: usize,
    parts: usize,
    heads: usize,
    head_dim: usize,
    /// The first row that is turned.
    rope: Option<usize>,
}

impl Shape {
    /// All columns, one part, no rotation.
    fn new(rows: usize, heads: usize, head_dim: usize) -> Self {
        Self { rows, x_cols: heads * head_dim, first_column: 0, parts: 1, heads, head_dim, rope: None }
    }

    /// Queries and keys beside values.
    fn qkv(rows: usize, heads: usize, head_dim: usize, rope: Option<usize>) -> Self {
        Self { x_cols: 3 * heads * head_dim, parts: 2, rope, ..Self::new(rows, heads, head_dim) }
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    use DType::{F16, F32};
    let mut cases = Vec::new();
    // A workgroup has four heads of 16 invocations, or eight of one.
    for shape in [
        Shape::new(1, 1, 2),
        Shape::new(3, 3, 16),
        Shape::new(5, 2, 30),
        Shape::new(2, 1, 34),
        Shape::new(7, 5, 64),
        Shape::new(2, 2, 250),
        Shape { rope: Some(0), ..Shape::new(9, 2, 32) },
        Shape { rope: Some(8), ..Shape::new(9, 2, 32) },
        Shape { x_cols: 97, first_column: 17, ..Shape::new(11, 3, 12) },
        Shape::qkv(13, 3, 16, None),
        Shape::qkv(13, 2, 64, Some(5)),
        Shape { first_column: 24, x_cols: 200, ..Shape::qkv(6, 2, 24, Some(1)) },
    ] {
        cases.push(case(shape, F32, F32));
    }
    for (x, out) in [(F32, F16), (F16, F32), (F16, F16)] {
        cases.push(case(Shape::qkv(10, 3, 20, Some(4)), x, out));
    }
    cases
}

/// Rows enough to be cut where bindings are narrow, some beyond the cut not turned.
pub fn tall() -> Vec<Case> {
    let cases = [Shape::qkv(300, 2, 16, Some(140)), Shape::new(200, 3, 30)];
    cases.map(|shape| case(shape, DType::F32, DType::F32)).into()
}

fn case(shape: Shape, x: DType, out: DType) -> Case {
    let Shape { rows, x_cols, first_column, parts, heads, head_dim, rope } = shape;
    let turned = rope.map_or(String::new(), |row| format!("/turned from {row}"));
    let mut inputs = vec![
        CaseInput::activation(&[rows, x_cols], x).spiked(),
        CaseInput::vector(&[parts, head_dim]).range(0.5, 1.5),
        CaseInput::vector(&[parts, head_dim]),
    ];
    if let Some(first) = rope {
        // Not on the unit circle, so that a cosine taken for a sine shows.
        inputs.push(CaseInput::activation(&[rows - first, head_dim / 2], DType::F32));
        inputs.push(CaseInput::activation(&[rows - first, head_dim / 2], DType::F32).range(1.0, 2.0));
    }
    Case::new(
        format!(
            "head_norm/{rows}x{parts}x{heads}x{head_dim} from {first_column} of {x_cols}{turned}/{x}-{out}"
        ),
        inputs,
        move |graph, ids| {
            let rope = rope.map(|first_row| {
                let rope = Rope { cos: ids[3], sin: ids[4], head_dim };
                RotatedRows { rope, first_row }
            });
            graph.head_norm(
                ids[0],
                ids[1],
                ids[2],
                &HeadNormOptions { first_column, heads, eps: EPS, rope, out },
            )
        },
        move |data| reference(shape, data),
        match out {
            // A few roundings of values of up to about 10, and of the mean of values up to 20.
            DType::F32 => Tolerance { abs: 8e-6, rel: 4e-6 },
            _ => Tolerance { abs: 4e-3, rel: 1e-3 },
        },
    )
}

fn reference(shape: Shape, data: &[Vec<f64>]) -> Vec<f64> {
    let Shape { rows, x_cols, first_column, parts, heads, head_dim, rope } = shape;
    let mut out = Vec::new();
    for row in 0..rows {
        for head in 0..parts * heads {
            let x = &data[0][row * x_cols + first_column + head * head_dim..][..head_dim];
            let mean = x.iter().sum::<f64>() / head_dim as f64;
            let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / head_dim as f64;
            let at = |c: usize| {
                let w = head / heads * head_dim + c;
                (x[c] - mean) / (variance + f64::from(EPS)).sqrt() * data[1][w] + data[2][w]
            };
            for c in 0..head_dim {
                out.push(match rope.filter(|first| row >= *first) {
                    None => at(c),
                    Some(first) => {
                        let angle = (row - first) * head_dim / 2 + c / 2;
                        let (cos, sin) = (data[3][angle], data[4][angle]);
                        if c % 2 == 0 { at(c) * cos - at(c + 1) * sin } else { at(c) * cos + at(c - 1) * sin }
                    }
                });
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Graph, compute::op::OpError};

    fn refusal(
        weight: [usize; 2],
        bias: [usize; 2],
        options: impl Fn(&mut Graph) -> HeadNormOptions,
    ) -> String {
        let mut graph = Graph::new();
        let options = options(&mut graph);
        let x = graph.input("x", &[4, 24], DType::F32);
        let (weight, bias) =
            (graph.input("weight", &weight, DType::F32), graph.input("bias", &bias, DType::F32));
        let refused: Result<_, OpError> = graph.head_norm(x, weight, bias, &options);
        refused.unwrap_err().to_string()
    }

    const PLAIN: HeadNormOptions =
        HeadNormOptions { first_column: 0, heads: 3, eps: EPS, rope: None, out: DType::F32 };

    #[test]
    fn refuses_what_does_not_fit() {
        assert_eq!(refusal([2, 4], [1, 4], |_| PLAIN), "head_norm: bias is [1, 4], expected [2, 4]");
        assert_eq!(
            refusal([2, 3], [2, 3], |_| PLAIN),
            "head_norm: head_dim is 3, expected a positive even number"
        );
        let refused = refusal([2, 4], [2, 4], |_| HeadNormOptions { first_column: 1, ..PLAIN });
        assert_eq!(refused, "head_norm: range of columns is 1..25, expected within 0..24");
        let refused = refusal([2, 4], [2, 4], |_| HeadNormOptions { heads: 0, ..PLAIN });
        assert_eq!(refused, "head_norm: heads is 0, expected at least 1");
        let refused = refusal([2, 4], [2, 4], |_| HeadNormOptions { out: DType::U32, ..PLAIN });
        assert_eq!(refused, "head_norm: out is u32, expected f32, f16 or bf16");
    }

    #[test]
    fn refuses_rotations_that_do_not_fit() {
        let rope = |graph: &mut Graph, head_dim: usize, first_row: usize| {
            let cos = graph.input("cos", &[3, 2], DType::F32);
            let sin = graph.input("sin", &[2, 2], DType::F32);
            let rope = Some(RotatedRows { rope: Rope { cos, sin, head_dim }, first_row });
            HeadNormOptions { rope, ..PLAIN }
        };
        let refused = refusal([2, 4], [2, 4], |graph| rope(graph, 4, 1));
        assert_eq!(refused, "head_norm: sin is [2, 2], expected [3, 2]");
        let refused = refusal([2, 4], [2, 4], |graph| rope(graph, 2, 1));
        assert_eq!(refused, "head_norm: rope's head_dim is 2, expected 4");
        let refused = refusal([2, 4], [2, 4], |graph| rope(graph, 4, 4));
        assert_eq!(refused, "head_norm: rope's first row is 4, expected below 4");
    }
}
