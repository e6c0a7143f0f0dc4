//! Patches of latents as tokens: patches of all kinds, one state row of several.
use super::matmul::{positions, tolerance};
use crate::{Case, CaseInput};
use engine::DType;

/// All cases.
pub fn cases() -> Vec<Case> {
    use DType::{Bf16, F16, F32};
    vec![
        case(None, [1, 1, 1, 1], [1, 1, 1], 1, [F32; 3]),
        case(None, [4, 3, 6, 10], [1, 2, 2], 33, [F32; 3]),
        case(None, [3, 4, 6, 9], [2, 2, 3], 17, [F32; 3]),
        case(None, [5, 2, 4, 8], [1, 2, 4], 40, [F32; 3]),
        case(Some(3), [16, 2, 10, 14], [1, 2, 2], 65, [F32, F16, F32]),
        case(None, [4, 2, 8, 8], [1, 2, 2], 48, [F32, Bf16, F16]),
        case(None, [4, 2, 6, 8], [2, 1, 4], 31, [F16, F32, F16]),
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
    let [channels, extents @ ..] = latents;
    let shape: Vec<usize> = rows.into_iter().chain(latents).collect();
    Case::new(
        format!("patch_embedding/{shape:?} by {patch:?} to {n}/{x}-{weight}-{out}"),
        vec![
            CaseInput::activation(&shape, x).spiked(),
            CaseInput::matrix(&[n, channels, patch[0], patch[1], patch[2]], weight),
            CaseInput::vector(&[n]),
        ],
        move |graph, ids| graph.patch_embedding(ids[0], ids[1], ids[2], patch, out),
        move |data| {
            let [frames, height, width] = extents;
            let mut out = Vec::new();
            for (t, h, w) in positions(std::array::from_fn(|axis| extents[axis] / patch[axis])) {
                for n in 0..n {
                    let mut sum = data[2][n];
                    for c in 0..channels {
                        for (dt, dh, dw) in positions(patch) {
                            let (t, h, w) = (t * patch[0] + dt, h * patch[1] + dh, w * patch[2] + dw);
                            let tap = (((n * channels + c) * patch[0] + dt) * patch[1] + dh) * patch[2] + dw;
                            sum += data[0][((c * frames + t) * height + h) * width + w] * data[1][tap];
                        }
                    }
                    out.push(sum);
                }
            }
            out
        },
        tolerance(out),
    )
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph};

    #[test]
    fn latents_of_partial_patches_are_refused() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[4, 1, 5, 6], DType::F32);
        let weight = graph.input("w", &[8, 4, 1, 2, 2], DType::F32);
        let bias = graph.input("b", &[8], DType::F32);
        let error = graph.patch_embedding(x, weight, bias, [1, 2, 2], DType::F32).unwrap_err();
        let text = "patch_embedding: latents is [4, 1, 5, 6], expected whole patches of [1, 2, 2]";
        assert_eq!(error.to_string(), text);
    }
}
