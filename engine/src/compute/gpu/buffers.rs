//! Device memory: constants shared by all programs, states, and the slots of one program.
use super::Gpu;
use crate::{
    error::DeviceError,
    tensor::{DType, TensorDesc},
    weight::Weight,
};

const STORAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// A constant in a buffer of its own.
pub(super) async fn upload(gpu: &Gpu, weight: &Weight) -> Result<wgpu::Buffer, DeviceError> {
    let bytes = weight.bytes();
    let size = (bytes.len() as u64).next_multiple_of(4).max(4);
    let buffer = gpu
        .scoped(&format!("weight `{}`", weight.name()), size, || {
            let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(weight.name()),
                size,
                usage: STORAGE,
                mapped_at_creation: false,
            });
            write_in_pieces(gpu, &buffer, &bytes);
            buffer
        })
        .await?;
    weight.release_pages();
    Ok(buffer)
}

/// A constant in a part of memory that others had before; returns its bytes.
pub(super) async fn bring(gpu: &Gpu, weight: &Weight, buffer: &wgpu::Buffer) -> Result<u64, DeviceError> {
    let bytes = weight.bytes();
    let what = format!("weight `{}`", weight.name());
    gpu.scoped(&what, bytes.len() as u64, || write_in_pieces(gpu, buffer, &bytes)).await?;
    weight.release_pages();
    Ok(bytes.len() as u64)
}

/// A zeroed storage buffer of at least one word.
pub(super) async fn storage(gpu: &Gpu, what: &str, bytes: u64) -> Result<wgpu::Buffer, DeviceError> {
    let size = bytes.next_multiple_of(4).max(4);
    let descriptor =
        wgpu::BufferDescriptor { label: Some(what), size, usage: STORAGE, mapped_at_creation: false };
    gpu.scoped(what, size, || gpu.device.create_buffer(&descriptor)).await
}

/// Bytes behind a tensor that nothing may write.
pub(super) const GUARD: u64 = 256;

/// A buffer for tensors; with guard bands, full of NaN and longer than its tensors.
pub(super) async fn slot(gpu: &Gpu, bytes: u64) -> Result<wgpu::Buffer, DeviceError> {
    if !gpu.options.guard_bands {
        return storage(gpu, "tensors", bytes).await;
    }
    let buffer = storage(gpu, "tensors", bytes + GUARD).await?;
    let ones = vec![0xff; usize::try_from(buffer.size()).unwrap_or(0)];
    gpu.scoped("guard bands", 0, || gpu.queue.write_buffer(&buffer, 0, &ones)).await?;
    Ok(buffer)
}

/// Writes values at the start of a buffer as the given dtype.
pub(super) async fn write(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    desc: &TensorDesc,
    words: &[f32],
) -> Result<(), DeviceError> {
    if desc.dtype != DType::F16 {
        return fill(gpu, buffer, bytemuck::cast_slice(words)).await;
    }
    let mut halves: Vec<half::f16> = words.iter().map(|v| half::f16::from_f32(*v)).collect();
    if halves.len() % 2 == 1 {
        halves.push(half::f16::ZERO);
    }
    fill(gpu, buffer, bytemuck::cast_slice(&halves)).await
}

/// Writes bytes at the start of a buffer.
pub(super) async fn fill(gpu: &Gpu, buffer: &wgpu::Buffer, bytes: &[u8]) -> Result<(), DeviceError> {
    gpu.scoped("writing", bytes.len() as u64, || write_in_pieces(gpu, buffer, bytes)).await
}

/// The driver keeps a copy of what is written until it is submitted: large data goes in pieces.
fn write_in_pieces(gpu: &Gpu, buffer: &wgpu::Buffer, bytes: &[u8]) {
    const PIECE: usize = 64 << 20;
    for (index, piece) in bytes.chunks(PIECE).enumerate() {
        let offset = (index * PIECE) as u64;
        let whole = piece.len() / 4 * 4;
        if whole > 0 {
            gpu.queue.write_buffer(buffer, offset, &piece[..whole]);
        }
        if whole < piece.len() {
            let mut tail = [0; 4];
            tail[..piece.len() - whole].copy_from_slice(&piece[whole..]);
            gpu.queue.write_buffer(buffer, offset + whole as u64, &tail);
        }
        if bytes.len() > PIECE {
            gpu.queue.submit([]);
        }
    }
}
