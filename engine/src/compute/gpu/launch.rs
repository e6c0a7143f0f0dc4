//! Launches of a plan made ready for the device: pipeline, bind group, grid; and how they are encoded.
use super::{
    Gpu,
    pipelines::{Pipeline, PipelineKey},
};
use crate::{
    error::DeviceError,
    op::{Binding, Launch},
    target::clamp_u32,
};
use shaders::Access;

/// A launch whose pipeline and operands are bound.
#[derive(Debug)]
pub(super) struct BoundLaunch {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 3],
}

/// The pipeline that a launch needs.
pub(super) fn key(launch: &Launch) -> PipelineKey {
    PipelineKey { kernel: launch.kernel, variant: launch.variant.clone() }
}

/// Binds a launch to its parameter block and its operands; `operand` finds the buffer of each binding.
///
/// # Errors
/// If a binding has no buffer, one buffer would be both read and written, or the device refuses.
pub(super) async fn bind<'a>(
    gpu: &Gpu,
    launch: &Launch,
    pipeline: &Pipeline,
    params: wgpu::BindingResource<'_>,
    operand: impl Fn(&Binding) -> Result<&'a wgpu::Buffer, DeviceError>,
) -> Result<BoundLaunch, DeviceError> {
    let name = launch.kernel.name;
    let buffers = launch.bindings.iter().map(operand).collect::<Result<Vec<_>, _>>()?;
    let accesses = pipeline.accesses.get(1..).unwrap_or_default();
    if reads_what_it_writes(&buffers, accesses) {
        return Err(DeviceError::Validation(format!("`{name}` would read and write one buffer")));
    }
    let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: params }];
    for (position, (binding, buffer)) in launch.bindings.iter().zip(buffers).enumerate() {
        let resource = range(buffer, binding.offset, binding.size.next_multiple_of(4));
        entries.push(wgpu::BindGroupEntry { binding: clamp_u32(position + 1), resource });
    }
    let layout = &pipeline.layout;
    let descriptor = wgpu::BindGroupDescriptor { label: Some(name), layout, entries: &entries };
    let what = format!("bindings of `{name}`");
    let bind_group = gpu.scoped(&what, 0, || gpu.device.create_bind_group(&descriptor)).await?;
    Ok(BoundLaunch { pipeline: pipeline.pipeline.clone(), bind_group, grid: launch.grid })
}

/// Whether one buffer would be bound twice, and written by at least one of both.
fn reads_what_it_writes(buffers: &[&wgpu::Buffer], accesses: &[Access]) -> bool {
    let bound: Vec<_> = buffers.iter().zip(accesses).collect();
    bound.iter().enumerate().any(|(index, (buffer, access))| {
        bound[..index].iter().any(|(other, other_access)| {
            other == buffer && (**access == Access::ReadWrite || **other_access == Access::ReadWrite)
        })
    })
}

fn range(buffer: &wgpu::Buffer, offset: u64, size: u64) -> wgpu::BindingResource<'_> {
    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
        buffer,
        offset,
        size: std::num::NonZeroU64::new(size),
    })
}

/// Encodes launches as one compute pass, in order.
pub(super) fn encode<'a>(
    encoder: &mut wgpu::CommandEncoder,
    launches: impl IntoIterator<Item = &'a BoundLaunch>,
    timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
) {
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
    for launch in launches {
        pass.set_pipeline(&launch.pipeline);
        pass.set_bind_group(0, &launch.bind_group, &[]);
        pass.dispatch_workgroups(launch.grid[0], launch.grid[1], launch.grid[2]);
    }
}

/// Offsets of parameter blocks; 256 is the largest alignment that WebGPU may ask for.
const PARAMS_ALIGNMENT: usize = 256;

/// The parameter blocks of some launches in one uniform buffer.
#[derive(Debug)]
pub(super) struct ParamBlocks {
    buffer: wgpu::Buffer,
    /// First byte and length of each.
    ranges: Vec<(u64, u64)>,
}

impl ParamBlocks {
    /// Uploads the blocks of all `launches`.
    pub(super) async fn new<'a>(
        gpu: &Gpu,
        launches: impl IntoIterator<Item = &'a Launch>,
    ) -> Result<Self, DeviceError> {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for launch in launches {
            ranges.push((bytes.len() as u64, launch.params.len() as u64));
            bytes.extend_from_slice(&launch.params);
            bytes.resize(bytes.len().next_multiple_of(PARAMS_ALIGNMENT), 0);
        }
        bytes.resize(bytes.len().max(PARAMS_ALIGNMENT), 0);
        let size = bytes.len() as u64;
        let buffer = gpu.scoped("parameters", size, || {
            let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("parameters"),
                size,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            gpu.queue.write_buffer(&buffer, 0, &bytes);
            buffer
        });
        Ok(Self { buffer: buffer.await?, ranges })
    }

    /// The block of the launch at this position.
    pub(super) fn block(&self, index: usize) -> wgpu::BindingResource<'_> {
        let (offset, size) = self.ranges[index];
        range(&self.buffer, offset, size)
    }
}
