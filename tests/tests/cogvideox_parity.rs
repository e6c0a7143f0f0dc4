//! The text encoder and the transformer of CogVideoX against runs recorded from diffusers, stage by stage: on the CPU
//! and on every adapter, in f32 and in f16, with sine and rotary positions and with patches of two frames.
#![expect(clippy::print_stdout, reason = "the distances are the result")]

use engine::{executor::Executor, models::t5::T5Encoder, pipeline::TensorData, run::RunInput};
use kinora_tests::{
    Golden,
    backend::{Backend, compute},
    golden::Recorded,
    parity::{self, Bars},
};
use libtest_mimic::{Arguments, Failed, Trial};
use model_loader::{Checkpoint, Tokenizer, config::T5Config};
use std::{collections::BTreeMap, sync::Arc};

const FIXTURES: [&str; 3] = ["cogvideox", "cogvideox-5b", "cogvideox-1.5"];

/// The reference's own rounding moves single tensors by up to 1e-5.
const F32: Bars = Bars { relative_l2: 1e-4, psnr: 50.0 };

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
    let (tokenizer, settings) = (Tokenizer::open(&model)?, golden.settings());
    let mut run = BTreeMap::new();
    for (name, prompt) in [("cond", &settings.prompt), ("uncond", &settings.negative_prompt)] {
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
    executor.release_unused();
    let verdict = parity::judge(&run, &golden.outputs(|key| key.starts_with("text.")), F32);
    println!("{fixture}: {verdict}");
    verdict.into_result()?;
    Ok(())
}
