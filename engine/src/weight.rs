//! A model's constants, as graphs refer to them: shared, named, in the dtype they are stored in.
use crate::{
    cpu::{
        conv3d::PackedConv,
        pack::{PackedWeight, Weights},
    },
    tensor::{DType, TensorDesc},
};
use model_loader::{Bytes, HostTensor};
use std::{
    borrow::Cow,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

/// A constant tensor. Clones share the data; two graphs that use one weight upload it once.
#[derive(Debug, Clone)]
pub struct Weight(Arc<WeightData>);

/// Knows whether a [`Weight`] is still in use.
#[derive(Debug, Clone)]
pub(crate) struct WeakWeight(Weak<WeightData>);

#[derive(Debug)]
struct WeightData {
    id: u64,
    name: String,
    desc: TensorDesc,
    source: Source,
    dense: OnceLock<Vec<f32>>,
    packed: OnceLock<PackedWeight>,
    packed_conv: OnceLock<PackedConv>,
}

/// Where the values come from. What is rearranged is rearranged when a device asks for it and not kept: the checkpoint
/// and the device's own copy are the only two.
#[derive(Debug)]
enum Source {
    /// As the checkpoint holds them.
    Stored(Bytes),
    /// One below the other, of one dtype.
    Stacked(Vec<HostTensor>),
    /// One below the other, of several dtypes: widened.
    StackedWide(Vec<HostTensor>),
    /// `[out, in, taps..]`, wanted as `[out, taps.., in]`.
    ChannelsLast(HostTensor),
    /// Made on the host.
    Floats(Vec<f32>),
    /// Made on the host.
    Integers(Vec<u32>),
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Weight {
    /// A matrix, `[out, in]` as torch stores it; kept in its stored dtype.
    pub fn matrix(tensor: HostTensor) -> Self {
        let desc = TensorDesc::new(&tensor.shape, tensor.dtype.into());
        Self::new(tensor.name, desc, Source::Stored(tensor.bytes))
    }

    /// A small tensor (bias, norm weight, table), widened to f32.
    pub fn vector(tensor: &HostTensor) -> Self {
        Self::from_f32(&tensor.name, &tensor.shape, tensor.to_f32())
    }

    /// A convolution kernel `[out, in, taps..]`, laid out `[out, taps.., in]` for channels-last data.
    pub fn channels_last(tensor: &HostTensor) -> Self {
        let mut shape = vec![tensor.shape[0]];
        shape.extend_from_slice(&tensor.shape[2..]);
        shape.push(tensor.shape[1]);
        let desc = TensorDesc::new(&shape, tensor.dtype.into());
        Self::new(tensor.name.clone(), desc, Source::ChannelsLast(tensor.clone()))
    }

    /// Matrices with equal columns, one above the other, as one: q, k and v in one product.
    ///
    /// Parts that are stored in different dtypes are widened to f32.
    pub fn stack(name: &str, parts: &[HostTensor]) -> Self {
        let mut shape = parts[0].shape.clone();
        shape[0] = parts.iter().map(|p| p.shape[0]).sum();
        let (dtype, source) = if parts.iter().any(|p| p.dtype != parts[0].dtype) {
            (DType::F32, Source::StackedWide(parts.to_vec()))
        } else {
            (parts[0].dtype.into(), Source::Stacked(parts.to_vec()))
        };
        Self::new(name.to_owned(), TensorDesc::new(&shape, dtype), source)
    }

    /// A constant made on the host.
    pub fn from_f32(name: &str, shape: &[usize], data: Vec<f32>) -> Self {
        Self::new(name.to_owned(), TensorDesc::new(shape, DType::F32), Source::Floats(data))
    }

    /// A constant made on the host, of integers.
    pub fn from_u32(name: &str, shape: &[usize], data: &[u32]) -> Self {
        Self::new(name.to_owned(), TensorDesc::new(shape, DType::U32), Source::Integers(data.to_vec()))
    }

    fn new(name: String, desc: TensorDesc, source: Source) -> Self {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (dense, packed, packed_conv) = Default::default();
        Self(Arc::new(WeightData { id, name, desc, source, dense, packed, packed_conv }))
    }

    /// Its name in the checkpoint.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How many matrices lie in it, one above the other.
    pub fn parts(&self) -> usize {
        match &self.0.source {
            Source::Stacked(parts) | Source::StackedWide(parts) => parts.len(),
            _ => 1,
        }
    }

    /// Shape and stored dtype.
    pub fn desc(&self) -> &TensorDesc {
        &self.0.desc
    }

    /// The bytes in the weight's shape and dtype; what the checkpoint holds in another order is rearranged at each call.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match &self.0.source {
            Source::Stored(bytes) => Cow::Borrowed(bytes),
            Source::Stacked(parts) => {
                let parts: Vec<&[u8]> = parts.iter().map(|part| &*part.bytes).collect();
                Cow::Owned(parts.concat())
            }
            Source::StackedWide(parts) => {
                let values: Vec<f32> = parts.iter().flat_map(HostTensor::to_f32).collect();
                Cow::Owned(bytemuck::pod_collect_to_vec(&values))
            }
            Source::ChannelsLast(tensor) => Cow::Owned(channels_last_bytes(tensor)),
            Source::Floats(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
            Source::Integers(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
        }
    }

    /// Tells the system that the checkpoint's pages were read for the last time for now: a device has its copy.
    pub(crate) fn release_pages(&self) {
        match &self.0.source {
            Source::Stored(bytes) => bytes.release_pages(),
            Source::Stacked(parts) | Source::StackedWide(parts) => {
                parts.iter().for_each(|part| part.bytes.release_pages());
            }
            Source::ChannelsLast(tensor) => tensor.bytes.release_pages(),
            Source::Floats(_) | Source::Integers(_) => {}
        }
    }

    /// The values as f32 (integers: their bits); what is not stored so is widened once.
    pub fn dense(&self) -> &[f32] {
        match &self.0.source {
            Source::Floats(values) => values,
            Source::Integers(values) => bytemuck::cast_slice(values),
            _ => self.0.dense.get_or_init(|| widen(self.0.desc.dtype, &self.bytes())),
        }
    }

    /// The values packed for the CPU's matrix product, `[rows, all other extents]`, made once.
    pub(crate) fn packed(&self) -> &PackedWeight {
        self.0.packed.get_or_init(|| {
            let rows = self.0.desc.shape[0];
            let cols = self.0.desc.elements() / rows.max(1);
            let bytes = self.bytes();
            let packed =
                with_weights(self.0.desc.dtype, &bytes, |weights| PackedWeight::new(weights, rows, cols));
            self.release_pages();
            packed
        })
    }

    /// A convolution kernel `[out, kt, kh, kw, in]` packed for the CPU, made once.
    ///
    /// `enlarging`: for an input that is doubled in space first; a weight is used in one of both ways only.
    pub(crate) fn packed_conv(&self, enlarging: bool) -> &PackedConv {
        self.0.packed_conv.get_or_init(|| {
            let shape = &self.0.desc.shape;
            let (n, kernel, channels) = (shape[0], [shape[1], shape[2], shape[3]], shape[4]);
            let packed = with_weights(self.0.desc.dtype, &self.bytes(), |weights| {
                if enlarging {
                    PackedConv::enlarging(weights, n, kernel[0], channels)
                } else {
                    PackedConv::new(weights, n, kernel, channels)
                }
            });
            self.release_pages();
            packed
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn downgrade(&self) -> WeakWeight {
        WeakWeight(Arc::downgrade(&self.0))
    }
}

impl WeakWeight {
    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

fn channels_last_bytes(tensor: &HostTensor) -> Vec<u8> {
    let (out, inner) = (tensor.shape[0], tensor.shape[1]);
    let taps: usize = tensor.shape[2..].iter().product();
    let size = tensor.dtype.size();
    let mut bytes = vec![0_u8; tensor.bytes.len()];
    for o in 0..out {
        for i in 0..inner {
            for t in 0..taps {
                let from = ((o * inner + i) * taps + t) * size;
                let to = ((o * taps + t) * inner + i) * size;
                bytes[to..to + size].copy_from_slice(&tensor.bytes[from..from + size]);
            }
        }
    }
    bytes
}

/// Mapped files align nothing: what is not aligned is copied first.
fn with_weights<T>(dtype: DType, bytes: &[u8], work: impl FnOnce(Weights<'_>) -> T) -> T {
    match dtype {
        DType::F16 => match bytemuck::try_cast_slice(bytes) {
            Ok(values) => work(Weights::F16(values)),
            Err(_) => work(Weights::F16(&bytemuck::pod_collect_to_vec(bytes))),
        },
        DType::Bf16 => match bytemuck::try_cast_slice(bytes) {
            Ok(values) => work(Weights::Bf16(values)),
            Err(_) => work(Weights::Bf16(&bytemuck::pod_collect_to_vec(bytes))),
        },
        DType::F32 | DType::U32 => work(Weights::F32(&widen(dtype, bytes))),
    }
}

fn widen(dtype: DType, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        DType::F32 | DType::U32 => {
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
        DType::F16 => {
            bytes.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        DType::Bf16 => {
            bytes.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
    }
}
