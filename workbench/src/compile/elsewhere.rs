//! In place of the driver, on systems that have none that compiles without its hardware.
use super::{Chip, CompileError, Executable};
use engine::compute::target::Target;
use shaders::{Kernel, Variant};
use std::convert::Infallible;

/// Never opened.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) name: String,
    pub(super) target: Target,
    #[expect(dead_code, reason = "it says that there is none")]
    never: Infallible,
}

impl Driver {
    pub(super) fn open(_: &'static Chip) -> Result<Self, CompileError> {
        Err(CompileError::Platform)
    }

    pub(super) fn compile(
        &self,
        _: &'static Kernel,
        _: &Variant,
        _: Option<u32>,
        _: bool,
    ) -> Result<Executable, CompileError> {
        Err(CompileError::Platform)
    }
}
