//! Caches that see several chunks, starting from zeros.
use crate::{Case, CaseInput, Tolerance};
use engine::{
    DType::{self, F16, F32},
    State, TensorDesc,
};

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // Chunks shorter than the cache, as long, longer, and of mixed lengths; frames of 1, 252..=257 and 385 elements.
    let lengths: [&[usize]; 6] = [&[1, 1, 1], &[2, 2], &[1, 4, 4], &[5], &[1], &[2, 1]];
    let frames = [[1, 1, 1], [6, 6, 7], [5, 3, 17], [8, 8, 4], [1, 1, 257], [5, 7, 11]];
    for (chunks, frame) in lengths.into_iter().zip(frames) {
        cases.push(case(2, chunks, frame, F32, F32));
        cases.push(case(2, chunks, frame, F16, F16));
    }
    cases.push(case(1, &[1, 3], [3, 5, 7], F32, F32));
    cases.push(case(4, &[1, 1, 2, 1], [3, 5, 7], F32, F32));
    cases.push(case(4, &[3, 1], [2, 6, 4], F16, F16));
    cases.push(case(4, &[3, 1], [2, 6, 4], F32, F32));
    cases.push(case(4, &[3, 1], [2, 6, 3], F16, F16));
    cases.push(case(3, &[3, 1], [2, 6, 4], F16, F16));
    cases.push(case(2, &[1, 1], [3, 5, 8], F32, F16));
    cases.push(case(2, &[1, 1], [3, 5, 8], F16, F32));
    cases
}

fn case(cache: usize, chunks: &'static [usize], frame: [usize; 3], state: DType, x: DType) -> Case {
    let [height, width, channels] = frame;
    let shape = move |frames: usize| [frames, height, width, channels];
    Case::new(
        format!("update_conv_cache/{cache}/{chunks:?}/{frame:?}/{state}/{x}"),
        chunks.iter().map(|frames| CaseInput::activation(&shape(*frames), x)).collect(),
        move |graph, ids| {
            let state = State::new("cache", TensorDesc::new(&shape(cache), state));
            let state = graph.state(&state);
            for id in ids {
                graph.update_conv_cache(state, *id)?;
            }
            Ok(state)
        },
        move |data| {
            let size = height * width * channels;
            let all: Vec<f64> =
                std::iter::repeat_n(0.0, cache * size).chain(data.iter().flatten().copied()).collect();
            all[all.len() - cache * size..].to_vec()
        },
        // A copy, but for a cache narrower than x.
        if state == F16 && x == F32 {
            Tolerance { abs: 1e-7, rel: 5e-4 }
        } else {
            Tolerance { abs: 0.0, rel: 0.0 }
        },
    )
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph, State, TensorDesc};

    fn refused(state: &[usize], x: &[usize], dtype: DType) -> String {
        let mut graph = Graph::new();
        let state = graph.state(&State::new("cache", TensorDesc::new(state, DType::F32)));
        let x = graph.input("x", x, dtype);
        graph.update_conv_cache(state, x).unwrap_err().to_string()
    }

    #[test]
    fn shapes_and_dtypes_are_checked() {
        assert_eq!(
            refused(&[2, 4, 5], &[1, 4, 5, 6], DType::F32),
            "update_conv_cache: state is [2, 4, 5], expected [frames, height, width, channels]"
        );
        assert_eq!(
            refused(&[2, 4, 5, 6], &[3, 4, 5, 7], DType::F32),
            "update_conv_cache: x is [3, 4, 5, 7], expected [3, 4, 5, 6]"
        );
        assert_eq!(
            refused(&[2, 4, 5, 6], &[3, 4, 5, 6], DType::U32),
            "update_conv_cache: x is u32, expected f32, f16 or bf16"
        );
    }
}
