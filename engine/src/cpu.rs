//! The CPU executor: the same graphs in f32, on all cores.
pub(crate) mod attention;
pub(crate) mod chains;
pub(crate) mod conv3d;
mod executor;
pub(crate) mod gemm;
pub(crate) mod math;
pub(crate) mod pack;
pub(crate) mod simd;

pub use executor::{CpuExecutor, CpuProgram};

use crate::{tensor::TensorDesc, weight::Weight};

/// Lets everything that computes on the CPU use so many threads, instead of one for each core. Only before the first of it.
///
/// # Errors
/// If threads are there already, or the system refuses new ones.
#[cfg(not(target_arch = "wasm32"))]
pub fn use_threads(threads: usize) -> Result<(), String> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|error| error.to_string())
}

/// What an op computes with on the CPU.
#[derive(Debug)]
pub struct CpuIo<'a> {
    inputs: Vec<CpuInput<'a>>,
    descs: &'a [TensorDesc],
    /// The output; if an input is aliased, it holds that input's values at first.
    pub output: &'a mut [f32],
    /// The output's shape.
    pub output_desc: &'a TensorDesc,
    /// The input that shares the output's buffer.
    pub aliased: Option<usize>,
}

/// One input of an op.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CpuInput<'a> {
    Data(&'a [f32]),
    Weight(&'a Weight),
    Aliased,
}

impl<'a> CpuIo<'a> {
    pub(crate) fn new(
        inputs: Vec<CpuInput<'a>>,
        descs: &'a [TensorDesc],
        output: &'a mut [f32],
        output_desc: &'a TensorDesc,
        aliased: Option<usize>,
    ) -> Self {
        Self { inputs, descs, output, output_desc, aliased }
    }

    /// The values of an input; empty if it is aliased.
    pub fn input(&self, index: usize) -> &'a [f32] {
        match self.inputs[index] {
            CpuInput::Data(data) => data,
            CpuInput::Weight(weight) => weight.dense(),
            CpuInput::Aliased => &[],
        }
    }

    /// The values of an integer input.
    pub fn input_u32(&self, index: usize) -> &'a [u32] {
        bytemuck::cast_slice(self.input(index))
    }

    /// An input that is a weight.
    pub fn weight(&self, index: usize) -> Option<&'a Weight> {
        match self.inputs[index] {
            CpuInput::Weight(weight) => Some(weight),
            _ => None,
        }
    }

    /// The shape of an input.
    pub fn desc(&self, index: usize) -> &'a TensorDesc {
        &self.descs[index]
    }

    /// Number of inputs.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether the op has no inputs.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }
}
