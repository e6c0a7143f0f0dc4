//! Compiled kernels: made up front, in parallel, once per variant, and kept on disk where that is possible.
use super::Gpu;
use crate::{error::DeviceError, run::CompileObserver};
use shaders::{Access, Kernel, Prepared, Variant};
use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    path::PathBuf,
};

/// A kernel, how it is specialised: the whole key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PipelineKey {
    pub(super) kernel: &'static Kernel,
    pub(super) variant: Variant,
}

/// A compiled kernel.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    /// Of each binding, in order.
    pub(super) accesses: Vec<Access>,
}

/// All pipelines of one device.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    made: HashMap<PipelineKey, Pipeline>,
    disk: Option<wgpu::PipelineCache>,
    opened: bool,
}

impl Pipelines {
    pub(super) fn get(&self, key: &PipelineKey) -> Option<&Pipeline> {
        self.made.get(key)
    }

    /// Compiles those of `keys` that are not there yet, on all cores; [`ControlFlow::Break`] if `observer` ended it.
    pub(super) async fn prepare(
        &mut self,
        gpu: &Gpu,
        keys: impl IntoIterator<Item = PipelineKey>,
        observer: &mut CompileObserver<'_>,
    ) -> Result<ControlFlow<()>, DeviceError> {
        let missing: HashSet<PipelineKey> = keys.into_iter().filter(|k| !self.made.contains_key(k)).collect();
        let missing: Vec<PipelineKey> = missing.into_iter().collect();
        if missing.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        if observer(0, missing.len()).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let disk = self.disk(gpu);
        let wanted = missing.len();
        let made = compile_all(gpu, disk, missing, observer).await?;
        let complete = made.len() == wanted;
        self.made.extend(made);
        if let (Some(cache), Some(path)) = (&self.disk, cache_file(gpu)) {
            save_cache(cache, &path);
        }
        Ok(if complete { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    /// Compiles on all cores what may fail, and keeps none of it.
    pub(super) async fn try_each(
        &mut self,
        gpu: &Gpu,
        keys: Vec<PipelineKey>,
    ) -> Vec<Result<Pipeline, DeviceError>> {
        let disk = self.disk(gpu);
        #[cfg(not(target_arch = "wasm32"))]
        {
            use rayon::prelude::*;
            keys.into_par_iter().map(|key| pollster::block_on(compile(gpu, disk, &key))).collect()
        }
        #[cfg(target_arch = "wasm32")]
        {
            let started: Vec<_> = keys.iter().map(|key| compile(gpu, disk, key)).collect();
            let mut made = Vec::new();
            for pipeline in started {
                made.push(pipeline.await);
            }
            made
        }
    }

    fn disk(&mut self, gpu: &Gpu) -> Option<&wgpu::PipelineCache> {
        if !self.opened {
            self.opened = true;
            self.disk = open_cache(gpu);
        }
        self.disk.as_ref()
    }
}

/// Compiles on all cores and tells `observer` of each, on the caller's thread. Less comes back if it ends the work.
#[cfg(not(target_arch = "wasm32"))]
async fn compile_all(
    gpu: &Gpu,
    disk: Option<&wgpu::PipelineCache>,
    keys: Vec<PipelineKey>,
    observer: &mut CompileObserver<'_>,
) -> Result<Vec<(PipelineKey, Pipeline)>, DeviceError> {
    use rayon::prelude::*;
    use std::sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    };
    let (total, ended) = (keys.len(), AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    let work = || {
        let compiled = keys.into_par_iter().map_with(sender, |sender, key| {
            if ended.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let pipeline = pollster::block_on(compile(gpu, disk, &key))?;
            // The receiver lives until all senders are gone.
            let _ = sender.send(());
            Ok(Some((key, pipeline)))
        });
        compiled.filter_map(Result::transpose).collect()
    };
    std::thread::scope(|scope| {
        let work = scope.spawn(work);
        for (index, ()) in receiver.iter().enumerate() {
            if observer(index + 1, total).is_break() {
                ended.store(true, Ordering::Relaxed);
            }
        }
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A browser compiles on its own threads: all are begun, then awaited.
#[cfg(target_arch = "wasm32")]
async fn compile_all(
    gpu: &Gpu,
    disk: Option<&wgpu::PipelineCache>,
    keys: Vec<PipelineKey>,
    observer: &mut CompileObserver<'_>,
) -> Result<Vec<(PipelineKey, Pipeline)>, DeviceError> {
    let started: Vec<_> = keys.iter().map(|key| compile(gpu, disk, key)).collect();
    let mut made = Vec::with_capacity(keys.len());
    for (key, pipeline) in keys.iter().zip(started) {
        made.push((key.clone(), pipeline.await?));
        if observer(made.len(), keys.len()).is_break() {
            break;
        }
    }
    Ok(made)
}

/// Begins to compile at once; what is returned waits for errors.
fn compile<'a>(
    gpu: &Gpu,
    disk: Option<&wgpu::PipelineCache>,
    key: &'a PipelineKey,
) -> impl Future<Output = Result<Pipeline, DeviceError>> + use<'a> {
    let validation = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let internal = gpu.device.push_error_scope(wgpu::ErrorFilter::Internal);
    let made = make(gpu, disk, key);
    let (internal, validation) = (internal.pop(), validation.pop());
    async move {
        match (internal.await, validation.await) {
            (None, None) => made,
            (Some(error), _) | (None, Some(error)) => Err(kernel_error(key, report(key, &error))),
        }
    }
}

/// What is wrong with a kernel. wgpu has not seen its text: where naga alone finds the fault, it shows the line.
fn report(key: &PipelineKey, error: &wgpu::Error) -> String {
    match key.kernel.prepare(&key.variant).and_then(|prepared| prepared.validate()) {
        Err(error) => error.to_string(),
        Ok(_) => error.to_string(),
    }
}

/// A browser takes text; elsewhere wgpu takes what is parsed already.
#[cfg(target_arch = "wasm32")]
fn source(prepared: Prepared) -> wgpu::ShaderSource<'static> {
    wgpu::ShaderSource::Wgsl(prepared.text.into())
}

/// A browser takes text; elsewhere wgpu takes what is parsed already.
#[cfg(not(target_arch = "wasm32"))]
fn source(prepared: Prepared) -> wgpu::ShaderSource<'static> {
    wgpu::ShaderSource::Naga(std::borrow::Cow::Owned(prepared.module))
}

fn make(gpu: &Gpu, disk: Option<&wgpu::PipelineCache>, key: &PipelineKey) -> Result<Pipeline, DeviceError> {
    let prepared = key.kernel.prepare(&key.variant).map_err(|e| kernel_error(key, e.to_string()))?;
    let accesses: Vec<Access> = prepared.interface.bindings.iter().map(|b| b.access).collect();
    let entries: Vec<_> =
        prepared.interface.bindings.iter().map(|b| layout_entry(b.index, b.access)).collect();
    let layout = gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(key.kernel.name),
        entries: &entries,
    });
    let pipeline_layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(key.kernel.name),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let descriptor = wgpu::ShaderModuleDescriptor { label: Some(key.kernel.name), source: source(prepared) };
    let module = if gpu.options.runtime_checks {
        gpu.device.create_shader_module(descriptor)
    } else {
        // SAFETY: the kernels are ours; the tests run every one of them with checks on and off and
        // compare the results, with guard bands around each buffer.
        unsafe { gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
    };
    let constants: Vec<(&str, f64)> =
        key.variant.overrides.iter().map(|(name, value)| (*name, f64::from(*value))).collect();
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(key.kernel.name),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &constants,
            // No kernel reads workgroup memory that it has not written.
            zero_initialize_workgroup_memory: gpu.options.runtime_checks,
        },
        cache: disk,
    });
    Ok(Pipeline { pipeline, layout, accesses })
}

fn layout_entry(binding: u32, access: Access) -> wgpu::BindGroupLayoutEntry {
    let ty = match access {
        Access::Uniform => wgpu::BufferBindingType::Uniform,
        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
    };
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}

fn kernel_error(key: &PipelineKey, message: String) -> DeviceError {
    DeviceError::Kernel { kernel: key.kernel.name, variant: key.variant.label(), message }
}

fn cache_file(gpu: &Gpu) -> Option<PathBuf> {
    let name = wgpu::util::pipeline_cache_key(&gpu.info)?;
    gpu.options.pipeline_cache.as_ref().map(|dir| dir.join(format!("{name}.bin")))
}

fn open_cache(gpu: &Gpu) -> Option<wgpu::PipelineCache> {
    if !gpu.summary().pipeline_cache {
        return None;
    }
    let path = cache_file(gpu)?;
    let data = std::fs::read(path).ok();
    let descriptor =
        wgpu::PipelineCacheDescriptor { label: Some("kinora"), data: data.as_deref(), fallback: true };
    // SAFETY: the file is written only by `save_cache`, whole, with what `get_data` returned; wgpu
    // checks its header against this adapter and driver, and `fallback` starts anew if it does not fit.
    Some(unsafe { gpu.device.create_pipeline_cache(&descriptor) })
}

/// A cache that cannot be written costs time at the next start, nothing else.
fn save_cache(cache: &wgpu::PipelineCache, path: &std::path::Path) {
    let Some(data) = cache.get_data() else { return };
    let partial = path.with_extension(format!("tmp{}", std::process::id()));
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(&partial, data))
        .and_then(|()| std::fs::rename(&partial, path));
    if let Err(error) = written {
        tracing::warn!("pipeline cache `{}` not written: {error}", path.display());
        let _ = std::fs::remove_file(&partial);
    }
}
