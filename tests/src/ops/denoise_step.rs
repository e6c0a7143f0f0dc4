//! Steps on a state that starts as zeros: as many as it has rows, so that each entry of A comes to count.
use crate::{Case, CaseInput, Tolerance};
use engine::{DType, State, TensorDesc};

/// All cases.
pub fn cases() -> Vec<Case> {
    // A workgroup has 64 invocations, a task of the CPU 4096 elements.
    let mut cases: Vec<Case> =
        [1, 63, 64, 65, 127, 4099].into_iter().map(|elements| case(&[elements], 3, true, true)).collect();
    for rows in 1..=6 {
        for (guided, noisy) in [(true, false), (false, false), (true, true), (false, true)] {
            cases.push(case(&[2, 3, 5, 7], rows, guided, noisy));
        }
    }
    cases
}

fn case(shape: &[usize], rows: usize, guided: bool, noisy: bool) -> Case {
    let steps = rows + 1;
    let name = match (guided, noisy) {
        (true, true) => "guided noisy",
        (true, false) => "guided",
        (false, true) => "plain noisy",
        (false, false) => "plain",
    };
    let mut state_shape = vec![rows];
    state_shape.extend_from_slice(shape);
    let columns = rows + 1 + usize::from(noisy);
    let mut inputs = Vec::new();
    for _ in 0..steps {
        inputs.push(CaseInput::activation(&[1 + rows * columns], DType::F32));
        inputs.push(CaseInput::activation(shape, DType::F32).spiked());
        if guided {
            inputs.push(CaseInput::activation(shape, DType::F32));
        }
        if noisy {
            inputs.push(CaseInput::activation(shape, DType::F32));
        }
    }
    let per_step = inputs.len() / steps;
    Case::new(
        format!("denoise_step/{state_shape:?}/{name}"),
        inputs,
        move |graph, ids| {
            let state = State::new("latents", TensorDesc::new(&state_shape, DType::F32));
            let state = graph.state(&state);
            for step in ids.chunks(per_step) {
                let uncond = guided.then(|| step[2]);
                if noisy {
                    graph.noisy_denoise_step(state, step[1], uncond, step[per_step - 1], step[0])?;
                } else {
                    graph.denoise_step(state, step[1], uncond, step[0])?;
                }
            }
            Ok(state)
        },
        move |data| {
            let elements = data[1].len();
            let mut state = vec![0.0; rows * elements];
            for step in data.chunks(per_step) {
                let uncond = guided.then(|| &*step[2]);
                let noise = noisy.then(|| &*step[per_step - 1]);
                state = reference(&state, rows, &step[0], &step[1], uncond, noise);
            }
            state
        },
        // Up to seven steps with factors around one on values of up to 20: a few dozen roundings of 1e-6.
        Tolerance { abs: 2e-5, rel: 4e-6 },
    )
}

fn reference(
    state: &[f64],
    rows: usize,
    coefficients: &[f64],
    cond: &[f64],
    uncond: Option<&[f64]>,
    noise: Option<&[f64]>,
) -> Vec<f64> {
    let elements = cond.len();
    let (a, b) = coefficients[1..].split_at(rows * rows);
    let mut out = Vec::with_capacity(rows * elements);
    for r in 0..rows {
        for e in 0..elements {
            let v = uncond.map_or(cond[e], |uncond| uncond[e] + coefficients[0] * (cond[e] - uncond[e]));
            let fresh = noise.map_or(0.0, |noise| b[rows + r] * noise[e]);
            out.push(
                (0..rows).map(|i| a[r * rows + i] * state[i * elements + e]).sum::<f64>() + b[r] * v + fresh,
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Graph;

    fn refusal(state: &[usize], cond: &[usize], uncond: &[usize], coefficients: usize) -> String {
        let mut graph = Graph::new();
        let state = graph.state(&State::new("latents", TensorDesc::new(state, DType::F32)));
        let cond = graph.input("cond", cond, DType::F32);
        let uncond = graph.input("uncond", uncond, DType::F32);
        let coefficients = graph.input("coefficients", &[coefficients], DType::F32);
        graph.denoise_step(state, cond, Some(uncond), coefficients).unwrap_err().to_string()
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let refused = refusal(&[7, 4], &[4], &[4], 57);
        assert_eq!(refused, "denoise_step: count of state rows is 7, expected 1 to 6");
        let refused = refusal(&[2, 4], &[4], &[4], 6);
        assert_eq!(refused, "denoise_step: coefficients is [6], expected [7]");
        let refused = refusal(&[2, 4], &[5], &[4], 7);
        assert_eq!(refused, "denoise_step: cond is [5], expected [4]");
        let refused = refusal(&[2, 2, 2], &[2, 2], &[4], 7);
        assert_eq!(refused, "denoise_step: uncond is [4], expected [2, 2]");
    }

    #[test]
    fn noise_needs_weights_of_its_own_and_the_shape_of_the_latents() {
        let refusal = |noise: &[usize], coefficients: usize| {
            let mut graph = Graph::new();
            let state = graph.state(&State::new("latents", TensorDesc::new(&[2, 4], DType::F32)));
            let cond = graph.input("cond", &[4], DType::F32);
            let noise = graph.input("noise", noise, DType::F32);
            let coefficients = graph.input("coefficients", &[coefficients], DType::F32);
            graph.noisy_denoise_step(state, cond, None, noise, coefficients).unwrap_err().to_string()
        };
        assert_eq!(refusal(&[4], 7), "denoise_step: coefficients is [7], expected [9]");
        assert_eq!(refusal(&[2, 2], 9), "denoise_step: noise is [2, 2], expected [4]");
    }

    #[test]
    fn refuses_other_dtypes() {
        let mut graph = Graph::new();
        let state = graph.state(&State::new("latents", TensorDesc::new(&[1, 4], DType::F32)));
        let cond = graph.input("cond", &[4], DType::F16);
        let coefficients = graph.input("coefficients", &[3], DType::F32);
        let refused = graph.denoise_step(state, cond, None, coefficients).unwrap_err().to_string();
        assert_eq!(refused, "denoise_step: cond is f16, expected f32");
    }
}
