//! Causal convolution: caches, strides, paddings, enlarging, frame pairs, stored dtypes, residuals in place.
use super::matmul::{activate, positions, tolerance};
use crate::{Case, CaseInput, Tolerance, groups};
use engine::{
    DType,
    compute::ops::{Activation, Conv3dOptions, Fill, OutputFrames, Pad},
};
use model_loader::Format;

/// One convolution.
#[derive(Debug, Clone, Copy)]
pub struct Conv {
    /// Frames, height, width and channels of x.
    pub input: [usize; 4],
    /// Channels of the sums.
    pub n: usize,
    /// Taps along time, height and width.
    pub kernel: [usize; 3],
    /// Steps along them.
    pub stride: [usize; 3],
    /// Zeros around.
    pub pad: Pad,
    /// Frames in front; one less than the kernel has if `None`.
    pub front: Option<usize>,
    /// Whether those come from a cache.
    pub cache: bool,
    /// What they are if not.
    pub fill: Fill,
    /// Whether x is enlarged.
    pub upsample: bool,
    /// How the sums' frames become the result's.
    pub frames: OutputFrames,
    /// The residual's dtype.
    pub residual: Option<DType>,
    /// Applied to the sums.
    pub activation: Activation,
    /// x, weight and result.
    pub dtypes: [DType; 3],
}

impl Conv {
    /// A convolution in f32 that keeps the picture's size, for a kernel of odd extents, without a cache.
    pub fn new(input: [usize; 4], n: usize, kernel: [usize; 3]) -> Self {
        let (h, w) = (kernel[1] / 2, kernel[2] / 2);
        Self {
            input,
            n,
            kernel,
            stride: [1; 3],
            pad: Pad { top: h, bottom: h, left: w, right: w },
            front: None,
            cache: false,
            fill: Fill::Zeros,
            upsample: false,
            frames: OutputFrames::Same,
            residual: None,
            activation: Activation::None,
            dtypes: [DType::F32; 3],
        }
    }

    /// The same with a cache.
    #[must_use]
    pub fn cached(self) -> Self {
        Self { cache: true, ..self }
    }

    fn front(&self) -> usize {
        self.front.unwrap_or(self.kernel[0] - 1)
    }

    fn factor(&self) -> usize {
        if self.upsample { 2 } else { 1 }
    }

    /// Frames, height and width of the sums.
    fn output(&self) -> [usize; 3] {
        let [frames, height, width, _] = self.input;
        let covered = [
            self.front() + frames,
            self.pad.top + self.factor() * height + self.pad.bottom,
            self.pad.left + self.factor() * width + self.pad.right,
        ];
        std::array::from_fn(|axis| (covered[axis] - self.kernel[axis]) / self.stride[axis] + 1)
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    use DType::{Bf16, F16, F32};
    const CUBE: [usize; 3] = [3, 3, 3];
    const FLAT: [usize; 3] = [1, 3, 3];
    const TIME: [usize; 3] = [3, 1, 1];
    let half = |conv: Conv| Conv { dtypes: [F16, F16, F16], ..conv };
    let down =
        |conv: Conv| Conv { stride: [1, 2, 2], pad: Pad { top: 0, bottom: 1, left: 0, right: 1 }, ..conv };
    let mut convs = vec![
        // Sizes around the tiles: 8 or 32 (64) positions by 8 or 32 (64) channels.
        Conv::new([1, 1, 1, 1], 1, [1, 1, 1]),
        Conv::new([1, 1, 7, 4], 8, CUBE),
        Conv::new([2, 3, 5, 3], 9, CUBE),
        Conv::new([3, 4, 6, 8], 33, CUBE),
        Conv::new([1, 8, 8, 16], 64, CUBE),
        Conv::new([1, 5, 13, 20], 65, CUBE),
        Conv::new([2, 9, 11, 4], 3, CUBE),
        Conv::new([3, 5, 7, 12], 31, [1, 1, 1]),
        Conv::new([4, 3, 3, 5], 6, TIME),
        Conv { front: Some(0), ..Conv::new([5, 3, 4, 4], 7, CUBE) },
        // A chunk of one, two and four frames behind a cache.
        Conv::new([1, 4, 5, 8], 8, CUBE).cached(),
        Conv::new([2, 4, 5, 3], 7, CUBE).cached(),
        Conv::new([4, 3, 5, 8], 12, CUBE).cached(),
        half(Conv::new([2, 5, 4, 8], 8, CUBE).cached()),
        half(Conv::new([1, 5, 4, 7], 9, CUBE).cached()),
        half(Conv::new([2, 3, 5, 20], 17, CUBE).cached()),
        // Down- and upsampling as the VAE does them.
        down(Conv::new([2, 6, 8, 8], 10, FLAT)),
        down(Conv::new([1, 7, 5, 3], 4, FLAT)),
        Conv { stride: [2, 1, 1], front: Some(1), ..Conv::new([4, 3, 4, 8], 6, TIME) }.cached(),
        Conv { upsample: true, ..Conv::new([2, 3, 5, 8], 4, FLAT) },
        Conv { upsample: true, ..Conv::new([1, 4, 3, 3], 5, FLAT) },
        Conv { upsample: true, ..Conv::new([1, 4, 3, 8], 5, [1, 1, 1]) },
        Conv { upsample: true, ..Conv::new([2, 2, 3, 4], 5, CUBE) }.cached(),
        Conv { frames: OutputFrames::Halves, ..Conv::new([3, 4, 5, 8], 16, TIME) }.cached(),
        Conv { frames: OutputFrames::Halves, ..Conv::new([2, 5, 3, 6], 6, TIME) },
        Conv { frames: OutputFrames::Twice, upsample: true, ..Conv::new([2, 3, 5, 8], 12, FLAT) },
        Conv { frames: OutputFrames::TwiceButFirst, upsample: true, ..Conv::new([3, 3, 4, 8], 9, FLAT) },
        half(Conv { frames: OutputFrames::TwiceButFirst, ..Conv::new([1, 3, 4, 5], 6, FLAT) }),
        // The first chunk of a video whose first frame goes on into the past.
        Conv { fill: Fill::FirstFrame, ..Conv::new([3, 4, 5, 8], 10, CUBE) },
        Conv { fill: Fill::FirstFrame, ..Conv::new([1, 5, 3, 3], 7, CUBE) },
        half(Conv { fill: Fill::FirstFrame, residual: Some(F32), ..Conv::new([2, 5, 4, 8], 8, CUBE) }),
        Conv { pad: Pad { top: 2, bottom: 0, left: 1, right: 3 }, ..Conv::new([1, 4, 5, 4], 8, FLAT) },
        // What is fused on.
        Conv { activation: Activation::Silu, ..Conv::new([1, 4, 5, 8], 8, FLAT) },
        // A frame beside the one before it.
        Conv { activation: Activation::Relu, ..Conv::new([3, 4, 5, 12], 12, [2, 3, 3]).cached() },
        Conv { residual: Some(F32), ..Conv::new([2, 4, 5, 8], 9, CUBE) },
        half(Conv { residual: Some(F16), ..Conv::new([2, 4, 5, 8], 9, CUBE) }),
    ];
    for dtypes in [[F32, F16, F32], [F32, Bf16, F32], [F16, Bf16, F32]] {
        convs.push(Conv { dtypes, ..Conv::new([1, 5, 6, 8], 10, FLAT) });
        convs.push(Conv { dtypes, ..Conv::new([1, 5, 6, 5], 10, FLAT) });
    }
    // Float8, in whole quads and across them, also enlarged.
    for (format, input, kernel) in
        [(Format::F8E4M3, [1, 5, 6, 8], CUBE), (Format::F8E5M2, [2, 3, 5, 6], [2, 3, 3])]
    {
        let dtypes = [F32, groups::dtype(format, kernel.iter().product::<usize>() * input[3]), F32];
        convs.push(Conv { dtypes, ..Conv::new(input, 10, kernel) });
    }
    let dtypes = [F16, groups::dtype(Format::F8E4M3, 9 * 8), F32];
    convs.push(Conv { dtypes, upsample: true, ..Conv::new([2, 3, 5, 8], 4, FLAT) });
    let mut cases: Vec<Case> = convs.into_iter().map(case).collect();
    cases.push(in_place(F32));
    cases.push(in_place(F16));
    cases
}

fn name(conv: &Conv) -> String {
    let Conv { input, n, kernel, stride, pad, dtypes: [x, weight, out], .. } = conv;
    let Pad { top, bottom, left, right } = pad;
    let mut name = format!("causal_conv3d/{input:?} by {kernel:?} to {n}/{x}-{weight}-{out}");
    name += &format!("/step {stride:?} pad {top} {bottom} {left} {right} front {}", conv.front());
    for (wanted, what) in [
        (conv.cache, " cached"),
        (conv.upsample, " enlarged"),
        (conv.fill == Fill::FirstFrame, " first frame"),
        (conv.frames == OutputFrames::Halves, " split"),
        (conv.frames == OutputFrames::Twice, " twice"),
        (conv.frames == OutputFrames::TwiceButFirst, " twice but first"),
        (conv.residual.is_some(), " residual"),
        (conv.activation != Activation::None, " silu"),
    ] {
        name += if wanted { what } else { "" };
    }
    name
}

/// One convolution with a bias.
pub fn case(conv: Conv) -> Case {
    let Conv { input, n, kernel: [kt, kh, kw], dtypes: [x, weight, out], .. } = conv;
    let [frames, height, width] = conv.output();
    let mut inputs = vec![
        CaseInput::activation(&input, x),
        CaseInput::matrix(&[n, kt, kh, kw, input[3]], weight),
        CaseInput::vector(&[n]),
    ];
    let mut add = |wanted: bool, input: CaseInput| {
        wanted.then(|| {
            inputs.push(input);
            inputs.len() - 1
        })
    };
    let cache = add(conv.cache, CaseInput::activation(&[conv.front(), input[1], input[2], input[3]], x));
    let dtype = conv.residual.unwrap_or(DType::F32);
    let residual = add(conv.residual.is_some(), CaseInput::activation(&[frames, height, width, n], dtype));
    Case::new(
        name(&conv),
        inputs,
        move |graph, ids| {
            let options = Conv3dOptions {
                bias: Some(ids[2]),
                cache: cache.map(|i| ids[i]),
                fill: conv.fill,
                front: conv.front,
                stride: conv.stride,
                pad: conv.pad,
                upsample: conv.upsample,
                frames: conv.frames,
                residual: residual.map(|i| ids[i]),
                activation: conv.activation,
                out,
            };
            graph.causal_conv3d(ids[0], ids[1], &options)
        },
        move |data| {
            let cache = cache.map_or(&[][..], |i| &data[i]);
            let mut y = sums(&conv, &data[0], cache, &data[1]);
            for (i, y) in y.iter_mut().enumerate() {
                *y = activate(conv.activation, *y + data[2][i % n]) + residual.map_or(0.0, |r| data[r][i]);
            }
            let frame = height * width * n;
            match conv.frames {
                OutputFrames::Same => y,
                OutputFrames::Halves => split(&y, height * width, n),
                OutputFrames::Twice => y.chunks(frame).flat_map(|frame| frame.repeat(2)).collect(),
                OutputFrames::TwiceButFirst => {
                    let (first, rest) = y.split_at(frame);
                    first
                        .iter()
                        .copied()
                        .chain(rest.chunks(frame).flat_map(|frame| frame.repeat(2)))
                        .collect()
                }
            }
        },
        wide(tolerance(out)),
    )
}

/// Up to 540 products a sum: three times what a matrix product's cases are allowed.
fn wide(tolerance: Tolerance) -> Tolerance {
    Tolerance { abs: 3.0 * tolerance.abs, ..tolerance }
}

/// The second convolution adds to the first one's result where that lies.
fn in_place(dtype: DType) -> Case {
    let conv = Conv { dtypes: [dtype, DType::F32, dtype], ..Conv::new([2, 3, 5, 8], 11, [3, 3, 3]) };
    Case::new(
        format!("causal_conv3d/in place/{dtype}"),
        vec![CaseInput::activation(&conv.input, dtype), CaseInput::matrix(&[11, 3, 3, 3, 8], DType::F32)],
        move |graph, ids| {
            let options = Conv3dOptions { pad: conv.pad, ..Conv3dOptions::new(dtype) };
            let once = graph.causal_conv3d(ids[0], ids[1], &options)?;
            graph.causal_conv3d(ids[0], ids[1], &Conv3dOptions { residual: Some(once), ..options })
        },
        move |data| sums(&conv, &data[0], &[], &data[1]).into_iter().map(|y| 2.0 * y).collect(),
        wide(tolerance(dtype)),
    )
}

/// [To, Ho, Wo, N], tap by tap.
fn sums(conv: &Conv, x: &[f64], cache: &[f64], weight: &[f64]) -> Vec<f64> {
    let [frames, height, width, channels] = conv.input;
    let (front, factor) = (conv.front(), conv.factor());
    let value = |t: usize, y: usize, x_at: usize, c: usize| {
        let (Some(y), Some(x_at)) = (y.checked_sub(conv.pad.top), x_at.checked_sub(conv.pad.left)) else {
            return 0.0;
        };
        let (y, x_at) = (y / factor, x_at / factor);
        if y >= height || x_at >= width {
            return 0.0;
        }
        let at = |frame: usize| ((frame * height + y) * width + x_at) * channels + c;
        assert!(t < front + frames, "taps stay within the frames");
        match (t >= front, conv.fill) {
            (true, _) => x[at(t - front)],
            (false, Fill::FirstFrame) => x[at(0)],
            (false, Fill::Zeros) => cache.get(at(t)).copied().unwrap_or(0.0),
        }
    };
    let mut out = Vec::new();
    for (t, y, x_at) in positions(conv.output()) {
        let [t, y, x_at] = [t * conv.stride[0], y * conv.stride[1], x_at * conv.stride[2]];
        for kernel in weight.chunks(weight.len() / conv.n) {
            let mut sum = 0.0;
            for ((dt, dy, dx), taps) in positions(conv.kernel).zip(kernel.chunks(channels)) {
                for (c, tap) in taps.iter().enumerate() {
                    sum += value(t + dt, y + dy, x_at + dx, c) * tap;
                }
            }
            out.push(sum);
        }
    }
    out
}

/// Each frame's first half of channels, then its second half, as frames.
fn split(y: &[f64], frame: usize, n: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(y.len());
    for frame in y.chunks(frame * n) {
        out.extend(frame.chunks(n).flat_map(|position| &position[..n / 2]));
        out.extend(frame.chunks(n).flat_map(|position| &position[n / 2..]));
    }
    out
}

#[cfg(test)]
mod tests {
    use engine::{DType, Graph, compute::ops::Conv3dOptions};

    #[test]
    fn what_does_not_fit_is_named() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 4, 4, 8], DType::F32);
        let weight = graph.input("w", &[6, 3, 3, 3, 7], DType::F32);
        let error = graph.causal_conv3d(x, weight, &Conv3dOptions::new(DType::F32)).unwrap_err();
        assert_eq!(error.to_string(), "causal_conv3d: weight is [6, 3, 3, 3, 7], expected [6, 3, 3, 3, 8]");
        let weight = graph.input("w", &[6, 3, 5, 5, 8], DType::F32);
        let error = graph.causal_conv3d(x, weight, &Conv3dOptions::new(DType::F32)).unwrap_err();
        let text = "causal_conv3d: kernel is [3, 5, 5], expected between 1 and the padded input [3, 4, 4]";
        assert_eq!(error.to_string(), text);
        let weight = graph.input("w", &[6, 3, 3, 3, 8], DType::F32);
        let cache = graph.input("c", &[1, 4, 4, 8], DType::F32);
        let options = Conv3dOptions { cache: Some(cache), ..Conv3dOptions::new(DType::F32) };
        let error = graph.causal_conv3d(x, weight, &options).unwrap_err();
        assert_eq!(error.to_string(), "causal_conv3d: cache is [1, 4, 4, 8], expected [2, 4, 4, 8]");
    }
}
