//! The shortcut around an upsampling stage: channels repeated, then depth to space.
use super::window::{frames, grid, window};
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

static KERNEL: &Kernel = &shaders::DUP_UP;

impl Graph {
    /// `[T, H, W, C]` to `[T * factor_t, H * factor_s, W * factor_s, out_channels]`: every channel is repeated,
    /// then channels become pixels in the order (time, height, width). In the first chunk of a video the first
    /// `factor_t - 1` frames are left out.
    pub fn dup_up(
        &mut self,
        x: TensorId,
        out_channels: usize,
        factor_t: usize,
        factor_s: usize,
        first_chunk: bool,
    ) -> Result<TensorId, OpError> {
        self.push(DupUp { out_channels, factor_t, factor_s, first_chunk }, &[x])
    }
}

#[derive(Debug)]
struct DupUp {
    out_channels: usize,
    factor_t: usize,
    factor_s: usize,
    first_chunk: bool,
}

params! {
    struct DupUpParams {
        count: u32,
        start: u32,
        x_start: u32,
        channels: u32,
        height: u32,
        width: u32,
        out_channels: u32,
        factor_t: u32,
        factor_s: u32,
        drop: u32,
        repeats: u32,
    }
}

impl DupUp {
    /// Channels after repeating.
    fn expanded(&self) -> usize {
        self.out_channels * self.factor_t * self.factor_s * self.factor_s
    }

    /// Frames left out in front.
    fn drop(&self) -> usize {
        if self.first_chunk { self.factor_t - 1 } else { 0 }
    }

    /// The elements of x that some positions of the output read: whole lines of one frame, or whole frames.
    fn source(&self, positions: &Range<usize>, x: &TensorDesc) -> Range<usize> {
        let (height, line) = (x.shape[1], x.shape[2] * x.shape[3]);
        let at = |position: usize| {
            let out_line = position / (x.shape[2] * self.factor_s);
            let frame = out_line / (height * self.factor_s) + self.drop();
            (frame / self.factor_t, out_line / self.factor_s % height)
        };
        let last = positions.end.max(positions.start + 1) - 1;
        let (first_frame, first_line) = at(positions.start);
        let (last_frame, last_line) = at(last);
        let area = height * self.factor_s * x.shape[2] * self.factor_s;
        if positions.start / area == last / area {
            return (first_frame * height + first_line) * line..(last_frame * height + last_line + 1) * line;
        }
        first_frame * height * line..(last_frame + 1) * height * line
    }
}

impl Op for DupUp {
    fn name(&self) -> &'static str {
        "dup_up"
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let op = self.name();
        let [t, h, w, c] = frames(op, "x", &inputs[0])?;
        OpError::expect_activation(op, "x", &inputs[0])?;
        if c == 0 || self.expanded() == 0 || !self.expanded().is_multiple_of(c) {
            let what = "out_channels * factor_t * factor_s * factor_s";
            return Err(OpError::value(op, what, self.expanded(), format!("a multiple of x's {c} channels")));
        }
        let shape =
            [t * self.factor_t - self.drop(), h * self.factor_s, w * self.factor_s, self.out_channels];
        Ok(TensorDesc::new(&shape, inputs[0].dtype))
    }

    fn flops(&self, _: &[TensorDesc], _: &TensorDesc) -> u64 {
        0
    }

    fn fused(&self, _: &[TensorDesc]) -> usize {
        // Depth to space comes after the repetition.
        1
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let x = &io.inputs[0];
        let (out, size) = (self.out_channels, x.dtype.size());
        // Where an element is takes ten divisions, which a CPU pays for one by one.
        let widest = if target.divides_by_lanes() { 8 } else { 1 };
        let run = (1..=widest).rev().find(|run| out.is_multiple_of(*run)).unwrap_or(1);
        let launch = |tile: Range<usize>| {
            let (binding, skip) = window(Operand::Input(0), &self.source(&tile, x), size, target);
            let count = tile.len() * out;
            let params = DupUpParams {
                count: clamp_u32(count),
                start: clamp_u32(tile.start * out),
                x_start: clamp_u32(self.source(&tile, x).start - skip),
                channels: clamp_u32(x.shape[3]),
                height: clamp_u32(x.shape[1]),
                width: clamp_u32(x.shape[2]),
                out_channels: clamp_u32(out),
                factor_t: clamp_u32(self.factor_t),
                factor_s: clamp_u32(self.factor_s),
                drop: clamp_u32(self.drop()),
                repeats: clamp_u32(self.expanded() / x.shape[3]),
            };
            Launch {
                kernel: KERNEL,
                variant: Variant::new().alias("X", elem(x)).constant("RUN", clamp_u32(run)),
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: vec![binding, io.bind_output_rows(&tile, out)],
                grid: grid(target, count / run),
            }
        };
        let tiles = target.row_tiles(io.output.rows(), out * size);
        Ok(tiles.into_iter().map(launch).collect::<Vec<_>>().into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (x, desc) = (io.input(0), io.desc(0));
        let &[_, height, width, channels] = desc.shape.as_slice() else { return };
        let (ft, fs, drop) = (self.factor_t, self.factor_s, self.drop());
        let repeats = self.expanded() / channels;
        io.output.par_chunks_mut(width * fs * self.out_channels).enumerate().for_each(|(line, out)| {
            let (frame, y) = (line / (height * fs) + drop, line % (height * fs));
            let start = (frame / ft * height + y / fs) * width * channels;
            let phase = (frame % ft * fs + y % fs) * fs;
            for (column, pixel) in out.chunks_exact_mut(self.out_channels).enumerate() {
                let source = &x[start + column / fs * channels..][..channels];
                let phase = phase + column % fs;
                for (o, value) in pixel.iter_mut().enumerate() {
                    *value = source[(o * ft * fs * fs + phase) / repeats];
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
        check_params::<DupUpParams>(
            KERNEL,
            &Variant::new().alias("X", shaders::Elem::F32).constant("RUN", 1),
        );
    }

    #[test]
    fn a_tile_reads_the_lines_it_needs() {
        let op = DupUp { out_channels: 4, factor_t: 2, factor_s: 2, first_chunk: false };
        let x = TensorDesc::new(&[3, 5, 7, 8], DType::F32);
        let line = 7 * 8;
        // Lines 2..6 of the second output frame: lines 1..3 of the first frame.
        assert_eq!(op.source(&(140 + 2 * 14..140 + 6 * 14), &x), line..3 * line);
        // From the end of the second output frame on: frames 0 and 1.
        assert_eq!(op.source(&(270..300), &x), 0..10 * line);
        assert_eq!(op.source(&(0..6 * 140), &x), 0..15 * line);
    }
}
