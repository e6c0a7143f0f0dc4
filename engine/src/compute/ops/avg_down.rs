//! The shortcut around a downsampling stage: space to depth, then means over channels.
use super::{
    Fill,
    window::{frames, grid, window},
};
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Io, Launch, Lowered, Op, OpError, Operand, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::{Kernel, Variant};
use std::ops::Range;

static KERNEL: &Kernel = &shaders::AVG_DOWN;

impl Graph {
    /// `[T, H, W, C]` to `[ceil(T / factor_t), H / factor_s, W / factor_s, out_channels]`: frames in front
    /// (`fill` says which) fill up the first group of `factor_t`, pixels become channels in the order (time, height, width), and
    /// every run of channels is averaged.
    pub fn avg_down(
        &mut self,
        x: TensorId,
        out_channels: usize,
        factor_t: usize,
        factor_s: usize,
        fill: Fill,
    ) -> Result<TensorId, OpError> {
        self.push(AvgDown { out_channels, factor_t, factor_s, fill }, &[x])
    }
}

#[derive(Debug)]
struct AvgDown {
    out_channels: usize,
    factor_t: usize,
    factor_s: usize,
    fill: Fill,
}

params! {
    struct AvgDownParams {
        count: u32,
        start: u32,
        x_start: u32,
        channels: u32,
        height: u32,
        width: u32,
        out_channels: u32,
        factor_t: u32,
        factor_s: u32,
        front: u32,
        first_frame: u32,
        run: u32,
    }
}

impl AvgDown {
    /// Frames in front.
    fn front(&self, frames: usize) -> usize {
        frames.next_multiple_of(self.factor_t) - frames
    }

    /// Channels that one output channel averages.
    fn run(&self, channels: usize) -> usize {
        channels * self.factor_t * self.factor_s * self.factor_s / self.out_channels
    }

    /// The elements of x that some positions of the output read: whole lines of one frame, or whole frames.
    fn source(&self, positions: &Range<usize>, x: &TensorDesc) -> Range<usize> {
        let (height, line) = (x.shape[1], x.shape[2] * x.shape[3]);
        let (out_width, out_height) = (x.shape[2] / self.factor_s, height / self.factor_s);
        let last = positions.end.max(positions.start + 1) - 1;
        let frame = |position: usize| position / out_width / out_height * self.factor_t;
        let first_frame = frame(positions.start).saturating_sub(self.front(x.shape[0]));
        let end_frame = frame(last) + self.factor_t - self.front(x.shape[0]);
        if end_frame - first_frame > 1 {
            return first_frame * height * line..end_frame * height * line;
        }
        let out_line = |position: usize| position / out_width % out_height;
        let (first, end) = (out_line(positions.start) * self.factor_s, (out_line(last) + 1) * self.factor_s);
        (first_frame * height + first) * line..(first_frame * height + end) * line
    }
}

impl Op for AvgDown {
    fn name(&self) -> &'static str {
        "avg_down"
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let op = self.name();
        let [t, h, w, c] = frames(op, "x", &inputs[0])?;
        OpError::expect_activation(op, "x", &inputs[0])?;
        let (ft, fs) = (self.factor_t, self.factor_s);
        if ft == 0 || fs == 0 || self.out_channels == 0 {
            let got = [self.out_channels, ft, fs];
            return Err(OpError::value(op, "[out_channels, factor_t, factor_s]", got, "positive numbers"));
        }
        for (what, extent) in [("x's height", h), ("x's width", w)] {
            if !extent.is_multiple_of(fs) {
                return Err(OpError::value(op, what, extent, format!("a multiple of {fs}")));
            }
        }
        let depth = c * ft * fs * fs;
        if !depth.is_multiple_of(self.out_channels) {
            let expected = format!("a divisor of the {depth} channels to average");
            return Err(OpError::value(op, "out_channels", self.out_channels, expected));
        }
        Ok(TensorDesc::new(&[t.div_ceil(ft), h / fs, w / fs, self.out_channels], inputs[0].dtype))
    }

    fn flops(&self, inputs: &[TensorDesc], _: &TensorDesc) -> u64 {
        inputs[0].elements() as u64
    }

    fn fused(&self, _: &[TensorDesc]) -> usize {
        // Space to depth comes before the mean.
        1
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let x = &io.inputs[0];
        let (out, size) = (self.out_channels, x.dtype.size());
        let run = self.run(x.shape[3]);
        let launch = |tile: Range<usize>| {
            let source = self.source(&tile, x);
            let (binding, skip) = window(Operand::Input(0), &source, size, target);
            let count = tile.len() * out;
            let params = AvgDownParams {
                count: clamp_u32(count),
                start: clamp_u32(tile.start * out),
                x_start: clamp_u32(source.start - skip),
                channels: clamp_u32(x.shape[3]),
                height: clamp_u32(io.output.shape[1]),
                width: clamp_u32(io.output.shape[2]),
                out_channels: clamp_u32(out),
                factor_t: clamp_u32(self.factor_t),
                factor_s: clamp_u32(self.factor_s),
                front: clamp_u32(self.front(x.shape[0])),
                first_frame: (self.fill == Fill::FirstFrame).into(),
                run: clamp_u32(run),
            };
            Launch {
                kernel: KERNEL,
                variant: Variant::new().alias("X", elem(x)),
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: vec![binding, io.bind_output_rows(&tile, out)],
                grid: grid(target, count),
            }
        };
        // A position of the output reads `run` times as many elements as it has.
        let tiles = target.row_tiles(io.output.rows(), out * size * run);
        Ok(tiles.into_iter().map(launch).collect::<Vec<_>>().into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (x, desc) = (io.input(0), io.desc(0));
        let &[frames, height, width, channels] = desc.shape.as_slice() else { return };
        let (ft, fs, front, run) = (self.factor_t, self.factor_s, self.front(frames), self.run(channels));
        let (out_width, out_height) = (width / fs, height / fs);
        io.output.par_chunks_mut(out_width * self.out_channels).enumerate().for_each(|(line, out)| {
            let (frame, y) = (line / out_height * ft, line % out_height * fs);
            for (column, pixel) in out.chunks_exact_mut(self.out_channels).enumerate() {
                for (o, value) in pixel.iter_mut().enumerate() {
                    let mut sum = 0.0;
                    for e in o * run..(o + 1) * run {
                        let (c, t) = (e / (ft * fs * fs), frame + e / (fs * fs) % ft);
                        if t >= front || self.fill == Fill::FirstFrame {
                            let frame = t.saturating_sub(front);
                            let source = (frame * height + y + e / fs % fs) * width + column * fs + e % fs;
                            sum += x[source * channels + c];
                        }
                    }
                    *value = sum / run as f32;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{op::check_params, tensor::DType};

    #[test]
    fn params_match_the_kernel() {
        check_params::<AvgDownParams>(KERNEL, &Variant::new().alias("X", shaders::Elem::F32));
    }

    #[test]
    fn a_tile_reads_the_frames_or_lines_it_needs() {
        let line = 6 * 8;
        let x = TensorDesc::new(&[3, 4, 6, 8], DType::F32);
        let op = AvgDown { out_channels: 4, factor_t: 2, factor_s: 2, fill: Fill::Zeros };
        // Frame 0 of the output reads a zero frame and frame 0 of x; its second line reads lines 2..4.
        assert_eq!(op.source(&(3..6), &x), 2 * line..4 * line);
        assert_eq!(op.source(&(6..7), &x), 4 * line..12 * line);
        assert_eq!(op.source(&(0..12), &x), 0..12 * line);
    }
}
