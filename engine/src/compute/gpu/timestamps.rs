//! Device time of single launches, for traces and benches.
use super::{Gpu, readback};
use crate::{
    error::DeviceError,
    tensor::{DType, TensorDesc},
};
use std::time::Duration;

/// Launches that one query set can time; WebGPU allows 4,096 queries.
pub(super) const CAPACITY: usize = 1024;

/// Two timestamps per launch.
#[derive(Debug)]
pub(super) struct Timestamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

impl Timestamps {
    /// `None` if the device cannot time.
    pub(super) async fn new(gpu: &Gpu) -> Result<Option<Self>, DeviceError> {
        if !gpu.summary().timestamps {
            return Ok(None);
        }
        let count = 2 * CAPACITY;
        gpu.scoped("timestamps", 8 * count as u64, || {
            let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: crate::target::clamp_u32(count),
            });
            let resolved = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: 8 * count as u64,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            Some(Self { queries, resolved })
        })
        .await
    }

    /// The queries of launch `index` of a submission.
    pub(super) fn writes(&self, index: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = crate::target::clamp_u32(2 * index);
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Ends a submission of `launches` launches.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder, launches: usize) {
        let count = crate::target::clamp_u32(2 * launches);
        encoder.resolve_query_set(&self.queries, 0..count, &self.resolved, 0);
    }

    /// The durations, after the submission has finished.
    pub(super) async fn read(&self, gpu: &Gpu, launches: usize) -> Result<Vec<Duration>, DeviceError> {
        let desc = TensorDesc::new(&[4 * launches], DType::U32);
        let words = readback::read(gpu, &self.resolved, &desc).await?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&words);
        let nanoseconds = f64::from(gpu.queue.get_timestamp_period());
        let duration = |pair: &[u64]| {
            Duration::from_secs_f64(pair[1].saturating_sub(pair[0]) as f64 * nanoseconds * 1e-9)
        };
        Ok(ticks.chunks_exact(2).map(duration).collect())
    }
}
