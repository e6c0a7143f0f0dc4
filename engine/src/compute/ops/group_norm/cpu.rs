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
/// Values of a result that no cache holds until somebody reads it.
const LARGE: usize = 1 << 24;

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
    let streams = x.is_some() && io.output.len() >= LARGE && cols.is_multiple_of(4);
    let task_rows = (TASK / cols).clamp(1, segment_rows.max(1));
    for (index, segment) in io.output.chunks_exact_mut(segment_rows * cols).enumerate() {
        let start = index * segment_rows;
        let source = x.map(|x| &x[start * cols..][..segment.len()]);
        let (mean, scale) = statistics(op, source.unwrap_or(segment), weight, task_rows);
        segment.par_chunks_mut(task_rows * cols).enumerate().for_each(|(task, out)| {
            let first = task * task_rows * cols;
            let source = source.map(|x| &x[first..first + out.len()]);
            let position = start + task * task_rows;
            let norm = Normalise {
                source,
                out,
                mean: &mean,
                scale: &scale,
                bias,
                modulation,
                position,
                activation,
                streams,
            };
            Isa::current().dispatch(norm);
        });
    }
}

/// For each channel, its group's mean, and the reciprocal of its standard deviation times the weight.
fn statistics(op: &GroupNorm, segment: &[f32], weight: &[f32], task_rows: usize) -> (Vec<f32>, Vec<f32>) {
    let cols = weight.len();
    let tasks: Vec<Channels> = segment
        .par_chunks(task_rows * cols)
        .map(|rows| {
            let mut channels = Channels { count: 0.0, mean: vec![0.0; cols], squares: vec![0.0; cols] };
            let (mut sums, mut squares) = (vec![0.0; cols], vec![0.0; cols]);
            for batch in rows.chunks(BATCH * cols) {
                Isa::current().dispatch(Sums { batch, sums: &mut sums, squares: &mut squares });
                channels.merge_batch(batch, &sums, &squares);
            }
            channels
        })
        .collect();
    let group_channels = cols / op.groups;
    let (mut mean, mut scale) = (Vec::with_capacity(cols), Vec::with_capacity(cols));
    for group in 0..op.groups {
        let channels = group * group_channels..(group + 1) * group_channels;
        let mut total = Moments::default();
        for task in &tasks {
            for c in channels.clone() {
                total.merge(&Moments { count: task.count, mean: task.mean[c], squares: task.squares[c] });
            }
        }
        let factor = 1.0 / (total.squares / total.count + f64::from(op.eps)).sqrt();
        for c in channels {
            mean.push(narrow(total.mean));
            scale.push(narrow(factor * f64::from(weight[c])));
        }
    }
    (mean, scale)
}

/// The share of the second of two sets in both, and the count of both.
fn together(count: f64, other: f64) -> (f64, f64) {
    (other / (count + other), count + other)
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
        let ((share, count), delta) = (together(self.count, other.count), other.mean - self.mean);
        self.squares += other.squares + delta * delta * self.count * share;
        self.mean += delta * share;
        self.count = count;
    }
}

/// The same of many channels with one count.
#[derive(Debug)]
struct Channels {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Channels {
    /// Merges rows whose deviations from the first of them have these sums and sums of squares.
    fn merge_batch(&mut self, batch: &[f32], sums: &[f32], squares: &[f32]) {
        let rows = (batch.len() / sums.len()) as f64;
        let (share, count) = together(self.count, rows);
        let (each, weight) = (1.0 / rows, self.count * share);
        let own = self.mean.iter_mut().zip(&mut self.squares);
        for ((mean, total), ((first, sum), square)) in own.zip(batch.iter().zip(sums).zip(squares)) {
            let (sum, square) = (f64::from(*sum), f64::from(*square));
            let offset = sum * each;
            let delta = f64::from(*first) + offset - *mean;
            *total += (square - offset * sum).max(0.0) + delta * delta * weight;
            *mean += delta * share;
        }
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
    fn run<S: Simd>(mut self, s: S) {
        let cols = self.sums.len();
        let mut c = 0;
        // As many channels at once as there are registers for, so that memory is read in order.
        while S::ROWS >= 12 && c + 8 * S::LANES <= cols {
            self.columns::<S, 8>(s, c);
            c += 8 * S::LANES;
        }
        while c + 4 * S::LANES <= cols {
            self.columns::<S, 4>(s, c);
            c += 4 * S::LANES;
        }
        while c < cols {
            self.last_columns(s, c);
            c += S::LANES;
        }
    }
}

impl Sums<'_> {
    /// `WIDE` vectors of channels from `c` on.
    #[inline(always)]
    fn columns<S: Simd, const WIDE: usize>(&mut self, s: S, c: usize) {
        let cols = self.sums.len();
        let (rows, last) = (self.batch.len() / cols, c + WIDE * S::LANES);
        assert!(last <= cols && last <= self.squares.len(), "channels");
        // SAFETY: every row, the sums and the squares have WIDE vectors from `c` on.
        unsafe {
            let from = self.batch.as_ptr().add(c);
            let mut shift = [s.splat(0.0); WIDE];
            let (mut sums, mut squares) = ([s.splat(0.0); WIDE], [s.splat(0.0); WIDE]);
            let mut i = 0;
            while i < WIDE {
                shift[i] = s.load(from.add(i * S::LANES));
                i += 1;
            }
            let mut row = 0;
            while row < rows {
                let mut i = 0;
                while i < WIDE {
                    let deviation = s.sub(s.load(from.add(row * cols + i * S::LANES)), shift[i]);
                    sums[i] = s.add(sums[i], deviation);
                    squares[i] = s.mul_add(deviation, deviation, squares[i]);
                    i += 1;
                }
                row += 1;
            }
            let mut i = 0;
            while i < WIDE {
                s.store(self.sums.as_mut_ptr().add(c + i * S::LANES), sums[i]);
                s.store(self.squares.as_mut_ptr().add(c + i * S::LANES), squares[i]);
                i += 1;
            }
        }
    }

    /// A vector of channels from `c` on, or what there is of it.
    #[inline(always)]
    fn last_columns<S: Simd>(&mut self, s: S, c: usize) {
        let cols = self.sums.len();
        let (rows, count) = (self.batch.len() / cols, (cols - c).min(S::LANES));
        // SAFETY: every row, the sums and the squares have `count` values from `c` on.
        unsafe {
            let from = self.batch.as_ptr().add(c);
            let shift = s.load_part(from, count);
            let (mut sum, mut square) = (s.splat(0.0), s.splat(0.0));
            let mut row = 0;
            while row < rows {
                let deviation = s.sub(s.load_part(from.add(row * cols), count), shift);
                sum = s.add(sum, deviation);
                square = s.mul_add(deviation, deviation, square);
                row += 1;
            }
            s.store_part(self.sums.as_mut_ptr().add(c), sum, count);
            s.store_part(self.squares.as_mut_ptr().add(c), square, count);
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
    /// Whether the result goes past the caches.
    streams: bool,
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
        let streams = self.streams && out.addr().is_multiple_of(16);
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
                    let y = row.vector(s, self.activation, c, S::LANES);
                    if streams {
                        s.stream(row.to.add(c), y)
                    } else {
                        s.store(row.to.add(c), y)
                    }
                    c += S::LANES;
                }
                if c < cols {
                    let y = row.vector(s, self.activation, c, cols - c);
                    s.store_part(row.to.add(c), y, cols - c);
                }
            }
        }
        if streams {
            s.fence();
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
    /// `count` channels from `c` on, normalised.
    ///
    /// # Safety
    /// All pointers have `count` values from `c` on, `factors` has twice `cols` values.
    #[inline(always)]
    unsafe fn vector<S: Simd>(self, s: S, activation: Activation, c: usize, count: usize) -> S::V {
        // SAFETY: as the caller promises.
        unsafe {
            let centred = s.sub(load(s, self.from.add(c), count), load(s, self.mean.add(c), count));
            let mut y =
                s.mul_add(centred, load(s, self.scale.add(c), count), load(s, self.bias.add(c), count));
            if let Some(factors) = self.factors {
                let summand = load(s, factors.add(self.cols + c), count);
                y = s.mul_add(y, load(s, factors.add(c), count), summand);
            }
            activation.vector(s, y)
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
