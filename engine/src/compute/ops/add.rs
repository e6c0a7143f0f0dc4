//! The sum of two tensors.
use super::window;
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Io, Launch, Lowered, Op, OpError, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::{Kernel, Variant};

static KERNEL: &Kernel = &shaders::ADD;

impl Graph {
    /// `x + y`, element by element, in x's dtype.
    pub fn add(&mut self, x: TensorId, y: TensorId) -> Result<TensorId, OpError> {
        self.push(Add, &[x, y])
    }
}

#[derive(Debug)]
struct Add;

params! { struct AddParams { count: u32 } }

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        OpError::expect_activation("add", "x", &inputs[0])?;
        OpError::expect_activation("add", "y", &inputs[1])?;
        OpError::expect_shape("add", "y", &inputs[1], &inputs[0].shape)?;
        Ok(inputs[0].clone())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        output.elements() as u64
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let variant = Variant::new()
            .alias("X", elem(io.output))
            .alias("Y", elem(&io.inputs[1]))
            .constant("IN_PLACE", u32::from(io.aliased == Some(0)));
        let launch = |tile: std::ops::Range<usize>| Launch {
            kernel: KERNEL,
            variant: variant.clone(),
            params: bytemuck::bytes_of(&AddParams { count: clamp_u32(tile.len()) }).to_vec(),
            bindings: vec![
                io.bind_input_rows(0, &tile, 1),
                io.bind_input_rows(1, &tile, 1),
                io.bind_output_rows(&tile, 1),
            ],
            grid: window::grid(target, tile.len()),
        };
        let launches: Vec<Launch> =
            target.row_tiles(io.output.elements(), 4).into_iter().map(launch).collect();
        Ok(launches.into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        const CHUNK: usize = 1 << 14;
        let (x, y) = (io.input(0), io.input(1));
        io.output.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
            let start = chunk * CHUNK;
            // In place, x is in the output already.
            if !x.is_empty() {
                out.copy_from_slice(&x[start..start + out.len()]);
            }
            for (out, y) in out.iter_mut().zip(&y[start..]) {
                *out += y;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;
    use shaders::Elem;

    #[test]
    fn params_match_the_kernel() {
        let variant = Variant::new().alias("X", Elem::F32).alias("Y", Elem::F32).constant("IN_PLACE", 0);
        check_params::<AddParams>(KERNEL, &variant);
    }
}
