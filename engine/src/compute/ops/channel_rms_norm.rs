//! The norm of a VAE's positions: each is scaled to the same length.
use crate::{
    cpu::{
        CpuIo,
        math::Activation,
        simd::{Isa, Simd, Work},
    },
    error::LowerError,
    graph::Graph,
    op::{Io, Launch, Lowered, Op, OpError, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::{Kernel, Variant};

static KERNEL: &Kernel = &shaders::CHANNEL_RMS_NORM;

impl Graph {
    /// `x / max(|x|, 1e-12) * sqrt(C) * gamma` for each position of `[.., C]`, `|x|` its 2-norm; then SiLU if
    /// `silu`.
    pub fn channel_rms_norm(
        &mut self,
        x: TensorId,
        gamma: TensorId,
        silu: bool,
        out: DType,
    ) -> Result<TensorId, OpError> {
        self.push(ChannelRmsNorm { silu, out }, &[x, gamma])
    }
}

#[derive(Debug)]
struct ChannelRmsNorm {
    silu: bool,
    out: DType,
}

params! { struct ChannelRmsNormParams { rows: u32, units: u32, scale: f32 } }

/// The smallest length that is divided by.
const SMALLEST: f32 = 1e-12;

impl Op for ChannelRmsNorm {
    fn name(&self) -> &'static str {
        "channel_rms_norm"
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let op = self.name();
        OpError::expect_activation(op, "x", &inputs[0])?;
        OpError::expect_dtype(op, "gamma", &inputs[1], DType::F32)?;
        OpError::expect_shape(op, "gamma", &inputs[1], &[inputs[0].cols()])?;
        let out = TensorDesc::new(&inputs[0].shape, self.out);
        OpError::expect_activation(op, "out", &out)?;
        Ok(out)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        (if self.silu { 8 } else { 4 }) * output.elements() as u64
    }

    fn fused(&self, _: &[TensorDesc]) -> usize {
        // The factor gamma.
        1 + usize::from(self.silu)
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let (x, cols) = (&io.inputs[0], io.output.cols());
        let quads = cols.is_multiple_of(4);
        let units = if quads { cols / 4 } else { cols };
        // A software GPU gains nothing from neighbours that read neighbouring words, and barriers cost it dearly.
        let (group, lanes) = if target.barriers_are_dear() {
            (64, 1)
        } else {
            (256, units.next_power_of_two().clamp(2, 64) / 2)
        };
        let variant = Variant::new()
            .alias("X", elem(x))
            .alias("Out", elem(io.output))
            .constant("SILU", u32::from(self.silu))
            .constant("IN_PLACE", u32::from(io.aliased == Some(0)))
            .overriding("WG", group)
            .overriding("LANES", clamp_u32(lanes))
            .import("UNIT", if quads { "unit_quad" } else { "unit_scalar" });
        let launch = |tile: std::ops::Range<usize>| {
            let (rows, units) = (clamp_u32(tile.len()), clamp_u32(units));
            let params = ChannelRmsNormParams { rows, units, scale: (cols as f32).sqrt() };
            Launch {
                kernel: KERNEL,
                variant: variant.clone(),
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: vec![
                    io.bind_input_rows(0, &tile, cols),
                    io.bind_input(1),
                    io.bind_output_rows(&tile, cols),
                ],
                grid: target.fold((tile.len() * lanes).div_ceil(group as usize)),
            }
        };
        let size = x.dtype.size().max(io.output.dtype.size());
        let tiles = target.row_tiles(io.output.rows(), cols * size);
        Ok(tiles.into_iter().map(launch).collect::<Vec<_>>().into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        const CHUNK: usize = 1 << 14;
        let (x, gamma) = (io.input(0), io.input(1));
        let activation = if self.silu { Activation::Silu } else { Activation::None };
        let chunk = CHUNK.div_ceil(gamma.len()) * gamma.len();
        io.output.par_chunks_mut(chunk).enumerate().for_each(|(index, out)| {
            // In place, x is in the output already.
            if !x.is_empty() {
                out.copy_from_slice(&x[index * chunk..][..out.len()]);
            }
            Isa::current().dispatch(Rows { rows: out, gamma, activation });
        });
    }
}

/// Normalises rows in place.
struct Rows<'a> {
    rows: &'a mut [f32],
    gamma: &'a [f32],
    activation: Activation,
}

impl Work for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let cols = self.gamma.len();
        let whole = cols / S::LANES * S::LANES;
        let rest = cols - whole;
        for row in self.rows.chunks_exact_mut(cols) {
            // SAFETY: `row` and `gamma` have `cols` values: `whole`, a multiple of LANES, and `rest` more.
            unsafe {
                let (at, gamma) = (row.as_mut_ptr(), self.gamma.as_ptr());
                let mut sum = s.load_part(at.add(whole), rest);
                sum = s.mul(sum, sum);
                for c in (0..whole).step_by(S::LANES) {
                    let v = s.load(at.add(c));
                    sum = s.mul_add(v, v, sum);
                }
                let scale = s.splat((cols as f32).sqrt() / s.sum(sum).sqrt().max(SMALLEST));
                for c in (0..whole).step_by(S::LANES) {
                    let v = s.mul(s.mul(s.load(at.add(c)), scale), s.load(gamma.add(c)));
                    s.store(at.add(c), self.activation.vector(s, v));
                }
                let v = s.mul(s.load_part(at.add(whole), rest), scale);
                let v = s.mul(v, s.load_part(gamma.add(whole), rest));
                s.store_part(at.add(whole), self.activation.vector(s, v), rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;
    use shaders::Elem;

    #[test]
    fn params_match_the_kernel() {
        for unit in ["unit_scalar", "unit_quad"] {
            let variant = Variant::new().alias("X", Elem::F32).alias("Out", Elem::F32);
            let variant = variant.constant("SILU", 1).constant("IN_PLACE", 0).import("UNIT", unit);
            check_params::<ChannelRmsNormParams>(KERNEL, &variant);
        }
    }
}
