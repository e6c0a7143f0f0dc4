//! What ops compute with on the CPU: kernels on all cores, whose products multiply f32 or bfloat16 numbers, and the forms of the
//! constants that they read.
mod arithmetic;
pub(crate) mod attention;
mod bf16;
pub(crate) mod chains;
pub(crate) mod conv3d;
mod form;
pub(crate) mod gemm;
mod groups;
pub(crate) mod math;
pub(crate) mod pack;
pub(crate) mod simd;

pub use arithmetic::{Operands, has_fast_bf16};
pub use form::WeightForm;
pub(crate) use form::{FormedWeight, widen};

use crate::tensor::TensorDesc;
use conv3d::PackedConv;
use pack::{PackedWeight, Weights};
use std::borrow::Cow;

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
    /// Values in f32.
    Dense(&'a [f32]),
    /// A constant as it is stored.
    Stored(&'a [u8]),
    /// A constant packed for products.
    Matrix(&'a PackedWeight),
    /// A constant packed for convolutions.
    Conv(&'a PackedConv),
    /// It shares the output's buffer.
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

    /// The values of an input; empty if it is aliased, or a constant in another form.
    pub fn input(&self, index: usize) -> &'a [f32] {
        match self.inputs[index] {
            CpuInput::Dense(values) => values,
            _ => &[],
        }
    }

    /// The values of an integer input.
    pub fn input_u32(&self, index: usize) -> &'a [u32] {
        bytemuck::cast_slice(self.input(index))
    }

    /// The bytes of a constant as it is stored ([`WeightForm::Stored`]), in the dtype of its description.
    pub fn stored(&self, index: usize) -> Option<&'a [u8]> {
        match self.inputs[index] {
            CpuInput::Stored(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// What a product multiplies whose left operand is this input.
    pub(crate) fn operands(&self, index: usize) -> Operands {
        Operands::of(self.desc(index).dtype)
    }

    /// A matrix for products ([`WeightForm::matrix`]) with input 0; one that is no constant is packed now.
    pub(crate) fn matrix(&self, index: usize) -> Cow<'a, PackedWeight> {
        if let CpuInput::Matrix(packed) = self.inputs[index] {
            return Cow::Borrowed(packed);
        }
        let (values, n) = (self.input(index), self.desc(index).shape[0]);
        Cow::Owned(PackedWeight::new(self.operands(0), Weights::F32(values), n, values.len() / n.max(1)))
    }

    /// The kernel of a convolution ([`WeightForm::conv`]) of input 0; one that is no constant is packed now.
    pub(crate) fn conv(&self, index: usize, enlarging: bool) -> Cow<'a, PackedConv> {
        if let CpuInput::Conv(packed) = self.inputs[index] {
            return Cow::Borrowed(packed);
        }
        let shape = &self.desc(index).shape;
        let kernel = [shape[1], shape[2], shape[3]];
        let weights = Weights::F32(self.input(index));
        Cow::Owned(PackedConv::new(self.operands(0), weights, shape[0], kernel, shape[4], enlarging))
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
