//! Why nothing was compiled for a chip.
use engine::{compute::error::PlanError, compute::op::OpError, pipeline::EngineError};

/// A driver that is not there or refuses, or a kernel that it does not take.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Other systems have no such driver.
    #[error("kernels are compiled for other chips on Linux only")]
    Platform,
    /// Its package is not installed.
    #[error("Mesa's Vulkan driver for AMD (RADV) is not installed: there is no `radeon_icd*.json` in {0}")]
    NoDriver(String),
    /// The process was started without what the driver reads.
    #[error(
        "this process was not started to compile for {chip}: the driver reads `{variable}` when it is loaded"
    )]
    Environment {
        /// The chip.
        chip: &'static str,
        /// What is not set as it must be.
        variable: &'static str,
    },
    /// No Vulkan loader, or the driver does not know the chip or lacks what is asked of it.
    #[error("Mesa's Vulkan driver does not open {chip}: {reason}")]
    Driver {
        /// The chip.
        chip: &'static str,
        /// The loader's or the driver's words.
        reason: String,
    },
    /// A kernel is not valid, or the driver refuses it.
    #[error("{kernel} [{variant}]: {reason}")]
    Kernel {
        /// The kernel.
        kernel: &'static str,
        /// Its variant.
        variant: String,
        /// What is wrong.
        reason: String,
    },
    /// An op refuses its sizes.
    #[error(transparent)]
    Op(#[from] OpError),
    /// A graph does not fit the chip.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A model's stages cannot be built.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl CompileError {
    /// What to do about it, where something can be done.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoDriver(_) | Self::Driver { .. } => Some(
                "install Mesa 24.1 to 25.x with a Vulkan loader: on Debian and Ubuntu `apt install mesa-vulkan-drivers \
                 libvulkan1` (on Debian 12 `-t bookworm-backports`), on Fedora `dnf install mesa-vulkan-drivers`. No \
                 AMD card is needed",
            ),
            _ => None,
        }
    }
}
