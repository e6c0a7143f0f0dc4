//! The operations that models are built from against single recorded ones (`micro.*`): activations, norms, rotary
//! positions, attention, cached convolutions, resampling. All of a fixture's are compared, or named as tested elsewhere.
use engine::{
    DType, Graph, TensorId, Weight,
    compute::executor::Executor,
    compute::nn::{CausalConv, ChannelNorm, ConvMemory, Linear, Precision},
    compute::ops::{
        Activation, AttentionInputs, Conv3dOptions, Fill, LayerNormOptions, MatmulOptions, OutputFrames,
        RmsNormOptions, Rope,
    },
    compute::run::RunInput,
    models::{RopeTables, encoders::t5::relative_buckets, wan::rope_tables},
    pipeline::TensorData,
};
use kinora_tests::{
    Golden,
    backend::{Backend, compute},
    golden::Recorded,
    parity::{self, Bars},
};
use libtest_mimic::{Arguments, Failed, Trial};
use model_loader::Checkpoint;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const WAN: &str = "wan";
const WAN22: &str = "wan22-vae";

/// Single operations in f32; attention sums most.
const BARS: Bars = Bars { relative_l2: 1e-5, psnr: f64::INFINITY };

type Outputs = Result<BTreeMap<String, Recorded>, Failed>;
type Operation = fn(&Bench<'_>, &mut Executor) -> Outputs;

const OPERATIONS: [(&str, &str, Operation); 14] = [
    (WAN, "act_ff", gelu),
    (WAN, "act_t5", gelu),
    (WAN, "causal_conv3d_cache", causal_conv3d_cache),
    (WAN, "cross_attention", cross_attention),
    (WAN, "layernorm_faint", layernorm_faint),
    (WAN, "qk_rms_faint", qk_rms_faint),
    (WAN, "rms_norm_channels", rms_norm_channels),
    (WAN, "self_attention_rope", self_attention_rope),
    (WAN, "t5_buckets", t5_buckets),
    (WAN, "timestep_sinusoid", timestep_sinusoid),
    (WAN, "upsample3d_chunks", upsample3d_chunks),
    (WAN22, "avg_down3d", avg_down3d),
    (WAN22, "dup_up3d", dup_up3d),
    (WAN22, "patchify", patchify),
];

/// Noise schedulers have tests beside them; a block is private and compared as `dit.step0.block0`.
const ELSEWHERE: [&str; 6] =
    ["flow_euler_shift3", "modulated_block", "unipc_order1", "unipc_order2", "unipc_order3", "unipc_shift5"];

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("every_recorded_operation_is_tested", all_are_tested)];
    for backend in Backend::all() {
        for (fixture, op, operation) in OPERATIONS {
            let (backend, name) = (Arc::clone(&backend), format!("{}/{op}", backend.name));
            let check = move |executor: &mut Executor| -> Result<(), Failed> {
                let bench = Bench { golden: &Golden::open(fixture), op };
                let run = operation(&bench, executor)?;
                let prefix = format!("micro.{op}.out.");
                parity::judge(&run, &bench.golden.outputs(|key| key.starts_with(&prefix)), BARS)
                    .into_result()?;
                Ok(())
            };
            trials.push(Trial::test(name, move || backend.with(check)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn all_are_tested() -> Result<(), Failed> {
    for fixture in [WAN, WAN22] {
        let golden = Golden::open(fixture);
        let outputs = golden.outputs(|key| key.starts_with("micro."));
        let recorded: BTreeSet<&str> = outputs.keys().filter_map(|key| key.split('.').nth(1)).collect();
        let here = OPERATIONS.iter().filter(|(of, ..)| *of == fixture).map(|(_, op, _)| *op);
        let known: BTreeSet<&str> = here.chain(ELSEWHERE.into_iter().filter(|_| fixture == WAN)).collect();
        if recorded != known {
            return Err(format!("{fixture}: recorded {recorded:?}, known {known:?}").into());
        }
    }
    Ok(())
}

/// One recorded operation.
struct Bench<'a> {
    golden: &'a Golden,
    op: &'a str,
}

impl Bench<'_> {
    fn key(&self, name: &str) -> String {
        format!("micro.{}.{name}", self.op)
    }

    /// Input `name` as rows of as many columns as its last axis.
    fn rows(&self, name: &str) -> (Vec<usize>, &[f32]) {
        let key = self.key(&format!("in.{name}"));
        (self.golden.shape(&key)[1..].to_vec(), self.golden.f32(&key))
    }

    /// Input `name`, `[1, C, T, H, W]`, as `[T, H, W, C]`.
    fn frames(&self, name: &str) -> ([usize; 4], Vec<f32>) {
        self.golden.channels_last(&self.key(&format!("in.{name}")))
    }

    fn checkpoint(&self, component: &str) -> Result<Checkpoint, Failed> {
        Ok(Checkpoint::open(&self.golden.model(), component)?)
    }

    /// The outputs of a graph under the recorder's keys.
    fn compute(&self, executor: &mut Executor, graph: Graph, inputs: &[(&str, &[f32])]) -> Outputs {
        let inputs: Vec<RunInput<'_>> = inputs.iter().map(|(name, data)| RunInput::f32(name, data)).collect();
        let found = compute(executor, graph, &inputs)?;
        Ok(found.into_iter().map(|(name, out)| (self.key(&format!("out.{name}")), out)).collect())
    }

    /// Like [`Bench::compute`], of frames, channels first as recorded.
    fn compute_frames(&self, executor: &mut Executor, graph: Graph, inputs: &[(&str, &[f32])]) -> Outputs {
        let found = self.compute(executor, graph, inputs)?;
        Ok(found.into_iter().map(|(name, out)| (name, out.channels_first())).collect())
    }
}

/// A product with the identity, for the sake of its epilogue.
fn gelu(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let x = bench.golden.f32(&bench.key("in.x"));
    let n = x.len();
    let identity = (0..n * n).map(|i| if i / n == i % n { 1.0 } else { 0.0 }).collect();
    let mut graph = Graph::new();
    let row = graph.input("x", &[1, n], DType::F32);
    let weight = graph.weight(&Weight::from_f32("identity", &[n, n], identity));
    let options = MatmulOptions { activation: Activation::GeluTanh, ..MatmulOptions::new(DType::F32) };
    let y = graph.matmul(row, weight, &options)?;
    graph.output("y", y);
    bench.compute(executor, graph, &[("x", x)])
}

fn timestep_sinusoid(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let dim = bench.golden.shape(&bench.key("out.y"))[1];
    let mut all = Vec::new();
    for time in bench.golden.f32(&bench.key("in.t")) {
        let mut graph = Graph::new();
        let t = graph.input("t", &[1], DType::F32);
        let y = graph.timestep_embedding(t, dim)?;
        graph.output("y", y);
        let found = bench.compute(executor, graph, &[("t", &[*time])])?;
        let TensorData::F32(row) = &found[&bench.key("out.y")].data else { return Err("no floats".into()) };
        all.extend_from_slice(row);
    }
    let shape = vec![all.len() / dim, dim];
    Ok(BTreeMap::from([(bench.key("out.y"), Recorded { shape, data: TensorData::F32(all) })]))
}

/// Computed on the host, whatever the device.
fn t5_buckets(bench: &Bench<'_>, _: &mut Executor) -> Outputs {
    let length = bench.golden.shape(&bench.key("out.bucket"))[0].div_ceil(2);
    let buckets: Vec<i64> = relative_buckets(length, 32, 128).into_iter().map(i64::from).collect();
    let bucket = Recorded { shape: vec![buckets.len()], data: TensorData::I64(buckets) };
    Ok(BTreeMap::from([(bench.key("out.bucket"), bucket)]))
}

fn layernorm_faint(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let checkpoint = bench.checkpoint("transformer")?;
    let vector =
        |name: &str| checkpoint.tensor(&format!("blocks.0.norm2.{name}")).map(|t| Weight::vector(&t));
    let (weight, bias) = (vector("weight")?, vector("bias")?);
    let (shape, x) = bench.rows("x");
    let mut graph = Graph::new();
    let input = graph.input("x", &shape, DType::F32);
    let affine = Some((graph.weight(&weight), graph.weight(&bias)));
    let options = LayerNormOptions { affine, ..LayerNormOptions::new(1e-6, DType::F32) };
    let y = graph.layer_norm(input, &options)?;
    graph.output("y", y);
    bench.compute(executor, graph, &[("x", x)])
}

fn rms_options(first_column: usize, rope: Option<Rope>) -> RmsNormOptions {
    RmsNormOptions { first_column, rope, ..RmsNormOptions::new(1e-6, DType::F32) }
}

fn qk_rms_faint(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let weight = Weight::vector(&bench.checkpoint("transformer")?.tensor("blocks.0.attn1.norm_q.weight")?);
    let (shape, x) = bench.rows("x");
    let mut graph = Graph::new();
    let input = graph.input("x", &shape, DType::F32);
    let weight = graph.weight(&weight);
    let y = graph.rms_norm(input, weight, &rms_options(0, None))?;
    graph.output("y", y);
    bench.compute(executor, graph, &[("x", x)])
}

const HEADS: usize = 3;
const HEAD_DIM: usize = 16;
const DIM: usize = HEADS * HEAD_DIM;

fn attend(
    graph: &mut Graph,
    q: (TensorId, usize),
    k: (TensorId, usize),
    v: (TensorId, usize),
) -> Result<TensorId, Failed> {
    let inputs = AttentionInputs::new([q, k, v], HEADS, HEAD_DIM, DType::F32);
    Ok(graph.attention(&inputs)?)
}

fn self_attention_rope(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let checkpoint = bench.checkpoint("transformer")?;
    let name = |suffix: &str| format!("blocks.0.attn1.{suffix}");
    let qkv = [name("to_q"), name("to_k"), name("to_v")];
    let qkv = Linear::load_stacked(&checkpoint, &qkv, &[DIM, DIM], true)?;
    let out = Linear::load(&checkpoint, &name("to_out.0"), &[DIM, DIM])?;
    let norm = |which: &str| checkpoint.tensor(&name(which)).map(|t| Weight::vector(&t));
    let (norm_q, norm_k) = (norm("norm_q.weight")?, norm("norm_k.weight")?);
    let RopeTables { cos, sin, .. } = rope_tables(HEAD_DIM, [2, 2, 3]);
    let (shape, x) = bench.rows("x");

    let mut graph = Graph::new();
    let input = graph.input("x", &shape, DType::F32);
    let angles = [shape[0], HEAD_DIM / 2];
    let rope = Rope {
        cos: graph.weight(&Weight::from_f32("cos", &angles, cos.clone())),
        sin: graph.weight(&Weight::from_f32("sin", &angles, sin.clone())),
        head_dim: HEAD_DIM,
    };
    let qkv = qkv.forward(&mut graph, input, DType::F32)?;
    let (norm_q, norm_k) = (graph.weight(&norm_q), graph.weight(&norm_k));
    let q = graph.rms_norm(qkv, norm_q, &rms_options(0, Some(rope)))?;
    let k = graph.rms_norm(qkv, norm_k, &rms_options(DIM, Some(rope)))?;
    let attended = attend(&mut graph, (q, 0), (k, 0), (qkv, 2 * DIM))?;
    let y = out.forward(&mut graph, attended, DType::F32)?;
    graph.output("y", y);
    let mut found = bench.compute(executor, graph, &[("x", x)])?;
    for (key, table) in [("out.rope_cos", cos), ("out.rope_sin", sin)] {
        // The recorder holds every angle twice.
        let data = TensorData::F32(table.iter().flat_map(|v| [*v, *v]).collect());
        found.insert(bench.key(key), Recorded { shape: vec![shape[0], HEAD_DIM], data });
    }
    Ok(found)
}

fn cross_attention(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let checkpoint = bench.checkpoint("transformer")?;
    let name = |suffix: &str| format!("blocks.0.attn2.{suffix}");
    let linear = |suffix: &str| Linear::load(&checkpoint, &name(suffix), &[DIM, DIM]);
    let norm = |which: &str| checkpoint.tensor(&name(which)).map(|t| Weight::vector(&t));
    let (norm_q, norm_k) = (norm("norm_q.weight")?, norm("norm_k.weight")?);
    let ((x_shape, x), (text_shape, text)) = (bench.rows("x"), bench.rows("text"));

    let mut graph = Graph::new();
    let x_input = graph.input("x", &x_shape, DType::F32);
    let text_input = graph.input("text", &text_shape, DType::F32);
    let q = linear("to_q")?.forward(&mut graph, x_input, DType::F32)?;
    let k = linear("to_k")?.forward(&mut graph, text_input, DType::F32)?;
    let v = linear("to_v")?.forward(&mut graph, text_input, DType::F32)?;
    let (norm_q, norm_k) = (graph.weight(&norm_q), graph.weight(&norm_k));
    let q = graph.rms_norm(q, norm_q, &rms_options(0, None))?;
    let k = graph.rms_norm(k, norm_k, &rms_options(0, None))?;
    let attended = attend(&mut graph, (q, 0), (k, 0), (v, 0))?;
    let y = linear("to_out.0")?.forward(&mut graph, attended, DType::F32)?;
    graph.output("y", y);
    bench.compute(executor, graph, &[("x", x), ("text", text)])
}

fn rms_norm_channels(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let (shape, x) = bench.frames("x");
    let norm =
        ChannelNorm::load(&bench.checkpoint("vae")?, "decoder.mid_block.resnets.0.norm1", shape[3], 3)?;
    let mut zeroed = x.clone();
    zeroed[..shape[3]].fill(0.0);
    let mut graph = Graph::new();
    for (name, out) in [("x", "y"), ("zeroed", "y_zero_column")] {
        let x = graph.input(name, &shape, DType::F32);
        let y = norm.forward(&mut graph, x, false, DType::F32)?;
        graph.output(out, y);
    }
    bench.compute_frames(executor, graph, &[("x", &x), ("zeroed", &zeroed)])
}

/// Without a cache, after a chunk of one frame, and after one of two.
fn causal_conv3d_cache(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let ((first_shape, first), (shape, x)) = (bench.frames("x1"), bench.frames("x2"));
    let [_, height, width, channels] = shape;
    let kernel = [channels, channels, 3, 3, 3];
    let conv = CausalConv::load(&bench.checkpoint("vae")?, "decoder.mid_block.resnets.0.conv1", &kernel)?;
    let plain = || Conv3dOptions::new(DType::F32);

    let memory = ConvMemory::new(Precision::F32);
    let mut graph = Graph::new();
    let input = graph.input("x1", &first_shape, DType::F32);
    let y = conv.forward(&mut graph, input, Some(&memory), plain())?;
    graph.output("y1", y);
    let mut found = bench.compute_frames(executor, graph, &[("x1", &first)])?;
    let mut graph = Graph::new();
    let input = graph.input("x2", &shape, DType::F32);
    let y = conv.forward(&mut graph, input, Some(&memory), plain())?;
    graph.output("y2_one_cached_frame", y);
    found.extend(bench.compute_frames(executor, graph, &[("x2", &x)])?);

    let memory = ConvMemory::new(Precision::F32);
    let two: Vec<f32> = [first.iter().map(|v| 0.5 * v).collect(), first].concat();
    let mut graph = Graph::new();
    let input = graph.input("x", &[2, height, width, channels], DType::F32);
    let y = conv.forward(&mut graph, input, Some(&memory), plain())?;
    graph.output("y", y);
    bench.compute_frames(executor, graph, &[("x", &two)])?;
    let mut graph = Graph::new();
    let input = graph.input("x2", &shape, DType::F32);
    let y = conv.forward(&mut graph, input, Some(&memory), plain())?;
    graph.output("y2_two_cached_frames", y);
    found.extend(bench.compute_frames(executor, graph, &[("x2", &x)])?);
    Ok(found)
}

/// Space alone in the first chunk; then time as well, the channels' halves being the even and the odd frames.
fn upsample3d_chunks(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let checkpoint = bench.checkpoint("vae")?;
    let ([.., channels], _) = bench.frames("x0");
    let out = bench.golden.shape(&bench.key("out.y0"))[1];
    let name = "decoder.up_blocks.0.upsamplers.0";
    let temporal = [2 * channels, channels, 3, 1, 1];
    let temporal = CausalConv::load(&checkpoint, &format!("{name}.time_conv"), &temporal)?;
    let spatial = CausalConv::load(&checkpoint, &format!("{name}.resample.1"), &[out, channels, 3, 3])?;
    let memory = ConvMemory::new(Precision::F32);
    let mut all = BTreeMap::new();
    for chunk in 0..3 {
        let (shape, x) = bench.frames(&format!("x{chunk}"));
        let mut graph = Graph::new();
        let mut y = graph.input("x", &shape, DType::F32);
        if chunk > 0 {
            let halves = Conv3dOptions { frames: OutputFrames::Halves, ..Conv3dOptions::new(DType::F32) };
            y = temporal.forward(&mut graph, y, Some(&memory), halves)?;
        }
        let double = Conv3dOptions { upsample: true, ..Conv3dOptions::new(DType::F32) };
        let y = spatial.forward(&mut graph, y, None, double)?;
        graph.output(&format!("y{chunk}"), y);
        all.extend(bench.compute_frames(executor, graph, &[("x", &x)])?);
    }
    Ok(all)
}

fn dup_up3d(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let (shape, x) = bench.frames("x");
    let mut graph = Graph::new();
    let input = graph.input("x", &shape, DType::F32);
    for (name, channels, time, first) in
        [("first", 4, 2, true), ("later", 4, 2, false), ("space_only", 2, 1, false)]
    {
        let y = graph.dup_up(input, channels, time, 2, first)?;
        graph.output(name, y);
    }
    bench.compute_frames(executor, graph, &[("x", &x)])
}

fn avg_down3d(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let (shape, x) = bench.frames("x");
    let mut graph = Graph::new();
    let input = graph.input("x", &shape, DType::F32);
    for (name, channels, time) in [("both", 8, 2), ("space_only", 4, 1)] {
        let y = graph.avg_down(input, channels, time, 2, Fill::Zeros)?;
        graph.output(name, y);
    }
    bench.compute_frames(executor, graph, &[("x", &x)])
}

fn patchify(bench: &Bench<'_>, executor: &mut Executor) -> Outputs {
    let (shape, x) = bench.frames("x");
    let mut graph = Graph::new();
    let input = graph.input("x", &shape, DType::F32);
    let y = graph.patchify_frames(input, 2)?;
    graph.output("y", y);
    let back = graph.unpatchify_frames(y, 2, false)?;
    graph.output("back", back);
    bench.compute_frames(executor, graph, &[("x", &x)])
}
