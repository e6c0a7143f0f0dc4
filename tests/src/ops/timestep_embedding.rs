//! Timestep embeddings, also where the angles are a thousand radians.
use crate::{Case, CaseInput, Tolerance};
use engine::DType;

/// All cases.
pub fn cases() -> Vec<Case> {
    // A workgroup has 64 invocations, one per frequency.
    let mut cases: Vec<Case> = [2, 126, 128, 130, 254].into_iter().map(|dim| case(999.0, dim)).collect();
    cases
        .extend([0.0, 0.001, 1.0, 0.5, 3.25, 500.0, 833.3, 925.062_5, 999.999, 1000.0].map(|t| case(t, 256)));
    cases
}

fn case(t: f64, dim: usize) -> Case {
    Case::new(
        format!("timestep_embedding/{t}/{dim}"),
        vec![CaseInput::activation(&[1], DType::F32).values(vec![t])],
        move |graph, ids| graph.timestep_embedding(ids[0], dim),
        move |data| reference(data[0][0], dim),
        // Four roundings of sums of up to two turns, 1.2e-7 of a turn each at worst; then the polynomials' 1e-7.
        Tolerance { abs: 2e-6, rel: 0.0 },
    )
}

fn reference(t: f64, dim: usize) -> Vec<f64> {
    let half = dim / 2;
    let angles: Vec<f64> =
        (0..half).map(|k| t * (-(10_000.0_f64.ln()) * k as f64 / half as f64).exp()).collect();
    angles.iter().map(|a| a.cos()).chain(angles.iter().map(|a| a.sin())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Graph;

    fn refusal(t: &[usize], dtype: DType, dim: usize) -> String {
        let mut graph = Graph::new();
        let t = graph.input("t", t, dtype);
        graph.timestep_embedding(t, dim).unwrap_err().to_string()
    }

    #[test]
    fn refuses_what_does_not_fit() {
        assert_eq!(refusal(&[1], DType::F32, 7), "timestep_embedding: dim is 7, expected an even number");
        assert_eq!(refusal(&[2], DType::F32, 8), "timestep_embedding: t is [2], expected [1]");
        assert_eq!(refusal(&[1], DType::F16, 8), "timestep_embedding: t is f16, expected f32");
    }
}
