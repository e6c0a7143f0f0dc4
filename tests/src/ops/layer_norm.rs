//! Layer norm with every choice of affine map and modulation.
use crate::{Case, CaseInput, Tolerance};
use engine::{
    DType, Graph, TensorId,
    compute::op::OpError,
    compute::ops::{LayerNormOptions, Modulation, Split},
};

const EPS: f32 = 1e-5;
/// Rows of the modulation table.
const TABLE_ROWS: usize = 6;

#[derive(Clone, Copy)]
struct Kind {
    affine: bool,
    /// Shift row, scale row.
    modulation: Option<(usize, usize)>,
    split: Option<Split>,
    first_row: usize,
    rows: Option<usize>,
}

const PLAIN: Kind = Kind { affine: false, modulation: None, split: None, first_row: 0, rows: None };

/// All cases.
pub fn cases() -> Vec<Case> {
    let plain = PLAIN;
    let affine = Kind { affine: true, ..plain };
    let modulated = Kind { modulation: Some((3, 4)), ..plain };
    let both = Kind { affine: true, modulation: Some((1, 0)), ..plain };
    let split = |rows, offset| Kind { split: Some(Split { rows, offset }), ..both };
    let mut cases = Vec::new();
    // A workgroup has 64 to 256 invocations or a subgroup for a row, or 8 rows; invocations hold 1 to 64 columns, of longer rows none.
    // One column alone would give zeros.
    for (rows, cols) in [(1, 2), (3, 63), (7, 64), (8, 65), (9, 127), (2, 512), (17, 521), (1, 1031)] {
        cases.push(case(rows, cols, plain, DType::F32, DType::F32));
    }
    for (rows, cols) in [(3, 1540), (2, 16_388)] {
        cases.push(case(rows, cols, both, DType::F32, DType::F32));
        cases.push(case(rows, cols, both, DType::F16, DType::F16));
    }
    cases.push(case(1, 1, affine, DType::F32, DType::F32));
    for kind in [affine, modulated, both] {
        cases.push(case(9, 67, kind, DType::F32, DType::F32));
        cases.push(case(4, 640, kind, DType::F32, DType::F16));
    }
    for (x, out) in [(DType::F32, DType::F16), (DType::F16, DType::F32), (DType::F16, DType::F16)] {
        cases.push(case(5, 67, both, x, out));
    }
    // Of 8 rows in a workgroup, or of one.
    for (rows, kind) in
        [(9, split(3, 4)), (11, split(8, 1)), (6, split(6, 2)), (5, split(9, 3)), (4, split(0, 4))]
    {
        cases.push(case(rows, 67, kind, DType::F32, DType::F32));
    }
    // Where the row that counts first does not begin at an aligned place.
    for (x, out) in [(DType::F32, DType::F32), (DType::F16, DType::F16)] {
        cases.push(case(14, 67, Kind { first_row: 5, ..both }, x, out));
        cases.push(case(9, 130, Kind { first_row: 8, ..split(1, 4) }, x, out));
        cases.push(case(14, 67, Kind { first_row: 5, rows: Some(4), ..both }, x, out));
        cases.push(case(14, 67, Kind { rows: Some(9), ..split(3, 2) }, x, out));
    }
    // Held by few invocations and by many, in quads and singly, and not held.
    cases.extend([60, 300, 301, 1540, 16_388].map(large_mean));
    cases.push(in_place(DType::F32));
    cases.push(in_place(DType::F16));
    cases
}

/// Rows enough to be cut where bindings are narrow, some beyond the cut in the first stream.
pub fn tall() -> Vec<Case> {
    let split = |rows| Kind {
        affine: true,
        modulation: Some((1, 0)),
        split: Some(Split { rows, offset: 3 }),
        ..PLAIN
    };
    vec![
        case(300, 100, split(200), DType::F32, DType::F32),
        case(345, 99, Kind { first_row: 45, ..split(140) }, DType::F32, DType::F32),
        case(800, 100, Kind { first_row: 7, rows: Some(345), ..split(140) }, DType::F32, DType::F32),
    ]
}

fn case(rows: usize, cols: usize, kind: Kind, x: DType, out: DType) -> Case {
    let affine = if kind.affine { "/affine" } else { "" };
    let modulation = if kind.modulation.is_some() { "/modulated" } else { "" };
    let split = kind.split.map_or_else(String::new, |split| format!("/{split:?}"));
    let first = if kind.first_row > 0 { format!("/from row {}", kind.first_row) } else { String::new() };
    let count = kind.rows.map_or_else(String::new, |count| format!("/{count} rows"));
    Case::new(
        format!("layer_norm/{rows}x{cols}{affine}{modulation}{split}{first}{count}/{x}-{out}"),
        inputs(CaseInput::activation(&[rows, cols], x).spiked(), kind),
        move |graph, ids| build(graph, ids, ids[0], kind, out),
        move |data| reference(cols, kind, data),
        tolerance(out),
    )
}

/// Half the width of an even spread whose variance is 1.
const SPREAD: f64 = 1.732_050_807_568_877_2;

/// A mean of 1000 beside a variance of 1: a variance taken as the mean square less the square of the mean is lost.
fn large_mean(cols: usize) -> Case {
    let kind = PLAIN;
    Case::new(
        format!("layer_norm/large mean/{cols}"),
        inputs(CaseInput::activation(&[6, cols], DType::F32).range(1000.0 - SPREAD, 1000.0 + SPREAD), kind),
        move |graph, ids| build(graph, ids, ids[0], kind, DType::F32),
        move |data| reference(cols, kind, data),
        // The mean itself is rounded to 6e-5.
        Tolerance { abs: 2e-4, rel: 1e-5 },
    )
}

/// Two norms, the second of which writes over its input.
fn in_place(dtype: DType) -> Case {
    let kind = Kind { affine: true, modulation: Some((5, 2)), ..PLAIN };
    Case::new(
        format!("layer_norm/in place/{dtype}"),
        inputs(CaseInput::activation(&[10, 132], dtype).spiked(), kind),
        move |graph, ids| {
            let once = build(graph, ids, ids[0], kind, dtype)?;
            build(graph, ids, once, kind, dtype)
        },
        move |data| {
            let mut data = data.to_vec();
            data[0] = reference(132, kind, &data);
            reference(132, kind, &data)
        },
        tolerance(dtype),
    )
}

fn inputs(x: CaseInput, kind: Kind) -> Vec<CaseInput> {
    let cols = x.shape[1];
    let mut inputs = vec![x];
    if kind.affine {
        inputs.push(CaseInput::vector(&[cols]).range(0.5, 1.5));
        inputs.push(CaseInput::vector(&[cols]));
    }
    if kind.modulation.is_some() {
        inputs.push(CaseInput::activation(&[TABLE_ROWS, cols], DType::F32));
    }
    inputs
}

fn build(
    graph: &mut Graph,
    ids: &[TensorId],
    x: TensorId,
    kind: Kind,
    out: DType,
) -> Result<TensorId, OpError> {
    let affine = kind.affine.then(|| (ids[1], ids[2]));
    let table = ids[ids.len() - 1];
    let Kind { split, first_row, rows, .. } = kind;
    let modulation = kind.modulation.map(|(shift, scale)| Modulation { table, shift, scale, split });
    graph.layer_norm(x, &LayerNormOptions { first_row, rows, eps: EPS, affine, modulation, out })
}

fn tolerance(out: DType) -> Tolerance {
    match out {
        // A few roundings of values of up to about 20.
        DType::F32 => Tolerance { abs: 8e-6, rel: 4e-6 },
        // Half an ulp of f16 is 4.9e-4; in place the first norm's rounding adds to it.
        _ => Tolerance { abs: 4e-3, rel: 1e-3 },
    }
}

fn reference(cols: usize, kind: Kind, data: &[Vec<f64>]) -> Vec<f64> {
    let table = &data[data.len() - 1];
    let counted = kind.rows.unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(data[0].len());
    for (row, x) in data[0].chunks(cols).skip(kind.first_row).take(counted).enumerate() {
        let moved = kind.split.filter(|split| row < split.rows).map_or(0, |split| split.offset);
        let mean = x.iter().sum::<f64>() / cols as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / cols as f64;
        for (c, value) in x.iter().enumerate() {
            let mut y = (value - mean) / (variance + f64::from(EPS)).sqrt();
            if kind.affine {
                y = y * data[1][c] + data[2][c];
            }
            if let Some((shift, scale)) = kind.modulation {
                let (shift, scale) = (shift + moved, scale + moved);
                y = y * (1.0 + table[scale * cols + c]) + table[shift * cols + c];
            }
            out.push(y);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(options: impl Fn(&mut Graph) -> LayerNormOptions) -> String {
        let mut graph = Graph::new();
        let x = graph.input("x", &[4, 8], DType::F32);
        let options = options(&mut graph);
        graph.layer_norm(x, &options).unwrap_err().to_string()
    }

    const PLAIN: LayerNormOptions = LayerNormOptions::new(EPS, DType::F32);

    #[test]
    fn refuses_affine_maps_that_do_not_fit() {
        let affine = |graph: &mut Graph, weight: usize, bias: usize, dtype: DType| {
            let weight = graph.input("weight", &[weight], dtype);
            let bias = graph.input("bias", &[bias], DType::F32);
            LayerNormOptions { affine: Some((weight, bias)), ..PLAIN }
        };
        let refused = refusal(|graph| affine(graph, 7, 8, DType::F32));
        assert_eq!(refused, "layer_norm: weight is [7], expected [8]");
        let refused = refusal(|graph| affine(graph, 8, 9, DType::F32));
        assert_eq!(refused, "layer_norm: bias is [9], expected [8]");
        let refused = refusal(|graph| affine(graph, 8, 8, DType::F16));
        assert_eq!(refused, "layer_norm: weight is f16, expected f32");
    }

    #[test]
    fn refuses_modulations_that_do_not_fit() {
        let modulation = |graph: &mut Graph, shape: [usize; 2], shift: usize, scale: usize| {
            let table = graph.input("table", &shape, DType::F32);
            let split = Some(Split { rows: 1, offset: usize::from(shape[0] == 3) });
            LayerNormOptions { modulation: Some(Modulation { table, shift, scale, split }), ..PLAIN }
        };
        let refused = refusal(|graph| modulation(graph, [6, 7], 0, 1));
        assert_eq!(refused, "layer_norm: table is [6, 7], expected [6, 8]");
        let refused = refusal(|graph| modulation(graph, [6, 8], 0, 6));
        assert_eq!(refused, "layer_norm: scale row is 6, expected below 6");
        let refused = refusal(|graph| modulation(graph, [6, 8], 9, 5));
        assert_eq!(refused, "layer_norm: shift row is 9, expected below 6");
        let refused = refusal(|graph| modulation(graph, [3, 8], 1, 2));
        assert_eq!(refused, "layer_norm: scale row is 3, expected below 3");
    }

    #[test]
    fn refuses_a_first_row_behind_the_last() {
        let refused = refusal(|_| LayerNormOptions { first_row: 4, ..PLAIN });
        assert_eq!(refused, "layer_norm: first row is 4, expected below 4");
    }

    #[test]
    fn refuses_rows_behind_the_last_and_none() {
        let refused = refusal(|_| LayerNormOptions { first_row: 1, rows: Some(4), ..PLAIN });
        assert_eq!(refused, "layer_norm: rows is 4, expected 1 to 3");
        let refused = refusal(|_| LayerNormOptions { rows: Some(0), ..PLAIN });
        assert_eq!(refused, "layer_norm: rows is 0, expected 1 to 4");
    }

    #[test]
    fn refuses_other_dtypes() {
        let refused = refusal(|_| LayerNormOptions { out: DType::U32, ..PLAIN });
        assert_eq!(refused, "layer_norm: out is u32, expected f32, f16 or bf16");
    }
}
