//! Values from the device back to the host.
use super::Gpu;
use crate::{
    error::DeviceError,
    tensor::{DType, TensorDesc},
};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

/// Reads a tensor at the start of a buffer as f32 (integers: their bits).
pub(super) async fn read(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    desc: &TensorDesc,
) -> Result<Vec<f32>, DeviceError> {
    let size = desc.bytes().next_multiple_of(4);
    let staging = gpu
        .scoped("readback", size, || {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("readback"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })
        .await?;
    let (sender, receiver) = oneshot();
    let copied = gpu.scoped("readback", size, || {
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, size);
        let submission = gpu.queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., move |result| sender.send(result));
        submission
    });
    gpu.wait(copied.await?).await?;
    let lost = |error: &dyn std::fmt::Display| {
        DeviceError::Lost(format!("a buffer could not be read back: {error}"))
    };
    receiver.await?.map_err(|error| lost(&error))?;
    let mapped = staging.get_mapped_range(..).map_err(|error| lost(&error))?;
    let bytes: &[u8] = &mapped;
    let values = match desc.dtype {
        DType::F16 => {
            bytes.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        DType::Bf16 => {
            bytes.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        DType::Grouped(grouping) => {
            let mut values = vec![0.0; desc.elements()];
            grouping.widen(&bytes[..grouping.bytes(values.len())], &mut values);
            values
        }
        DType::F32 | DType::U32 => bytemuck::pod_collect_to_vec(bytes),
    };
    let mut values: Vec<f32> = values;
    values.truncate(desc.elements());
    Ok(values)
}

struct Shared<T> {
    value: Option<T>,
    /// Whether no value will come any more.
    closed: bool,
    waker: Option<Waker>,
}

/// The writing end of [`oneshot`].
pub(super) struct Sender<T>(Arc<Mutex<Shared<T>>>);

/// The reading end of [`oneshot`]: a future.
pub(super) struct Receiver<T>(Arc<Mutex<Shared<T>>>);

/// One value from a wgpu callback to a future.
pub(super) fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new(Shared { value: None, closed: false, waker: None }));
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    pub(super) fn send(self, value: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value = Some(value);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.closed = true;
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, DeviceError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.value.take() {
            Some(value) => Poll::Ready(Ok(value)),
            None if shared.closed => Poll::Ready(Err(DeviceError::Lost("it does not answer".to_owned()))),
            None => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
