//! The text encoder and the transformer of CogVideoX against runs recorded from diffusers, stage by stage: on the CPU
//! and on every adapter, in f32 and in f16: sine, rotary and learned positions, patches of one frame and of two, with
//! and without a picture.
#![expect(clippy::print_stdout, reason = "the distances are the result")]

use engine::{
    DType, Graph,
    compute::executor::Executor,
    compute::nn::Precision,
    compute::run::RunInput,
    models::{
        Context, ContextInputs, DenoisingTransformer, StepInputs, TextEncoder, Times,
        cogvideox::CogVideoXTransformer, encoders::t5::T5Encoder,
    },
    pipeline::TensorData,
};
use kinora_tests::{
    Golden,
    backend::{Backend, compute},
    golden::Recorded,
    parity::{self, Bars},
};
use libtest_mimic::{Arguments, Failed, Trial};
use model_loader::{
    Checkpoint, Tokenizer,
    config::{CogVideoXTransformerConfig, T5Config},
};
use std::{collections::BTreeMap, sync::Arc};

const FIXTURES: [&str; 6] =
    ["cogvideox", "cogvideox-5b", "cogvideox-even", "cogvideox-1.5", "cogvideox-5b-i2v", "cogvideox-1.5-i2v"];

/// The reference's own rounding moves single tensors by up to 1e-5.
const F32: Bars = Bars { relative_l2: 1e-4, psnr: 50.0 };
/// Operands have 11 bits; the reference in bf16, with 8, is off by up to 2e-2.
const F16: Bars = Bars { relative_l2: 1e-2, psnr: 35.0 };

fn main() {
    let mut arguments = Arguments::from_args();
    // Every run uses all cores already.
    arguments.test_threads.get_or_insert(1);
    let mut trials = Vec::new();
    for backend in Backend::all() {
        let mut add = |what: &str, fixture: &'static str, check: Check| {
            let (backend, name) = (Arc::clone(&backend), format!("{}/{what}/{fixture}", backend.name));
            trials.push(Trial::test(name, move || backend.with(|executor| check(executor, fixture))));
        };
        for fixture in FIXTURES {
            add("text", fixture, text);
            add("transformer", fixture, |executor, fixture| {
                transformer(executor, fixture, Precision::F32, F32)
            });
            if backend.f16 {
                add("transformer_f16", fixture, |executor, fixture| {
                    transformer(executor, fixture, Precision::F16, F16)
                });
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

type Check = fn(&mut Executor, &str) -> Result<(), Failed>;

/// Both prompts, padded to their full length: the padding is attended to and its rows count.
fn text(executor: &mut Executor, fixture: &str) -> Result<(), Failed> {
    let golden = Golden::open(fixture);
    let model = golden.model();
    let config = T5Config::load(&model, "text_encoder")?;
    let encoder = T5Encoder::load(&Checkpoint::open(&model, "text_encoder")?, &config)?;
    let (tokenizer, request) = (Tokenizer::open(&model, "tokenizer")?, golden.request());
    let mut run = BTreeMap::new();
    for (name, prompt) in
        [("cond", &request.prompt), ("uncond", request.negative_prompt.as_ref().unwrap_or(&request.prompt))]
    {
        let length = golden.shape(&format!("text.{name}.input_ids"))[1];
        let (ids, mask) = tokenizer.pad(&tokenizer.encode(prompt, length)?.ids, length);
        let tokens = ids.iter().map(|id| u32::try_from(*id)).collect::<Result<Vec<_>, _>>()?;
        let rows = encoder.embed(&tokens)?;
        let outputs = compute(executor, encoder.graph(length, true)?, &[RunInput::f32("embeds", &rows)])?;
        run.extend(outputs.into_iter().map(|(stage, out)| (format!("text.{name}.{stage}"), out)));
        for (stage, data) in [("input_ids", ids), ("attention_mask", mask)] {
            let recorded = Recorded { shape: vec![1, length], data: TensorData::I64(data) };
            run.insert(format!("text.{name}.{stage}"), recorded);
        }
    }
    let verdict = parity::judge(&run, &golden.outputs(|key| key.starts_with("text.")), F32);
    println!("{fixture}: {verdict}");
    verdict.into_result()?;
    Ok(())
}

/// Every step from the recorded latents and text, with both prompts; every stage of the first.
fn transformer(
    executor: &mut Executor,
    fixture: &str,
    precision: Precision,
    bars: Bars,
) -> Result<(), Failed> {
    let golden = Golden::open(fixture);
    let model = golden.model();
    let config = CogVideoXTransformerConfig::load(&model, "transformer")?;
    let transformer = CogVideoXTransformer::load(&Checkpoint::open(&model, "transformer")?, &config)?;
    let contexts = PROMPTS.map(|name| context(executor, &golden, &transformer, name, precision));
    let [cond, uncond] = contexts;
    let (cond, uncond) = (cond?, uncond?);
    let TensorData::I64(times) = &golden.tensor("sched.timesteps").recorded.data else {
        return Err("timesteps are no integers".into());
    };
    let picture = (config.condition_channels() > 0).then(|| channels_first(&golden, "img.condition"));
    let mut run = BTreeMap::new();
    for (step, time) in times.iter().enumerate() {
        let from =
            step.checked_sub(1).map_or("latents.init".to_owned(), |last| format!("latents.step{last}"));
        let (shape, latents) = channels_first(&golden, &from);
        let mut graph = Graph::with_taps(step == 0);
        let (x, timestep) =
            (graph.input("latents", &shape, DType::F32), graph.input("timestep", &[1], DType::F32));
        let condition = picture.as_ref().map(|(shape, _)| graph.input("condition", shape, DType::F32));
        let prompts = [&cond, &uncond];
        let inputs = StepInputs {
            latents: x,
            times: Times::Whole(timestep),
            contexts: &prompts,
            condition,
            precision,
            strip: None,
        };
        let outputs = transformer.forward(&mut graph, &inputs)?;
        for (name, output) in PROMPTS.iter().zip(outputs) {
            graph.output(name, output);
        }
        let time = [f32::from(u16::try_from(*time)?)];
        let mut inputs = vec![RunInput::f32("latents", &latents), RunInput::f32("timestep", &time)];
        inputs.extend(picture.as_ref().map(|(_, data)| RunInput::f32("condition", data)));
        for (stage, out) in compute(executor, graph, &inputs)? {
            let out = if PROMPTS.contains(&&*stage) { frames_first(&out)? } else { out };
            run.insert(format!("dit.step{step}.{stage}"), out);
        }
        if let Some(tables) = transformer.rope_tables(shape).filter(|_| step == 0) {
            for (name, table) in [("dit.rope_cos", tables.cos), ("dit.rope_sin", tables.sin)] {
                // The reference holds every angle twice, once for each channel of its pair.
                let twice: Vec<f32> = table.iter().flat_map(|v| [*v, *v]).collect();
                let shape = vec![twice.len() / tables.head_dim, tables.head_dim];
                run.insert(name.to_owned(), Recorded { shape, data: TensorData::F32(twice) });
            }
        }
    }
    let wanted = golden.outputs(|key| key.starts_with("dit.") && !key.ends_with(".guided"));
    let verdict = parity::judge(&run, &wanted, bars);
    println!("{fixture}: {verdict}");
    verdict.into_result()?;
    Ok(())
}

const PROMPTS: [&str; 2] = ["cond", "uncond"];

/// A recorded prompt as the transformer attends to it.
fn context(
    executor: &mut Executor,
    golden: &Golden,
    transformer: &CogVideoXTransformer,
    name: &str,
    precision: Precision,
) -> Result<Context, Failed> {
    let key = format!("text.{name}.hidden");
    let (graph, context) =
        transformer.context_graph(&ContextInputs::new(&golden.shape(&key)[1..2], precision))?;
    compute(executor, graph, &[RunInput::f32("embeds", golden.f32(&key))])?;
    Ok(context)
}

/// Latents `[1, F, C, H, W]` as `[C, F, H, W]`.
fn channels_first(golden: &Golden, key: &str) -> ([usize; 4], Vec<f32>) {
    let &[1, f, c, h, w] = golden.shape(key) else { panic!("`{key}` is {:?}", golden.shape(key)) };
    ([c, f, h, w], swap(golden.f32(key), f, c, h * w))
}

/// Latents `[C, F, H, W]` as `[1, F, C, H, W]`.
fn frames_first(latents: &Recorded) -> Result<Recorded, Failed> {
    let (&[c, f, h, w], TensorData::F32(values)) = (&latents.shape[..], &latents.data) else {
        return Err("no latents".into());
    };
    Ok(Recorded { shape: vec![1, f, c, h, w], data: TensorData::F32(swap(values, c, f, h * w)) })
}

/// `[outer, inner, picture]` as `[inner, outer, picture]`.
fn swap(values: &[f32], outer: usize, inner: usize, picture: usize) -> Vec<f32> {
    let row = |i: usize| &values[(i % outer * inner + i / outer) * picture..][..picture];
    (0..outer * inner).flat_map(row).copied().collect()
}
