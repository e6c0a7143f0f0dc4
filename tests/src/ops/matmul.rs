//! The linear layer: sizes around the tiles, stored dtypes, everything fused on, and un-patchifying.
mod strips;

use crate::{Case, CaseInput, Tolerance, groups};
use engine::{
    DType,
    compute::ops::{Activation, Gate, MatmulOptions, Split, Unpatchify},
};
use model_loader::Format;

/// Sizes and element types of one case.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Rows of x.
    pub rows: usize,
    /// Columns of the result.
    pub cols: usize,
    /// Columns of x.
    pub k: usize,
    /// x, weight and result.
    pub dtypes: [DType; 3],
}

impl Sizes {
    /// Everything in f32.
    pub fn f32(rows: usize, cols: usize, k: usize) -> Self {
        Self { rows, cols, k, dtypes: [DType::F32; 3] }
    }
}

/// What is fused on.
#[derive(Debug, Clone, Copy, Default)]
struct Fused {
    bias: bool,
    activation: Activation,
    multiplier: Option<DType>,
    residual: Option<DType>,
    gate: bool,
    /// Of the gate.
    split: Option<Split>,
}

const BIAS: Fused = Fused {
    bias: true,
    activation: Activation::None,
    multiplier: None,
    residual: None,
    gate: false,
    split: None,
};

/// All cases.
pub fn cases() -> Vec<Case> {
    use DType::{Bf16, F16, F32};
    let mut cases = Vec::new();
    // A workgroup makes 8 or 32 rows by 32 columns (8 of few), or 64 (128 of many) by 64; 4 or 16 values of k at a time.
    for (rows, cols, k) in [
        (1, 1, 1),
        (1, 31, 4),
        (7, 32, 16),
        (8, 33, 17),
        (9, 8, 20),
        (31, 9, 3),
        (32, 63, 64),
        (33, 64, 15),
        (63, 65, 16),
        (64, 127, 5),
        (65, 128, 36),
        (129, 67, 12),
    ] {
        cases.push(case(Sizes::f32(rows, cols, k), BIAS));
    }
    cases.extend(thin());
    cases.extend(grouped(false));
    let dtypes = [[F32, F16, F32], [F32, Bf16, F32], [F16, F16, F16], [F16, Bf16, F32], [F32, F32, F16]];
    for dtypes in dtypes {
        cases.push(case(Sizes { dtypes, ..Sizes::f32(37, 45, 20) }, BIAS));
        cases.push(case(Sizes { dtypes, ..Sizes::f32(37, 45, 19) }, BIAS));
    }
    let sizes = Sizes::f32(35, 41, 24);
    let half = Sizes { dtypes: [F16, F16, F16], ..sizes };
    cases.push(case(sizes, Fused::default()));
    cases.push(case(sizes, Fused { activation: Activation::GeluTanh, ..BIAS }));
    cases.push(case(sizes, Fused { activation: Activation::Silu, bias: false, ..BIAS }));
    cases.push(case(sizes, Fused { activation: Activation::Relu, ..BIAS }));
    cases.push(case(
        sizes,
        Fused { multiplier: Some(F32), activation: Activation::GeluTanh, ..Fused::default() },
    ));
    cases.push(case(
        half,
        Fused { multiplier: Some(F16), activation: Activation::GeluTanh, ..Fused::default() },
    ));
    cases.push(case(sizes, Fused { gate: true, ..BIAS }));
    for (rows, offset) in [(0, 1), (5, 1), (33, 1), (90, 1)] {
        let split = Some(Split { rows, offset });
        cases.push(case(sizes, Fused { gate: true, split, ..BIAS }));
        cases.push(case(half, Fused { gate: true, split, residual: Some(F16), ..BIAS }));
    }
    cases.push(case(sizes, Fused { residual: Some(F32), ..BIAS }));
    cases.push(case(Sizes { dtypes: [F16, F16, F32], ..sizes }, Fused { residual: Some(F16), ..BIAS }));
    for (sizes, dtype) in [(sizes, F32), (half, F16)] {
        let everything = Fused {
            bias: true,
            activation: Activation::Silu,
            multiplier: Some(dtype),
            residual: Some(dtype),
            gate: true,
            split: None,
        };
        cases.push(case(sizes, everything));
        cases.push(in_place(sizes));
        cases.extend(strips::cases(sizes));
    }
    cases.extend([side_by_side(37, [F32; 2]), side_by_side(2, [F16; 2])]);
    cases.push(large_values());
    cases.push(leading_axes());
    cases.extend([
        unpatchify([1, 1, 1], [1, 2, 2], 3, 8, F32),
        unpatchify([2, 3, 5], [1, 2, 2], 4, 20, F32),
        unpatchify([3, 5, 7], [2, 1, 3], 5, 19, F16),
        unpatchify([2, 9, 8], [1, 2, 2], 16, 32, F16),
        unpatchify_of([2, 3, 5], [1, 2, 2], 4, 64, [F32, groups::dtype(Format::Q5_0, 64)]),
    ]);
    cases
}

/// Rows enough to be cut where bindings are narrow, some beyond the cut in the first stream.
pub fn tall() -> Vec<Case> {
    let split = Some(Split { rows: 600, offset: 1 });
    vec![case(Sizes::f32(700, 40, 32), Fused { gate: true, residual: Some(DType::F32), split, ..BIAS })]
}

/// Few rows, in all stored dtypes, with everything fused on; lengths that teams of invocations do not divide.
pub fn thin() -> Vec<Case> {
    use DType::{Bf16, F16, F32};
    let everything = Fused {
        bias: true,
        activation: Activation::Silu,
        multiplier: Some(F32),
        residual: Some(F32),
        gate: true,
        split: Some(Split { rows: 1, offset: 1 }),
    };
    let mut cases = Vec::new();
    for (rows, cols, k) in [(1, 1, 1), (1, 67, 260), (2, 37, 131), (3, 64, 64), (4, 35, 300)] {
        cases.push(case(Sizes::f32(rows, cols, k), everything));
    }
    for dtypes in [[F32, F16, F32], [F16, Bf16, F16]] {
        cases.push(case(Sizes { dtypes, ..Sizes::f32(1, 41, 268) }, BIAS));
        cases.push(case(Sizes { dtypes, ..Sizes::f32(3, 41, 67) }, Fused { residual: Some(F32), ..BIAS }));
    }
    cases
}

/// Weights in every format whose values share scales: rows of one group and of several, one row and many. All sizes with `thorough`,
/// else those of the formats that most files have.
pub fn grouped(thorough: bool) -> Vec<Case> {
    use DType::{F16, F32};
    let mut cases = Vec::new();
    for format in groups::formats() {
        let len = format.group_len().max(16);
        let of = |rows, cols, k, [x, out]: [DType; 2]| {
            let dtypes = [x, groups::dtype(format, k), out];
            case(Sizes { rows, cols, k, dtypes }, BIAS)
        };
        cases.extend([of(33, 45, 2 * len, [F32; 2]), of(1, 41, 3 * len, [F32; 2])]);
        if thorough || matches!(format, Format::Q8_0 | Format::Q4K | Format::F8E4M3) {
            cases.extend([of(1, 1, len, [F32; 2]), of(31, 9, len, [F32; 2]), of(32, 64, len, [F32; 2])]);
            cases.extend([of(65, 127, len, [F32; 2]), of(3, 35, 5 * len, [F32; 2])]);
            cases.extend([of(37, 45, 2 * len, [F16; 2]), of(2, 41, len, [F16, F32])]);
        }
    }
    // Groups as short as a word, and of 32.
    for k in [4 * 19, 160] {
        let dtypes = [F32, groups::dtype(Format::F8E4M3, k), F32];
        cases.push(case(Sizes { dtypes, ..Sizes::f32(37, 45, k) }, BIAS));
    }
    cases
}

/// A product with a bias.
pub fn plain(sizes: Sizes) -> Case {
    case(sizes, BIAS)
}

fn case(sizes: Sizes, fused: Fused) -> Case {
    let Sizes { rows, cols, k, dtypes: [x, weight, out] } = sizes;
    let mut inputs =
        vec![CaseInput::activation(&[rows, k], x).spiked(), CaseInput::matrix(&[cols, k], weight)];
    let mut add = |wanted: bool, input: CaseInput| {
        wanted.then(|| {
            inputs.push(input);
            inputs.len() - 1
        })
    };
    let matrix = |dtype: Option<DType>| CaseInput::activation(&[rows, cols], dtype.unwrap_or(DType::F32));
    let bias = add(fused.bias, CaseInput::vector(&[cols]));
    let multiplier = add(fused.multiplier.is_some(), matrix(fused.multiplier));
    let residual = add(fused.residual.is_some(), matrix(fused.residual));
    let gate = add(fused.gate, CaseInput::activation(&[3, cols], DType::F32));
    let Fused { activation, .. } = fused;
    Case::new(
        format!("matmul/{rows}x{cols}x{k}/{x}-{weight}-{out}/{}", label(fused)),
        inputs,
        move |graph, ids| {
            let id = |index: Option<usize>| index.map(|i| ids[i]);
            let options = MatmulOptions {
                bias: id(bias),
                activation,
                multiplier: id(multiplier),
                residual: id(residual),
                gate: id(gate).map(|table| Gate { table, row: 1, split: fused.split }),
                ..MatmulOptions::new(out)
            };
            graph.matmul(ids[0], ids[1], &options)
        },
        move |data| {
            let at = |index: Option<usize>, element: usize| index.map(|i| data[i][element]);
            let mut y = product(&data[0], &data[1], k);
            for (i, y) in y.iter_mut().enumerate() {
                let n = i % cols;
                *y = activate(activation, *y + at(bias, n).unwrap_or(0.0)) * at(multiplier, i).unwrap_or(1.0);
                let moved = fused.split.filter(|split| i / cols < split.rows).map_or(0, |split| split.offset);
                *y = at(residual, i).unwrap_or(0.0) + at(gate, (1 + moved) * cols + n).unwrap_or(1.0) * *y;
            }
            y
        },
        if weight.grouping().is_some() { long_tolerance(out) } else { tolerance(out) },
    )
}

fn label(fused: Fused) -> String {
    let activation = match fused.activation {
        Activation::None => None,
        Activation::GeluTanh => Some("gelu".to_owned()),
        Activation::Silu => Some("silu".to_owned()),
        Activation::Relu => Some("relu".to_owned()),
    };
    let parts = [
        fused.bias.then(|| "bias".to_owned()),
        activation,
        fused.multiplier.map(|dtype| format!("times {dtype}")),
        fused.gate.then(|| "gate".to_owned()),
        fused.split.map(|split| format!("{split:?}")),
        fused.residual.map(|dtype| format!("plus {dtype}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "bare".to_owned() } else { parts.join(" ") }
}

/// A second product is added to the first in the first one's buffer.
fn in_place(sizes: Sizes) -> Case {
    let Sizes { rows, cols, k, dtypes: [x, weight, out] } = sizes;
    Case::new(
        format!("matmul/in place/{x}-{weight}-{out}"),
        vec![
            CaseInput::activation(&[rows, k], x),
            CaseInput::matrix(&[cols, k], weight),
            CaseInput::activation(&[2, cols], DType::F32),
        ],
        move |graph, ids| {
            let once = graph.matmul(ids[0], ids[1], &MatmulOptions::new(out))?;
            let gate = Some(Gate { table: ids[2], row: 1, split: None });
            let options = MatmulOptions { residual: Some(once), gate, ..MatmulOptions::new(out) };
            graph.matmul(ids[0], ids[1], &options)
        },
        move |data| {
            let once = product(&data[0], &data[1], k);
            once.iter().enumerate().map(|(i, y)| y + data[2][cols + i % cols] * y).collect()
        },
        tolerance(out),
    )
}

/// Weights of three dtypes make columns of one result, with everything fused on.
fn side_by_side(rows: usize, [x, out]: [DType; 2]) -> Case {
    let k = 256;
    let weights =
        [(13, groups::dtype(Format::Q4K, k)), (40, DType::F16), (35, groups::dtype(Format::Q6K, k))];
    let n: usize = weights.iter().map(|(cols, _)| cols).sum();
    let mut inputs = vec![CaseInput::activation(&[rows, k], x)];
    inputs.extend(weights.map(|(cols, dtype)| CaseInput::matrix(&[cols, k], dtype)));
    inputs.push(CaseInput::vector(&[n]));
    inputs.extend([x, out].map(|dtype| CaseInput::activation(&[rows, n], dtype)));
    inputs.push(CaseInput::activation(&[2, n], DType::F32));
    Case::new(
        format!("matmul/side by side/{rows}x{n}x{k}/{x}-{out}"),
        inputs,
        move |graph, ids| {
            let options = MatmulOptions {
                bias: Some(ids[4]),
                activation: Activation::Silu,
                multiplier: Some(ids[5]),
                residual: Some(ids[6]),
                gate: Some(Gate { table: ids[7], row: 1, split: None }),
                ..MatmulOptions::new(out)
            };
            graph.matmul_side_by_side(ids[0], &ids[1..4], &options)
        },
        move |data| {
            let y = product(&data[0], &data[1..4].concat(), k);
            let fused = y.iter().enumerate().map(|(i, y)| {
                let y = activate(Activation::Silu, y + data[4][i % n]) * data[5][i];
                data[6][i] + data[7][n + i % n] * y
            });
            fused.collect()
        },
        long_tolerance(out),
    )
}

/// Sums far outside the range in which the activations' exponentials are finite.
fn large_values() -> Case {
    Case::new(
        "matmul/gelu of large values",
        vec![
            CaseInput::activation(&[9, 6], DType::F32).range(-300.0, 300.0),
            CaseInput::matrix(&[13, 6], DType::F32),
        ],
        |graph, ids| {
            let options =
                MatmulOptions { activation: Activation::GeluTanh, ..MatmulOptions::new(DType::F32) };
            graph.matmul(ids[0], ids[1], &options)
        },
        |data| {
            let y = product(&data[0], &data[1], 6);
            y.into_iter().map(|y| activate(Activation::GeluTanh, y)).collect()
        },
        // Six products of up to 300 each, of which f32 keeps 6e-8.
        Tolerance { abs: 3e-4, rel: 1e-5 },
    )
}

/// x has more axes than two and the weight is a convolution kernel as large as its input.
fn leading_axes() -> Case {
    Case::new(
        "matmul/leading axes",
        vec![CaseInput::activation(&[2, 3, 12], DType::F32), CaseInput::matrix(&[5, 3, 2, 2], DType::F32)],
        |graph, ids| graph.matmul(ids[0], ids[1], &MatmulOptions::new(DType::F32)),
        |data| product(&data[0], &data[1], 12),
        tolerance(DType::F32),
    )
}

/// A projection whose result is put in its place in the latents.
pub fn unpatchify(grid: [usize; 3], patch: [usize; 3], channels: usize, k: usize, x: DType) -> Case {
    unpatchify_of(grid, patch, channels, k, [x, DType::F32])
}

fn unpatchify_of(
    grid: [usize; 3],
    patch: [usize; 3],
    channels: usize,
    k: usize,
    [x, weight]: [DType; 2],
) -> Case {
    let tokens = grid.iter().product();
    let n = channels * patch.iter().product::<usize>();
    Case::new(
        format!("matmul/unpatchify/{grid:?} of {patch:?}x{channels}/{k}/{x}-{weight}"),
        vec![
            CaseInput::activation(&[tokens, k], x),
            CaseInput::matrix(&[n, k], weight),
            CaseInput::vector(&[n]),
        ],
        move |graph, ids| {
            graph.matmul_unpatchify(ids[0], ids[1], Some(ids[2]), Unpatchify { grid, patch, channels })
        },
        move |data| {
            let y = product(&data[0], &data[1], k);
            let [frames, height, width] = std::array::from_fn(|axis| grid[axis] * patch[axis]);
            let mut out = Vec::with_capacity(y.len());
            for c in 0..channels {
                for (t, h, w) in positions([frames, height, width]) {
                    let token = (t / patch[0] * grid[1] + h / patch[1]) * grid[2] + w / patch[2];
                    let inside = (t % patch[0] * patch[1] + h % patch[1]) * patch[2] + w % patch[2];
                    let column = inside * channels + c;
                    out.push(y[token * n + column] + data[2][column]);
                }
            }
            out
        },
        tolerance(DType::F32),
    )
}

/// All index triples, the last running fastest.
pub(super) fn positions(extents: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    let [a, b, c] = extents;
    (0..a * b * c).map(move |i| (i / c / b, i / c % b, i % c))
}

/// Rows of x times rows of the weight.
fn product(x: &[f64], weight: &[f64], k: usize) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
    x.chunks(k).flat_map(|row| weight.chunks(k).map(move |column| dot(row, column))).collect()
}

pub(super) fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        }
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Relu => x.max(0.0),
    }
}

/// Of several hundred products, some of them twenty times as large.
fn long_tolerance(out: DType) -> Tolerance {
    match out {
        DType::F16 => Tolerance { abs: 2e-2, rel: 2e-3 },
        _ => Tolerance { abs: 1e-4, rel: 1e-5 },
    }
}

/// Sums of at most 64 products of which some are twenty times as large: 2e-6 seen.
pub(super) fn tolerance(out: DType) -> Tolerance {
    match out {
        DType::F16 => Tolerance { abs: 2e-3, rel: 1e-3 },
        _ => Tolerance { abs: 1e-5, rel: 1e-5 },
    }
}

#[cfg(test)]
mod tests {
    use engine::{
        DType, Graph,
        compute::ops::{Gate, MatmulOptions, Split},
    };

    #[test]
    fn operands_that_do_not_fit_are_named() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[3, 8], DType::F32);
        let weight = graph.input("w", &[5, 7], DType::F32);
        let error = graph.matmul(x, weight, &MatmulOptions::new(DType::F32)).unwrap_err();
        assert_eq!(error.to_string(), "matmul: weight is [5, 7], expected [5, 8]");
        let (weight, bias) = (graph.input("w", &[5, 8], DType::F32), graph.input("b", &[4], DType::F32));
        let options = MatmulOptions { bias: Some(bias), ..MatmulOptions::new(DType::F32) };
        let error = graph.matmul(x, weight, &options).unwrap_err();
        assert_eq!(error.to_string(), "matmul: bias is [4], expected [5]");
        let gate = graph.input("g", &[2, 5], DType::F32);
        for (row, split) in [(2, None), (1, Some(Split { rows: 1, offset: 1 }))] {
            let gate = Some(Gate { table: gate, row, split });
            let options = MatmulOptions { gate, ..MatmulOptions::new(DType::F32) };
            let error = graph.matmul(x, weight, &options).unwrap_err();
            assert_eq!(error.to_string(), "matmul: gate row is 2, expected below 2");
        }
        let error = graph.matmul(x, weight, &MatmulOptions::new(DType::U32)).unwrap_err();
        assert_eq!(error.to_string(), "matmul: out is u32, expected f32, f16 or bf16");
    }
}
