//! RMS norm, with and without rotation, of all columns, of some, and of several runs of them.
use crate::{Case, CaseInput, Tolerance};
use engine::{
    DType,
    compute::ops::{RmsNormOptions, Rope},
};

const EPS: f32 = 1e-6;

#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    x_cols: usize,
    first_column: usize,
    parts: usize,
    /// Of a part.
    cols: usize,
    head_dim: Option<usize>,
    /// The row of the tables for row 0; they have three more than are read.
    first_angle: usize,
}

impl Shape {
    fn plain(rows: usize, cols: usize) -> Self {
        Self { rows, x_cols: cols, first_column: 0, parts: 1, cols, head_dim: None, first_angle: 0 }
    }

    fn rope(rows: usize, cols: usize, head_dim: usize) -> Self {
        Self { head_dim: Some(head_dim), ..Self::plain(rows, cols) }
    }

    fn part(self, x_cols: usize, first_column: usize) -> Self {
        Self { x_cols, first_column, ..self }
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // A workgroup has 64 to 256 invocations or a subgroup for a row, or 8 rows.
    for (rows, cols) in [(1, 1), (3, 63), (7, 64), (8, 65), (9, 127), (2, 512), (17, 521), (1, 1031)] {
        cases.push(case(Shape::plain(rows, cols), DType::F32, DType::F32));
    }
    for (x, out) in [(DType::F32, DType::F16), (DType::F16, DType::F32), (DType::F16, DType::F16)] {
        cases.push(case(Shape::plain(5, 67), x, out));
        cases.push(case(Shape::rope(7, 48, 12).part(144, 48), x, out));
    }
    for shape in [
        Shape::rope(1, 2, 2),
        Shape::rope(9, 64, 64),
        Shape::rope(8, 126, 42),
        Shape::rope(7, 130, 10),
        Shape::rope(13, 768, 64).part(2304, 768),
        Shape::plain(11, 31).part(97, 53),
        // Units of four, two and one; whole, and behind columns that they do not divide.
        Shape::rope(5, 72, 24).part(146, 2),
        Shape::plain(5, 72).part(147, 3),
        Shape::rope(3, 1540, 70),
        // Rows of a strip, whose angles begin further down.
        Shape { first_angle: 128, ..Shape::rope(9, 48, 12) },
        Shape { first_angle: 256, ..Shape::rope(5, 20, 10).part(60, 20) },
        Shape::plain(2, 16_388),
    ] {
        cases.push(case(shape, DType::F32, DType::F32));
    }
    // Queries and keys of 8 rows, or of one, in a workgroup.
    for shape in [Shape::rope(9, 48, 12).part(144, 0), Shape::plain(3, 35).part(107, 2)] {
        cases.push(case(Shape { parts: 2, ..shape }, DType::F32, DType::F32));
        cases.push(case(Shape { parts: 2, ..shape }, DType::F16, DType::F16));
    }
    cases.push(in_place(DType::F32));
    cases.push(in_place(DType::F16));
    cases
}

fn case(shape: Shape, x: DType, out: DType) -> Case {
    let Shape { rows, x_cols, first_column, parts, cols, head_dim, first_angle } = shape;
    let rope = head_dim.map_or(String::new(), |d| format!("/heads of {d}"));
    let rope = if first_angle > 0 { format!("{rope} from {first_angle}") } else { rope };
    let angles = if first_angle > 0 { first_angle + rows + 3 } else { rows };
    let several = if parts > 1 { format!("{parts}x") } else { String::new() };
    let name = format!("rms_norm/{rows}x{several}{cols} from {first_column} of {x_cols}{rope}/{x}-{out}");
    let weight = if parts > 1 { vec![parts, cols] } else { vec![cols] };
    let mut inputs =
        vec![CaseInput::activation(&[rows, x_cols], x).spiked(), CaseInput::vector(&weight).range(0.5, 1.5)];
    if let Some(head_dim) = head_dim {
        // Not on the unit circle, so that a cosine taken for a sine shows.
        inputs.push(CaseInput::activation(&[angles, head_dim / 2], DType::F32));
        inputs.push(CaseInput::activation(&[angles, head_dim / 2], DType::F32).range(1.0, 2.0));
    }
    Case::new(
        name,
        inputs,
        move |graph, ids| {
            let rope = head_dim.map(|head_dim| Rope { cos: ids[2], sin: ids[3], head_dim });
            graph.rms_norm(
                ids[0],
                ids[1],
                &RmsNormOptions { first_column, rope, first_angle, ..RmsNormOptions::new(EPS, out) },
            )
        },
        move |data| reference(shape, data),
        tolerance(out),
    )
}

/// Two norms, the second of which writes over its input.
fn in_place(dtype: DType) -> Case {
    let shape = Shape::rope(10, 132, 44);
    let (cos, sin) =
        (CaseInput::activation(&[10, 22], DType::F32), CaseInput::activation(&[10, 22], DType::F32));
    Case::new(
        format!("rms_norm/in place/{dtype}"),
        vec![CaseInput::activation(&[10, 132], dtype).spiked(), CaseInput::vector(&[132]), cos, sin],
        move |graph, ids| {
            let rope = Some(Rope { cos: ids[2], sin: ids[3], head_dim: 44 });
            let options = RmsNormOptions { rope, ..RmsNormOptions::new(EPS, dtype) };
            let once = graph.rms_norm(ids[0], ids[1], &options)?;
            graph.rms_norm(once, ids[1], &options)
        },
        move |data| {
            let mut data = data.to_vec();
            data[0] = reference(shape, &data);
            reference(shape, &data)
        },
        tolerance(dtype),
    )
}

fn tolerance(out: DType) -> Tolerance {
    match out {
        // The sum of squares loses less than an ulp per doubling of the row; two of f32's 6e-8 per step after it.
        DType::F32 => Tolerance { abs: 2e-6, rel: 4e-6 },
        // Half an ulp of f16 is 4.9e-4; in place the first norm's rounding adds to it through a rotation.
        _ => Tolerance { abs: 4e-3, rel: 1e-3 },
    }
}

fn reference(shape: Shape, data: &[Vec<f64>]) -> Vec<f64> {
    let Shape { rows, x_cols, first_column, parts, cols, head_dim, first_angle } = shape;
    let mut out = Vec::with_capacity(rows * parts * cols);
    for item in 0..rows * parts {
        let (row, part) = (item / parts, item % parts);
        let x = &data[0][row * x_cols + first_column + part * cols..][..cols];
        let mean_square = x.iter().map(|v| v * v).sum::<f64>() / cols as f64;
        let y: Vec<f64> = x
            .iter()
            .zip(&data[1][part * cols..])
            .map(|(v, w)| v / (mean_square + f64::from(EPS)).sqrt() * w)
            .collect();
        for c in 0..cols {
            out.push(match head_dim {
                None => y[c],
                Some(head_dim) => {
                    let angle = (first_angle + row) * head_dim / 2 + c % head_dim / 2;
                    let (cos, sin) = (data[2][angle], data[3][angle]);
                    if c % 2 == 0 { y[c] * cos - y[c + 1] * sin } else { y[c] * cos + y[c - 1] * sin }
                }
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Graph, TensorDesc};

    fn refusal(
        x: &TensorDesc,
        weight: &TensorDesc,
        options: impl Fn(&mut Graph) -> RmsNormOptions,
    ) -> String {
        let mut graph = Graph::new();
        let options = options(&mut graph);
        let x = graph.input("x", &x.shape, x.dtype);
        let weight = graph.input("weight", &weight.shape, weight.dtype);
        graph.rms_norm(x, weight, &options).unwrap_err().to_string()
    }

    fn f32(shape: &[usize]) -> TensorDesc {
        TensorDesc::new(shape, DType::F32)
    }

    const PLAIN: RmsNormOptions = RmsNormOptions::new(EPS, DType::F32);

    #[test]
    fn refuses_what_does_not_fit() {
        let refused = refusal(&f32(&[4, 8]), &f32(&[1, 2, 4]), |_| PLAIN);
        assert_eq!(refused, "rms_norm: weight is [1, 2, 4], expected [2, 4]");
        let refused = refusal(&f32(&[4, 8]), &f32(&[3, 4]), |_| PLAIN);
        assert_eq!(refused, "rms_norm: range of columns is 0..12, expected within 0..8");
        let refused = refusal(&f32(&[4, 8]), &f32(&[5]), |_| RmsNormOptions { first_column: 4, ..PLAIN });
        assert_eq!(refused, "rms_norm: range of columns is 4..9, expected within 0..8");
        let refused = refusal(&TensorDesc::new(&[4, 8], DType::U32), &f32(&[8]), |_| PLAIN);
        assert_eq!(refused, "rms_norm: x is u32, expected f32, f16 or bf16");
        let refused = refusal(&f32(&[4, 8]), &TensorDesc::new(&[8], DType::Bf16), |_| PLAIN);
        assert_eq!(refused, "rms_norm: weight is bf16, expected f32");
        let refused = refusal(&f32(&[4, 8]), &f32(&[8]), |_| RmsNormOptions { out: DType::U32, ..PLAIN });
        assert_eq!(refused, "rms_norm: out is u32, expected f32, f16 or bf16");
    }

    #[test]
    fn refuses_rotations_that_do_not_fit() {
        let rope = |graph: &mut Graph, rows: usize, head_dim: usize| {
            let cos = graph.input("cos", &[4, 2], DType::F32);
            let sin = graph.input("sin", &[rows, 2], DType::F32);
            RmsNormOptions { rope: Some(Rope { cos, sin, head_dim }), ..PLAIN }
        };
        let refused = refusal(&f32(&[4, 8]), &f32(&[8]), |graph| rope(graph, 3, 4));
        assert_eq!(refused, "rms_norm: sin is [3, 2], expected [4, 2]");
        let refused = refusal(&f32(&[4, 8]), &f32(&[8]), |graph| rope(graph, 4, 3));
        assert_eq!(refused, "rms_norm: head_dim is 3, expected an even divisor of 8");
        let refused = refusal(&f32(&[4, 12]), &f32(&[8]), |graph| RmsNormOptions {
            first_column: 3,
            ..rope(graph, 4, 4)
        });
        let expected = "rms_norm: first column and width of x is (3, 12), expected even numbers, for there is a rotation";
        assert_eq!(refused, expected);
    }
}
