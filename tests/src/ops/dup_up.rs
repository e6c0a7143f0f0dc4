//! Shortcuts of upsampling stages.
use crate::{Case, CaseInput, Tolerance};
use engine::DType::{self, F16, F32};

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for dtype in [F32, F16] {
        cases.extend([
            case([1, 1, 1, 1], 1, [1, 1], false, dtype),
            // The stages of Wan VAE 2.2: both factors, and only space.
            case([1, 3, 5, 8], 8, [2, 2], true, dtype),
            case([2, 3, 5, 8], 8, [2, 2], false, dtype),
            case([3, 5, 7, 8], 4, [2, 2], true, dtype),
            case([3, 5, 7, 8], 4, [1, 2], false, dtype),
            case([2, 2, 3, 12], 1, [3, 2], true, dtype),
        ]);
    }
    // A workgroup has 256 invocations: 255, 256 and 257 elements of output.
    cases.extend([
        case([1, 3, 5, 17], 17, [1, 1], true, F32),
        case([1, 2, 4, 8], 4, [2, 2], false, F32),
        case([1, 1, 257, 2], 1, [2, 1], true, F32),
    ]);
    cases
}

fn case(shape: [usize; 4], out: usize, factors: [usize; 2], first: bool, dtype: DType) -> Case {
    let [t, h, w, c] = shape;
    let [ft, fs] = factors;
    Case::new(
        format!("dup_up/{shape:?}/{out}/{factors:?}/{first}/{dtype}"),
        vec![CaseInput::activation(&shape, dtype)],
        move |graph, ids| graph.dup_up(ids[0], out, ft, fs, first),
        move |data| {
            let repeats = out * ft * fs * fs / c;
            let mut want = Vec::new();
            for frame in if first { ft - 1 } else { 0 }..t * ft {
                for (y, x) in (0..h * fs).flat_map(|y| (0..w * fs).map(move |x| (y, x))) {
                    for o in 0..out {
                        let repeated = ((o * ft + frame % ft) * fs + y % fs) * fs + x % fs;
                        let position = (frame / ft * h + y / fs) * w + x / fs;
                        want.push(data[0][position * c + repeated / repeats]);
                    }
                }
            }
            want
        },
        Tolerance { abs: 0.0, rel: 0.0 }, // a copy
    )
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph};

    #[test]
    fn shapes_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 2, 3, 6], DType::F32);
        let flat = graph.input("flat", &[6, 6], DType::F32);
        assert_eq!(
            graph.dup_up(x, 4, 1, 2, false).unwrap_err().to_string(),
            "dup_up: out_channels * factor_t * factor_s * factor_s is 16, expected a multiple of x's 6 channels"
        );
        assert_eq!(
            graph.dup_up(flat, 4, 1, 2, false).unwrap_err().to_string(),
            "dup_up: x is [6, 6], expected [frames, height, width, channels]"
        );
    }
}
