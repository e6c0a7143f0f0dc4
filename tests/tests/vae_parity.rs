//! The autoencoders, 2.1 and 2.2 kinds, against recorded runs: every stage of the decoder, the encoder, and that the
//! result does not depend on how a video is cut into chunks.
#![expect(clippy::print_stdout, reason = "the distances are the result")]

use engine::{
    DType, State, TensorDesc,
    executor::Executor,
    models::{
        DecoderChunk,
        wan::{WanVaeDecoder, WanVaeEncoder},
    },
    nn::Precision,
    pipeline::TensorData,
    run::RunInput,
};
use kinora_tests::{
    Golden,
    backend::{Backend, compute},
    golden::Recorded,
    parity::{self, Bars},
    relative_l2,
};
use libtest_mimic::{Arguments, Failed, Trial};
use model_loader::{Checkpoint, config::WanVaeConfig};
use std::{collections::BTreeMap, sync::Arc};

const FIXTURES: [&str; 4] = ["wan", "wan-f16", "wan-bf16", "wan22-vae"];
/// On adapters: the decoders of the others run in the tests of whole models.
const DECODED: [&str; 1] = ["wan22-vae"];
const ENCODED: [&str; 3] = ["wan", "wan-bf16", "wan22-vae"];
const IN_CHUNKS: [&str; 2] = ["wan", "wan22-vae"];

/// The reference's own rounding moves single tensors by up to 1e-5.
const F32: Bars = Bars { relative_l2: 1e-4, psnr: 50.0 };
/// Operands have 11 bits; the reference in bf16, with 8, is off by up to 4e-2.
const F16: Bars = Bars { relative_l2: 1e-2, psnr: 35.0 };
/// Chunks of other lengths are other tiles of the same sums.
const CHUNKS: f64 = 1e-5;

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
        let lists: [&[&'static str]; 3] =
            if backend.is_cpu() { [&FIXTURES; 3] } else { [&DECODED, &ENCODED, &IN_CHUNKS] };
        for fixture in lists[0] {
            add("decode", fixture, |executor, fixture| decoder(executor, fixture, Precision::F32, F32));
            if backend.f16 {
                add("decode_f16", fixture, |executor, fixture| {
                    decoder(executor, fixture, Precision::F16, F16)
                });
            }
        }
        lists[1].iter().for_each(|fixture| add("encode", fixture, encoder));
        lists[2].iter().for_each(|fixture| add("chunks", fixture, chunks));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

type Check = fn(&mut Executor, &str) -> Result<(), Failed>;

fn open(golden: &Golden) -> Result<(Checkpoint, WanVaeConfig), Failed> {
    let model = golden.model();
    Ok((Checkpoint::open(&model, "vae")?, WanVaeConfig::load(&model, "vae")?))
}

/// Every stage of the decoder, one latent frame at a time, as the reference does it.
fn decoder(executor: &mut Executor, fixture: &str, precision: Precision, bars: Bars) -> Result<(), Failed> {
    let golden = Golden::open(fixture);
    let stages = golden.outputs(|key| key.starts_with("vae.") && !key.starts_with("vae.enc."));
    let frames = golden.shape("vae.latents_in")[2];
    let run = decode(executor, &golden, &vec![1; frames], precision)?;
    let verdict = parity::judge(&run, &stages, bars);
    println!("{fixture}: {verdict}");
    verdict.into_result()?;
    Ok(())
}

/// One frame at a time, all at once, and unevenly.
fn chunks(executor: &mut Executor, fixture: &str) -> Result<(), Failed> {
    let golden = Golden::open(fixture);
    let rest = golden.shape("vae.latents_in")[2] - 1;
    let single = decode(executor, &golden, &vec![1; 1 + rest], Precision::F32)?;
    for lengths in [vec![1, rest], vec![1, 1, rest - 1], vec![1, rest - 1, 1]] {
        if lengths.contains(&0) {
            continue;
        }
        let other = decode(executor, &golden, &lengths, Precision::F32)?;
        let distance = relative_l2(floats(&other["vae.video"])?, floats(&single["vae.video"])?);
        let within = distance <= CHUNKS; // false for NaN
        if !within {
            return Err(format!("chunks of {lengths:?} are off by {distance:.1e}").into());
        }
    }
    Ok(())
}

fn floats(tensor: &Recorded) -> Result<&[f32], Failed> {
    match &tensor.data {
        TensorData::F32(values) => Ok(values),
        _ => Err("no floats".into()),
    }
}

/// Decodes the recorded latents in chunks of these lengths; the stages under the recorder's keys.
fn decode(
    executor: &mut Executor,
    golden: &Golden,
    lengths: &[usize],
    precision: Precision,
) -> Result<BTreeMap<String, Recorded>, Failed> {
    let (checkpoint, config) = open(golden)?;
    let decoder = WanVaeDecoder::load(&checkpoint, &config)?;
    let shape = &golden.shape("vae.latents_in")[1..];
    let latents = State::new("latents", TensorDesc::new(shape, DType::F32));
    pollster::block_on(executor.write_state(&latents, golden.f32("vae.latents_in")))?;
    let memory = decoder.memory(shape[2], shape[3], precision);
    let (mut joined, mut start) = (BTreeMap::new(), 0);
    for length in lengths {
        let chunk = DecoderChunk { first: start == 0, latent_frames: *length };
        let graph = decoder.chunk_graph(&latents, chunk, &memory, false, true)?;
        let frame = [u32::try_from(start)?];
        join(&mut joined, compute(executor, graph, &[RunInput::u32("frame", &frame)])?);
        start += length;
    }
    for state in memory.states().chain([&latents]) {
        executor.drop_state(state);
    }
    executor.release_unused();
    let stages = joined.into_iter().filter(|(name, _)| name != "rgb8");
    Ok(stages.map(|(name, stage)| (format!("vae.{name}"), stage.channels_first())).collect())
}

/// Appends the outputs of a chunk along time.
fn join(joined: &mut BTreeMap<String, Recorded>, chunk: BTreeMap<String, Recorded>) {
    for (name, new) in chunk {
        match joined.get_mut(&name) {
            None => {
                joined.insert(name, new);
            }
            Some(old) => {
                old.shape[0] += new.shape[0];
                match (&mut old.data, new.data) {
                    (TensorData::F32(old), TensorData::F32(new)) => old.extend(new),
                    (TensorData::U8(old), TensorData::U8(new)) => old.extend(new),
                    _ => unreachable!("{name} changes its type"),
                }
            }
        }
    }
}

/// The moments of a corner of the recorded video, in chunks of 1, 4, 4.. frames.
fn encoder(executor: &mut Executor, fixture: &str) -> Result<(), Failed> {
    let golden = Golden::open(fixture);
    let (checkpoint, config) = open(&golden)?;
    let encoder = WanVaeEncoder::load(&checkpoint, &config)?;
    let moments = &golden.shape("vae.enc.moments")[2..];
    let frames = config.scale_factor_temporal * (moments[0] - 1) + 1;
    let (height, width) =
        (config.scale_factor_spatial * moments[1], config.scale_factor_spatial * moments[2]);
    // The note says which corner: a fixture of another would not be compared with what it was made from.
    let note = &golden.tensor("vae.enc.moments").note;
    if !note.contains(&format!("[:, :, :{frames}, :{height}, :{width}]")) {
        return Err(format!("the encoder has seen another corner: {note}").into());
    }
    let video = corner(&golden, [frames, height, width]);
    let memory = encoder.memory(height, width, Precision::F32);
    let (mut joined, picture) = (BTreeMap::new(), height * width * 3);
    let mut start = 0;
    while start < frames {
        let first = start == 0;
        let graph = encoder.chunk_graph(first, height, width, &memory)?;
        let end = if first { 1 } else { start + config.scale_factor_temporal };
        let chunk = &video[start * picture..end * picture];
        join(&mut joined, compute(executor, graph, &[RunInput::f32("video", chunk)])?);
        start = end;
    }
    for state in memory.states() {
        executor.drop_state(state);
    }
    executor.release_unused();
    let run = BTreeMap::from([("vae.enc.moments".to_owned(), joined["moments"].channels_first())]);
    let verdict = parity::judge(&run, &golden.outputs(|key| key == "vae.enc.moments"), F32);
    println!("{fixture}: {verdict}");
    verdict.into_result()?;
    Ok(())
}

/// The first frames, rows and columns of the recorded video, `[T, H, W, 3]`, kept to -1..1.
fn corner(golden: &Golden, [frames, height, width]: [usize; 3]) -> Vec<f32> {
    let ([_, full_height, full_width, channels], video) = golden.channels_last("vae.video");
    let row = full_width * channels;
    let picture = full_height * row;
    let rows = video.chunks(picture).take(frames).flat_map(|frame| frame.chunks(row).take(height));
    rows.flat_map(|row| &row[..width * channels]).map(|v| v.clamp(-1.0, 1.0)).collect()
}
