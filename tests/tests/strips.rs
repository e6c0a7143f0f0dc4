//! Denoising in strips of tokens against the same step in one piece, which the recorded runs hold: on the CPU and on every
//! adapter, in f32, f16 and bf16; and in less memory.
use engine::{
    DType, Graph,
    compute::executor::Executor,
    compute::nn::Precision,
    compute::run::RunInput,
    models::{
        Context, ContextInputs, DenoisingTransformer, StepInputs, Times, cogvideox::CogVideoXTransformer,
        wan::WanTransformer,
    },
    pipeline::TensorData,
};
use kinora_tests::{
    Golden,
    backend::{Backend, compute},
    relative_l2,
};
use libtest_mimic::{Arguments, Failed, Trial};
use model_loader::{
    Checkpoint,
    config::{CogVideoXTransformerConfig, WanTransformerConfig},
};
use std::sync::Arc;

/// Rows of a prompt.
const LENGTH: usize = 64;
/// The smallest strip: the last one of the sequence is shorter.
const STRIP: usize = 128;

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for backend in Backend::all() {
        for fixture in ["wan", "cogvideox"] {
            let mut add = |precision: Precision, bar: f64| {
                let (backend, name) =
                    (Arc::clone(&backend), format!("{fixture}/{}/{precision}", backend.name));
                let check = move |executor: &mut Executor| in_strips(executor, fixture, precision, bar);
                trials.push(Trial::test(name, move || backend.with(check)));
            };
            add(Precision::F32, 1e-5);
            if backend.is_cpu() {
                // Rows are rounded one by one, sums in f32 as before.
                add(Precision::Bf16, 1e-5);
            }
            if backend.f16 {
                // Sums in another order round to other neighbours, of which there are 2048 an octave.
                add(Precision::F16, 2e-3);
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A network, and what it takes.
struct Model {
    network: Box<dyn DenoisingTransformer>,
    text_width: usize,
    /// The share of memory that strips take at most, in hundredths: of CogVideoX the feed-forward alone is cut.
    share: u64,
    /// `[C, F, H, W]` of more tokens than two strips have.
    latents: [usize; 4],
}

fn load(fixture: &str) -> Result<Model, Failed> {
    let model = Golden::open(fixture).model();
    let checkpoint = Checkpoint::open(&model, "transformer")?;
    Ok(if fixture == "wan" {
        let config = WanTransformerConfig::load(&model, "transformer")?;
        let [t, h, w] = config.patch_size;
        Model {
            latents: [config.in_channels, 3 * t, 9 * h, 11 * w],
            text_width: config.text_dim,
            share: 75,
            network: Box::new(WanTransformer::load(&checkpoint, &config)?),
        }
    } else {
        let config = CogVideoXTransformerConfig::load(&model, "transformer")?;
        Model {
            latents: [config.in_channels, 3, 18, 22],
            text_width: config.text_embed_dim,
            share: 95,
            network: Box::new(CogVideoXTransformer::load(&checkpoint, &config)?),
        }
    })
}

/// Numbers in -1..1 that repeat nowhere nearby.
fn noise(count: usize, seed: usize) -> Vec<f32> {
    let value = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0;
    (0..count).map(value).collect()
}

fn in_strips(executor: &mut Executor, fixture: &str, precision: Precision, bar: f64) -> Result<(), Failed> {
    let model = load(fixture)?;
    // Two passes, so that what they share must survive the first.
    let mut contexts = Vec::new();
    for pass in 0..2 {
        let rows = [LENGTH];
        let (graph, context) = model.network.context_graph(&ContextInputs::new(&rows, precision))?;
        let prompt: Vec<f32> = noise(LENGTH * model.text_width, pass).iter().map(|v| 8.0 * v).collect();
        compute(executor, graph, &[RunInput::f32("embeds", &prompt)])?;
        contexts.push(context);
    }
    let [whole, strips] = [None, Some(STRIP)].map(|strip| step(&model, &contexts, precision, strip));
    let (whole, strips) = (whole?, strips?);
    let bytes = [executor.plan(&whole)?, executor.plan(&strips)?].map(|plan| plan.slots.iter().sum::<u64>());
    assert!(100 * bytes[1] < model.share * bytes[0], "strips save nothing: {bytes:?}");
    let wanted = velocities(executor, &model, whole)?;
    let got = velocities(executor, &model, strips)?;
    assert!(relative_l2(&wanted[0], &wanted[1]) > 2.0 * bar, "the prompts make no difference");
    for (pass, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
        let distance = relative_l2(got, wanted);
        if distance.is_nan() || distance > bar {
            return Err(format!("pass {pass}: off by {distance:.1e}, allowed {bar:.0e}").into());
        }
    }
    Ok(())
}

fn step(
    model: &Model,
    contexts: &[Context],
    precision: Precision,
    strip: Option<usize>,
) -> Result<Graph, Failed> {
    let mut graph = Graph::new();
    let latents = graph.input("latents", &model.latents, DType::F32);
    let times = Times::Whole(graph.input("timestep", &[1], DType::F32));
    let contexts: Vec<&Context> = contexts.iter().collect();
    let inputs = StepInputs { latents, times, contexts: &contexts, condition: None, precision, strip };
    for (pass, output) in model.network.forward(&mut graph, &inputs)?.into_iter().enumerate() {
        graph.output(&format!("pass {pass}"), output);
    }
    Ok(graph)
}

fn velocities(executor: &mut Executor, model: &Model, graph: Graph) -> Result<Vec<Vec<f32>>, Failed> {
    let latents = noise(model.latents.iter().product(), 9);
    let inputs = [RunInput::f32("latents", &latents), RunInput::f32("timestep", &[700.0])];
    let mut computed = compute(executor, graph, &inputs)?;
    let mut velocity = |pass: usize| match computed.remove(format!("pass {pass}").as_str()) {
        Some(recorded) => match recorded.data {
            TensorData::F32(values) => Ok(values),
            _ => Err(Failed::from("a velocity is no floats")),
        },
        None => Err(Failed::from(format!("no pass {pass}"))),
    };
    Ok(vec![velocity(0)?, velocity(1)?])
}
