//! Shortcuts of downsampling stages.
use crate::{Case, CaseInput, Tolerance};
use engine::{
    DType::{self, F16, F32},
    compute::ops::Fill,
};

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for dtype in [F32, F16] {
        cases.extend([
            case([1, 1, 1, 1], 1, [1, 1], dtype),
            // One frame is filled up by a zero frame; four are not.
            case([1, 4, 6, 8], 16, [2, 2], dtype),
            case([4, 4, 6, 8], 16, [2, 2], dtype),
            case([5, 6, 10, 8], 4, [3, 2], dtype),
            case([2, 4, 14, 12], 12, [1, 2], dtype),
            case([3, 5, 7, 12], 3, [1, 1], dtype),
            // The mean of frame pairs; an odd number has its first frame left as it is.
            filled([5, 3, 4, 8], 8, [2, 1], Fill::FirstFrame, dtype),
            filled([4, 3, 4, 5], 5, [2, 1], Fill::FirstFrame, dtype),
            filled([1, 2, 4, 8], 4, [3, 2], Fill::FirstFrame, dtype),
        ]);
    }
    // A workgroup has 256 invocations: 255, 256 and 257 elements of output.
    cases.extend([
        case([2, 6, 10, 17], 17, [2, 2], F32),
        case([3, 8, 8, 8], 8, [2, 2], F32),
        case([1, 1, 257, 3], 1, [1, 1], F32),
    ]);
    cases
}

fn case(shape: [usize; 4], out: usize, factors: [usize; 2], dtype: DType) -> Case {
    filled(shape, out, factors, Fill::Zeros, dtype)
}

fn filled(shape: [usize; 4], out: usize, factors: [usize; 2], fill: Fill, dtype: DType) -> Case {
    let [t, h, w, c] = shape;
    let [ft, fs] = factors;
    Case::new(
        format!("avg_down/{shape:?}/{out}/{factors:?}/{fill:?}/{dtype}"),
        vec![CaseInput::activation(&shape, dtype).spiked()],
        move |graph, ids| graph.avg_down(ids[0], out, ft, fs, fill),
        move |data| {
            let front = (ft - t % ft) % ft;
            let run = c * ft * fs * fs / out;
            // Every element adds its share to the output that its place after space-to-depth belongs to.
            let mut want = vec![0.0; (t + front) / ft * (h / fs) * (w / fs) * out];
            let first = if fill == Fill::Zeros { front } else { 0 };
            for padded in first..front + t {
                let frame = padded.saturating_sub(front);
                for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
                    for channel in 0..c {
                        let depth = ((channel * ft + padded % ft) * fs + y % fs) * fs + x % fs;
                        let position = (padded / ft * (h / fs) + y / fs) * (w / fs) + x / fs;
                        let value = data[0][((frame * h + y) * w + x) * c + channel];
                        want[position * out + depth / run] += value / run as f64;
                    }
                }
            }
            want
        },
        // Up to 24 values of up to 20 are summed in f32.
        match dtype {
            F16 => Tolerance { abs: 1e-6, rel: 5e-4 },
            _ => Tolerance { abs: 1e-6, rel: 1e-6 },
        },
    )
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph, compute::ops::Fill};

    #[test]
    fn shapes_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 4, 6, 5], DType::F32);
        let odd = graph.input("odd", &[1, 4, 7, 5], DType::F32);
        let mut refused =
            |x, out, ft, fs| graph.avg_down(x, out, ft, fs, Fill::Zeros).map(|_| ()).unwrap_err().to_string();
        assert_eq!(
            refused(x, 3, 1, 2),
            "avg_down: out_channels is 3, expected a divisor of the 20 channels to average"
        );
        assert_eq!(refused(odd, 5, 1, 2), "avg_down: x's width is 7, expected a multiple of 2");
        assert_eq!(
            refused(x, 5, 0, 2),
            "avg_down: [out_channels, factor_t, factor_s] is [5, 0, 2], expected positive numbers"
        );
    }
}
