//! A convolution on the CPU.
use super::{CausalConv3d, Extents};
use crate::cpu::{
    CpuIo,
    conv3d::{ConvShape, PackedConv, conv3d},
    gemm::{Epilogue, Residual, View},
    pack::Weights,
};
use std::borrow::Cow;

pub(super) fn evaluate(op: &CausalConv3d, e: &Extents, io: &mut CpuIo<'_>) {
    // The packed kernel can enlarge by itself where the taps of neighbouring pixels coincide.
    let fused =
        op.upsample && e.kernel[1..] == [3, 3] && e.stride[1..] == [1, 1] && op.pad == super::Pad::all(1);
    let enlarge = op.upsample && !fused;
    let map = |index: usize| -> Cow<'_, [f32]> {
        let data = io.input(index);
        if enlarge { Cow::Owned(enlarged(data, e)) } else { Cow::Borrowed(data) }
    };
    let (input, cache) = (map(0), op.cache.map_or(Cow::Borrowed(&[][..]), map));
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
    let mut run = |packed: &PackedConv| {
        if op.split_frames {
            let mut pairs = vec![0.0; out.len()];
            conv3d(&shape, &input, &cache, packed, &epilogue, &mut pairs);
            split(&pairs, e.frame(), e.n, out);
        } else {
            conv3d(&shape, &input, &cache, packed, &epilogue, out);
        }
    };
    match io.weight(1) {
        Some(weight) => run(weight.packed_conv(fused)),
        None => run(&pack(Weights::F32(io.input(1)), e, fused)),
    }
}

fn pack(weights: Weights<'_>, e: &Extents, enlarges: bool) -> PackedConv {
    if enlarges {
        PackedConv::enlarging(weights, e.n, e.kernel[0], e.channels)
    } else {
        PackedConv::new(weights, e.n, e.kernel, e.channels)
    }
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
