//! Which device a run uses.
use super::EngineError;
use crate::{
    adapter::AdapterKind,
    error::DeviceError,
    executor::CpuExecutor,
    executor::Executor,
    gpu::{Gpu, GpuExecutor, GpuOptions},
    nn::Precision,
};

/// What the caller wants to run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A discrete GPU, else an integrated one, else the CPU.
    #[default]
    Auto,
    /// The CPU executor.
    Cpu,
    /// The best adapter, or the one with this number; software Vulkan too.
    Gpu(Option<usize>),
}

/// Opens an executor; the text names the device.
///
/// # Errors
/// If there is no such adapter, or it cannot do what `precision` needs.
pub async fn open_executor(
    choice: DeviceChoice,
    precision: Precision,
    options: GpuOptions,
) -> Result<(Executor, String), EngineError> {
    let index = match choice {
        DeviceChoice::Cpu => None,
        DeviceChoice::Gpu(index) => Some(index.unwrap_or(0)),
        DeviceChoice::Auto if !Gpu::may_exist() => None,
        DeviceChoice::Auto => {
            let adapters = Gpu::adapters().await;
            let usable = |kind| kind != AdapterKind::Software;
            adapters
                .iter()
                .find(|a| usable(a.kind) && (precision == Precision::F32 || a.target.shader_f16))
                .map(|a| a.index)
        }
    };
    let Some(index) = index else {
        if precision == Precision::F16 {
            return Err(EngineError::Setting {
                what: "the precision",
                got: "f16".to_owned(),
                expected: "must be f32 on the CPU".to_owned(),
            });
        }
        return Ok((Executor::Cpu(CpuExecutor::default()), "CPU".to_owned()));
    };
    let gpu = Gpu::open(index, options).await.map_err(EngineError::Device)?;
    let name = format!("{} ({})", gpu.summary().name, gpu.summary().backend);
    if precision == Precision::F16 && !gpu.target().shader_f16 {
        return Err(EngineError::Device(DeviceError::Device {
            adapter: name,
            message: "its shaders have no f16; use `--precision f32`".to_owned(),
        }));
    }
    Ok((Executor::Gpu(Box::new(GpuExecutor::new(gpu))), name))
}
