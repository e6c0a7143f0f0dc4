//! A convolution on the CPU.
use super::{CausalConv3d, Extents, OutputFrames};
use crate::cpu::{
    CpuIo,
    conv3d::{ConvShape, conv3d},
    gemm::{Epilogue, Residual, View},
};
use std::borrow::Cow;

pub(super) fn evaluate(op: &CausalConv3d, e: &Extents, io: &mut CpuIo<'_>) {
    let enlarging = enlarging(op, &io.desc(1).shape);
    let enlarge = op.upsample && !enlarging;
    let map = |index: usize| -> Cow<'_, [f32]> {
        let data = io.input(index);
        if enlarge { Cow::Owned(enlarged(data, e)) } else { Cow::Borrowed(data) }
    };
    let input = map(0);
    let cache = match op.cache {
        Some(index) => map(index),
        None if e.repeats => Cow::Owned(input[..input.len() / e.input[0].max(1)].repeat(e.front)),
        None => Cow::Borrowed(&[][..]),
    };
    let factor = if enlarge { 2 } else { 1 };
    let shape = ConvShape {
        frames: e.input[0],
        height: factor * e.input[1],
        width: factor * e.input[2],
        front: e.front,
        pad: [[op.pad.top, op.pad.bottom], [op.pad.left, op.pad.right]],
        stride: e.stride,
    };
    let residual = match op.residual {
        None => Residual::None,
        Some(i) if io.aliased == Some(i) => Residual::Output,
        Some(i) => Residual::Separate(View::contiguous(io.input(i), e.n)),
    };
    let epilogue = Epilogue {
        bias: op.bias.map(|i| io.input(i)),
        activation: op.activation.cpu(),
        residual,
        ..Epilogue::default()
    };
    let out = std::mem::take(&mut io.output);
    let packed = io.conv(1, enlarging);
    if op.frames == OutputFrames::Same {
        return conv3d(&shape, &input, &cache, &packed, &epilogue, out);
    }
    let mut sums = vec![0.0; e.output.iter().product::<usize>() * e.n];
    conv3d(&shape, &input, &cache, &packed, &epilogue, &mut sums);
    let frame = e.frame() * e.n;
    match op.frames {
        OutputFrames::Halves => split(&sums, e.frame(), e.n, out),
        OutputFrames::Twice => twice(&sums, frame, out),
        OutputFrames::TwiceButFirst | OutputFrames::Same => {
            out[..frame].copy_from_slice(&sums[..frame]);
            twice(&sums[frame..], frame, &mut out[frame..]);
        }
    }
}

/// Whether the packed kernel enlarges by itself: it can where the taps of neighbouring pixels coincide.
pub(super) fn enlarging(op: &CausalConv3d, kernel: &[usize]) -> bool {
    op.upsample && kernel[2..4] == [3, 3] && op.stride[1..] == [1, 1] && op.pad == super::Pad::all(1)
}

/// Every pixel of every frame four times.
fn enlarged(data: &[f32], e: &Extents) -> Vec<f32> {
    let mut out = Vec::with_capacity(4 * data.len());
    for line in data.chunks_exact(e.input[2] * e.channels) {
        let start = out.len();
        for pixel in line.chunks_exact(e.channels) {
            out.extend_from_slice(pixel);
            out.extend_from_slice(pixel);
        }
        out.extend_from_within(start..);
    }
    out
}

/// Every frame two times.
fn twice(frames: &[f32], frame: usize, out: &mut [f32]) {
    for (from, to) in frames.chunks_exact(frame).zip(out.chunks_exact_mut(2 * frame)) {
        to[..frame].copy_from_slice(from);
        to[frame..].copy_from_slice(from);
    }
}

/// Frames of `n` channels as twice as many of half as many.
fn split(pairs: &[f32], frame: usize, n: usize, out: &mut [f32]) {
    let half = n / 2;
    for (pair, out) in pairs.chunks_exact(frame * n).zip(out.chunks_exact_mut(frame * n)) {
        let (even, odd) = out.split_at_mut(frame * half);
        for ((both, even), odd) in
            pair.chunks_exact(n).zip(even.chunks_exact_mut(half)).zip(odd.chunks_exact_mut(half))
        {
            even.copy_from_slice(&both[..half]);
            odd.copy_from_slice(&both[half..]);
        }
    }
}
