//! Chains of multiply-adds: few rounds, so that every one of them shows.
use crate::{Case, CaseInput, Tolerance};
use engine::DType;

/// All cases.
pub fn cases() -> Vec<Case> {
    // A workgroup has 64 invocations, one per element.
    [(1, 1), (63, 2), (64, 3), (65, 5), (257, 0)].map(|(count, rounds)| case(count, rounds)).into()
}

/// `count` elements through `rounds` rounds.
pub fn case(count: usize, rounds: usize) -> Case {
    Case::new(
        format!("fma_chain/{count} x {rounds}"),
        vec![CaseInput::activation(&[count], DType::F32)],
        move |graph, ids| graph.fma_chain(ids[0], rounds),
        move |data| {
            let chain = |start: f64| (0..rounds).fold(start, |y, _| y * 0.5 + 0.25);
            data[0].iter().map(|x| (0..8).map(|j| chain(x + f64::from(j))).sum()).collect()
        },
        // Eight sums of rounded halves.
        Tolerance { abs: 1e-6, rel: 1e-6 },
    )
}
