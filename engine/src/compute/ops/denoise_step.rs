//! Guidance and the solver's update of its state, in one pass.
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Binding, Io, Launch, Lowered, Op, OpError},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::Variant;

/// Most rows that a solver's state has.
const MAX_ROWS: usize = 6;

impl Graph {
    /// Replaces `state` `[rows, elements..]` by A state + B v, where v = uncond + g (cond - uncond), or cond alone.
    ///
    /// `coefficients` holds g, A `[rows, rows]` and B `[rows]`, one after the other.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn denoise_step(
        &mut self,
        state: TensorId,
        cond: TensorId,
        uncond: Option<TensorId>,
        coefficients: TensorId,
    ) -> Result<(), OpError> {
        self.push_denoise_step(state, cond, uncond, None, coefficients)
    }

    /// [`denoise_step`](Self::denoise_step) of a stochastic solver: the state becomes A state + B v + N noise.
    ///
    /// `coefficients` holds N `[rows]` after the others.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn noisy_denoise_step(
        &mut self,
        state: TensorId,
        cond: TensorId,
        uncond: Option<TensorId>,
        noise: TensorId,
        coefficients: TensorId,
    ) -> Result<(), OpError> {
        self.push_denoise_step(state, cond, uncond, Some(noise), coefficients)
    }

    fn push_denoise_step(
        &mut self,
        state: TensorId,
        cond: TensorId,
        uncond: Option<TensorId>,
        noise: Option<TensorId>,
        coefficients: TensorId,
    ) -> Result<(), OpError> {
        let op = DenoiseStep { guided: uncond.is_some(), noisy: noise.is_some() };
        let inputs: Vec<TensorId> =
            [state, coefficients, cond].into_iter().chain(uncond).chain(noise).collect();
        self.push_into(op, &inputs, state)
    }
}

/// Inputs: the state, which the output replaces; coefficients, cond and, if there are any, uncond and noise.
#[derive(Debug)]
struct DenoiseStep {
    guided: bool,
    noisy: bool,
}

impl DenoiseStep {
    /// Where among the inputs the noise is.
    fn noise_input(&self) -> Option<usize> {
        self.noisy.then_some(if self.guided { 4 } else { 3 })
    }
}

params! {
    /// Of `denoise_step.wgsl`.
    struct DenoiseStepParams { elements: u32 }
}

const NAME: &str = "denoise_step";

impl Op for DenoiseStep {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let (state, coefficients) = (&inputs[0], &inputs[1]);
        let rows = state.shape.first().copied().unwrap_or(0);
        if !(1..=MAX_ROWS).contains(&rows) {
            return Err(OpError::value(NAME, "count of state rows", rows, format!("1 to {MAX_ROWS}")));
        }
        OpError::expect_dtype(NAME, "state", state, DType::F32)?;
        OpError::expect_dtype(NAME, "coefficients", coefficients, DType::F32)?;
        let columns = if self.noisy { rows + 2 } else { rows + 1 };
        OpError::expect_shape(NAME, "coefficients", coefficients, &[1 + rows * columns])?;
        let names = [Some("cond"), self.guided.then_some("uncond"), self.noisy.then_some("noise")];
        for (what, tensor) in names.into_iter().flatten().zip(&inputs[2..]) {
            OpError::expect_dtype(NAME, what, tensor, DType::F32)?;
            OpError::expect_shape(NAME, what, tensor, &state.shape[1..])?;
        }
        Ok(state.clone())
    }

    fn flops(&self, inputs: &[TensorDesc], output: &TensorDesc) -> u64 {
        let rows = inputs[0].shape[0];
        let per_row_element = 2 * (rows + 1 + usize::from(self.noisy)) as u64;
        per_row_element * output.elements() as u64
    }

    fn fused(&self, inputs: &[TensorDesc]) -> usize {
        // Row by row, each term after the first is a sum; one of all those sums is the op's own.
        let rows = inputs[0].shape[0];
        rows * (rows + usize::from(self.noisy)) + usize::from(self.guided) - 1
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let rows = io.output.shape[0];
        let elements = io.output.elements() / rows;
        let uncond = if self.guided { io.bind_input(3) } else { Binding::unused() };
        let noise = self.noise_input().map_or_else(Binding::unused, |input| io.bind_input(input));
        Ok(vec![Launch {
            kernel: &shaders::DENOISE_STEP,
            variant: Variant::new()
                .constant("ROWS", clamp_u32(rows))
                .constant("GUIDED", u32::from(self.guided))
                .constant("NOISY", u32::from(self.noisy))
                .overriding("WG", 64),
            params: bytemuck::bytes_of(&DenoiseStepParams { elements: clamp_u32(elements) }).to_vec(),
            bindings: vec![io.bind_input(2), uncond, io.bind_input(1), noise, io.bind_output()],
            grid: target.fold(elements.div_ceil(64)),
        }]
        .into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        const PIECE: usize = 4096;
        let rows = io.output_desc.shape[0];
        let elements = io.output_desc.elements() / rows;
        let (coefficients, cond) = (io.input(1), io.input(2));
        let uncond = self.guided.then(|| io.input(3));
        let noise = self.noise_input().map(|input| io.input(input));
        // Piece i of every row goes to task i.
        let mut pieces: Vec<Vec<&mut [f32]>> = Vec::new();
        pieces.resize_with(elements.div_ceil(PIECE), Vec::new);
        for row in io.output.chunks_mut(elements.max(1)) {
            for (piece, part) in pieces.iter_mut().zip(row.chunks_mut(PIECE)) {
                piece.push(part);
            }
        }
        let (guidance, matrix) = (coefficients[0], &coefficients[1..]);
        pieces.into_par_iter().enumerate().for_each(|(index, mut piece)| {
            for at in 0..piece[0].len() {
                let mut v = cond[index * PIECE + at];
                if let Some(uncond) = uncond {
                    let base = uncond[index * PIECE + at];
                    v = base + guidance * (v - base);
                }
                let fresh = noise.map_or(0.0, |noise| noise[index * PIECE + at]);
                let mut old = [0.0_f32; MAX_ROWS];
                for (old, row) in old.iter_mut().zip(&piece) {
                    *old = row[at];
                }
                for (r, row) in piece.iter_mut().enumerate() {
                    let sum: f32 = matrix[r * rows..][..rows].iter().zip(&old).map(|(a, old)| a * old).sum();
                    row[at] = sum + matrix[rows * rows + r] * v;
                    if noise.is_some() {
                        row[at] += matrix[rows * rows + rows + r] * fresh;
                    }
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
        let variant = Variant::new().constant("ROWS", 3).constant("GUIDED", 1).constant("NOISY", 1);
        check_params::<DenoiseStepParams>(&shaders::DENOISE_STEP, &variant);
    }
}
