//! Convolutions against plain loops in double precision.

use super::*;
use crate::cpu::gemm::tests::{assert_close, multiplied, values};
use crate::cpu::gemm::{Residual, View};
use crate::cpu::math::Activation;

/// The formula: zeros outside, the cache's frames before the input, pixels repeated where the weight enlarges.
fn reference(
    shape: &ConvShape,
    input: &[f32],
    cache: &[f32],
    weight: &[f32],
    packed: &PackedConv,
) -> Vec<f64> {
    let [to, ho, wo] = shape.output(packed);
    let [kt, kh, kw] = packed.kernel;
    let (c, n) = (packed.channels, packed.n());
    let factor = if packed.enlarges() { 2 } else { 1 };
    let all: Vec<f32> = std::iter::repeat_n(0.0, shape.front * shape.height * shape.width * c - cache.len())
        .chain(cache.iter().copied())
        .chain(input.iter().copied())
        .collect();
    let at = |t: usize, y: usize, x: usize, channel: usize| {
        let (Some(y), Some(x)) = (y.checked_sub(shape.pad[0][0]), x.checked_sub(shape.pad[1][0])) else {
            return 0.0;
        };
        let (y, x) = (y / factor, x / factor);
        if y >= shape.height || x >= shape.width {
            return 0.0;
        }
        f64::from(all[((t * shape.height + y) * shape.width + x) * c + channel])
    };
    let mut out = Vec::with_capacity(to * ho * wo * n);
    for position in 0..to * ho * wo {
        let (t, y, x) = (position / (ho * wo), position / wo % ho, position % wo);
        for filter in weight.chunks_exact(kt * kh * kw * c) {
            let mut sum = 0.0;
            for (i, &w) in filter.iter().enumerate() {
                let (tap, channel) = (i / c, i % c);
                let (dt, dy, dx) = (tap / (kh * kw), tap / kw % kh, tap % kw);
                let [st, sy, sx] = shape.stride;
                sum += f64::from(w) * at(t * st + dt, y * sy + dy, x * sx + dx, channel);
            }
            out.push(sum);
        }
    }
    out
}

/// Runs one case on every instruction set.
fn check(shape: &ConvShape, cached: usize, kernel: [usize; 3], channels: usize, n: usize, enlarge: bool) {
    let frame = shape.height * shape.width * channels;
    let (input, cache) = (values(shape.frames * frame, 1), values(cached * frame, 2));
    // Few digits, so that the sums of weights that enlarging takes are as exact as the weights.
    let coarse = |x: f32| if enlarge { (x * 16.0).round() / 16.0 } else { x };
    let weight: Vec<f32> =
        values(n * kernel.iter().product::<usize>() * channels, 3).into_iter().map(coarse).collect();
    let mut want: Vec<(Operands, Vec<f64>)> = Vec::new();
    for arithmetic in Arithmetic::available() {
        let packed =
            PackedConv::for_arithmetic(arithmetic, Weights::F32(&weight), n, kernel, channels, enlarge);
        let mut out = vec![f32::NAN; shape.output(&packed).iter().product::<usize>() * n];
        conv3d(shape, &input, &cache, &packed, &Epilogue::default(), &mut out);
        if want.last().is_none_or(|(operands, _)| *operands != arithmetic.operands()) {
            let [input, cache, weight] =
                [&input, &cache, &weight].map(|values| multiplied(arithmetic, values));
            want.push((arithmetic.operands(), reference(shape, &input, &cache, &weight, &packed)));
        }
        // Up to 5,400 products of values up to 1, whose sums wander up to 50, where half an ulp is 2e-6.
        let what = format!("{arithmetic:?} {shape:?} cached {cached} kernel {kernel:?} {channels} -> {n}");
        assert_close(&out, &want[want.len() - 1].1, 6e-5, &what);
    }
}

/// A 3 x 3 x 3 causal convolution that keeps the size.
fn same(frames: usize, height: usize, width: usize) -> ConvShape {
    ConvShape { frames, height, width, front: 2, pad: [[1, 1]; 2], stride: [1; 3] }
}

#[test]
fn channel_counts_and_widths_around_the_tiles() {
    for (channels, n) in [(1, 1), (3, 17), (6, 3), (12, 32), (16, 33), (32, 8), (130, 5), (200, 16)] {
        for width in [1, 2, 5, 12, 13, 25] {
            check(&same(2, 3, width), 2, [3, 3, 3], channels, n, false);
        }
    }
}

#[test]
fn a_tap_longer_than_a_block_of_k() {
    check(&same(1, 2, 3), 1, [3, 3, 3], 521, 3, false);
    check(&ConvShape { front: 0, pad: [[0, 0]; 2], ..same(1, 3, 4) }, 0, [1, 1, 1], 1031, 20, false);
}

#[test]
fn caches_of_every_length() {
    for cached in 0..=2 {
        check(&same(1, 4, 5), cached, [3, 3, 3], 8, 10, false);
        check(&same(3, 4, 5), cached, [3, 3, 3], 8, 10, false);
    }
}

#[test]
fn kernels_strides_and_padding() {
    let base = same(5, 7, 9);
    // Down-sampling in space: padded below and to the right only.
    let down = ConvShape { front: 0, pad: [[0, 1], [0, 1]], stride: [1, 2, 2], ..base };
    check(&down, 0, [1, 3, 3], 6, 18, false);
    // Down-sampling in time: one cached frame.
    let time = ConvShape { front: 1, pad: [[0, 0]; 2], stride: [2, 1, 1], ..base };
    check(&time, 1, [3, 1, 1], 10, 7, false);
    check(&ConvShape { pad: [[0, 0]; 2], ..base }, 2, [3, 1, 1], 5, 34, false);
    check(&ConvShape { front: 0, pad: [[0, 0]; 2], ..base }, 0, [1, 1, 1], 24, 24, false);
    check(
        &ConvShape { front: 0, pad: [[2, 0], [0, 3]], stride: [2, 3, 2], ..base },
        0,
        [2, 4, 5],
        3,
        4,
        false,
    );
    // Wider than the input.
    check(&ConvShape { front: 1, pad: [[3, 3]; 2], ..same(1, 2, 2) }, 0, [2, 7, 5], 4, 6, false);
}

#[test]
fn enlarging_equals_repeating_pixels_first() {
    for (height, width) in [(1, 1), (2, 3), (5, 13)] {
        check(&ConvShape { front: 0, ..same(2, height, width) }, 0, [1, 3, 3], 12, 9, true);
        check(&same(2, height, width), 2, [3, 3, 3], 5, 33, true);
    }
}

#[test]
fn bias_and_residual_belong_to_output_positions() {
    let shape = ConvShape { front: 0, ..same(1, 3, 4) };
    let (input, bias) = (values(12 * 4, 4), values(6, 6));
    let weight: Vec<f32> = values(6 * 9 * 4, 5).into_iter().map(|x| (x * 16.0).round() / 16.0).collect();
    let residual = values(48 * 6, 7);
    for arithmetic in Arithmetic::available() {
        let packed = PackedConv::for_arithmetic(arithmetic, Weights::F32(&weight), 6, [1, 3, 3], 4, true);
        let mut out = vec![f32::NAN; 48 * 6];
        let epilogue = Epilogue {
            bias: Some(&bias),
            activation: Activation::Silu,
            residual: Residual::Separate(View::contiguous(&residual, 6)),
            ..Epilogue::default()
        };
        conv3d(&shape, &input, &[], &packed, &epilogue, &mut out);
        let seen = multiplied(arithmetic, &input);
        let want: Vec<f64> = reference(&shape, &seen, &[], &weight, &packed)
            .iter()
            .enumerate()
            .map(|(i, sum)| {
                let x = sum + f64::from(bias[i % 6]);
                x / (1.0 + (-x).exp()) + f64::from(residual[i])
            })
            .collect();
        assert_close(&out, &want, 4e-6, &format!("{arithmetic:?}"));
        let mut in_place = residual.clone();
        let epilogue = Epilogue { residual: Residual::Output, ..epilogue };
        conv3d(&shape, &input, &[], &packed, &epilogue, &mut in_place);
        assert_eq!(in_place, out, "{arithmetic:?}");
    }
}
