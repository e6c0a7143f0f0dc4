//! Frames taken from latents: at the start, in the middle, at and behind the end.
use crate::{Case, CaseInput, Tolerance};
use engine::DType::{self, F16, F32};

/// All cases.
pub fn cases() -> Vec<Case> {
    vec![
        case(&[1, 1, 1, 1], 0, 1, F32),
        // A workgroup has 256 invocations: 255, 256 and 257 elements.
        case(&[3, 2, 5, 17], 1, 1, F32),
        case(&[4, 3, 4, 8], 0, 2, F32),
        case(&[1, 2, 1, 257], 1, 1, F32),
        case(&[16, 5, 7, 11], 2, 3, F32),
        case(&[16, 5, 7, 11], 4, 1, F16),
        case(&[3, 16, 3, 5, 7], 1, 2, F32),
        // Behind the last frame: the last again.
        case(&[2, 3, 5, 7], 2, 3, F32),
        case(&[2, 3, 5, 7], 9, 2, F32),
    ]
}

fn case(shape: &[usize], first: u32, frames: usize, out: DType) -> Case {
    let [channels, total, height, width] = *shape.last_chunk::<4>().unwrap_or(&[0; 4]);
    let area = height * width;
    Case::new(
        format!("latents_to_frames/{shape:?}/{first}/{frames}/{out}"),
        vec![
            CaseInput::activation(shape, F32),
            CaseInput::ids(&[1], 1).values(vec![f64::from(first)]),
            CaseInput::vector(&[channels]).range(0.5, 3.0),
            CaseInput::vector(&[channels]),
        ],
        move |graph, ids| graph.latents_to_frames(ids[0], ids[1], frames, ids[2], ids[3], out),
        move |data| {
            let mut want = Vec::new();
            for t in 0..frames {
                let t = (t + first as usize).min(total - 1);
                for position in 0..area {
                    want.extend(
                        (0..channels)
                            .map(|c| data[0][(c * total + t) * area + position] * data[2][c] + data[3][c]),
                    );
                }
            }
            want
        },
        // Product and sum are rounded once each; values up to 4.
        match out {
            F16 => Tolerance { abs: 1e-6, rel: 5e-4 },
            _ => Tolerance { abs: 5e-7, rel: 1e-7 },
        },
    )
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph};

    fn refused(latents: &[usize], frame: DType, scale: usize, frames: usize) -> String {
        let mut graph = Graph::new();
        let latents = graph.input("latents", latents, DType::F32);
        let frame = graph.input("frame", &[1], frame);
        let scale = graph.input("scale", &[scale], DType::F32);
        graph.latents_to_frames(latents, frame, frames, scale, scale, DType::F32).unwrap_err().to_string()
    }

    #[test]
    fn shapes_and_dtypes_are_checked() {
        assert_eq!(
            refused(&[4, 5, 6], DType::U32, 4, 1),
            "latents_to_frames: latents is [4, 5, 6], expected [channels, frames, height, width] or rows of it"
        );
        assert_eq!(refused(&[4, 3, 5, 6], DType::F32, 4, 1), "latents_to_frames: frame is f32, expected u32");
        assert_eq!(refused(&[4, 3, 5, 6], DType::U32, 3, 1), "latents_to_frames: scale is [3], expected [4]");
        assert_eq!(
            refused(&[4, 3, 5, 6], DType::U32, 4, 4),
            "latents_to_frames: the number of frames is 4, expected 1 to 3"
        );
    }
}
