//! The autoencoders against recorded runs: every stage of the decoder, the encoder, and, where a model promises it, that the
//! result does not depend on how a video is cut into chunks.
#![expect(clippy::print_stdout, reason = "the distances are the result")]

use engine::{
    DType, Graph, State, TensorDesc,
    compute::executor::Executor,
    compute::nn::{ConvMemory, Precision},
    compute::op::OpError,
    compute::run::RunInput,
    models::{
        DecoderChunk, DecoderOutput, LatentDecoder,
        cogvideox::{CogVideoXVaeDecoder, CogVideoXVaeEncoder},
        wan::{WanVaeDecoder, WanVaeEncoder},
    },
    pipeline::TensorData,
};
use kinora_tests::{
    Golden,
    backend::{Backend, compute},
    golden::Recorded,
    latents,
    parity::{self, Bars},
    relative_l2,
};
use libtest_mimic::{Arguments, Failed, Trial};
use model_loader::{
    Checkpoint,
    config::{CogVideoXVaeConfig, WanVaeConfig},
};
use std::{collections::BTreeMap, sync::Arc};

const FIXTURES: [&str; 8] = [
    "wan",
    "wan-f16",
    "wan-bf16",
    "wan22-vae",
    "cogvideox",
    "cogvideox-5b",
    "cogvideox-even",
    "cogvideox-1.5",
];
/// On adapters: the decoders of the others run in the tests of whole models.
const DECODED: [&str; 5] = ["wan22-vae", "cogvideox", "cogvideox-5b", "cogvideox-even", "cogvideox-1.5"];
const ENCODED: [&str; 6] = ["wan", "wan-bf16", "wan22-vae", "cogvideox", "cogvideox-5b", "cogvideox-1.5"];
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
        let lists: [&[&'static str]; 3] = if backend.is_cpu() {
            [&FIXTURES, &FIXTURES, &FIXTURES[..4]]
        } else {
            [&DECODED, &ENCODED, &IN_CHUNKS]
        };
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

/// What the families' autoencoders have in common.
trait Autoencoder {
    /// The chunks in which the reference decodes so many latent frames, and encodes so many frames.
    fn chunks(&self, latent_frames: usize, frames: usize) -> [Vec<usize>; 2];
    /// Frames of a latent frame and pixels along the edge of a latent.
    fn scales(&self) -> [usize; 2];
    /// Latents as the transformer leaves them, from those that the reference's decoder gets.
    fn scaled(&self, latents: &[f32]) -> Vec<f32>;
    fn decode(&self, latents: &State, chunk: DecoderChunk, memory: &ConvMemory) -> Result<Graph, OpError>;
    fn encode(&self, first: bool, size: [usize; 3], memory: &ConvMemory) -> Result<Graph, OpError>;
}

struct Wan(WanVaeDecoder, WanVaeEncoder, WanVaeConfig);

impl Autoencoder for Wan {
    fn chunks(&self, latent_frames: usize, frames: usize) -> [Vec<usize>; 2] {
        let mut encoded = vec![1];
        encoded.resize(1 + (frames - 1) / self.2.scale_factor_temporal, self.2.scale_factor_temporal);
        [vec![1; latent_frames], encoded]
    }

    fn scales(&self) -> [usize; 2] {
        [self.2.scale_factor_temporal, self.2.scale_factor_spatial]
    }

    fn scaled(&self, latents: &[f32]) -> Vec<f32> {
        latents::scaled_wan(latents, &self.2)
    }

    fn decode(&self, latents: &State, chunk: DecoderChunk, memory: &ConvMemory) -> Result<Graph, OpError> {
        self.0.chunk_graph(latents, chunk, memory, DecoderOutput::Frames, true)
    }

    fn encode(
        &self,
        first: bool,
        [_, height, width]: [usize; 3],
        memory: &ConvMemory,
    ) -> Result<Graph, OpError> {
        self.1.chunk_graph(first, height, width, memory)
    }
}

struct CogVideoX(CogVideoXVaeDecoder, CogVideoXVaeEncoder, CogVideoXVaeConfig);

impl Autoencoder for CogVideoX {
    fn chunks(&self, latent_frames: usize, frames: usize) -> [Vec<usize>; 2] {
        let decoded = self.0.chunks(latent_frames, 0, 0, 0).iter().map(|chunk| chunk.latent_frames).collect();
        [decoded, self.1.chunk_lengths(frames)]
    }

    fn scales(&self) -> [usize; 2] {
        [self.2.temporal_compression_ratio, self.2.spatial_compression_ratio()]
    }

    fn scaled(&self, latents: &[f32]) -> Vec<f32> {
        latents::scaled_cogvideox(latents, &self.2)
    }

    fn decode(&self, latents: &State, chunk: DecoderChunk, memory: &ConvMemory) -> Result<Graph, OpError> {
        self.0.chunk_graph(latents, chunk, memory, DecoderOutput::Frames, true)
    }

    fn encode(&self, first: bool, size: [usize; 3], memory: &ConvMemory) -> Result<Graph, OpError> {
        self.1.chunk_graph(first, size, memory)
    }
}

fn open(golden: &Golden, fixture: &str) -> Result<Box<dyn Autoencoder>, Failed> {
    let model = golden.model();
    let weights = Checkpoint::open(&model, "vae")?;
    Ok(if fixture.starts_with("cogvideox") {
        let config = CogVideoXVaeConfig::load(&model, "vae")?;
        let decoder = CogVideoXVaeDecoder::load(&weights, &config)?;
        Box::new(CogVideoX(decoder, CogVideoXVaeEncoder::load(&weights, &config)?, config))
    } else {
        let config = WanVaeConfig::load(&model, "vae")?;
        let decoder = WanVaeDecoder::load(&weights, &config)?;
        Box::new(Wan(decoder, WanVaeEncoder::load(&weights, &config)?, config))
    })
}

/// Every stage of the decoder, in the chunks of the reference.
fn decoder(executor: &mut Executor, fixture: &str, precision: Precision, bars: Bars) -> Result<(), Failed> {
    let golden = Golden::open(fixture);
    let stages = golden.outputs(|key| key.starts_with("vae.") && !key.starts_with("vae.enc."));
    let vae = open(&golden, fixture)?;
    let [lengths, _] = vae.chunks(golden.shape("vae.latents_in")[2], 1);
    let recorded = &golden.tensor("vae.conv_in").time_chunks;
    if *recorded != lengths {
        return Err(format!("chunks of {lengths:?}, the reference's are {recorded:?}").into());
    }
    let run = decode(executor, &golden, &*vae, &lengths, precision)?;
    let verdict = parity::judge(&run, &stages, bars);
    println!("{fixture}: {verdict}");
    verdict.into_result()?;
    Ok(())
}

/// One frame at a time, all at once, and unevenly.
fn chunks(executor: &mut Executor, fixture: &str) -> Result<(), Failed> {
    let golden = Golden::open(fixture);
    let vae = open(&golden, fixture)?;
    let rest = golden.shape("vae.latents_in")[2] - 1;
    let single = decode(executor, &golden, &*vae, &vec![1; 1 + rest], Precision::F32)?;
    for lengths in [vec![1, rest], vec![1, 1, rest - 1], vec![1, rest - 1, 1]] {
        if lengths.contains(&0) {
            continue;
        }
        let other = decode(executor, &golden, &*vae, &lengths, Precision::F32)?;
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
    vae: &dyn Autoencoder,
    lengths: &[usize],
    precision: Precision,
) -> Result<BTreeMap<String, Recorded>, Failed> {
    let shape = &golden.shape("vae.latents_in")[1..];
    let latents = State::new("latents", TensorDesc::new(shape, DType::F32));
    let scaled = vae.scaled(golden.f32("vae.latents_in"));
    pollster::block_on(executor.write_state(&latents, &scaled))?;
    let memory = ConvMemory::new(precision);
    let (mut joined, mut start) = (BTreeMap::new(), 0);
    for length in lengths {
        let graph =
            vae.decode(&latents, DecoderChunk { first: start == 0, latent_frames: *length }, &memory)?;
        let frame = [u32::try_from(start)?];
        join(&mut joined, compute(executor, graph, &[RunInput::u32("frame", &frame)])?);
        start += length;
    }
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

/// The moments of a corner of the recorded video, in the chunks of the reference.
fn encoder(executor: &mut Executor, fixture: &str) -> Result<(), Failed> {
    let golden = Golden::open(fixture);
    let vae = open(&golden, fixture)?;
    let moments = &golden.shape("vae.enc.moments")[2..];
    let [temporal, spatial] = vae.scales();
    let frames = temporal * (moments[0] - 1) + 1;
    let (height, width) = (spatial * moments[1], spatial * moments[2]);
    // The note says which corner: a fixture of another would not be compared with what it was made from.
    let note = &golden.tensor("vae.enc.moments").note;
    if !note.contains(&format!("[:, :, :{frames}, :{height}, :{width}]")) {
        return Err(format!("the encoder has seen another corner: {note}").into());
    }
    let video = corner(&golden, [frames, height, width]);
    let memory = ConvMemory::new(Precision::F32);
    let (mut joined, picture) = (BTreeMap::new(), height * width * 3);
    let mut start = 0;
    let [_, lengths] = vae.chunks(1, frames);
    for length in lengths {
        let graph = vae.encode(start == 0, [length, height, width], &memory)?;
        let end = start + length;
        let chunk = &video[start * picture..end * picture];
        join(&mut joined, compute(executor, graph, &[RunInput::f32("video", chunk)])?);
        start = end;
    }
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
