//! The GPU executor: the only part of the engine that names wgpu.
mod buffers;
mod device;
mod executor;
mod experimental;
mod launch;
mod loss;
mod memory;
mod pacing;
mod pipelines;
mod proving;
mod ranking;
mod readback;
mod streaming;
mod timestamps;
mod trials;
mod tuning;

pub use device::{Gpu, GpuOptions};
pub use executor::{GpuExecutor, GpuProgram};
pub use loss::LossSwitch;
