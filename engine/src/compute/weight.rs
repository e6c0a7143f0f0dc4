//! A model's constants, as graphs refer to them: shared, named, in the dtype they are stored in.
use crate::tensor::{DType, Grouping, TensorDesc};
use model_loader::{Format, HostTensor};
use rayon::prelude::*;
use std::{
    borrow::Cow,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

/// How a constant tensor is made. Clones are the same constant: whoever runs graphs brings it to its device once.
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
    recipe: Recipe,
}

/// Where the values come from. What is rearranged is rearranged when an executor asks for it, and not kept.
#[derive(Debug)]
enum Recipe {
    /// As the checkpoint holds them.
    Stored(HostTensor),
    /// Widened: graphs have no dtype for what the checkpoint holds.
    Wide(HostTensor),
    /// One below the other, of one dtype.
    Stacked(Vec<HostTensor>),
    /// One below the other, of several dtypes, or of one that graphs have none for: widened.
    StackedWide(Vec<HostTensor>),
    /// One below the other, in groups that are laid out as devices want them.
    Grouped(Vec<HostTensor>, Grouping),
    /// Blocks of a matrix of zeros, widened.
    Blocks(Vec<Block>),
    /// `[out, in, taps..]`, wanted as `[out, taps.., in]`.
    ChannelsLast(HostTensor),
    /// Made on the host.
    Floats(Vec<f32>),
    /// Made on the host.
    Integers(Vec<u32>),
}

/// A part of a matrix.
#[derive(Debug, Clone)]
pub struct Block {
    /// Where it begins.
    pub row: usize,
    /// Where it begins.
    pub column: usize,
    /// `[rows, columns]`, in any format.
    pub values: HostTensor,
    /// What they are multiplied by.
    pub factor: f32,
}

impl Block {
    fn fill(&self, matrix: &mut [f32], matrix_cols: usize) {
        let cols = self.values.row_len();
        let values = self.values.to_f32();
        let rows = matrix.chunks_mut(matrix_cols.max(1)).skip(self.row);
        for (row, values) in rows.zip(values.chunks(cols.max(1))) {
            for (to, value) in row[self.column..].iter_mut().zip(values) {
                *to = self.factor * value;
            }
        }
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Weight {
    /// A matrix, `[out, in]` as torch stores it; kept as it is stored if graphs have a dtype for that, else widened to f32: where its
    /// groups cross rows, and where LoRAs change it.
    pub fn matrix(tensor: HostTensor) -> Self {
        let (name, shape) = (tensor.name.clone(), tensor.shape.clone());
        match stored_dtype(&tensor) {
            Some(DType::Grouped(grouping)) => {
                let desc = TensorDesc::new(&shape, DType::Grouped(grouping));
                Self::new(name, desc, Recipe::Grouped(vec![tensor], grouping))
            }
            Some(dtype) => Self::new(name, TensorDesc::new(&shape, dtype), Recipe::Stored(tensor)),
            None => Self::new(name, TensorDesc::new(&shape, DType::F32), Recipe::Wide(tensor)),
        }
    }

    /// A matrix of f32 that is zero but for some blocks.
    pub fn of_blocks(name: &str, shape: [usize; 2], blocks: Vec<Block>) -> Self {
        Self::new(name.to_owned(), TensorDesc::new(&shape, DType::F32), Recipe::Blocks(blocks))
    }

    /// A small tensor (bias, norm weight, table), widened to f32.
    pub fn vector(tensor: &HostTensor) -> Self {
        Self::from_f32(&tensor.name, &tensor.shape, tensor.to_f32())
    }

    /// A convolution kernel `[out, in, taps..]`, laid out `[out, taps.., in]` for channels-last data. Of grouped formats only float8 is
    /// kept: the values of other groups would not stay together.
    pub fn channels_last(tensor: &HostTensor) -> Self {
        let mut shape = vec![tensor.shape[0]];
        shape.extend_from_slice(&tensor.shape[2..]);
        shape.push(tensor.shape[1]);
        let kept = stored_dtype(tensor).filter(|_| !tensor.format.is_grouped());
        let desc = TensorDesc::new(&shape, kept.unwrap_or(DType::F32));
        Self::new(tensor.name.clone(), desc, Recipe::ChannelsLast(tensor.clone()))
    }

    /// Matrices with equal columns, one above the other, as one: q, k and v in one product.
    ///
    /// Parts that are stored in different dtypes are widened to f32.
    pub fn stack(name: &str, parts: &[HostTensor]) -> Self {
        let mut shape = parts[0].shape.clone();
        shape[0] = parts.iter().map(|p| p.shape[0]).sum();
        let first = stored_dtype(&parts[0]);
        let (dtype, recipe) = match first.filter(|_| parts.iter().all(|p| stored_dtype(p) == first)) {
            Some(DType::Grouped(grouping)) => {
                (DType::Grouped(grouping), Recipe::Grouped(parts.to_vec(), grouping))
            }
            Some(dtype) => (dtype, Recipe::Stacked(parts.to_vec())),
            None => (DType::F32, Recipe::StackedWide(parts.to_vec())),
        };
        Self::new(name.to_owned(), TensorDesc::new(&shape, dtype), recipe)
    }

    /// The same, but neighbours that are stored alike stay so: as few stacks as there are changes of dtype. Files give the values of
    /// attention more bits than queries and keys.
    pub fn stacks(name: &str, parts: &[HostTensor]) -> Vec<Self> {
        let alike = parts.chunk_by(|a, b| stored_dtype(a) == stored_dtype(b));
        alike.map(|parts| Self::stack(name, parts)).collect()
    }

    /// A constant made on the host.
    pub fn from_f32(name: &str, shape: &[usize], data: Vec<f32>) -> Self {
        Self::new(name.to_owned(), TensorDesc::new(shape, DType::F32), Recipe::Floats(data))
    }

    /// A constant made on the host, of integers.
    pub fn from_u32(name: &str, shape: &[usize], data: &[u32]) -> Self {
        Self::new(name.to_owned(), TensorDesc::new(shape, DType::U32), Recipe::Integers(data.to_vec()))
    }

    fn new(name: String, desc: TensorDesc, recipe: Recipe) -> Self {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(WeightData { id, name, desc, recipe }))
    }

    /// Its name in the checkpoint.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How many matrices lie in it, one above the other.
    pub fn parts(&self) -> usize {
        match &self.0.recipe {
            Recipe::Stacked(parts) | Recipe::StackedWide(parts) | Recipe::Grouped(parts, _) => parts.len(),
            _ => 1,
        }
    }

    /// Shape and stored dtype.
    pub fn desc(&self) -> &TensorDesc {
        &self.0.desc
    }

    /// The bytes in the weight's shape and dtype; what the checkpoint holds in another order is rearranged at each call.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match &self.0.recipe {
            Recipe::Stored(tensor) => Cow::Borrowed(&tensor.bytes),
            Recipe::Wide(tensor) => Cow::Owned(bytemuck::pod_collect_to_vec(&tensor.to_f32())),
            Recipe::Blocks(blocks) => {
                let mut values = vec![0.0_f32; self.0.desc.elements()];
                blocks.iter().for_each(|block| block.fill(&mut values, self.0.desc.cols()));
                Cow::Owned(bytemuck::pod_collect_to_vec(&values))
            }
            Recipe::Stacked(parts) => {
                let parts: Vec<&[u8]> = parts.iter().map(|part| &*part.bytes).collect();
                Cow::Owned(parts.concat())
            }
            Recipe::StackedWide(parts) => {
                let values: Vec<f32> = parts.iter().flat_map(HostTensor::to_f32).collect();
                Cow::Owned(bytemuck::pod_collect_to_vec(&values))
            }
            Recipe::Grouped(parts, grouping) => {
                let bytes = |part| arranged(*grouping, part, &part.bytes);
                Cow::Owned(parts.iter().flat_map(bytes).collect())
            }
            Recipe::ChannelsLast(tensor) => Cow::Owned(channels_last_bytes(tensor, self.0.desc.dtype)),
            Recipe::Floats(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
            Recipe::Integers(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
        }
    }

    /// The same bytes, if the recipe itself holds them.
    pub(crate) fn held(&self) -> Option<&[u8]> {
        match &self.0.recipe {
            Recipe::Stored(tensor) => Some(&tensor.bytes),
            Recipe::Floats(values) => Some(bytemuck::cast_slice(values)),
            Recipe::Integers(values) => Some(bytemuck::cast_slice(values)),
            Recipe::Wide(_)
            | Recipe::Blocks(_)
            | Recipe::Stacked(_)
            | Recipe::StackedWide(_)
            | Recipe::Grouped(..)
            | Recipe::ChannelsLast(_) => None,
        }
    }

    /// The values as f32 (integers: their bits), if the recipe itself holds them so.
    pub(crate) fn values(&self) -> Option<&[f32]> {
        match self.0.desc.dtype {
            DType::F32 | DType::U32 => bytemuck::try_cast_slice(self.held()?).ok(),
            DType::F16 | DType::Bf16 | DType::Grouped(_) => None,
        }
    }

    /// Tells the system that the checkpoint's pages were read for the last time for now: a device has its copy.
    pub(crate) fn release_pages(&self) {
        match &self.0.recipe {
            Recipe::Stacked(parts) | Recipe::StackedWide(parts) | Recipe::Grouped(parts, _) => {
                parts.iter().for_each(|part| part.bytes.release_pages());
            }
            Recipe::Stored(tensor) | Recipe::Wide(tensor) | Recipe::ChannelsLast(tensor) => {
                tensor.bytes.release_pages();
            }
            Recipe::Blocks(blocks) => blocks.iter().for_each(|block| block.values.bytes.release_pages()),
            Recipe::Floats(_) | Recipe::Integers(_) => {}
        }
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

/// The dtype of a weight that is kept as it is stored. What float8 is multiplied by lies in its groups.
fn stored_dtype(tensor: &HostTensor) -> Option<DType> {
    let float8 = matches!(tensor.format, Format::F8E4M3 | Format::F8E5M2);
    let kept = if float8 { tensor.changes.is_empty() } else { tensor.is_plain() };
    DType::of_format(tensor.format, tensor.row_len()).filter(|_| kept)
}

/// The groups of a tensor, whose bytes may have been moved within their rows, as devices want them.
fn arranged(grouping: Grouping, tensor: &HostTensor, bytes: &[u8]) -> Vec<u8> {
    /// Groups that are arranged in one go.
    const GROUPS: usize = 256;
    let factor = |value: usize| match tensor.scale.as_deref() {
        None | Some([]) => 1.0,
        Some(scale) => scale[value * scale.len() / tensor.elements()],
    };
    let values = GROUPS * grouping.len();
    let stored = grouping.format().bytes(values).unwrap_or(usize::MAX);
    let mut out = vec![0; grouping.bytes(tensor.elements())];
    let pieces = out.par_chunks_mut(grouping.bytes(values)).zip(bytes.par_chunks(stored)).enumerate();
    pieces.for_each(|(index, (out, stored))| {
        out.copy_from_slice(&grouping.arrange(stored, |value| factor(index * values + value)));
    });
    out
}

fn channels_last_bytes(tensor: &HostTensor, dtype: DType) -> Vec<u8> {
    let tensor = &match dtype {
        DType::Grouped(_) => tensor.clone(),
        _ => tensor.in_elements(),
    };
    let (out, inner) = (tensor.shape[0], tensor.shape[1]);
    let taps: usize = tensor.shape[2..].iter().product();
    let size = tensor.format.group_bytes();
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
    match dtype {
        DType::Grouped(grouping) => arranged(grouping, tensor, &bytes),
        _ => bytes,
    }
}
