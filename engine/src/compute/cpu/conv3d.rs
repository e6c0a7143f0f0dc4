//! Causal convolution over spacetime as a product whose rows are gathered by address: no im2col.

use std::ops::Range;

use super::arithmetic::{Arithmetic, Operands};
use super::gemm::{BLOCK_LEN, Epilogue, Rows, ViewMut, product};
use super::pack::{PackedWeight, Weights};
use super::simd::MAX_ROWS;
use crate::tensor::DType;

#[cfg(test)]
mod tests;

/// Sizes of a convolution of feature maps [frames, height, width, channels].
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvShape {
    /// Input frames, without the cache.
    pub(crate) frames: usize,
    /// Input height.
    pub(crate) height: usize,
    /// Input width.
    pub(crate) width: usize,
    /// Frames put before the input: those of the cache, and zeros before them.
    pub(crate) front: usize,
    /// Zeros above and below, left and right.
    pub(crate) pad: [[usize; 2]; 2],
    /// Steps along time, height and width.
    pub(crate) stride: [usize; 3],
}

impl ConvShape {
    /// [frames, height, width] of the result for a kernel of that size; a weight packed for enlarging doubles the
    /// height and the width.
    pub(crate) fn output(&self, weight: &PackedConv) -> [usize; 3] {
        let factor = if weight.enlarges() { 2 } else { 1 };
        let input = [
            self.front + self.frames,
            self.pad[0][0] + self.height * factor + self.pad[0][1],
            self.pad[1][0] + self.width * factor + self.pad[1][1],
        ];
        std::array::from_fn(|axis| {
            (input[axis] + self.stride[axis]).saturating_sub(weight.kernel[axis]) / self.stride[axis]
        })
    }
}

/// The weight of a convolution, packed.
#[derive(Clone, Debug)]
pub(crate) struct PackedConv {
    kernel: [usize; 3],
    channels: usize,
    /// One, or one for each of the four pixels that an input pixel is enlarged to.
    weights: Vec<PackedWeight>,
}

impl PackedConv {
    /// Packs a weight [n, time, height, width, channels] for products of such operands on this machine.
    ///
    /// With `enlarging` it is to be applied to the input enlarged twice in space by repeating pixels, and is 3 x 3 there. Three
    /// taps across repeated pixels see only two different ones, so each of the four output pixels of an input pixel has a 2 x 2
    /// kernel of summed weights: 4/9 of the work, and the enlarged input never exists.
    pub(crate) fn new(
        operands: Operands,
        weights: Weights<'_>,
        n: usize,
        kernel: [usize; 3],
        channels: usize,
        enlarging: bool,
    ) -> Self {
        Self::for_arithmetic(Arithmetic::of(operands), weights, n, kernel, channels, enlarging)
    }

    /// Bytes that such a weight of this dtype takes when it is packed.
    pub(crate) fn size(
        operands: Operands,
        dtype: DType,
        n: usize,
        kernel: [usize; 3],
        channels: usize,
        enlarging: bool,
    ) -> usize {
        if enlarging {
            4 * PackedWeight::size(operands, DType::F32, n, kernel[0] * 4 * channels)
        } else {
            // Taps are no whole groups: what is in groups is widened.
            let dtype = if dtype.grouping().is_some() { DType::F32 } else { dtype };
            PackedWeight::size(operands, dtype, n, kernel.iter().product::<usize>() * channels)
        }
    }

    /// Bytes of the panels.
    pub(crate) fn bytes(&self) -> usize {
        self.weights.iter().map(PackedWeight::bytes).sum()
    }

    /// Packs for a given arithmetic; see [`PackedConv::new`].
    pub(crate) fn for_arithmetic(
        arithmetic: Arithmetic,
        weights: Weights<'_>,
        n: usize,
        kernel: [usize; 3],
        channels: usize,
        enlarging: bool,
    ) -> Self {
        if let Weights::Grouped(..) = weights {
            let wide = weights.to_f32();
            let weights = Weights::F32(&wide);
            return Self::for_arithmetic(arithmetic, weights, n, kernel, channels, enlarging);
        }
        let k = kernel.iter().product::<usize>() * channels;
        let weights = if enlarging {
            Self::phases(arithmetic, weights, n, kernel[0], channels)
        } else {
            vec![PackedWeight::for_arithmetic(arithmetic, weights, n, k)]
        };
        Self { kernel, channels, weights }
    }

    /// The kernels of the four pixels that an input pixel is enlarged to.
    fn phases(
        arithmetic: Arithmetic,
        weights: Weights<'_>,
        n: usize,
        frames: usize,
        channels: usize,
    ) -> Vec<PackedWeight> {
        let whole = weights.to_f32();
        assert_eq!(whole.len(), n * frames * 9 * channels, "weights are [{n}, {frames}, 3, 3, {channels}]");
        // Which of the two distinct pixels a tap sees, for the first and the second output pixel.
        const SEEN: [[usize; 3]; 2] = [[0, 1, 1], [0, 0, 1]];
        let phase = |down: usize, right: usize| {
            let mut summed = vec![0.0_f32; n * frames * 4 * channels];
            for (index, tap) in whole.chunks_exact(channels.max(1)).enumerate() {
                let (matrix, y, x) = (index / 9, index / 3 % 3, index % 3);
                let to = matrix * 4 + SEEN[down][y] * 2 + SEEN[right][x];
                for (to, from) in summed[to * channels..][..channels].iter_mut().zip(tap) {
                    *to += from;
                }
            }
            PackedWeight::for_arithmetic(arithmetic, Weights::F32(&summed), n, frames * 4 * channels)
        };
        vec![phase(0, 0), phase(0, 1), phase(1, 0), phase(1, 1)]
    }

    /// Whether it is applied to the enlarged input.
    pub(crate) fn enlarges(&self) -> bool {
        self.weights.len() == 4
    }

    /// Output channels.
    pub(crate) fn n(&self) -> usize {
        self.weights[0].n()
    }
}

/// Convolves `input` with the frames of `cache` before it; writes [frames, height, width, n] through the epilogue.
///
/// The cache holds up to `shape.front` frames. Rows of the epilogue's matrices are output positions.
pub(crate) fn conv3d(
    shape: &ConvShape,
    input: &[f32],
    cache: &[f32],
    weight: &PackedConv,
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
) {
    let frame = shape.height * shape.width * weight.channels;
    assert_eq!(input.len(), shape.frames * frame, "conv3d: input length");
    assert!(cache.len().is_multiple_of(frame.max(1)), "conv3d: the cache is not whole frames");
    assert!(cache.len() <= shape.front * frame, "conv3d: the cache is longer than the front");
    let output = shape.output(weight);
    let positions: usize = output.iter().product();
    assert_eq!(out.len(), positions * weight.n(), "conv3d: output length");
    let zeros = vec![0.0; weight.kernel[2] * weight.channels];
    let patches = |kernel: [usize; 3], before: [usize; 3], output: [usize; 3], phase| Patches {
        shape,
        input,
        cache,
        zeros: &zeros,
        channels: weight.channels,
        kernel,
        before,
        output,
        merge: kernel[2] * weight.channels <= BLOCK_LEN,
        phase,
    };
    if !weight.enlarges() {
        let before = [shape.front, shape.pad[0][0], shape.pad[1][0]];
        let rows = patches(weight.kernel, before, output, None);
        let out = ViewMut::contiguous(out, weight.n());
        return product(&rows, &weight.weights[0], epilogue, positions, out);
    }
    assert_eq!(
        (shape.pad, &shape.stride[1..]),
        ([[1, 1]; 2], &[1, 1][..]),
        "conv3d: enlarging pads by 1, steps by 1"
    );
    for (index, packed) in weight.weights.iter().enumerate() {
        let (down, right) = (index / 2, index % 2);
        let kernel = [weight.kernel[0], 2, 2];
        let before = [shape.front, 1 - down, 1 - right];
        let rows = patches(kernel, before, [output[0], shape.height, shape.width], Some([down, right]));
        product(&rows, packed, epilogue, positions, ViewMut::contiguous(&mut *out, weight.n()));
    }
}

/// The input values that each output position sees, as rows of a product.
struct Patches<'a> {
    shape: &'a ConvShape,
    input: &'a [f32],
    cache: &'a [f32],
    /// What taps outside see, long enough for a segment.
    zeros: &'a [f32],
    channels: usize,
    kernel: [usize; 3],
    /// Frames, rows and columns of padding before the input.
    before: [usize; 3],
    /// Positions computed: frames, height, width.
    output: [usize; 3],
    /// Whether a segment is all taps of a line, which lie side by side, or a single tap.
    merge: bool,
    /// Of an enlarged output, which pixel of each four is computed.
    phase: Option<[usize; 2]>,
}

/// Neighbouring output positions of one line, as input coordinates of their first tap, padding included.
#[derive(Clone, Copy, Default)]
struct Run {
    frame: usize,
    line: usize,
    column: usize,
    count: usize,
}

impl Patches<'_> {
    /// Cuts `count` positions from `first` on into runs; returns how many.
    fn runs(&self, first: usize, count: usize, runs: &mut [Run; MAX_ROWS]) -> usize {
        let [_, height, width] = self.output;
        let [frame_stride, line_stride, column_stride] = self.shape.stride;
        let (mut column, line) = (first % width, first / width);
        let (mut line, mut frame) = (line % height, line / height);
        let (mut left, mut used) = (count, 0);
        while left > 0 {
            let here = left.min(width - column);
            runs[used] = Run {
                frame: frame * frame_stride,
                line: line * line_stride,
                column: column * column_stride,
                count: here,
            };
            (left, used, column, line) = (left - here, used + 1, 0, line + 1);
            if line == height {
                (line, frame) = (0, frame + 1);
            }
        }
        used
    }

    /// The input line at padded coordinates; none where there are only zeros.
    fn line(&self, frame: usize, line: usize) -> Option<&[f32]> {
        let line = line.checked_sub(self.before[1]).filter(|&line| line < self.shape.height)?;
        let size = self.shape.width * self.channels;
        let frame_size = self.shape.height * size;
        let (frames, frame) = if frame >= self.before[0] {
            (self.input, frame - self.before[0])
        } else {
            (self.cache, frame.checked_sub(self.before[0] - self.cache.len() / frame_size.max(1))?)
        };
        frames.get(frame * frame_size + line * size..)?.get(..size)
    }

    /// Sets the pointers of a run's positions whose tap, at padded column `first` for the first, lies inside the line.
    fn place(&self, line: &[f32], first: usize, pointers: &mut [*const f32]) {
        let (left, step) = (self.before[2], self.shape.stride[2]);
        // How many steps from `first` to `column` or past it.
        let steps = |column: usize| match column.saturating_sub(first) {
            distance if step == 1 => distance,
            distance => distance.div_ceil(step),
        };
        let end = pointers.len().min(steps(left + self.shape.width));
        let start = end.min(steps(left));
        if start < end {
            let values = line[(first + start * step - left) * self.channels..].as_ptr();
            for (i, pointer) in pointers[start..end].iter_mut().enumerate() {
                *pointer = values.wrapping_add(i * step * self.channels);
            }
        }
    }
}

// SAFETY: every pointer is the start of `zeros`, which is as long as a segment, or one that `place` computed inside the slice
// that `line` returned: the start of a tap there or, where all taps of all runs lie inside, of a line of taps.
unsafe impl Rows for Patches<'_> {
    fn count(&self) -> usize {
        self.output.iter().product()
    }

    fn segments(&self) -> usize {
        let [frames, lines, columns] = self.kernel;
        frames * lines * if self.merge { 1 } else { columns }
    }

    fn segment_len(&self) -> usize {
        self.channels * if self.merge { self.kernel[2] } else { 1 }
    }

    fn fill(
        &self,
        first: usize,
        count: usize,
        segments: Range<usize>,
        tile_rows: usize,
        table: &mut Vec<*const f32>,
    ) -> usize {
        let mut runs = [Run::default(); MAX_ROWS];
        let used = self.runs(first, count, &mut runs);
        let runs = &runs[..used];
        let [_, lines, columns] = self.kernel;
        let (left, width) = (self.before[2], self.shape.width);
        let step = self.shape.stride[2];
        let inside =
            |run: &Run| run.column >= left && run.column + (run.count - 1) * step + columns <= left + width;
        let pieces = if self.merge && !runs.iter().all(inside) { columns } else { 1 };
        let mut end = table.len();
        table.resize(end + segments.len() * pieces * tile_rows, self.zeros.as_ptr());
        for segment in segments {
            let (segment, column) =
                if self.merge { (segment, 0) } else { (segment / columns, segment % columns) };
            let (frame, line) = (segment / lines, segment % lines);
            let values = |run: &Run| self.line(run.frame + frame, run.line + line);
            for column in column..column + pieces {
                let pointers = &mut table[end..end + tile_rows];
                end += tile_rows;
                let mut at = 0;
                for run in runs {
                    if let Some(values) = values(run) {
                        self.place(values, run.column + column, &mut pointers[at..at + run.count]);
                    }
                    at += run.count;
                }
                let last = pointers[at - 1];
                pointers[at..].fill(last);
            }
        }
        pieces
    }

    fn output_row(&self, row: usize) -> usize {
        let Some([down, right]) = self.phase else { return row };
        let width = self.output[2];
        // Frames are an even number of lines, so lines double as if all were one frame.
        (row / width * 2 + down) * 2 * width + row % width * 2 + right
    }
}
