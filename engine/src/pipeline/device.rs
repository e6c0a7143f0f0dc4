//! Which device a run uses.
use super::EngineError;
use crate::{
    adapter::{AdapterKind, AdapterSummary},
    error::DeviceError,
    executor::{CpuExecutor, Executor},
    gpu::{Gpu, GpuExecutor, GpuOptions},
    nn::Precision,
    target::Target,
};

/// What the caller wants to run on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A discrete GPU, else an integrated one, else the CPU.
    #[default]
    Auto,
    /// The CPU executor.
    Cpu,
    /// The best adapter, or the one with this number; software Vulkan too.
    Gpu(Option<usize>),
    /// The adapter with this in its name, in any case; software Vulkan too.
    Named(String),
}

/// Opens an executor; the text names the device.
///
/// # Errors
/// If there is no such adapter or more than one, or it cannot do what `precision` needs.
pub async fn open_executor(
    choice: DeviceChoice,
    precision: Precision,
    options: GpuOptions,
) -> Result<(Executor, String), EngineError> {
    let index = match choice {
        DeviceChoice::Cpu => None,
        DeviceChoice::Gpu(index) => Some(index.unwrap_or(0)),
        DeviceChoice::Named(part) => Some(named(&part, &Gpu::adapters().await)?),
        DeviceChoice::Auto if !Gpu::may_exist() => None,
        DeviceChoice::Auto => {
            let adapters = Gpu::adapters().await;
            let usable = |adapter: &&AdapterSummary| {
                adapter.kind != AdapterKind::Software && computes(precision, &adapter.target)
            };
            adapters.iter().find(usable).map(|a| a.index)
        }
    };
    let Some(index) = index else {
        if precision == Precision::F16 {
            return Err(EngineError::Setting {
                what: "precision",
                got: "f16".to_owned(),
                expected: "must be f32 or bf16 on the CPU".to_owned(),
            });
        }
        return Ok((Executor::Cpu(CpuExecutor::default()), "CPU".to_owned()));
    };
    if precision == Precision::Bf16 {
        return Err(EngineError::Setting {
            what: "precision",
            got: "bf16".to_owned(),
            expected: "must be f32 or f16 on a GPU".to_owned(),
        });
    }
    let gpu = Gpu::open(index, options).await.map_err(EngineError::Device)?;
    let name = full_name(gpu.summary());
    if !computes(precision, gpu.target()) {
        return Err(EngineError::Device(DeviceError::Device {
            adapter: name,
            message: "its shaders have no f16".to_owned(),
        }));
    }
    let mut executor = GpuExecutor::new(gpu);
    executor.prove_matrices(crate::ops::matrix_trials).await.map_err(EngineError::Device)?;
    Ok((Executor::Gpu(Box::new(executor)), name))
}

/// Whether a GPU computes in this precision.
fn computes(precision: Precision, target: &Target) -> bool {
    match precision {
        Precision::F32 => true,
        Precision::F16 => target.shader_f16,
        Precision::Bf16 => false,
    }
}

fn full_name(adapter: &AdapterSummary) -> String {
    format!("{} ({})", adapter.name, adapter.backend)
}

/// The position of the one adapter with `part` in its name or backend.
fn named(part: &str, adapters: &[AdapterSummary]) -> Result<usize, EngineError> {
    let lower = part.to_lowercase();
    let mut matches: Vec<&AdapterSummary> = Vec::new();
    for adapter in adapters.iter().filter(|adapter| full_name(adapter).to_lowercase().contains(&lower)) {
        // One card is listed once for each backend; the best comes first.
        let known = |other: &&AdapterSummary| other.name == adapter.name && other.backend != adapter.backend;
        if !matches.iter().any(known) {
            matches.push(adapter);
        }
    }
    let list = |adapters: &mut dyn Iterator<Item = &AdapterSummary>| {
        let names = adapters.map(|adapter| format!("`gpu:{}` {}", adapter.index, full_name(adapter)));
        names.collect::<Vec<_>>().join(", ")
    };
    let expected = match matches.as_slice() {
        [only] => return Ok(only.index),
        [] if adapters.is_empty() => return Err(EngineError::Device(DeviceError::NoAdapter(String::new()))),
        [] => format!("must be a part of an adapter's name: {}", list(&mut adapters.iter())),
        several => {
            format!("must be a part of one adapter's name, not of {}", list(&mut several.iter().copied()))
        }
    };
    Err(EngineError::Setting { what: "device", got: format!("`{part}`"), expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapters(names: &[(&str, &str)]) -> Vec<AdapterSummary> {
        let adapter = |(index, (name, backend)): (usize, &(&str, &str))| AdapterSummary {
            index,
            name: (*name).to_owned(),
            kind: AdapterKind::Discrete,
            backend: (*backend).to_owned(),
            driver: String::new(),
            memory_bytes: None,
            free_bytes: None,
            target: Target::webgpu_defaults(),
            pipeline_cache: false,
            timestamps: false,
        };
        names.iter().enumerate().map(adapter).collect()
    }

    #[test]
    fn a_part_of_a_name_is_enough_in_any_case() {
        let adapters =
            adapters(&[("GeForce RTX 4090", "Vulkan"), ("AMD Radeon", "Vulkan"), ("llvmpipe", "Vulkan")]);
        assert_eq!(named("rtx", &adapters).unwrap(), 0);
        assert_eq!(named("Radeon", &adapters).unwrap(), 1);
        assert_eq!(named("LLVM", &adapters).unwrap(), 2);
        let error = named("intel", &adapters).unwrap_err();
        assert!(error.is_users());
        assert_eq!(
            error.to_string(),
            "the device is `intel`, must be a part of an adapter's name: `gpu:0` GeForce RTX 4090 (Vulkan), \
             `gpu:1` AMD Radeon (Vulkan), `gpu:2` llvmpipe (Vulkan)"
        );
        assert_eq!(named("rtx", &[]).unwrap_err().to_string(), "no GPU adapter found");
    }

    #[test]
    fn what_names_several_is_refused_with_their_names() {
        let pair = adapters(&[("RTX 4090", "Vulkan"), ("RTX 3060", "Vulkan"), ("Arc", "Vulkan")]);
        assert_eq!(
            named("rtx", &pair).unwrap_err().to_string(),
            "the device is `rtx`, must be a part of one adapter's name, not of `gpu:0` RTX 4090 (Vulkan), \
             `gpu:1` RTX 3060 (Vulkan)"
        );
        let twins = adapters(&[("RTX 4090", "Vulkan"), ("RTX 4090", "Vulkan")]);
        assert!(named("4090", &twins).is_err());
    }

    #[test]
    fn one_card_under_two_backends_is_one_adapter() {
        let both = adapters(&[("RTX 4090", "Vulkan"), ("RTX 4090", "Dx12")]);
        assert_eq!(named("4090", &both).unwrap(), 0);
        assert_eq!(named("dx12", &both).unwrap(), 1);
    }
}
