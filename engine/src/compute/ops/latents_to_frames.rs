//! Latents to the frames of one chunk that the VAE decodes, channels last and un-scaled.
use super::window;
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Binding, Io, Launch, Lowered, Op, OpError, Operand, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::{Kernel, Variant};

static KERNEL: &Kernel = &shaders::LATENTS_TO_FRAMES;

impl Graph {
    /// Frames `frame..frame + frames` of `[C, F, H, W]` latents (of row 0 of `[rows, C, F, H, W]`) as
    /// `[frames, H, W, C]`, times `scale` plus `shift` per channel.
    ///
    /// `frame` is an input of one `u32`, so that one graph serves every chunk. Frames behind the last are the last.
    pub fn latents_to_frames(
        &mut self,
        latents: TensorId,
        frame: TensorId,
        frames: usize,
        scale: TensorId,
        shift: TensorId,
        out: DType,
    ) -> Result<TensorId, OpError> {
        self.push(LatentsToFrames { frames, out }, &[latents, frame, scale, shift])
    }
}

#[derive(Debug)]
struct LatentsToFrames {
    frames: usize,
    out: DType,
}

params! {
    struct LatentsToFramesParams {
        count: u32,
        start: u32,
        channels: u32,
        frames: u32,
        area: u32,
    }
}

/// Channels, frames, height and width of latents with or without rows of solver state.
fn extents(latents: &TensorDesc) -> Option<[usize; 4]> {
    match latents.shape[..] {
        [c, f, h, w] | [_, c, f, h, w] => Some([c, f, h, w]),
        _ => None,
    }
}

impl Op for LatentsToFrames {
    fn name(&self) -> &'static str {
        "latents_to_frames"
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let op = self.name();
        let [c, f, h, w] = extents(&inputs[0]).ok_or_else(|| {
            let expected = "[channels, frames, height, width] or rows of it";
            OpError::value(op, "latents", &inputs[0].shape, expected)
        })?;
        OpError::expect_dtype(op, "latents", &inputs[0], DType::F32)?;
        OpError::expect_dtype(op, "frame", &inputs[1], DType::U32)?;
        OpError::expect_shape(op, "frame", &inputs[1], &[1])?;
        for (what, desc) in [("scale", &inputs[2]), ("shift", &inputs[3])] {
            OpError::expect_dtype(op, what, desc, DType::F32)?;
            OpError::expect_shape(op, what, desc, &[c])?;
        }
        if self.frames == 0 || self.frames > f {
            return Err(OpError::value(op, "the number of frames", self.frames, format!("1 to {f}")));
        }
        let out = TensorDesc::new(&[self.frames, h, w, c], self.out);
        OpError::expect_activation(op, "out", &out)?;
        Ok(out)
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        2 * output.elements() as u64
    }

    fn fused(&self, _: &[TensorDesc]) -> usize {
        // Factor and summand, before the order changes.
        2
    }

    fn reads(&self, inputs: &[TensorDesc], index: usize) -> u64 {
        match (index, extents(&inputs[0])) {
            (0, Some([channels, _, height, width])) => (4 * channels * self.frames * height * width) as u64,
            _ => inputs[index].bytes(),
        }
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let [channels, frames, height, width] = extents(&io.inputs[0]).unwrap_or_default();
        let variant = Variant::new().alias("Out", elem(io.output));
        let launch = |tile: std::ops::Range<usize>| {
            let params = LatentsToFramesParams {
                count: clamp_u32(tile.len()),
                start: clamp_u32(tile.start),
                channels: clamp_u32(channels),
                frames: clamp_u32(frames),
                area: clamp_u32(height * width),
            };
            let row = Binding::rows(Operand::Input(0), &(0..channels * frames * height * width), 4);
            Launch {
                kernel: KERNEL,
                variant: variant.clone(),
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: vec![
                    row,
                    io.bind_input(1),
                    io.bind_input(2),
                    io.bind_input(3),
                    io.bind_output_rows(&tile, 1),
                ],
                grid: window::grid(target, tile.len()),
            }
        };
        let launches: Vec<Launch> =
            target.row_tiles(io.output.elements(), io.output.dtype.size()).into_iter().map(launch).collect();
        Ok(launches.into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let [channels, frames, height, width] = extents(io.desc(0)).unwrap_or_default();
        let (latents, frame, scale, shift) = (io.input(0), io.input_u32(1)[0], io.input(2), io.input(3));
        let area = height * width;
        let last = frames - 1;
        let first = usize::try_from(frame).unwrap_or(last).min(last);
        io.output.par_chunks_mut(width * channels).enumerate().for_each(|(line, out)| {
            let t = (first + line / height).min(last);
            let start = t * area + line % height * width;
            for (x, pixel) in out.chunks_exact_mut(channels).enumerate() {
                for (c, value) in pixel.iter_mut().enumerate() {
                    *value = latents[c * frames * area + start + x] * scale[c] + shift[c];
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;

    #[test]
    fn params_match_the_kernel() {
        check_params::<LatentsToFramesParams>(KERNEL, &Variant::new().alias("Out", shaders::Elem::F32));
    }
}
