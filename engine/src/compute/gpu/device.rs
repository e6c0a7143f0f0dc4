//! Adapters, and a device opened on one of them.
use super::{LossSwitch, experimental, loss::Reports, memory::DeviceMemory, ranking};
use crate::{
    adapter::{AdapterKind, AdapterSummary},
    error::DeviceError,
    target::{CooperativeMatrices, Target},
    tuner::TuningOptions,
    tuning::Tuning,
};
use std::path::PathBuf;

/// How a device is opened.
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// Keep naga's bounds checks and loop bounds in the kernels. The tests run with and without.
    pub runtime_checks: bool,
    /// Fill new buffers with NaN and leave a band behind each that [`super::GpuExecutor::check_guards`] looks at.
    pub guard_bands: bool,
    /// Where compiled pipelines are kept, on backends that can.
    pub pipeline_cache: Option<PathBuf>,
    /// How kernels are chosen.
    pub tuning: TuningOptions,
    /// For tests: how the device is lost.
    pub loss: LossSwitch,
    /// For tests: in which call it has no memory left.
    pub shortage: LossSwitch,
}

/// An opened device.
#[derive(Debug)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    reports: Reports,
    pub(super) options: GpuOptions,
    pub(super) info: wgpu::AdapterInfo,
    summary: AdapterSummary,
}

impl Gpu {
    /// Lists the adapters: discrete, integrated, other, software; of each kind the one with the most memory first.
    pub async fn adapters() -> Vec<AdapterSummary> {
        sorted_adapters().await.into_iter().map(|(summary, _)| summary).collect()
    }

    /// Whether it is worth asking the drivers for a GPU that is no software.
    ///
    /// On Linux every GPU has a device node. Without one only software Vulkan could answer, and asking costs: its driver
    /// loads a compiler of tens of megabytes that stays in memory.
    pub fn may_exist() -> bool {
        const NODES: [&str; 6] =
            ["/dev/dri", "/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kgsl-3d0", "/dev/mali0"];
        !cfg!(target_os = "linux") || NODES.iter().any(|node| std::path::Path::new(node).exists())
    }

    /// Opens the adapter at `index` of [`Gpu::adapters`].
    ///
    /// # Errors
    /// [`DeviceError::NoAdapter`] if there is none, [`DeviceError::Device`] if it refuses.
    pub async fn open(index: usize, options: GpuOptions) -> Result<Self, DeviceError> {
        let adapters = sorted_adapters().await;
        let found = adapters.len();
        let (summary, adapter) = adapters.into_iter().nth(index).ok_or_else(|| {
            DeviceError::NoAdapter(if found == 0 {
                String::new()
            } else {
                format!(" with number {index}; there are {found}, counted from 0")
            })
        })?;
        Self::open_adapter(summary, &adapter, options).await
    }

    async fn open_adapter(
        mut summary: AdapterSummary,
        adapter: &wgpu::Adapter,
        options: GpuOptions,
    ) -> Result<Self, DeviceError> {
        let mut opened = request(adapter, &summary.target).await;
        if opened.is_err() && !summary.target.cooperative.is_empty() {
            // A driver that only claims to have what is experimental does without it.
            summary.target.cooperative.clear();
            opened = request(adapter, &summary.target).await;
        }
        let (device, queue) = opened
            .map_err(|e| DeviceError::Device { adapter: summary.name.clone(), message: e.to_string() })?;
        let reports = Reports::listen(&device);
        Ok(Self { device, queue, reports, options, info: adapter.get_info(), summary })
    }

    /// The adapter.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }

    /// Plans for a narrower target than the adapter's own, so that what another machine is given runs on this one.
    #[must_use]
    pub fn with_target(mut self, target: Target) -> Self {
        self.summary.target = target;
        self
    }

    /// Plans with what was measured from now on.
    pub(super) fn set_tuning(&mut self, tuning: Tuning) {
        self.summary.target.tuning = tuning;
    }

    /// Plans with what its matrices were found to do from now on.
    pub(super) fn set_matrices(&mut self, matrices: Vec<CooperativeMatrices>) {
        self.summary.target.cooperative = matrices;
    }

    /// What plans for this device are made for.
    pub fn target(&self) -> &Target {
        &self.summary.target
    }

    /// `Err` if the device has been lost, or has reported an error that nobody waited for.
    pub(super) fn check(&self) -> Result<(), DeviceError> {
        self.reports.check()
    }

    /// Runs `work` and turns what wgpu reports meanwhile into an error. On a lost device wgpu does nothing, and says nothing
    /// to its scopes.
    pub(super) async fn scoped<T>(
        &self,
        what: &str,
        bytes: u64,
        work: impl FnOnce() -> T,
    ) -> Result<T, DeviceError> {
        self.check()?;
        if self.options.shortage.falls_in_this_call() {
            return Err(DeviceError::OutOfMemory { what: what.to_owned(), bytes });
        }
        let lost = self.options.loss.falls_in_this_call();
        if lost {
            self.device.destroy();
        }
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = work();
        let (validation, memory) = (validation.pop(), memory.pop());
        #[cfg(not(target_arch = "wasm32"))]
        if lost {
            // What is destroyed reports that when it is asked.
            super::loss::poll(&self.device, wgpu::PollType::Poll)?;
        }
        let (validation, memory) = (validation.await, memory.await);
        self.check()?;
        if let Some(error) = validation {
            return Err(DeviceError::Validation(format!("{what}: {error}")));
        }
        if memory.is_some() {
            return Err(DeviceError::OutOfMemory { what: what.to_owned(), bytes });
        }
        Ok(result)
    }

    /// Waits until a submission has finished.
    pub(super) async fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<(), DeviceError> {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
            let waited = super::loss::poll(&self.device, wait);
            // The driver's reason first.
            self.check()?;
            waited
        }
        #[cfg(target_arch = "wasm32")]
        {
            let _ = submission;
            let (sender, receiver) = super::readback::oneshot();
            self.queue.on_submitted_work_done(move || sender.send(()));
            receiver.await?;
            self.check()
        }
    }
}

async fn request(
    adapter: &wgpu::Adapter,
    target: &Target,
) -> Result<(wgpu::Device, wgpu::Queue), wgpu::RequestDeviceError> {
    let wanted = wanted_features() | experimental::features(target);
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("kinora"),
        required_features: adapter.features() & wanted,
        required_limits: adapter.limits(),
        experimental_features: experimental::permission(target),
        memory_hints: wgpu::MemoryHints::Performance,
        ..Default::default()
    };
    adapter.request_device(&descriptor).await
}

/// The adapters, the best first, with their positions.
async fn sorted_adapters() -> Vec<(AdapterSummary, wgpu::Adapter)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let backends = wgpu::Backends::VULKAN
        | wgpu::Backends::METAL
        | wgpu::Backends::DX12
        | wgpu::Backends::BROWSER_WEBGPU;
    let found = instance.enumerate_adapters(backends).await;
    let mut adapters: Vec<_> = found.into_iter().map(|adapter| (summary(&adapter), adapter)).collect();
    adapters.sort_by_key(|(summary, _)| ranking::rank(summary));
    for (index, (summary, _)) in adapters.iter_mut().enumerate() {
        summary.index = index;
    }
    adapters
}

fn kind(info: &wgpu::AdapterInfo) -> AdapterKind {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
        wgpu::DeviceType::Cpu => AdapterKind::Software,
        wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => AdapterKind::Other,
    }
}

fn wanted_features() -> wgpu::Features {
    wgpu::Features::SHADER_F16
        | wgpu::Features::SHADER_INT64
        | wgpu::Features::SUBGROUP
        | wgpu::Features::TIMESTAMP_QUERY
        | wgpu::Features::PIPELINE_CACHE
}

/// What an adapter says of itself; its position comes later.
fn summary(adapter: &wgpu::Adapter) -> AdapterSummary {
    let (info, features, limits) = (adapter.get_info(), adapter.features(), adapter.limits());
    let memory = DeviceMemory::of(adapter);
    let subgroups = features
        .contains(wgpu::Features::SUBGROUP)
        .then_some((info.subgroup_min_size, info.subgroup_max_size));
    let target = Target {
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        offset_alignment: u64::from(limits.min_storage_buffer_offset_alignment),
        max_groups: limits.max_compute_workgroups_per_dimension,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        shader_f16: features.contains(wgpu::Features::SHADER_F16),
        shader_i64: features.contains(wgpu::Features::SHADER_INT64),
        subgroups,
        cooperative: experimental::cooperative(adapter),
        registers: Target::webgpu_defaults().registers,
        software: kind(&info) == AdapterKind::Software,
        tuning: Tuning::default(),
    };
    AdapterSummary {
        index: 0,
        kind: kind(&info),
        backend: format!("{:?}", info.backend),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        memory_bytes: memory.total,
        free_bytes: memory.free,
        name: info.name,
        target,
        pipeline_cache: features.contains(wgpu::Features::PIPELINE_CACHE),
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
    }
}
