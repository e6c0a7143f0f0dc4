//! Pixels in -1..=1 to bytes.
use super::window::{frames, grid};
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Io, Launch, Lowered, Op, OpError, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::{Kernel, Variant};

static KERNEL: &Kernel = &shaders::TO_RGB8;

impl Graph {
    /// `[T, H, W, 3]` in -1..=1 to bytes `round((x / 2 + 1/2) * 255)` (halves to even, what is outside is clamped),
    /// four to a `u32`, the first in its lowest bits; what fills up the last one is zero.
    pub fn to_rgb8(&mut self, x: TensorId) -> Result<TensorId, OpError> {
        self.push(ToRgb8, &[x])
    }
}

#[derive(Debug)]
struct ToRgb8;

params! { struct ToRgb8Params { words: u32, count: u32 } }

impl Op for ToRgb8 {
    fn name(&self) -> &'static str {
        "to_rgb8"
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let [t, h, w, _] = frames("to_rgb8", "x", &inputs[0])?;
        OpError::expect_activation("to_rgb8", "x", &inputs[0])?;
        OpError::expect_shape("to_rgb8", "x", &inputs[0], &[t, h, w, 3])?;
        Ok(TensorDesc::new(&[inputs[0].elements().div_ceil(4)], DType::U32))
    }

    fn flops(&self, inputs: &[TensorDesc], _: &TensorDesc) -> u64 {
        3 * inputs[0].elements() as u64
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let x = &io.inputs[0];
        let launch = |words: std::ops::Range<usize>| {
            let elements = 4 * words.start..(4 * words.end).min(x.elements());
            let params = ToRgb8Params { words: clamp_u32(words.len()), count: clamp_u32(elements.len()) };
            Launch {
                kernel: KERNEL,
                variant: Variant::new().alias("X", elem(x)),
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: vec![io.bind_input_rows(0, &elements, 1), io.bind_output_rows(&words, 1)],
                grid: grid(target, words.len()),
            }
        };
        let tiles = target.row_tiles(io.output.elements(), 4 * x.dtype.size());
        Ok(tiles.into_iter().map(launch).collect::<Vec<_>>().into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        const WORDS: usize = 1 << 12;
        let x = io.input(0);
        io.output.par_chunks_mut(WORDS).zip(x.par_chunks(4 * WORDS)).for_each(|(words, x)| {
            for (word, values) in words.iter_mut().zip(x.chunks(4)) {
                let bytes = values.iter().rev().fold(0, |bytes, v| bytes << 8 | u32::from(byte(*v)));
                *word = f32::from_bits(bytes);
            }
        });
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..=255")]
fn byte(value: f32) -> u8 {
    ((value * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;

    #[test]
    fn params_match_the_kernel() {
        check_params::<ToRgb8Params>(KERNEL, &Variant::new().alias("X", shaders::Elem::F32));
    }
}
