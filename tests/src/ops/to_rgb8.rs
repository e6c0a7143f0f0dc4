//! Pixels to bytes; the harness compares the words of an integer output byte by byte.
use crate::{Case, CaseInput, Tolerance};
use engine::DType::{self, F16, F32};

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for dtype in [F32, F16] {
        // A workgroup has 256 invocations: 1020, 1023, 1026 and 1029 pixel values around its 1024; and all remainders by 4.
        for shape in
            [[1, 1, 1, 3], [1, 1, 2, 3], [2, 1, 170, 3], [1, 11, 31, 3], [2, 9, 19, 3], [1, 7, 49, 3]]
        {
            cases.push(case(shape, dtype));
        }
    }
    cases
}

fn case(shape: [usize; 4], dtype: DType) -> Case {
    let elements: usize = shape.iter().product();
    // Levels -20..280, up to 0.4 beside the whole number; f16 is too coarse for more than 0.1. And exactly 0.
    let spread = if dtype == F16 { 0.1 } else { 0.4 };
    let level = |i: usize| (i * 113 % 300) as f64 - 20.0 + spread * ((i * 7 % 11) as f64 / 5.0 - 1.0);
    let value = |i: usize| if i % 10 == 1 { 0.0 } else { level(i) / 127.5 - 1.0 };
    Case::new(
        format!("to_rgb8/{shape:?}/{dtype}"),
        vec![CaseInput::activation(&shape, dtype).values((0..elements).map(value).collect())],
        |graph, ids| graph.to_rgb8(ids[0]),
        |data| {
            let bytes = data[0].iter().map(|v| ((v / 2.0 + 0.5) * 255.0).clamp(0.0, 255.0).round_ties_even());
            let mut bytes: Vec<f64> = bytes.collect();
            bytes.resize(bytes.len().next_multiple_of(4), 0.0);
            bytes
        },
        Tolerance { abs: 0.0, rel: 0.0 },
    )
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph};

    #[test]
    fn shapes_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 3, 4, 6], DType::F32);
        let flat = graph.input("flat", &[12, 3], DType::F32);
        assert_eq!(
            graph.to_rgb8(x).unwrap_err().to_string(),
            "to_rgb8: x is [1, 3, 4, 6], expected [1, 3, 4, 3]"
        );
        assert_eq!(
            graph.to_rgb8(flat).unwrap_err().to_string(),
            "to_rgb8: x is [12, 3], expected [frames, height, width, channels]"
        );
    }
}
