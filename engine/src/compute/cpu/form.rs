//! The forms in which the kernels read constants: as they are stored, in f32, or packed for products.
use super::{
    CpuInput, Operands,
    conv3d::PackedConv,
    pack::{PackedWeight, Weights},
};
use crate::tensor::{DType, TensorDesc};
use std::borrow::Cow;

/// In which form an op reads a constant on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightForm {
    /// Every value in f32.
    Dense,
    /// As it is stored: the op widens what it takes.
    Stored,
    /// Packed as the right-hand matrix `[n, k]` of a product.
    Matrix {
        /// Rows.
        n: usize,
        /// Columns.
        k: usize,
        /// What the product multiplies.
        operands: Operands,
    },
    /// Packed as the kernel of a convolution, `[n, time, height, width, channels]`.
    Conv {
        /// Output channels.
        n: usize,
        /// Taps along time, height and width.
        kernel: [usize; 3],
        /// Input channels.
        channels: usize,
        /// Whether it is applied to the input enlarged twice in space.
        enlarging: bool,
        /// What the products multiply.
        operands: Operands,
    },
}

impl WeightForm {
    /// A matrix of as many rows as the first extent.
    pub fn matrix(desc: &TensorDesc, operands: Operands) -> Self {
        let n = desc.shape[0];
        Self::Matrix { n, k: desc.elements() / n.max(1), operands }
    }

    /// The kernel of a convolution, `[n, time, height, width, channels]`.
    pub fn conv(desc: &TensorDesc, enlarging: bool, operands: Operands) -> Self {
        let shape = &desc.shape;
        let kernel = [shape[1], shape[2], shape[3]];
        Self::Conv { n: shape[0], kernel, channels: shape[4], enlarging, operands }
    }

    /// Bytes that a constant of this shape and dtype takes in this form on this machine.
    pub fn bytes(self, desc: &TensorDesc) -> u64 {
        let bytes = match self {
            Self::Dense => 4 * desc.elements(),
            Self::Stored => return desc.bytes(),
            Self::Matrix { n, k, operands } => PackedWeight::size(operands, desc.dtype, n, k),
            Self::Conv { n, kernel, channels, enlarging, operands } => {
                PackedConv::size(operands, desc.dtype, n, kernel, channels, enlarging)
            }
        };
        bytes as u64
    }
}

/// A constant in one of the forms.
#[derive(Debug)]
pub(crate) enum FormedWeight {
    /// In f32.
    Dense(Vec<f32>),
    /// As it is stored.
    Stored(Vec<u8>),
    /// For products.
    Matrix(PackedWeight),
    /// For convolutions.
    Conv(PackedConv),
}

impl FormedWeight {
    /// As an op reads it.
    pub(crate) fn input(&self) -> CpuInput<'_> {
        match self {
            Self::Dense(values) => CpuInput::Dense(values),
            Self::Stored(bytes) => CpuInput::Stored(bytes),
            Self::Matrix(packed) => CpuInput::Matrix(packed),
            Self::Conv(packed) => CpuInput::Conv(packed),
        }
    }

    /// Bytes of its memory.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Dense(values) => size_of_val(values.as_slice()),
            Self::Stored(bytes) => bytes.len(),
            Self::Matrix(packed) => packed.bytes(),
            Self::Conv(packed) => packed.bytes(),
        };
        bytes as u64
    }

    /// Brings the bytes of a constant into a form.
    pub(crate) fn new(form: WeightForm, dtype: DType, bytes: Cow<'_, [u8]>) -> Self {
        match form {
            WeightForm::Dense => Self::Dense(widen(dtype, &bytes)),
            WeightForm::Stored => Self::Stored(bytes.into_owned()),
            WeightForm::Matrix { n, k, operands } => Self::Matrix(with_weights(dtype, &bytes, |weights| {
                PackedWeight::new(operands, weights, n, k)
            })),
            WeightForm::Conv { n, kernel, channels, enlarging, operands } => {
                Self::Conv(with_weights(dtype, &bytes, |weights| {
                    PackedConv::new(operands, weights, n, kernel, channels, enlarging)
                }))
            }
        }
    }
}

/// Stored values in f32 (integers: their bits).
pub(crate) fn widen(dtype: DType, bytes: &[u8]) -> Vec<f32> {
    with_weights(dtype, bytes, |weights| weights.to_f32())
}

/// Mapped files align nothing: what is not aligned is copied first.
fn with_weights<T>(dtype: DType, bytes: &[u8], work: impl FnOnce(Weights<'_>) -> T) -> T {
    match dtype {
        DType::F16 => work(Weights::F16(&aligned(bytes))),
        DType::Bf16 => work(Weights::Bf16(&aligned(bytes))),
        DType::Grouped(grouping) => work(Weights::Grouped(grouping, bytes)),
        DType::F32 | DType::U32 => work(Weights::F32(&aligned(bytes))),
    }
}

fn aligned<T: bytemuck::Pod>(bytes: &[u8]) -> Cow<'_, [T]> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(values) => values.into(),
        Err(_) => bytemuck::pod_collect_to_vec(bytes).into(),
    }
}
