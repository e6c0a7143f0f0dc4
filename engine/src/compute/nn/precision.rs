//! In which dtype activations are stored.
use crate::tensor::DType;
use std::{fmt, str::FromStr};

/// How activations are stored between ops, or multiplied. Sums, statistics and the residual stream are f32 in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Everything in f32: the reference.
    #[default]
    F32,
    /// Operands of products and attention in f16. Needs shaders with f16.
    F16,
    /// Operands of products, convolutions and attention rounded to bfloat16 as they are multiplied. For the CPU.
    Bf16,
}

impl Precision {
    /// The dtype of operands.
    pub fn activation(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::Bf16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.activation().fmt(f)
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            other => Err(format!("`{other}` is no precision; there are f32, f16 and bf16")),
        }
    }
}
