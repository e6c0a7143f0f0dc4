//! The ops at the sizes of real models: 1.3B transformer blocks, the default model's, autoencoder feature maps.
use engine::{
    DType, State, TensorDesc,
    ops::{
        AttentionInputs, Conv3dOptions, GroupNormOptions, HeadNormOptions, LayerNormOptions, MatmulOptions,
        NearestModulation, Pad, RmsNormOptions, Rope, RotatedRows, Scope,
    },
};
use kinora_tests::{Case, CaseInput, Tolerance};

/// All benches, cheap ones first within each op.
pub fn all() -> Vec<Case> {
    let mut cases = vec![
        matmul("square", 1024, 1024, 1024, DType::F32),
        matmul("square, f16 weight", 1024, 1024, 1024, DType::F16),
        matmul("default model's up", 216, 1024, 256, DType::F16),
        matmul("1.3B qkv of one frame", 1560, 4608, 1536, DType::Bf16),
        matmul("one row", 1, 9216, 1536, DType::Bf16),
        attention("square", 1024, 1024, 2, 64, 1),
        attention("default model's self", 216, 216, 4, 64, 1),
        attention("1.3B text", 1560, 512, 12, 128, 1),
        attention("autoencoder, 4 frames", 4 * 960, 4 * 960, 1, 384, 4),
        conv("default model's top", [8, 32, 48, 32], 32),
        conv("128 channels", [5, 60, 90, 128], 128),
    ];
    cases.extend(norms());
    cases
}

/// For the arithmetic peak.
pub fn fma_peak() -> Case {
    case("peak/multiply-add".into(), vec![CaseInput::activation(&[1 << 16], DType::F32)], |graph, ids| {
        graph.fma_chain(ids[0], 2048)
    })
}

/// For the bandwidth peak.
pub fn sum_peak() -> Case {
    let vector = || CaseInput::activation(&[1 << 24], DType::F32);
    case("peak/sum".into(), vec![vector(), vector()], |graph, ids| graph.add(ids[0], ids[1]))
}

/// A feature map of CogVideoX's decoder, by a fourth of a 480 x 720 picture.
const MAP: [usize; 4] = [9, 240, 360, 128];

/// The feature map copied from one buffer to another.
pub fn copy() -> Case {
    case(format!("copy/{MAP:?}"), vec![CaseInput::activation(&MAP, DType::F32)], |graph, ids| {
        let state = State::new("copy", TensorDesc::new(&MAP, DType::F32));
        let state = graph.state(&state);
        graph.update_conv_cache(state, ids[0])?;
        Ok(state)
    })
}

/// The feature map's group norm over all frames, perhaps with SiLU and with the modulation of a decoder's spatial norm.
pub fn group_norm(silu: bool, modulated: bool) -> Case {
    let [t, h, w, c] = MAP;
    let mut inputs =
        vec![CaseInput::activation(&MAP, DType::F32), CaseInput::vector(&[c]), CaseInput::vector(&[c])];
    if modulated {
        inputs.push(CaseInput::activation(&[t.div_ceil(4), h / 4, w / 4, 2 * c], DType::F32));
    }
    let what = [if silu { ", SiLU" } else { "" }, if modulated { ", modulated" } else { "" }].concat();
    case(format!("group_norm/{MAP:?} in 32 groups{what}"), inputs, move |graph, ids| {
        let modulation = ids.get(3).map(|values| NearestModulation { values: *values, first_apart: true });
        let options = GroupNormOptions {
            scope: Scope::Volume,
            groups: 32,
            eps: 1e-6,
            weight: ids[1],
            bias: ids[2],
            modulation,
            silu,
            out: DType::F32,
        };
        graph.group_norm(ids[0], &options)
    })
}

/// A decoder's convolution, and the matrix product of the same sizes.
pub fn conv_and_product() -> [Case; 2] {
    [
        conv("128 channels", [5, 60, 90, 128], 128),
        matmul("as many products", 5 * 60 * 90, 128, 27 * 128, DType::F16),
    ]
}

/// A case without a reference of its own: benches compare adapters with the CPU executor.
fn case(
    name: String,
    inputs: Vec<CaseInput>,
    build: impl Fn(&mut engine::Graph, &[engine::TensorId]) -> Result<engine::TensorId, engine::op::OpError>
    + Send
    + Sync
    + 'static,
) -> Case {
    Case::new(name, inputs, build, |_| Vec::new(), Tolerance { abs: 0.0, rel: 0.0 })
}

/// A matrix product with a bias.
pub fn matmul(what: &str, rows: usize, cols: usize, k: usize, weight: DType) -> Case {
    let inputs = vec![
        CaseInput::activation(&[rows, k], DType::F32),
        CaseInput::matrix(&[cols, k], weight),
        CaseInput::vector(&[cols]),
    ];
    case(format!("matmul/{what} {rows}x{cols}x{k}"), inputs, |graph, ids| {
        let options = MatmulOptions { bias: Some(ids[2]), ..MatmulOptions::new(DType::F32) };
        graph.matmul(ids[0], ids[1], &options)
    })
}

fn attention(what: &str, queries: usize, keys: usize, heads: usize, head_dim: usize, frames: usize) -> Case {
    let width = heads * head_dim;
    let input = |rows| CaseInput::activation(&[rows, width], DType::F32);
    let name = format!("attention/{what} {queries}x{keys}, {heads} x {head_dim}");
    case(name, vec![input(queries), input(keys), input(keys)], move |graph, ids| {
        graph.attention(&AttentionInputs {
            q: (ids[0], 0),
            k: (ids[1], 0),
            v: (ids[2], 0),
            heads,
            head_dim,
            scale: 0.125,
            bias: None,
            frames,
            out: DType::F32,
        })
    })
}

fn conv(what: &str, input: [usize; 4], cols: usize) -> Case {
    let inputs = vec![
        CaseInput::activation(&input, DType::F32),
        CaseInput::matrix(&[cols, 3, 3, 3, input[3]], DType::F16),
        CaseInput::vector(&[cols]),
    ];
    case(format!("causal_conv3d/{what} {input:?} to {cols}"), inputs, |graph, ids| {
        let options =
            Conv3dOptions { bias: Some(ids[2]), pad: Pad::all(1), ..Conv3dOptions::new(DType::F32) };
        graph.causal_conv3d(ids[0], ids[1], &options)
    })
}

/// Queries, keys and values of 24 heads; text in front of 1336 tokens of video.
fn head_norm_inputs() -> Vec<CaseInput> {
    vec![
        CaseInput::activation(&[1562, 3 * 24 * 64], DType::F32),
        CaseInput::vector(&[2, 64]),
        CaseInput::vector(&[2, 64]),
        CaseInput::vector(&[1336, 32]),
        CaseInput::vector(&[1336, 32]),
    ]
}

fn norms() -> Vec<Case> {
    let rows = || vec![CaseInput::activation(&[1560, 1536], DType::F32), CaseInput::vector(&[1536])];
    let map = || vec![CaseInput::activation(&[4, 240, 416, 96], DType::F32), CaseInput::vector(&[96])];
    vec![
        case("layer_norm/1560x1536".into(), rows(), |graph, ids| {
            let affine = Some((ids[1], ids[1]));
            let options =
                LayerNormOptions { first_row: 0, eps: 1e-6, affine, modulation: None, out: DType::F32 };
            graph.layer_norm(ids[0], &options)
        }),
        case("rms_norm/1560x1536".into(), rows(), |graph, ids| {
            let options = RmsNormOptions { first_column: 0, eps: 1e-6, rope: None, out: DType::F32 };
            graph.rms_norm(ids[0], ids[1], &options)
        }),
        case("head_norm/1562x2x24x64, turned".into(), head_norm_inputs(), |graph, ids| {
            let rope = Rope { cos: ids[3], sin: ids[4], head_dim: 64 };
            let rope = Some(RotatedRows { rope, first_row: 226 });
            let options = HeadNormOptions { first_column: 0, heads: 24, eps: 1e-6, rope, out: DType::F32 };
            graph.head_norm(ids[0], ids[1], ids[2], &options)
        }),
        case("channel_rms_norm/4x240x416x96 + SiLU".into(), map(), |graph, ids| {
            graph.channel_rms_norm(ids[0], ids[1], true, DType::F32)
        }),
    ]
}
