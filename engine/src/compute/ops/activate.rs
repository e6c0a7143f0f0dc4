//! Functions of single elements, where no product is at hand to apply them.
use super::{Activation, window};
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

static KERNEL: &Kernel = &shaders::ACTIVATE;

impl Graph {
    /// The larger of x and 0, element by element.
    pub fn relu(&mut self, x: TensorId) -> Result<TensorId, OpError> {
        self.activate(x, Activation::Relu)
    }

    /// A function, element by element.
    pub fn activate(&mut self, x: TensorId, activation: Activation) -> Result<TensorId, OpError> {
        self.push(Activate::Function(activation), &[x])
    }

    /// `limit * tanh(x / limit)`, element by element: x where it is small, never beyond the limit.
    pub fn soft_clamp(&mut self, x: TensorId, limit: f32) -> Result<TensorId, OpError> {
        self.push(Activate::SoftClamp(limit), &[x])
    }
}

#[derive(Debug, Clone, Copy)]
enum Activate {
    Function(Activation),
    SoftClamp(f32),
}

params! { struct ActivateParams { count: u32, limit: f32 } }

impl Activate {
    fn apply(self, x: f32) -> f32 {
        match self {
            Self::Function(Activation::None) => x,
            Self::Function(Activation::Relu) if x < 0.0 => 0.0,
            Self::Function(Activation::Relu) => x,
            Self::Function(Activation::Silu) => x / (1.0 + (-x).exp()),
            Self::Function(Activation::GeluTanh) => {
                let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::SoftClamp(limit) => limit * (x / limit).tanh(),
        }
    }
}

impl Op for Activate {
    fn name(&self) -> &'static str {
        match self {
            Self::Function(Activation::None) => "identity",
            Self::Function(Activation::GeluTanh) => "gelu",
            Self::Function(Activation::Silu) => "silu",
            Self::Function(Activation::Relu) => "relu",
            Self::SoftClamp(_) => "soft_clamp",
        }
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        OpError::expect_activation(self.name(), "x", &inputs[0])?;
        match self {
            Self::SoftClamp(limit) if !(*limit > 0.0 && limit.is_finite()) => {
                Err(OpError::value(self.name(), "limit", limit, "a number greater than 0"))
            }
            _ => Ok(inputs[0].clone()),
        }
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        output.elements() as u64
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let (limit, function) = match self {
            Self::Function(function) => (0.0, *function),
            Self::SoftClamp(limit) => (*limit, Activation::None),
        };
        let variant = Variant::new()
            .alias("X", elem(io.output))
            .constant("SOFT_CLAMP", u32::from(matches!(self, Self::SoftClamp(_))))
            .constant("ACTIVATION", function.code())
            .constant("IN_PLACE", u32::from(io.aliased == Some(0)));
        let launch = |tile: std::ops::Range<usize>| Launch {
            kernel: KERNEL,
            variant: variant.clone(),
            params: bytemuck::bytes_of(&ActivateParams { count: clamp_u32(tile.len()), limit }).to_vec(),
            bindings: vec![io.bind_input_rows(0, &tile, 1), io.bind_output_rows(&tile, 1)],
            grid: window::grid(target, tile.len()),
        };
        let launches: Vec<Launch> =
            target.row_tiles(io.output.elements(), 4).into_iter().map(launch).collect();
        Ok(launches.into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        const CHUNK: usize = 1 << 14;
        let x = io.input(0);
        io.output.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
            // In place, x is in the output already.
            if !x.is_empty() {
                out.copy_from_slice(&x[chunk * CHUNK..][..out.len()]);
            }
            out.iter_mut().for_each(|value| *value = self.apply(*value));
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
        let variant = Variant::new()
            .alias("X", Elem::F32)
            .constant("SOFT_CLAMP", 1)
            .constant("ACTIVATION", 0)
            .constant("IN_PLACE", 0);
        check_params::<ActivateParams>(KERNEL, &variant);
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let functions = [Activation::GeluTanh, Activation::Silu, Activation::Relu].map(Activate::Function);
        for op in functions.into_iter().chain([Activate::SoftClamp(3.0)]) {
            assert!(op.apply(f32::NAN).is_nan(), "{op:?}");
        }
    }
}
