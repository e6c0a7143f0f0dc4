//! Guidance passes of Wan evaluated side by side against the same passes one after the other, which the recorded runs hold:
//! on the CPU and on every adapter, in f32, f16 and bf16.
use engine::{
    DType, Graph,
    compute::executor::Executor,
    compute::nn::Precision,
    compute::run::RunInput,
    models::{Context, ContextInputs, DenoisingTransformer, StepInputs, Times, wan::WanTransformer},
    pipeline::TensorData,
};
use kinora_tests::{
    Golden,
    backend::{Backend, compute},
    relative_l2,
};
use libtest_mimic::{Arguments, Failed, Trial};
use model_loader::{Checkpoint, config::WanTransformerConfig};
use std::sync::Arc;

const FIXTURE: &str = "wan";
/// Rows of a prompt.
const LENGTH: usize = 7;
const PASSES: usize = 3;

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("only_few_tokens_go_side_by_side", only_few_tokens)];
    for backend in Backend::all() {
        let mut add = |precision: Precision, bar: f64| {
            let (backend, name) = (Arc::clone(&backend), format!("{}/{precision}", backend.name));
            let check = move |executor: &mut Executor| side_by_side(executor, precision, bar);
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
    libtest_mimic::run(&arguments, trials).exit();
}

fn load() -> Result<(WanTransformer, WanTransformerConfig), Failed> {
    let model = Golden::open(FIXTURE).model();
    let config = WanTransformerConfig::load(&model, "transformer")?;
    Ok((WanTransformer::load(&Checkpoint::open(&model, "transformer")?, &config)?, config))
}

fn only_few_tokens() -> Result<(), Failed> {
    let (transformer, config) = load()?;
    let [t, h, w] = config.patch_size;
    let together = |tokens| transformer.passes_together([config.in_channels, t, h, w * tokens], 2);
    assert_eq!([1, 4096, 4097].map(together), [2, 2, 1]);
    Ok(())
}

/// Numbers in -1..1 that repeat nowhere nearby.
fn noise(count: usize, seed: usize) -> Vec<f32> {
    let value = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0;
    (0..count).map(value).collect()
}

fn side_by_side(executor: &mut Executor, precision: Precision, bar: f64) -> Result<(), Failed> {
    let (transformer, config) = load()?;
    let prompts: Vec<Vec<f32>> = (0..PASSES).map(|pass| noise(LENGTH * config.text_dim, pass)).collect();
    let mut contexts = Vec::new();
    for prompts in prompts.chunks(1).chain([&prompts[..], &prompts[1..]]) {
        let inputs = ContextInputs { passes: prompts.len(), ..ContextInputs::new(&[LENGTH], precision) };
        let (graph, context) = transformer.context_graph(&inputs)?;
        compute(executor, graph, &[RunInput::f32("embeds", &prompts.concat())])?;
        contexts.push(context);
    }
    let (alone, together) = contexts.split_at(PASSES);
    let wanted = velocities(executor, &transformer, &config, &alone.iter().collect::<Vec<_>>(), precision)?;
    assert!(relative_l2(&wanted[0], &wanted[1]) > 100.0 * bar, "the prompts make no difference");
    // All three at once, and one alone before the other two.
    for contexts in [vec![&together[0]], vec![&alone[0], &together[1]]] {
        let got = velocities(executor, &transformer, &config, &contexts, precision)?;
        assert_eq!(got.len(), PASSES);
        for (pass, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
            let distance = relative_l2(got, wanted);
            if distance.is_nan() || distance > bar {
                return Err(format!("pass {pass}: off by {distance:.1e}, allowed {bar:.0e}").into());
            }
        }
    }
    Ok(())
}

fn velocities(
    executor: &mut Executor,
    transformer: &WanTransformer,
    config: &WanTransformerConfig,
    contexts: &[&Context],
    precision: Precision,
) -> Result<Vec<Vec<f32>>, Failed> {
    let [t, h, w] = config.patch_size;
    let shape = [config.in_channels, 3 * t, 2 * h, 5 * w];
    let latents = noise(shape.iter().product(), 9);
    let mut graph = Graph::new();
    let x = graph.input("latents", &shape, DType::F32);
    let timestep = graph.input("timestep", &[1], DType::F32);
    let times = Times::Whole(timestep);
    let inputs = StepInputs { latents: x, times, contexts, condition: None, precision, strip: None };
    let outputs = transformer.forward(&mut graph, &inputs)?;
    let names: Vec<String> = (0..outputs.len()).map(|pass| format!("pass {pass}")).collect();
    for (name, output) in names.iter().zip(outputs) {
        graph.output(name, output);
    }
    let inputs = [RunInput::f32("latents", &latents), RunInput::f32("timestep", &[700.0])];
    let mut computed = compute(executor, graph, &inputs)?;
    let velocity = |name: &String| match computed.remove(name.as_str()).map(|recorded| recorded.data) {
        Some(TensorData::F32(values)) => Ok(values),
        _ => Err(Failed::from(format!("no `{name}`"))),
    };
    names.iter().map(velocity).collect()
}
