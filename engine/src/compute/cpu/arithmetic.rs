//! What products are computed with: which numbers, by which instructions.

use super::bf16::Unit;
use super::simd::Isa;
use crate::tensor::DType;

/// The numbers that a product multiplies. Sums are f32 in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operands {
    /// As they are.
    F32,
    /// Rounded to bfloat16.
    Bf16,
}

impl Operands {
    /// Of a product whose left operand is of this dtype.
    pub fn of(left: DType) -> Self {
        match left {
            DType::Bf16 => Self::Bf16,
            DType::F32 | DType::F16 | DType::U32 | DType::Grouped(_) => Self::F32,
        }
    }
}

/// Whether this machine multiplies bfloat16 numbers faster than f32.
pub fn has_fast_bf16() -> bool {
    Unit::current().is_fast()
}

/// Operands, and the instructions for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    /// Products of f32, with vectors of an instruction set.
    F32(Isa),
    /// Products of bfloat16 numbers, on a unit.
    Bf16(Unit),
}

impl Arithmetic {
    /// The best of this machine.
    pub(crate) fn of(operands: Operands) -> Self {
        match operands {
            Operands::F32 => Self::F32(Isa::current()),
            Operands::Bf16 => Self::Bf16(Unit::current()),
        }
    }

    /// All of this machine.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Self> {
        let units = Unit::available().into_iter().map(Self::Bf16);
        Isa::available().into_iter().map(Self::F32).chain(units).collect()
    }

    /// What is multiplied.
    #[cfg(test)]
    pub(crate) fn operands(self) -> Operands {
        match self {
            Self::F32(_) => Operands::F32,
            Self::Bf16(_) => Operands::Bf16,
        }
    }

    /// The instruction set of the vectors.
    pub(crate) fn isa(self) -> Isa {
        match self {
            Self::F32(isa) => isa,
            Self::Bf16(unit) => unit.isa(),
        }
    }

    /// Rows that are computed at a time.
    pub(crate) fn rows(self) -> usize {
        match self {
            Self::F32(isa) => isa.rows(),
            Self::Bf16(unit) => unit.rows(),
        }
    }

    /// Columns of a panel.
    pub(crate) fn columns(self) -> usize {
        self.isa().columns()
    }
}
