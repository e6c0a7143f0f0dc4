//! Self-attention inside one fused matrix, cross-attention, relative bias, masks, groups of rows, and heads of all sizes.
use crate::{Case, CaseInput, Tolerance};
use engine::{
    DType,
    compute::ops::{AttentionInputs, Mask},
};

/// Sizes of one case.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Independent groups of rows.
    pub groups: usize,
    /// Queries of a frame.
    pub queries: usize,
    /// Keys of a frame.
    pub keys: usize,
    /// Heads.
    pub heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let sizes = |rows, heads, head_dim| Sizes { groups: 1, queries: rows, keys: rows, heads, head_dim };
    let mut cases = Vec::new();
    // A workgroup takes 32 queries and 8 keys at a time, or 64 (32 for wide heads) and 32.
    for rows in [1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 131] {
        cases.push(fused(sizes(rows, 2, 16), DType::F32));
    }
    for head_dim in [4, 12, 64, 80, 128, 132, 384] {
        cases.push(fused(sizes(37, 1 + head_dim % 3, head_dim), DType::F32));
    }
    for rows in [1, 33, 67] {
        cases.push(fused(sizes(rows, 3, 64), DType::F16));
    }
    for (queries, keys) in [(1, 1), (1, 77), (40, 5), (65, 33), (129, 64)] {
        let sizes = Sizes { keys, ..sizes(queries, 2, 32) };
        cases.push(cross(sizes, DType::F32));
        cases.push(cross(sizes, DType::F16));
    }
    for rows in [1, 2, 31, 66] {
        cases.push(biased(sizes(rows, 4, 8), DType::F32));
        cases.push(biased(sizes(rows, 2, 64), DType::F16));
    }
    for (groups, head_dim) in [(2, 12), (3, 80), (5, 384)] {
        cases.push(fused(Sizes { groups, ..sizes(35, 1, head_dim) }, DType::F32));
    }
    cases.extend(masks(&[1, 8, 33, 70]));
    cases.extend(scores(DType::F32));
    cases
}

/// Scores that a running maximum may stumble over, in more keys than any form takes at a time, some of whose blocks nobody sees.
pub fn scores(dtype: DType) -> Vec<Case> {
    let sizes = Sizes { groups: 1, queries: 35, keys: 203, heads: 2, head_dim: 64 };
    let kinds = [Scores::Equal, Scores::Rising(7.9), Scores::Rising(8.1), Scores::Late(40.0)];
    let masks = [Mask::None, Mask::Causal { block: 3 }, Mask::Window { before: 20, after: 0 }];
    let all = kinds.into_iter().flat_map(|kind| masks.map(|mask| scored(sizes, kind, mask, dtype)));
    all.collect()
}

/// Every kind of mask: alone, behind keys that were there before, and in groups.
pub fn masks(lengths: &[usize]) -> Vec<Case> {
    let mut cases = Vec::new();
    for rows in lengths {
        let sizes = Sizes { groups: 1, queries: *rows, keys: *rows, heads: 2, head_dim: 16 };
        for mask in [
            Mask::Causal { block: 1 },
            Mask::Causal { block: 12 },
            Mask::Window { before: 5, after: 2 },
            Mask::Window { before: 0, after: 40 },
        ] {
            cases.push(masked(sizes, mask, DType::F32));
            cases.push(masked(Sizes { keys: rows + 41, ..sizes }, mask, DType::F32));
        }
        cases.push(masked(Sizes { groups: 3, ..sizes }, Mask::Causal { block: 7 }, DType::F32));
        cases.push(masked(Sizes { head_dim: 64, ..sizes }, Mask::Window { before: 9, after: 0 }, DType::F16));
    }
    cases
}

fn name(kind: &str, s: Sizes, dtype: DType) -> String {
    let Sizes { groups, queries, keys, heads, head_dim } = s;
    format!("attention/{kind}/{groups}x{queries}x{keys}/{heads}x{head_dim}/{dtype}")
}

/// Large values make scores of some hundreds, whose rounding moves the weights by a few 1e-5; 3e-5 was seen.
/// f16 rounds the inputs alike on both sides, so that only half a unit in the output's last place is added.
fn tolerance(dtype: DType) -> Tolerance {
    match dtype {
        DType::F16 => Tolerance { abs: 1e-3, rel: 1e-3 },
        _ => Tolerance { abs: 1e-4, rel: 1e-4 },
    }
}

/// q, k and v side by side in one matrix.
pub fn fused(s: Sizes, dtype: DType) -> Case {
    let width = s.heads * s.head_dim;
    let scale = 1.0 / (s.head_dim as f64).sqrt();
    Case::new(
        name("self", s, dtype),
        vec![CaseInput::activation(&[s.groups * s.queries, 3 * width], dtype).spiked()],
        move |graph, ids| {
            graph.attention(&AttentionInputs {
                q: (ids[0], 0),
                k: (ids[0], width),
                v: (ids[0], 2 * width),
                heads: s.heads,
                head_dim: s.head_dim,
                scale: crate::case::narrow(scale),
                bias: None,
                mask: Mask::None,
                groups: s.groups,
                out: dtype,
            })
        },
        move |data| {
            let part = |index: usize| move |row: usize, col: usize| data[0][(row * 3 + index) * width + col];
            reference(s, scale, part(0), part(1), part(2), |_, _, _| 0.0)
        },
        tolerance(dtype),
    )
}

/// q alone, k and v side by side behind four columns of something else; the output in the other dtype.
pub fn cross(s: Sizes, dtype: DType) -> Case {
    let width = s.heads * s.head_dim;
    let scale = 0.25;
    let out = if dtype == DType::F16 { DType::F32 } else { DType::F16 };
    Case::new(
        name("cross", s, dtype),
        vec![
            CaseInput::activation(&[s.queries, width], dtype),
            CaseInput::activation(&[s.keys, 4 + 2 * width], dtype).spiked(),
        ],
        move |graph, ids| {
            graph.attention(&AttentionInputs {
                q: (ids[0], 0),
                k: (ids[1], 4),
                v: (ids[1], 4 + width),
                heads: s.heads,
                head_dim: s.head_dim,
                scale: 0.25,
                bias: None,
                mask: Mask::None,
                groups: 1,
                out,
            })
        },
        move |data| {
            let from =
                |first: usize| move |row: usize, col: usize| data[1][row * (4 + 2 * width) + first + col];
            let query = |row: usize, col: usize| data[0][row * width + col];
            reference(s, scale, query, from(4), from(4 + width), |_, _, _| 0.0)
        },
        tolerance(out),
    )
}

/// As T5 has it: no scale, a bias by relative position.
pub fn biased(s: Sizes, dtype: DType) -> Case {
    let width = s.heads * s.head_dim;
    Case::new(
        name("biased", s, dtype),
        vec![
            CaseInput::activation(&[s.queries, width], dtype),
            CaseInput::activation(&[s.keys, width], dtype),
            CaseInput::activation(&[s.keys, width], dtype).spiked(),
            CaseInput::vector(&[2 * s.keys - 1, s.heads]).range(-3.0, 3.0),
        ],
        move |graph, ids| {
            graph.attention(&AttentionInputs {
                q: (ids[0], 0),
                k: (ids[1], 0),
                v: (ids[2], 0),
                heads: s.heads,
                head_dim: s.head_dim,
                scale: 1.0,
                bias: Some(ids[3]),
                mask: Mask::None,
                groups: 1,
                out: dtype,
            })
        },
        move |data| {
            let matrix = |index: usize| move |row: usize, col: usize| data[index][row * width + col];
            let bias =
                |query: usize, key: usize, head: usize| data[3][(key + s.keys - 1 - query) * s.heads + head];
            reference(s, 1.0, matrix(0), matrix(1), matrix(2), bias)
        },
        tolerance(dtype),
    )
}

/// Queries beside keys and values of their own count.
pub fn masked(s: Sizes, mask: Mask, dtype: DType) -> Case {
    let width = s.heads * s.head_dim;
    let scale = 1.0 / (s.head_dim as f64).sqrt();
    Case::new(
        name(&format!("{mask:?}"), s, dtype),
        vec![
            CaseInput::activation(&[s.groups * s.queries, width], dtype),
            CaseInput::activation(&[s.groups * s.keys, 2 * width], dtype).spiked(),
        ],
        move |graph, ids| {
            graph.attention(&AttentionInputs {
                q: (ids[0], 0),
                k: (ids[1], 0),
                v: (ids[1], width),
                heads: s.heads,
                head_dim: s.head_dim,
                scale: crate::case::narrow(scale),
                bias: None,
                mask,
                groups: s.groups,
                out: dtype,
            })
        },
        move |data| {
            let query = |row: usize, col: usize| data[0][row * width + col];
            let of = |part: usize| move |row: usize, col: usize| data[1][(row * 2 + part) * width + col];
            let hidden = |query: usize, key: usize, _: usize| {
                // The last query stands at the last key.
                let position = query + s.keys - s.queries;
                let seen = match mask {
                    Mask::None => true,
                    Mask::Causal { block } => key / block <= position / block,
                    Mask::Window { before, after } => key + before >= position && key <= position + after,
                };
                if seen { 0.0 } else { f64::NEG_INFINITY }
            };
            reference(s, scale, query, of(0), of(1), hidden)
        },
        tolerance(dtype),
    )
}

/// How scores run along the keys, in powers of two: what a running maximum may stumble over.
#[derive(Debug, Clone, Copy)]
pub enum Scores {
    /// All zero.
    Equal,
    /// The first key of every 16 exceeds those before by so much; every other query sees them fall.
    Rising(f64),
    /// One key, the third last, exceeds all others by so much.
    Late(f64),
}

impl Scores {
    /// Of a key among `keys`.
    fn of(self, key: usize, keys: usize) -> f64 {
        match self {
            Self::Equal => 0.0,
            Self::Rising(step) => step * (key / 16) as f64,
            Self::Late(height) => {
                if key + 3 == keys {
                    height
                } else {
                    0.0
                }
            }
        }
    }
}

/// Queries and keys whose scores are prescribed, up to a small part of each key's own; the values are spread.
pub fn scored(s: Sizes, scores: Scores, mask: Mask, dtype: DType) -> Case {
    let width = s.heads * s.head_dim;
    let rising = matches!(scores, Scores::Rising(_));
    // A query and a key meet in one column of each head, in units that make the scaled product a power of two.
    let unit = (s.head_dim as f64).sqrt() * std::f64::consts::LN_2;
    let query = |i: usize| match (i / width, i % s.head_dim) {
        (row, 3) => {
            if rising && row % 2 == 1 {
                -unit
            } else {
                unit
            }
        }
        _ => 0.0,
    };
    let own = if matches!(scores, Scores::Equal) { 0.0 } else { 0.05 };
    let pair = |i: usize| match (i / (2 * width), i % (2 * width)) {
        (row, col) if col >= width => ((row * 31 + col * 17) % 101) as f64 / 25.0 - 2.0,
        (row, col) if col % s.head_dim == 3 => scores.of(row % s.keys, s.keys) + own * (row % 7) as f64,
        _ => 0.0,
    };
    let mut case = masked(s, mask, dtype);
    case.name = name(&format!("{scores:?}/{mask:?}"), s, dtype);
    let (queries, keys) = (s.groups * s.queries, s.groups * s.keys);
    case.inputs = vec![
        CaseInput::activation(&[queries, width], dtype).values((0..queries * width).map(query).collect()),
        CaseInput::activation(&[keys, 2 * width], dtype).values((0..keys * 2 * width).map(pair).collect()),
    ];
    case
}

fn reference(
    s: Sizes,
    scale: f64,
    q: impl Fn(usize, usize) -> f64,
    k: impl Fn(usize, usize) -> f64,
    v: impl Fn(usize, usize) -> f64,
    bias: impl Fn(usize, usize, usize) -> f64,
) -> Vec<f64> {
    let mut out = Vec::with_capacity(s.groups * s.queries * s.heads * s.head_dim);
    for group in 0..s.groups {
        for query in 0..s.queries {
            for head in 0..s.heads {
                let columns = head * s.head_dim..(head + 1) * s.head_dim;
                let scores: Vec<f64> = (0..s.keys)
                    .map(|key| {
                        let (row, other) = (group * s.queries + query, group * s.keys + key);
                        let product: f64 = columns.clone().map(|c| q(row, c) * k(other, c)).sum();
                        scale * product + bias(query, key, head)
                    })
                    .collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                out.extend(columns.map(|c| {
                    let sum: f64 = weights.iter().zip(group * s.keys..).map(|(w, row)| w * v(row, c)).sum();
                    sum / total
                }));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Graph, TensorId};

    fn refusal(change: impl Fn(&mut AttentionInputs, TensorId, TensorId)) -> String {
        let mut graph = Graph::new();
        let qkv = graph.input("qkv", &[6, 24], DType::F32);
        let other = graph.input("other", &[10, 18], DType::F32);
        let bias = graph.input("bias", &[11, 2], DType::F32);
        let mut inputs = AttentionInputs {
            q: (qkv, 0),
            k: (qkv, 8),
            v: (qkv, 16),
            heads: 2,
            head_dim: 4,
            scale: 0.5,
            bias: Some(bias),
            mask: Mask::None,
            groups: 1,
            out: DType::F32,
        };
        graph.attention(&inputs).unwrap_or_else(|e| panic!("{e}"));
        change(&mut inputs, qkv, other);
        graph.attention(&inputs).map(|_| ()).expect_err("refused").to_string()
    }

    #[test]
    fn masks_want_as_many_keys_as_queries() {
        let mut graph = Graph::new();
        let [q, k] = [6, 5].map(|rows| graph.input("x", &[rows, 8], DType::F32));
        let refused = graph.attention(&AttentionInputs {
            q: (q, 0),
            k: (k, 0),
            v: (k, 0),
            heads: 2,
            head_dim: 4,
            scale: 0.5,
            bias: None,
            mask: Mask::Causal { block: 1 },
            groups: 1,
            out: DType::F32,
        });
        let expected =
            "attention: k is [5, 8], expected 6 rows or more, as the last query stands at the last key";
        assert_eq!(refused.map(|_| ()).expect_err("refused").to_string(), expected);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(
            refusal(|i, _, _| i.head_dim = 6),
            "attention: head_dim is 6, expected a positive multiple of 4"
        );
        assert_eq!(
            refusal(|i, qkv, _| i.v = (qkv, 20)),
            "attention: v is [6, 24], expected at least 8 columns from column 20"
        );
        assert_eq!(
            refusal(|i, _, other| i.k = (other, 0)),
            "attention: k is (0, 18), expected first column and width to be multiples of 4"
        );
        assert_eq!(refusal(|i, _, _| i.groups = 2), "attention: bias is [11, 2], expected [5, 2]");
        assert_eq!(
            refusal(|i, _, _| i.groups = 4),
            "attention: q is [6, 24], expected rows to be a positive multiple of 4 groups"
        );
        assert_eq!(refusal(|i, _, _| i.scale = 0.0), "attention: scale is 0.0, expected positive and finite");
        let causal = |i: &mut AttentionInputs, block| i.mask = Mask::Causal { block };
        assert_eq!(
            refusal(|i, _, _| causal(i, 0)),
            "attention: mask is Causal { block: 0 }, expected a block of at least one position"
        );
        assert_eq!(refusal(|i, _, _| i.heads = 0), "attention: heads is 0, expected at least 1");
        assert_eq!(refusal(|i, qkv, _| i.bias = Some(qkv)), "attention: bias is [6, 24], expected [11, 2]");
    }
}
