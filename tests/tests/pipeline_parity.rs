//! Whole models of every family against runs recorded from diffusers, stage by stage: on the CPU and on every adapter, in f32,
//! f16 and bf16, with weights stored as f32, f16 and bf16. The comparison itself is shown to fail when it should.
#![expect(clippy::print_stdout, reason = "the distances are the result")]

use engine::{
    compute::nn::Precision,
    pipeline::{DeviceChoice, JobOptions, TensorData},
};
use kinora_tests::{
    Golden,
    backend::Backend,
    golden::{GoldenTensor, Recorded},
    parity::{self, Bars, FRAMES},
};
use libtest_mimic::{Arguments, Failed, Trial};
use model_loader::ModelFolder;
use safetensors::SafeTensors;
use std::collections::BTreeMap;

const FIXTURES: [&str; 9] = [
    "wan",
    "wan-f16",
    "wan-bf16",
    "cogvideox",
    "cogvideox-5b",
    "cogvideox-even",
    "cogvideox-1.5",
    "cogvideox-5b-i2v",
    "cogvideox-1.5-i2v",
];

/// The reference's own rounding moves single tensors by up to 1e-5.
const F32: Bars = Bars { relative_l2: 1e-4, psnr: 50.0 };
/// Operands have 11 bits; the reference in bf16, with 8, is off by up to 4e-2.
const F16: Bars = Bars { relative_l2: 1e-2, psnr: 35.0 };
/// Operands have 8 bits, all else is f32. Guidance multiplies the roundings of the velocities that it combines.
const BF16: Bars = Bars { relative_l2: 4e-2, psnr: 35.0 };
/// What a step leaves.
const BF16_LATENTS: Bars = Bars { relative_l2: 2e-2, ..BF16 };

fn main() {
    let mut arguments = Arguments::from_args();
    // Every run uses all cores already.
    arguments.test_threads.get_or_insert(1);
    let mut trials = Vec::new();
    let mut add = |backend: &str, device: DeviceChoice, precision: Precision| {
        for fixture in FIXTURES {
            let name = format!("{backend}/{precision}/{fixture}");
            let (label, device) = (name.clone(), device.clone());
            trials.push(Trial::test(name, move || check(&label, fixture, device, precision)));
        }
    };
    for backend in Backend::all() {
        add(&backend.name, backend.device(), Precision::F32);
        if backend.f16 {
            add(&backend.name, backend.device(), Precision::F16);
        }
        if backend.is_cpu() {
            add(&backend.name, backend.device(), Precision::Bf16);
        }
    }
    trials.push(Trial::test("must_fail/perturbed_golden", perturbed_golden));
    trials.push(Trial::test("must_fail/wrong_weight", wrong_weight));
    libtest_mimic::run(&arguments, trials).exit();
}

/// The recorded outputs of a whole run; single operations and the encoder have tests of their own.
fn stages(golden: &Golden) -> BTreeMap<&str, &GoldenTensor> {
    golden.outputs(|key| !key.starts_with("micro.") && !key.starts_with("vae.enc."))
}

fn run_fixture(
    golden: &Golden,
    model: &ModelFolder,
    device: DeviceChoice,
    precision: Precision,
) -> Result<BTreeMap<String, Recorded>, Failed> {
    let options = JobOptions { dump: true, ..JobOptions::default() };
    Ok(parity::run_model(model, &golden.request(), options, device, precision)?)
}

fn check(label: &str, fixture: &str, device: DeviceChoice, precision: Precision) -> Result<(), Failed> {
    let golden = Golden::open(fixture);
    let run = run_fixture(&golden, &golden.model(), device, precision)?;
    let bars = match precision {
        Precision::F32 => F32,
        Precision::F16 => F16,
        Precision::Bf16 => BF16,
    };
    let mut stages = stages(&golden);
    if precision == Precision::Bf16 {
        let latents = stages.extract_if(.., |key, _| key.starts_with("latents.")).collect();
        parity::judge(&run, &latents, BF16_LATENTS).into_result()?;
    }
    let verdict = parity::judge(&run, &stages, bars);
    println!("{label}: {verdict}");
    // What is written to a file comes from the device in 8 bits; the dump is rounded on the host.
    let video = last_frames(golden.tensor("video.u8"), golden.request().num_frames.ok_or("no length")?)?;
    let frames = BTreeMap::from([(FRAMES, &video)]);
    parity::judge(&run, &frames, bars).into_result()?;
    verdict.into_result()?;
    Ok(())
}

/// The last frames of a recorded video. Those before them, if any, only repeat the first of these.
fn last_frames(video: &GoldenTensor, frames: usize) -> Result<GoldenTensor, Failed> {
    let mut video = video.clone();
    let TensorData::U8(pixels) = &mut video.recorded.data else { return Err("no bytes".into()) };
    let picture: usize = video.recorded.shape[1..].iter().product();
    let last = pixels.split_off(pixels.len() - frames * picture);
    if pixels.chunks(picture).any(|frame| frame != &last[..picture]) {
        return Err("a frame that is left out is none of a still start".into());
    }
    (*pixels, video.recorded.shape[0]) = (last, frames);
    Ok(video)
}

/// One recorded tensor a thousandth larger, and that one alone fails.
fn perturbed_golden() -> Result<(), Failed> {
    let golden = Golden::open("wan-f16");
    let run = run_fixture(&golden, &golden.model(), DeviceChoice::Cpu, Precision::F32)?;
    let key = "dit.step1.uncond";
    let mut perturbed = golden.tensor(key).clone();
    let TensorData::F32(values) = &mut perturbed.recorded.data else { return Err("no floats".into()) };
    values.iter_mut().for_each(|v| *v *= 1.001);
    let mut stages = stages(&golden);
    stages.insert(key, &perturbed);
    let failures = parity::judge(&run, &stages, F32).failures;
    match failures.as_slice() {
        [only] if only.starts_with(key) => Ok(()),
        others => Err(format!("failures: {others:?}").into()),
    }
}

/// One bias of the transformer a hundredth larger, and everything after it fails.
fn wrong_weight() -> Result<(), Failed> {
    let golden = Golden::open("wan-f16");
    let file = "transformer/diffusion_pytorch_model.safetensors";
    let mut files = golden.files();
    let weights = files.get_mut(file).ok_or("no transformer")?;
    scale_f16(weights, "blocks.0.ffn.net.0.proj.bias", 1.01)?;
    let broken = ModelFolder::in_memory("broken", files);
    let run = run_fixture(&golden, &broken, DeviceChoice::Cpu, Precision::F32)?;
    let verdict = parity::judge(&run, &stages(&golden), F32);
    println!("must_fail/wrong_weight: {verdict}");
    let fails = |key: &str| verdict.failures.iter().any(|failure| failure.starts_with(key));
    let untouched = ["text.", "dit.step0.block0.attn", "sched."].into_iter().find(|key| fails(key));
    let unnoticed = ["dit.step0.block0:", "dit.step0.cond", "latents.step3", "vae.video"];
    let unnoticed = unnoticed.into_iter().find(|key| !fails(key));
    match (untouched, unnoticed) {
        (None, None) => Ok(()),
        wrong => Err(format!("failed though before it, passed though after it: {wrong:?}").into()),
    }
}

/// Multiplies a tensor of a safetensors file in place.
fn scale_f16(file: &mut [u8], tensor: &str, factor: f32) -> Result<(), Failed> {
    let (header, metadata) = SafeTensors::read_metadata(file)?;
    let info = metadata.info(tensor).ok_or("no such tensor")?;
    let (start, end) = info.data_offsets;
    let data = 8 + header;
    for bytes in file[data + start..data + end].as_chunks_mut::<2>().0 {
        *bytes = half::f16::from_f32(half::f16::from_le_bytes(*bytes).to_f32() * factor).to_le_bytes();
    }
    Ok(())
}
