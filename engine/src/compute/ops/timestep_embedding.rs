//! The sinusoidal embedding of a timestep, exact to f32 for timesteps up to 4095.
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Io, Launch, Lowered, Op, OpError},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
    weight::Weight,
};
use shaders::Variant;

impl Graph {
    /// `[cos(t f) | sin(t f)]` with f_k = 10000^(-k / half), half = dim / 2: `t` `[1]` makes `[1, dim]`.
    ///
    /// # Errors
    /// If `dim` is odd or zero, or `t` is not one f32.
    pub fn timestep_embedding(&mut self, t: TensorId, dim: usize) -> Result<TensorId, OpError> {
        if dim == 0 || !dim.is_multiple_of(2) {
            return Err(OpError::value(NAME, "dim", dim, "an even number"));
        }
        let parts = split_frequencies(dim / 2);
        let frequencies = self.weight(&Weight::from_f32("timestep frequencies", &[3, dim / 2], parts));
        self.push(TimestepEmbedding { dim }, &[t, frequencies])
    }
}

/// Inputs: t, the frequencies in three parts.
#[derive(Debug)]
struct TimestepEmbedding {
    dim: usize,
}

params! {
    /// Of `timestep_embedding.wgsl`.
    struct TimestepEmbeddingParams { half: u32 }
}

const NAME: &str = "timestep_embedding";

fn frequency(k: usize, half: usize) -> f64 {
    (-(10_000.0_f64.ln()) * k as f64 / half as f64).exp()
}

/// Frequencies in turns, each as a sum of three f32: twelve bits, the next twelve, the rest.
fn split_frequencies(half: usize) -> Vec<f32> {
    let mut parts = vec![0.0; 3 * half];
    for k in 0..half {
        let turns = frequency(k, half) / std::f64::consts::TAU;
        let high = twelve_bits(turns);
        let middle = twelve_bits(turns - f64::from(high));
        parts[k] = high;
        parts[half + k] = middle;
        parts[2 * half + k] = narrow(turns - f64::from(high) - f64::from(middle));
    }
    parts
}

/// The first twelve bits of a number.
fn twelve_bits(value: f64) -> f32 {
    f32::from_bits(narrow(value).to_bits() & 0xffff_f000)
}

#[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
fn narrow(value: f64) -> f32 {
    value as f32
}

impl Op for TimestepEmbedding {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        OpError::expect_dtype(NAME, "t", &inputs[0], DType::F32)?;
        OpError::expect_shape(NAME, "t", &inputs[0], &[1])?;
        Ok(TensorDesc::new(&[1, self.dim], DType::F32))
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        20 * output.elements() as u64
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        const WG: u32 = 64;
        let half = self.dim / 2;
        Ok(vec![Launch {
            kernel: &shaders::TIMESTEP_EMBEDDING,
            variant: Variant::new().overriding("WG", WG),
            params: bytemuck::bytes_of(&TimestepEmbeddingParams { half: clamp_u32(half) }).to_vec(),
            bindings: vec![io.bind_input(0), io.bind_input(1), io.bind_output()],
            grid: target.fold(half.div_ceil(WG as usize)),
        }]
        .into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let t = f64::from(io.input(0)[0]);
        let half = self.dim / 2;
        let (cosines, sines) = io.output.split_at_mut(half);
        for (k, (cosine, sine)) in cosines.iter_mut().zip(sines).enumerate() {
            let (s, c) = (t * frequency(k, half)).sin_cos();
            (*cosine, *sine) = (narrow(c), narrow(s));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;

    #[test]
    fn params_match_the_kernel() {
        check_params::<TimestepEmbeddingParams>(&shaders::TIMESTEP_EMBEDDING, &Variant::new());
    }

    #[test]
    fn the_parts_are_short_and_add_up() {
        let parts = split_frequencies(128);
        for k in 0..128 {
            let [high, middle, low] = [0, 1, 2].map(|part| parts[part * 128 + k]);
            assert_eq!((high.to_bits() | middle.to_bits()) & 0xfff, 0);
            let sum = f64::from(high) + f64::from(middle) + f64::from(low);
            let turns = frequency(k, 128) / std::f64::consts::TAU;
            assert!((sum - turns).abs() <= 1e-14 * turns, "{sum} {turns}");
        }
    }
}
