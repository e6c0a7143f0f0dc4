//! The GPU executor: the only part of the engine that names wgpu.
mod buffers;
mod device;
mod executor;
mod experimental;
mod pacing;
mod pipelines;
mod ranking;
mod readback;
mod timestamps;
mod trials;
mod tuning;

pub use device::{AdapterKind, AdapterSummary, Gpu, GpuOptions};
pub use executor::{GpuExecutor, GpuProgram};

/// Why the GPU could not do something.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// No adapter at all, or none of the wanted number.
    #[error("no GPU adapter found{0}")]
    NoAdapter(String),
    /// The adapter refuses a device.
    #[error("adapter `{adapter}` gives no device: {message}")]
    Device {
        /// The adapter's name.
        adapter: String,
        /// wgpu's reason.
        message: String,
    },
    /// A kernel does not compile or does not fit its layout.
    #[error("kernel `{kernel}` [{variant}]: {message}")]
    Kernel {
        /// The kernel.
        kernel: &'static str,
        /// Its variant.
        variant: String,
        /// naga's or the driver's report.
        message: String,
    },
    /// The device has no memory left.
    #[error("out of GPU memory: {what} needs {bytes} bytes")]
    OutOfMemory {
        /// What was to be allocated.
        what: String,
        /// Its size.
        bytes: u64,
    },
    /// The driver gave the device up: a reset, an unplugged or sleeping GPU, a crash.
    #[error("the GPU device was lost: {0}")]
    Lost(String),
    /// Work was refused.
    #[error("GPU: {0}")]
    Validation(String),
}
