//! A group norm on the CPU: moments of chunks merged as on a GPU, then everything else in one pass.
use super::{GroupNorm, Nearest};
use crate::cpu::{
    CpuIo,
    math::Activation,
    simd::{Isa, Simd, Work},
};
use rayon::prelude::*;

/// Rows that are summed in f32 before they are merged in f64.
const BATCH: usize = 64;
/// Values of a task, more or less.
const TASK: usize = 1 << 18;

pub(super) fn evaluate(op: &GroupNorm, io: &mut CpuIo<'_>) {
    // In place, x is in the output already.
    let x = (io.aliased != Some(0)).then(|| io.input(0));
    let (weight, bias) = (io.input(1), io.input(2));
    let cols = weight.len();
    let (_, segment_rows) = op.segments(io.output_desc);
    let modulation = op.first_apart.map(|apart| {
        let extents = |shape: &[usize]| [shape[0], shape[1], shape[2]];
        let nearest = Nearest { from: extents(&io.output_desc.shape), to: extents(&io.desc(3).shape), apart };
        (nearest, io.input(3))
    });
    let activation = if op.silu { Activation::Silu } else { Activation::None };
    let task_rows = (TASK / cols).clamp(1, segment_rows.max(1));
    for (index, segment) in io.output.chunks_exact_mut(segment_rows * cols).enumerate() {
        let start = index * segment_rows;
        let source = x.map(|x| &x[start * cols..][..segment.len()]);
        let (mean, scale) = statistics(op, source.unwrap_or(segment), weight, task_rows);
        segment.par_chunks_mut(task_rows * cols).enumerate().for_each(|(task, out)| {
            let first = task * task_rows * cols;
            let source = source.map(|x| &x[first..first + out.len()]);
            let position = start + task * task_rows;
            let norm =
                Normalise { source, out, mean: &mean, scale: &scale, bias, modulation, position, activation };
            Isa::current().dispatch(norm);
        });
    }
}

/// For each channel, its group's mean, and the reciprocal of its standard deviation times the weight.
fn statistics(op: &GroupNorm, segment: &[f32], weight: &[f32], task_rows: usize) -> (Vec<f32>, Vec<f32>) {
    let cols = weight.len();
    let tasks: Vec<Vec<Moments>> = segment
        .par_chunks(task_rows * cols)
        .map(|rows| {
            let mut moments = vec![Moments::default(); cols];
            let (mut sums, mut squares) = (vec![0.0; cols], vec![0.0; cols]);
            for batch in rows.chunks(BATCH * cols) {
                Isa::current().dispatch(Sums { batch, sums: &mut sums, squares: &mut squares });
                let count = (batch.len() / cols) as f64;
                for (c, moments) in moments.iter_mut().enumerate() {
                    let (sum, square) = (f64::from(sums[c]), f64::from(squares[c]));
                    let offset = sum / count;
                    let mean = f64::from(batch[c]) + offset;
                    moments.merge(&Moments { count, mean, squares: (square - offset * sum).max(0.0) });
                }
            }
            moments
        })
        .collect();
    let group_channels = cols / op.groups;
    let (mut mean, mut scale) = (Vec::with_capacity(cols), Vec::with_capacity(cols));
    for group in 0..op.groups {
        let channels = group * group_channels..(group + 1) * group_channels;
        let mut total = Moments::default();
        tasks.iter().flat_map(|task| &task[channels.clone()]).for_each(|moments| total.merge(moments));
        let factor = 1.0 / (total.squares / total.count + f64::from(op.eps)).sqrt();
        for c in channels {
            mean.push(narrow(total.mean));
            scale.push(narrow(factor * f64::from(weight[c])));
        }
    }
    (mean, scale)
}

/// Count, mean and sum of squared deviations of some values.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        if count == 0.0 {
            return;
        }
        let (share, delta) = (other.count / count, other.mean - self.mean);
        self.squares += other.squares + delta * delta * self.count * share;
        self.mean += delta * share;
        self.count = count;
    }
}

/// Sums and squares of the deviations from the first row, channel by channel.
struct Sums<'a> {
    batch: &'a [f32],
    sums: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Work for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        /// Vectors side by side, so that lines of the cache are read in order.
        const WIDE: usize = 4;
        let cols = self.sums.len();
        let rows = self.batch.len() / cols;
        let mut c = 0;
        while c + WIDE * S::LANES <= cols {
            // SAFETY: every row has WIDE vectors from `c` on.
            unsafe {
                let from = self.batch.as_ptr().add(c);
                let at = |i: usize| i * S::LANES;
                let shift =
                    [s.load(from), s.load(from.add(at(1))), s.load(from.add(at(2))), s.load(from.add(at(3)))];
                let (mut sums, mut squares) = ([s.splat(0.0); WIDE], [s.splat(0.0); WIDE]);
                for row in 0..rows {
                    for i in 0..WIDE {
                        let deviation = s.sub(s.load(from.add(row * cols + at(i))), shift[i]);
                        sums[i] = s.add(sums[i], deviation);
                        squares[i] = s.mul_add(deviation, deviation, squares[i]);
                    }
                }
                for i in 0..WIDE {
                    s.store(self.sums.as_mut_ptr().add(c + at(i)), sums[i]);
                    s.store(self.squares.as_mut_ptr().add(c + at(i)), squares[i]);
                }
            }
            c += WIDE * S::LANES;
        }
        while c < cols {
            let count = (cols - c).min(S::LANES);
            // SAFETY: every row has `count` values from `c` on.
            unsafe {
                let from = self.batch.as_ptr().add(c);
                let shift = s.load_part(from, count);
                let (mut sum, mut square) = (s.splat(0.0), s.splat(0.0));
                for row in 0..rows {
                    let deviation = s.sub(s.load_part(from.add(row * cols), count), shift);
                    sum = s.add(sum, deviation);
                    square = s.mul_add(deviation, deviation, square);
                }
                s.store_part(self.sums.as_mut_ptr().add(c), sum, count);
                s.store_part(self.squares.as_mut_ptr().add(c), square, count);
            }
            c += count;
        }
    }
}

/// Everything but the statistics, for some rows.
struct Normalise<'a> {
    /// None if the rows are in `out`.
    source: Option<&'a [f32]>,
    out: &'a mut [f32],
    mean: &'a [f32],
    scale: &'a [f32],
    bias: &'a [f32],
    modulation: Option<(Nearest, &'a [f32])>,
    /// Of the first row in the volume.
    position: usize,
    activation: Activation,
}

impl Work for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let cols = self.mean.len();
        let rows = self.out.len() / cols;
        let out = self.out.as_mut_ptr();
        let source = match self.source {
            Some(source) => source.as_ptr(),
            None => out.cast_const(),
        };
        let mut line = (usize::MAX, 0);
        for row in 0..rows {
            let factors = match &self.modulation {
                None => None,
                Some((nearest, values)) => {
                    let [_, height, width] = nearest.from;
                    let position = self.position + row;
                    if line.0 != position / width {
                        line = (
                            position / width,
                            nearest.line(position / width / height, position / width % height),
                        );
                    }
                    let z = line.1 + position % width * nearest.to[2] / width;
                    Some(values[2 * z * cols..][..2 * cols].as_ptr())
                }
            };
            // SAFETY: the row, the statistics and each half of the modulation's row have `cols` values.
            unsafe {
                let row = Row {
                    from: source.add(row * cols),
                    to: out.add(row * cols),
                    mean: self.mean.as_ptr(),
                    scale: self.scale.as_ptr(),
                    bias: self.bias.as_ptr(),
                    factors,
                    cols,
                };
                let mut c = 0;
                while c + S::LANES <= cols {
                    row.vector(s, self.activation, c, S::LANES);
                    c += S::LANES;
                }
                if c < cols {
                    row.vector(s, self.activation, c, cols - c);
                }
            }
        }
    }
}

/// One position and what its channels are normalised with.
#[derive(Clone, Copy)]
struct Row {
    from: *const f32,
    to: *mut f32,
    mean: *const f32,
    scale: *const f32,
    bias: *const f32,
    factors: Option<*const f32>,
    cols: usize,
}

impl Row {
    /// Normalises `count` channels from `c` on.
    ///
    /// # Safety
    /// All pointers have `count` values from `c` on, `factors` has twice `cols` values.
    #[inline(always)]
    unsafe fn vector<S: Simd>(self, s: S, activation: Activation, c: usize, count: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            let centred = s.sub(load(s, self.from.add(c), count), load(s, self.mean.add(c), count));
            let mut y =
                s.mul_add(centred, load(s, self.scale.add(c), count), load(s, self.bias.add(c), count));
            if let Some(factors) = self.factors {
                let summand = load(s, factors.add(self.cols + c), count);
                y = s.mul_add(y, load(s, factors.add(c), count), summand);
            }
            let y = activation.vector(s, y);
            if count == S::LANES {
                s.store(self.to.add(c), y)
            } else {
                s.store_part(self.to.add(c), y, count)
            }
        }
    }
}

/// Reads `count` values.
///
/// # Safety
/// `from` is valid for reading them.
#[inline(always)]
unsafe fn load<S: Simd>(s: S, from: *const f32, count: usize) -> S::V {
    // SAFETY: as the caller promises.
    unsafe { if count == S::LANES { s.load(from) } else { s.load_part(from, count) } }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
fn narrow(value: f64) -> f32 {
    value as f32
}
