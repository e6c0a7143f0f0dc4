//! Chains of multiply-adds, to measure what a device's arithmetic can do at most.
use crate::{
    cpu::{
        CpuIo,
        chains::{CHAINS, multiply_add_chains},
    },
    error::LowerError,
    graph::Graph,
    op::{Io, Launch, Lowered, Op, OpError},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use shaders::Variant;

impl Graph {
    /// For each element of `x` (f32), eight chains of `rounds` multiply-adds `y = y / 2 + 1/4`, summed.
    ///
    /// # Errors
    /// If `x` is not f32.
    pub fn fma_chain(&mut self, x: TensorId, rounds: usize) -> Result<TensorId, OpError> {
        self.push(FmaChain { rounds }, &[x])
    }
}

#[derive(Debug)]
struct FmaChain {
    rounds: usize,
}

params! { struct FmaChainParams { count: u32, rounds: u32 } }

impl Op for FmaChain {
    fn name(&self) -> &'static str {
        "fma_chain"
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        OpError::expect_dtype("fma_chain", "x", &inputs[0], DType::F32)?;
        Ok(inputs[0].clone())
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        (2 * CHAINS * self.rounds * output.elements()) as u64
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let launch = |tile: std::ops::Range<usize>| Launch {
            kernel: &shaders::FMA_CHAIN,
            variant: Variant::new(),
            params: bytemuck::bytes_of(&FmaChainParams {
                count: clamp_u32(tile.len()),
                rounds: clamp_u32(self.rounds),
            })
            .to_vec(),
            bindings: vec![io.bind_input_rows(0, &tile, 1), io.bind_output_rows(&tile, 1)],
            grid: target.fold(tile.len().div_ceil(64)),
        };
        let tiles = target.row_tiles(io.output.elements(), 4);
        Ok(tiles.into_iter().map(launch).collect::<Vec<_>>().into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        multiply_add_chains(io.input(0), self.rounds, io.output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;

    #[test]
    fn params_match_the_kernel() {
        check_params::<FmaChainParams>(&shaders::FMA_CHAIN, &Variant::new());
    }
}
