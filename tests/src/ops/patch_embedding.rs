//! Patches of latents as tokens: patches of all kinds, one state row of several.
use super::matmul::{positions, tolerance};
use crate::{Case, CaseInput, groups};
use engine::{DType, compute::ops::PatchOptions};
use model_loader::Format;

/// All cases.
pub fn cases() -> Vec<Case> {
    use DType::{Bf16, F16, F32};
    vec![
        case(None, [1, 1, 1, 1], [1, 1, 1], 1, [F32; 3]),
        fused(Residual { bias: false, dtype: F32 }, [4, 3, 6, 10], [1, 2, 2], 33, [F32; 3]),
        fused(Residual { bias: true, dtype: F16 }, [6, 4, 4, 6], [2, 2, 2], 40, [F32, Bf16, F32]),
        in_place([3, 2, 4, 6], [1, 2, 2], 35),
        case(None, [4, 3, 6, 10], [1, 2, 2], 33, [F32; 3]),
        case(None, [3, 4, 6, 9], [2, 2, 3], 17, [F32; 3]),
        case(None, [5, 2, 4, 8], [1, 2, 4], 40, [F32; 3]),
        case(Some(3), [16, 2, 10, 14], [1, 2, 2], 65, [F32, F16, F32]),
        case(None, [4, 2, 8, 8], [1, 2, 2], 48, [F32, Bf16, F16]),
        case(None, [4, 2, 6, 8], [2, 1, 4], 31, [F16, F32, F16]),
        // Lines of a patch that are no whole quads of a group, and such that are.
        case(None, [8, 2, 4, 6], [1, 2, 2], 33, [F32, groups::dtype(Format::Q4_1, 32), F32]),
        case(None, [3, 2, 4, 6], [1, 2, 2], 33, [F32, groups::dtype(Format::F8E4M3, 12), F32]),
        case(None, [16, 2, 4, 8], [1, 1, 4], 9, [F32, groups::dtype(Format::Q8_0, 64), F16]),
    ]
}

/// Embeds latents of the given channels, frames, height and width; `rows` of such latents in a state.
pub fn case(
    rows: Option<usize>,
    latents: [usize; 4],
    patch: [usize; 3],
    n: usize,
    dtypes: [DType; 3],
) -> Case {
    let [x, weight, out] = dtypes;
    let channels = latents[0];
    let shape: Vec<usize> = rows.into_iter().chain(latents).collect();
    Case::new(
        format!("patch_embedding/{shape:?} by {patch:?} to {n}/{x}-{weight}-{out}"),
        vec![
            CaseInput::activation(&shape, x).spiked(),
            CaseInput::matrix(&[n, channels, patch[0], patch[1], patch[2]], weight),
            CaseInput::vector(&[n]),
        ],
        move |graph, ids| {
            let options = PatchOptions { patch, bias: Some(ids[2]), residual: None, out };
            graph.patch_embedding(ids[0], ids[1], &options)
        },
        move |data| embed(latents, patch, &data[0], &data[1], &data[2]),
        tolerance(out),
    )
}

/// What is added to a sum.
#[derive(Clone, Copy)]
struct Residual {
    bias: bool,
    dtype: DType,
}

/// Embeds latents with a residual, and with or without a bias.
fn fused(residual: Residual, latents: [usize; 4], patch: [usize; 3], n: usize, dtypes: [DType; 3]) -> Case {
    let [x, weight, out] = dtypes;
    let tokens: usize = (0..3).map(|axis| latents[1 + axis] / patch[axis]).product();
    let Residual { bias, dtype } = residual;
    Case::new(
        format!(
            "patch_embedding/{latents:?} by {patch:?} to {n}/bias {bias} plus {dtype}/{x}-{weight}-{out}"
        ),
        vec![
            CaseInput::activation(&latents, x),
            CaseInput::matrix(&[n, latents[0], patch[0], patch[1], patch[2]], weight),
            CaseInput::vector(&[n]),
            CaseInput::activation(&[tokens, n], dtype),
        ],
        move |graph, ids| {
            let options = PatchOptions { patch, bias: bias.then_some(ids[2]), residual: Some(ids[3]), out };
            graph.patch_embedding(ids[0], ids[1], &options)
        },
        move |data| {
            let bias = if bias { data[2].clone() } else { vec![0.0; n] };
            let tokens = embed(latents, patch, &data[0], &data[1], &bias);
            tokens.iter().zip(&data[3]).map(|(y, residual)| y + residual).collect()
        },
        tolerance(out),
    )
}

/// A second embedding is added to the first in the first one's buffer.
fn in_place(latents: [usize; 4], patch: [usize; 3], n: usize) -> Case {
    Case::new(
        "patch_embedding/in place",
        vec![
            CaseInput::activation(&latents, DType::F32),
            CaseInput::matrix(&[n, latents[0], patch[0], patch[1], patch[2]], DType::F32),
        ],
        move |graph, ids| {
            let options = PatchOptions { patch, bias: None, residual: None, out: DType::F32 };
            let once = graph.patch_embedding(ids[0], ids[1], &options)?;
            graph.patch_embedding(ids[0], ids[1], &PatchOptions { residual: Some(once), ..options })
        },
        move |data| {
            let once = embed(latents, patch, &data[0], &data[1], &vec![0.0; n]);
            once.iter().map(|y| 2.0 * y).collect()
        },
        tolerance(DType::F32),
    )
}

/// The reference: tokens of patches.
fn embed(latents: [usize; 4], patch: [usize; 3], x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let [channels, frames, height, width] = latents;
    let mut out = Vec::new();
    for (t, h, w) in positions([frames / patch[0], height / patch[1], width / patch[2]]) {
        for (n, bias) in bias.iter().enumerate() {
            let mut sum = *bias;
            for c in 0..channels {
                for (dt, dh, dw) in positions(patch) {
                    let (t, h, w) = (t * patch[0] + dt, h * patch[1] + dh, w * patch[2] + dw);
                    let tap = (((n * channels + c) * patch[0] + dt) * patch[1] + dh) * patch[2] + dw;
                    sum += x[((c * frames + t) * height + h) * width + w] * weight[tap];
                }
            }
            out.push(sum);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph, compute::ops::PatchOptions};

    #[test]
    fn latents_of_partial_patches_are_refused() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[4, 1, 5, 6], DType::F32);
        let weight = graph.input("w", &[8, 4, 1, 2, 2], DType::F32);
        let bias = graph.input("b", &[8], DType::F32);
        let options = PatchOptions { patch: [1, 2, 2], bias: Some(bias), residual: None, out: DType::F32 };
        let error = graph.patch_embedding(x, weight, &options).unwrap_err();
        let text = "patch_embedding: latents is [4, 1, 5, 6], expected whole patches of [1, 2, 2]";
        assert_eq!(error.to_string(), text);
    }
}
