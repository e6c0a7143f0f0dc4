//! Ops on activations in f16 at the sizes of real models: what runs with `--precision f16`, and what matrix units are for.
use crate::cases::{BenchCase, Operands};
use engine::{
    DType,
    compute::ops::{AttentionInputs, Conv3dOptions, MatmulOptions, Pad},
};
use model_loader::Format;

/// All of them, cheap ones first within each op.
pub fn half_cases() -> Vec<BenchCase> {
    vec![
        product("1.3B qkv", 4680, 4608, 1536, DType::Bf16),
        product("1.3B out", 4680, 1536, 1536, DType::Bf16),
        product("1.3B up", 4680, 8960, 1536, DType::F16),
        product("1.3B down", 4680, 1536, 8960, DType::F16),
        grouped("1.3B out", 4680, 1536, 1536, Format::Q8_0),
        grouped("1.3B out", 4680, 1536, 1536, Format::Q4K),
        grouped("1.3B up", 4680, 8960, 1536, Format::Q8_0),
        grouped("1.3B up", 4680, 8960, 1536, Format::Q4K),
        attention("1.3B text", 4680, 512, 12, 128),
        attention("heads of 64", 4096, 4096, 24, 64),
        attention("1.3B self", 4680, 32760, 12, 128),
        convolution("192 channels", [4, 240, 416, 192], 192),
    ]
}

/// A matrix product with a bias.
fn product(what: &str, rows: usize, cols: usize, k: usize, weight: DType) -> BenchCase {
    let name = format!("half matmul/{what} {rows}x{cols}x{k}, weight {}", weight);
    BenchCase::new(name, move |graph: &mut Operands| {
        let x = graph.stored(&[rows, k], DType::F16);
        let (w, bias) = (graph.stored(&[cols, k], weight), graph.floats(&[cols]));
        graph.matmul(x, w, &MatmulOptions { bias: Some(bias), ..MatmulOptions::new(DType::F16) })
    })
}

/// With a weight whose values share scales.
fn grouped(what: &str, rows: usize, cols: usize, k: usize, format: Format) -> BenchCase {
    product(what, rows, cols, k, DType::of_format(format, k).unwrap_or(DType::F32))
}

fn attention(what: &str, queries: usize, keys: usize, heads: usize, head_dim: usize) -> BenchCase {
    let name = format!("half attention/{what} {queries}x{keys}, {heads} x {head_dim}");
    BenchCase::new(name, move |graph: &mut Operands| {
        let [q, k, v] =
            [queries, keys, keys].map(|rows| (graph.stored(&[rows, heads * head_dim], DType::F16), 0));
        graph.attention(&AttentionInputs::new([q, k, v], heads, head_dim, DType::F16))
    })
}

fn convolution(what: &str, input: [usize; 4], cols: usize) -> BenchCase {
    BenchCase::new(format!("half causal_conv3d/{what} {input:?} to {cols}"), move |graph: &mut Operands| {
        let x = graph.stored(&input, DType::F16);
        let w = graph.stored(&[cols, 3, 3, 3, input[3]], DType::F16);
        let bias = Some(graph.floats(&[cols]));
        graph.causal_conv3d(x, w, &Conv3dOptions { bias, pad: Pad::all(1), ..Conv3dOptions::new(DType::F16) })
    })
}
