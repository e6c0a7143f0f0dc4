//! What a tensor is: a shape and an element type. No data.
mod grouping;

pub use grouping::Grouping;
pub(crate) use grouping::{Layout, Runs};

use model_loader::Format;
use std::fmt;

/// Element type of a tensor in a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// bfloat16: weights, and on the CPU activations whose products round them.
    Bf16,
    /// 32-bit unsigned integer: token ids, packed pixels.
    U32,
    /// Groups of values that share scales: constants alone.
    Grouped(Grouping),
}

impl DType {
    /// Bytes per element.
    ///
    /// # Panics
    /// If elements are no bytes of their own: sizes of what may be grouped are asked of [`DType::bytes`].
    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Grouped(_) => panic!("an element of {self} has no bytes of its own"),
        }
    }

    /// Bytes of so many elements; a part of a group counts as a whole one.
    pub fn bytes(self, elements: usize) -> usize {
        match self {
            Self::Grouped(grouping) => grouping.bytes(elements),
            _ => elements * self.size(),
        }
    }

    /// That of a matrix in this format whose rows have so many values, if graphs have one: others are widened to f32.
    pub fn of_format(format: Format, row_len: usize) -> Option<Self> {
        match format {
            Format::F32 => Some(Self::F32),
            Format::F16 => Some(Self::F16),
            Format::BF16 => Some(Self::Bf16),
            _ => Grouping::of(format, row_len).map(Self::Grouped),
        }
    }

    /// How values are grouped, if they are.
    pub fn grouping(self) -> Option<Grouping> {
        match self {
            Self::Grouped(grouping) => Some(grouping),
            Self::F32 | Self::F16 | Self::Bf16 | Self::U32 => None,
        }
    }

    /// The shader type of an activation; bfloat16, integers and groups have none.
    pub fn elem(self) -> Option<shaders::Elem> {
        match self {
            Self::F32 => Some(shaders::Elem::F32),
            Self::F16 => Some(shaders::Elem::F16),
            Self::Bf16 | Self::U32 | Self::Grouped(_) => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::U32 => "u32",
            Self::Grouped(grouping) => return grouping.fmt(f),
        })
    }
}

/// Shape and element type; row-major and contiguous, batch is always one and absent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorDesc {
    /// Extents, slowest first.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
}

impl TensorDesc {
    /// A description of a tensor.
    pub fn new(shape: &[usize], dtype: DType) -> Self {
        Self { shape: shape.to_vec(), dtype }
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Size in bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.dtype.bytes(self.elements()) as u64
    }

    /// The last extent (1 for a scalar).
    pub fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The product of all extents but the last.
    pub fn rows(&self) -> usize {
        let leading = self.shape.len().saturating_sub(1);
        self.shape[..leading].iter().product()
    }
}

/// A tensor of one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(pub(crate) u32);

impl TensorId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}
