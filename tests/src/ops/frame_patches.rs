//! Patches to pixels, pixels to patches, and both in turn.
use crate::{Case, CaseInput, Tolerance};
use engine::DType::{self, F16, F32};

const EXACT: Tolerance = Tolerance { abs: 0.0, rel: 0.0 };

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for dtype in [F32, F16] {
        // Frames, patches along height and width, channels of a pixel, size.
        cases.extend([
            unpatchify([1, 1, 1, 1], 1, true, dtype),
            unpatchify([1, 2, 3, 3], 2, true, dtype),
            unpatchify([3, 5, 7, 3], 2, false, dtype),
            unpatchify([2, 3, 2, 5], 3, true, dtype),
            unpatchify([2, 5, 7, 3], 1, true, dtype),
            patchify([1, 1, 1, 1], 1, dtype),
            patchify([3, 5, 7, 3], 2, dtype),
            patchify([2, 3, 2, 5], 3, dtype),
            in_place(dtype),
            there_and_back(dtype),
        ]);
    }
    // A workgroup has 256 invocations: 255, 256 and 257 elements.
    cases.extend([
        unpatchify([1, 5, 17, 3], 1, true, F32),
        unpatchify([1, 4, 8, 2], 2, true, F32),
        patchify([1, 4, 8, 2], 2, F32),
        unpatchify([1, 1, 257, 1], 1, true, F32),
    ]);
    cases
}

/// For each element of the pixels in order, where it lies in the patches.
fn places([t, h, w, c]: [usize; 4], p: usize) -> Vec<usize> {
    let mut places = Vec::new();
    for frame in 0..t {
        for (y, x) in (0..h * p).flat_map(|y| (0..w * p).map(move |x| (y, x))) {
            let token = (frame * h + y / p) * w + x / p;
            places.extend((0..c).map(|c_| token * c * p * p + c_ * p * p + x % p * p + y % p));
        }
    }
    places
}

fn unpatchify(extents: [usize; 4], p: usize, clamp: bool, dtype: DType) -> Case {
    let [t, h, w, c] = extents;
    Case::new(
        format!("unpatchify_frames/{extents:?}/{p}/{clamp}/{dtype}"),
        vec![CaseInput::activation(&[t, h, w, c * p * p], dtype).range(-1.5, 1.5)],
        move |graph, ids| graph.unpatchify_frames(ids[0], p, clamp),
        move |data| {
            let clamped = |v: f64| if clamp { v.clamp(-1.0, 1.0) } else { v };
            places(extents, p).into_iter().map(|place| clamped(data[0][place])).collect()
        },
        EXACT,
    )
}

fn patchify(extents: [usize; 4], p: usize, dtype: DType) -> Case {
    let [t, h, w, c] = extents;
    Case::new(
        format!("patchify_frames/{extents:?}/{p}/{dtype}"),
        vec![CaseInput::activation(&[t, h * p, w * p, c], dtype)],
        move |graph, ids| graph.patchify_frames(ids[0], p),
        move |data| {
            let mut want = vec![0.0; data[0].len()];
            for (place, value) in places(extents, p).into_iter().zip(&data[0]) {
                want[place] = *value;
            }
            want
        },
        EXACT,
    )
}

/// Clamps the result of another op in its buffer.
fn in_place(dtype: DType) -> Case {
    Case::new(
        format!("unpatchify_frames/in place/{dtype}"),
        vec![CaseInput::activation(&[2, 5, 7, 12], dtype).range(-1.5, 1.5)],
        |graph, ids| {
            let pixels = graph.unpatchify_frames(ids[0], 2, false)?;
            graph.unpatchify_frames(pixels, 1, true)
        },
        |data| places([2, 5, 7, 3], 2).into_iter().map(|place| data[0][place].clamp(-1.0, 1.0)).collect(),
        EXACT,
    )
}

fn there_and_back(dtype: DType) -> Case {
    Case::new(
        format!("patchify_frames/there and back/{dtype}"),
        vec![CaseInput::activation(&[2, 4, 6, 3], dtype)],
        |graph, ids| {
            let patches = graph.patchify_frames(ids[0], 2)?;
            graph.unpatchify_frames(patches, 2, false)
        },
        |data| data[0].clone(),
        EXACT,
    )
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph};

    #[test]
    fn shapes_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 3, 4, 6], DType::F32);
        assert_eq!(
            graph.unpatchify_frames(x, 2, true).unwrap_err().to_string(),
            "unpatchify_frames: x's channels is 6, expected a multiple of 4"
        );
        assert_eq!(
            graph.patchify_frames(x, 2).unwrap_err().to_string(),
            "patchify_frames: x's height is 3, expected a multiple of 2"
        );
        assert_eq!(
            graph.patchify_frames(x, 0).unwrap_err().to_string(),
            "patchify_frames: patch is 0, expected at least 1"
        );
    }
}
