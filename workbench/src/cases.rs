//! The ops at the sizes of real models: 1.3B transformer blocks, the default model's, autoencoder feature maps.
use engine::{
    DType, Graph, State, TensorDesc, TensorId, Weight,
    compute::op::OpError,
    compute::ops::{
        AttentionInputs, Conv3dOptions, GroupNormOptions, HeadNormOptions, LayerNormOptions, MatmulOptions,
        NearestModulation, Pad, RmsNormOptions, Rope, RotatedRows, Scope,
    },
};
use model_loader::{Bytes, Format, HostTensor};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// One op on operands of one size.
pub struct BenchCase {
    /// `op/what sizes`.
    pub name: String,
    build: Build,
}

type Build = Box<dyn Fn(&mut Operands) -> Result<TensorId, OpError> + Send + Sync>;

/// A graph in the making, with operands that hold numbers or only have a shape.
pub(crate) struct Operands {
    graph: Graph,
    with_values: bool,
}

impl Deref for Operands {
    type Target = Graph;

    fn deref(&self) -> &Graph {
        &self.graph
    }
}

impl DerefMut for Operands {
    fn deref_mut(&mut self) -> &mut Graph {
        &mut self.graph
    }
}

impl BenchCase {
    pub(crate) fn new(
        name: String,
        build: impl Fn(&mut Operands) -> Result<TensorId, OpError> + Send + Sync + 'static,
    ) -> Self {
        Self { name, build: Box::new(build) }
    }

    /// The graph; its only output is `out`. All operands are constants, so that nothing is uploaded while it runs.
    ///
    /// # Errors
    /// If the op refuses the sizes.
    pub fn graph(&self) -> Result<Graph, OpError> {
        self.with(true)
    }

    /// The same graph on inputs instead of constants: for plans alone, without the memory that operands take.
    ///
    /// # Errors
    /// If the op refuses the sizes.
    pub fn outline(&self) -> Result<Graph, OpError> {
        self.with(false)
    }

    fn with(&self, with_values: bool) -> Result<Graph, OpError> {
        let mut operands = Operands { graph: Graph::new(), with_values };
        let out = (self.build)(&mut operands)?;
        operands.graph.output("out", out);
        Ok(operands.graph)
    }
}

impl Operands {
    /// An operand whose numbers are made where they are needed.
    fn operand(&mut self, shape: &[usize], dtype: DType, make: impl FnOnce() -> Weight) -> TensorId {
        if self.with_values {
            return self.graph.weight(&make());
        }
        let name = format!("operand {}", self.graph.tensors().len());
        self.graph.input(&name, shape, dtype)
    }

    /// An operand in f32.
    pub(crate) fn floats(&mut self, shape: &[usize]) -> TensorId {
        self.operand(shape, DType::F32, || {
            Weight::from_f32("operand", shape, (0..shape.iter().product()).map(noise).collect())
        })
    }

    /// An operand in the dtype that it is stored in, small enough that sums of products stay near one.
    pub(crate) fn stored(&mut self, shape: &[usize], dtype: DType) -> TensorId {
        self.operand(shape, dtype, || stored(shape, dtype))
    }
}

impl fmt::Debug for BenchCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BenchCase").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All cases, cheap ones first within each op.
pub fn cases() -> Vec<BenchCase> {
    let mut cases = vec![
        matmul("square", 1024, 1024, 1024, DType::F32),
        matmul("rows of no power of two", 1024, 1024, 1040, DType::F32),
        matmul("square, f16 weight", 1024, 1024, 1024, DType::F16),
        matmul("default model's up", 360, 1024, 256, DType::F16),
        matmul("1.3B qkv of one frame", 1560, 4608, 1536, DType::Bf16),
        matmul("one row", 1, 9216, 1536, DType::Bf16),
        attention("square", 1024, 1024, 2, 64, 1),
        attention("default model's self", 360, 360, 4, 64, 1),
        attention("1.3B text", 1560, 512, 12, 128, 1),
        attention("autoencoder, 4 frames", 4 * 960, 4 * 960, 1, 384, 4),
        conv("default model's top", [8, 40, 64, 32], 32),
        conv("128 channels", [5, 60, 90, 128], 128),
    ];
    cases.extend(quantised());
    cases.extend(norms());
    cases.extend([copy(), group_norm(false, false), group_norm(true, true)]);
    cases
}

/// Products with weights in groups, and with the same in f16.
fn quantised() -> Vec<BenchCase> {
    let formats = [Format::F16, Format::Q8_0, Format::Q4K];
    let sizes = [[1560, 1536, 1536], [1560, 8960, 1536]];
    let of = |format: Format, [rows, cols, k]: [usize; 3]| {
        let weight = DType::of_format(format, k).unwrap_or(DType::F32);
        matmul(&format!("weight {weight}"), rows, cols, k, weight)
    };
    sizes.into_iter().flat_map(|size| formats.map(|format| of(format, size))).collect()
}

/// Products of bfloat16 operands, for the CPU. What they reach is compared with the peak of f32 too.
pub fn bf16_cases() -> Vec<BenchCase> {
    let (x, weight) = (DType::Bf16, DType::Bf16);
    vec![
        product("square, bf16", [1024, 1024, 1024], x, weight),
        product("1.3B qkv of one frame, bf16", [1560, 4608, 1536], x, weight),
        attention_of(x, "square, bf16", [1024, 1024], [2, 64], 1),
        attention_of(x, "1.3B self, bf16", [1560, 1560], [12, 128], 1),
        conv_of(x, "128 channels, bf16", [5, 60, 90, 128], 128),
    ]
}

/// A feature map of CogVideoX's decoder, by a fourth of a 480 x 720 picture.
const MAP: [usize; 4] = [9, 240, 360, 128];

/// The feature map copied from one buffer to another.
pub fn copy() -> BenchCase {
    BenchCase::new(format!("copy/{MAP:?}"), |graph| {
        let x = graph.floats(&MAP);
        let state = graph.state(&State::new("copy", TensorDesc::new(&MAP, DType::F32)));
        graph.update_conv_cache(state, x)?;
        Ok(state)
    })
}

/// The feature map's group norm over all frames, perhaps with SiLU and with the modulation of a decoder's spatial norm.
pub fn group_norm(silu: bool, modulated: bool) -> BenchCase {
    let what = [if silu { ", SiLU" } else { "" }, if modulated { ", modulated" } else { "" }].concat();
    BenchCase::new(format!("group_norm/{MAP:?} in 32 groups{what}"), move |graph| {
        let [t, h, w, c] = MAP;
        let (x, weight, bias) = (graph.floats(&MAP), graph.floats(&[c]), graph.floats(&[c]));
        let modulation = modulated.then(|| NearestModulation {
            values: graph.floats(&[t.div_ceil(4), h / 4, w / 4, 2 * c]),
            first_apart: true,
        });
        let options = GroupNormOptions {
            scope: Scope::Volume,
            groups: 32,
            eps: 1e-6,
            weight,
            bias,
            modulation,
            silu,
            out: DType::F32,
        };
        graph.group_norm(x, &options)
    })
}

/// A decoder's convolution, and the matrix product of the same sizes.
pub fn conv_and_product() -> [BenchCase; 2] {
    [
        conv("128 channels", [5, 60, 90, 128], 128),
        matmul("as many products", 5 * 60 * 90, 128, 27 * 128, DType::F16),
    ]
}

/// For the arithmetic peak.
pub fn fma_peak() -> BenchCase {
    BenchCase::new("peak/multiply-add".into(), |graph| {
        let x = graph.floats(&[1 << 16]);
        graph.fma_chain(x, 2048)
    })
}

/// For the bandwidth peak.
pub fn copy_peak() -> BenchCase {
    BenchCase::new("peak/sum".into(), |graph| {
        let (a, b) = (graph.floats(&[1 << 24]), graph.floats(&[1 << 24]));
        graph.add(a, b)
    })
}

/// Numbers in -1..1 that repeat late.
fn noise(index: usize) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "only the low bits are wanted")]
    let mixed = (index as u32).wrapping_mul(0x9E37_79B9).rotate_left(13).wrapping_mul(0x85EB_CA6B);
    f32::from(mixed.to_le_bytes()[3]).mul_add(1.0 / 128.0, f32::from(mixed.to_le_bytes()[2]) / 32768.0) - 1.0
}

/// A weight in its stored dtype, small enough that sums of products stay near one.
fn stored(shape: &[usize], dtype: DType) -> Weight {
    if let DType::Grouped(grouping) = dtype {
        let bytes = groups(grouping.format(), shape.iter().product());
        return Weight::matrix(HostTensor::new("weight", grouping.format(), shape, Bytes::from(bytes)));
    }
    let values = (0..shape.iter().product()).map(|i| noise(i) / 16.0);
    let (format, bytes): (_, Vec<u8>) = match dtype {
        DType::F16 => (Format::F16, values.flat_map(|v| half::f16::from_f32(v).to_le_bytes()).collect()),
        DType::Bf16 => (Format::BF16, values.flat_map(|v| half::bf16::from_f32(v).to_le_bytes()).collect()),
        DType::F32 | DType::U32 | DType::Grouped(_) => {
            (Format::F32, values.flat_map(f32::to_le_bytes).collect())
        }
    };
    Weight::matrix(HostTensor::new("weight", format, shape, Bytes::from(bytes)))
}

/// Groups of any codes with small scales; of float8, numbers below two.
fn groups(format: Format, values: usize) -> Vec<u8> {
    let count = format.bytes(values).unwrap_or(0);
    let byte = |i: usize| noise(i).to_bits().to_le_bytes()[1].rotate_left(3);
    let mut bytes: Vec<u8> = (0..count).map(byte).collect();
    if !format.is_grouped() {
        bytes.iter_mut().for_each(|code| *code &= 0xBF);
    }
    for group in bytes.chunks_exact_mut(format.group_bytes()) {
        for at in format.halves() {
            group[*at..*at + 2].copy_from_slice(&0x0C00_u16.to_le_bytes());
        }
    }
    bytes
}

/// A left operand.
fn operand(graph: &mut Operands, shape: &[usize], dtype: DType) -> TensorId {
    if dtype == DType::F32 { graph.floats(shape) } else { graph.stored(shape, dtype) }
}

/// A matrix product with a bias.
pub fn matmul(what: &str, rows: usize, cols: usize, k: usize, weight: DType) -> BenchCase {
    product(what, [rows, cols, k], DType::F32, weight)
}

fn product(what: &str, [rows, cols, k]: [usize; 3], x: DType, weight: DType) -> BenchCase {
    BenchCase::new(format!("matmul/{what} {rows}x{cols}x{k}"), move |graph| {
        let (x, w, bias) =
            (operand(graph, &[rows, k], x), graph.stored(&[cols, k], weight), graph.floats(&[cols]));
        graph.matmul(x, w, &MatmulOptions { bias: Some(bias), ..MatmulOptions::new(DType::F32) })
    })
}

fn attention(
    what: &str,
    queries: usize,
    keys: usize,
    heads: usize,
    head_dim: usize,
    groups: usize,
) -> BenchCase {
    attention_of(DType::F32, what, [queries, keys], [heads, head_dim], groups)
}

fn attention_of(
    dtype: DType,
    what: &str,
    [queries, keys]: [usize; 2],
    [heads, head_dim]: [usize; 2],
    groups: usize,
) -> BenchCase {
    let width = heads * head_dim;
    let name = format!("attention/{what} {queries}x{keys}, {heads} x {head_dim}");
    BenchCase::new(name, move |graph| {
        let [q, k, v] = [queries, keys, keys].map(|rows| operand(graph, &[rows, width], dtype));
        let inputs = AttentionInputs::new([(q, 0), (k, 0), (v, 0)], heads, head_dim, DType::F32);
        graph.attention(&AttentionInputs { groups, ..inputs })
    })
}

fn conv(what: &str, input: [usize; 4], cols: usize) -> BenchCase {
    conv_of(DType::F32, what, input, cols)
}

fn conv_of(dtype: DType, what: &str, input: [usize; 4], cols: usize) -> BenchCase {
    BenchCase::new(format!("causal_conv3d/{what} {input:?} to {cols}"), move |graph| {
        let x = operand(graph, &input, dtype);
        let w = graph.stored(&[cols, 3, 3, 3, input[3]], DType::F16);
        let bias = Some(graph.floats(&[cols]));
        graph.causal_conv3d(x, w, &Conv3dOptions { bias, pad: Pad::all(1), ..Conv3dOptions::new(DType::F32) })
    })
}

fn norms() -> Vec<BenchCase> {
    let rows = |graph: &mut Operands| (graph.floats(&[1560, 1536]), graph.floats(&[1536]));
    vec![
        BenchCase::new("layer_norm/1560x1536".into(), move |graph| {
            let (x, w) = rows(graph);
            let affine = Some((w, w));
            graph.layer_norm(x, &LayerNormOptions { affine, ..LayerNormOptions::new(1e-6, DType::F32) })
        }),
        BenchCase::new("rms_norm/1560x1536".into(), move |graph| {
            let (x, w) = rows(graph);
            graph.rms_norm(x, w, &RmsNormOptions::new(1e-6, DType::F32))
        }),
        BenchCase::new("head_norm/1562x2x24x64, turned".into(), |graph| {
            // Queries, keys and values of 24 heads; text in front of 1336 tokens of video.
            let x = graph.floats(&[1562, 3 * 24 * 64]);
            let [weight, bias] = [0, 1].map(|_| graph.floats(&[2, 64]));
            let [cos, sin] = [0, 1].map(|_| graph.floats(&[1336, 32]));
            let rope = Some(RotatedRows { rope: Rope { cos, sin, head_dim: 64 }, first_row: 226 });
            let options = HeadNormOptions { first_column: 0, heads: 24, eps: 1e-6, rope, out: DType::F32 };
            graph.head_norm(x, weight, bias, &options)
        }),
        BenchCase::new("channel_rms_norm/4x240x416x96 + SiLU".into(), |graph| {
            let (x, w) = (graph.floats(&[4, 240, 416, 96]), graph.floats(&[96]));
            graph.channel_rms_norm(x, w, true, DType::F32)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_graph_and_a_name_of_its_own() {
        let mut names: Vec<String> = cases().iter().map(|case| case.name.clone()).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        for case in [fma_peak(), copy_peak()].iter().chain(&cases()) {
            assert!(case.graph().is_ok_and(|graph| graph.nodes().len() == 1), "{}", case.name);
        }
    }

    #[test]
    fn noise_fills_its_range() {
        let values: Vec<f32> = (0..10_000).map(noise).collect();
        assert!(values.iter().all(|v| (-1.0..1.01).contains(v)));
        let mean = values.iter().sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.05, "{mean}");
    }
}
