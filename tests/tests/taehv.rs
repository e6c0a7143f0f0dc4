//! The tiny decoder against PyTorch on random weights, whole and in chunks, and in a run with previews: `make_taehv.py` in the
//! fixtures made the numbers.
#![expect(clippy::print_stdout, reason = "the distances are the result")]

use engine::{
    DType, State, TensorDesc,
    compute::executor::Executor,
    compute::nn::{ConvMemory, Precision},
    compute::run::RunInput,
    models::{DecoderChunk, DecoderOutput, LatentDecoder, TinyDetail, taehv::TinyDecoder},
    pipeline::{
        DecoderKind, EngineError, Event, Job, JobOptions, LoadOptions, Request, TensorData, VideoPipeline,
    },
};
use kinora_tests::{
    Golden,
    backend::{Backend, compute},
    golden::fixtures,
    relative_l2,
};
use libtest_mimic::{Arguments, Failed, Trial};
use model_loader::{Assembly, Checkpoint, ModelFolder, NamedFile, config::TinyVaeConfig};
use pollster::block_on;
use std::{ops::ControlFlow, sync::Arc};

const FIXTURES: [&str; 2] = ["taehv-wan21", "taehv-wan22"];
const F32: f64 = 1e-4;
/// Operands and activations have 11 bits.
const F16: f64 = 1e-2;
/// Chunks of other lengths are other tiles of the same sums.
const CHUNKS: f64 = 1e-5;

fn main() {
    let mut arguments = Arguments::from_args();
    // Every run uses all cores already.
    arguments.test_threads.get_or_insert(1);
    let mut trials = Vec::new();
    for backend in Backend::all() {
        for fixture in FIXTURES {
            let mut add = |what: &str, check: fn(&mut Executor, &str) -> Result<(), Failed>| {
                let (backend, name) = (Arc::clone(&backend), format!("{}/{what}/{fixture}", backend.name));
                trials.push(Trial::test(name, move || backend.with(|executor| check(executor, fixture))));
            };
            add("whole", |executor, fixture| whole(executor, fixture, Precision::F32, F32));
            if backend.f16 {
                add("whole_f16", |executor, fixture| whole(executor, fixture, Precision::F16, F16));
            }
            add("chunks", chunks);
        }
        let name = format!("{}/run", backend.name);
        trials.push(Trial::test(name, move || run(&backend)));
    }
    trials.push(Trial::test("absent", absent));
    trials.push(Trial::test("another_kind", another_kind));
    libtest_mimic::run(&arguments, trials).exit();
}

/// A model of the base fixture with the tiny decoder of another.
fn model(base: &str, fixture: &str) -> Result<ModelFolder, Failed> {
    let mut assembly = Assembly::new(Some(Golden::open(base).model()));
    let file = NamedFile::open(&fixtures().join(fixture).join("tiny.safetensors"))?;
    assembly.add_part(TinyVaeConfig::COMPONENT, &file)?;
    Ok(assembly.finish()?)
}

fn decoder(fixture: &str, detail: TinyDetail) -> Result<TinyDecoder, Failed> {
    // The folder's other parts do not matter to it.
    let folder = model("wan", fixture)?;
    let config = TinyVaeConfig::load_optional(&folder)?.ok_or("no config was written")?;
    Ok(TinyDecoder::load(&Checkpoint::open(&folder, TinyVaeConfig::COMPONENT)?, &config, detail)?)
}

/// The frames of the recorded latents, cut into chunks of these lengths, `[T, H, W, 3]`.
fn decode(
    executor: &mut Executor,
    fixture: &str,
    detail: TinyDetail,
    lengths: &[usize],
    precision: Precision,
) -> Result<([usize; 4], Vec<f32>), Failed> {
    let (golden, decoder) = (Golden::open(fixture), decoder(fixture, detail)?);
    let latents = State::new("latents", TensorDesc::new(golden.shape("latents"), DType::F32));
    block_on(executor.write_state(&latents, golden.f32("latents")))?;
    let memory = ConvMemory::new(precision);
    let (mut shape, mut values, mut start) = ([0; 4], Vec::new(), 0);
    for &latent_frames in lengths {
        let chunk = DecoderChunk { first: false, latent_frames };
        let graph = decoder.graph(&latents, chunk, &memory, DecoderOutput::Tile, false)?;
        let frame = [u32::try_from(start)?];
        let mut outputs = compute(executor, graph, &[RunInput::u32("frame", &frame)])?;
        let video = outputs.remove("video").ok_or("no video")?;
        let (&[t, h, w, c], TensorData::F32(part)) = (video.shape.as_slice(), video.data) else {
            return Err("the video is not floats of four axes".into());
        };
        shape = [shape[0] + t, h, w, c];
        values.extend(part);
        start += latent_frames;
    }
    Ok((shape, values))
}

/// All latent frames at once, in full and as a preview.
fn whole(executor: &mut Executor, fixture: &str, precision: Precision, bar: f64) -> Result<(), Failed> {
    let golden = Golden::open(fixture);
    let all = golden.shape("latents")[1];
    for (key, detail) in [("video", TinyDetail::Full), ("preview", TinyDetail::Preview)] {
        let (shape, want) = golden.channels_last(key);
        let (got_shape, got) = decode(executor, fixture, detail, &[all], precision)?;
        assert_eq!(got_shape, shape, "{fixture}, {key}");
        let distance = relative_l2(&got, &want);
        println!("{fixture}, {key} in {precision}: off by {distance:.1e}");
        let within = distance <= bar; // false for NaN
        if !within {
            return Err(format!("{key} is off by {distance:.2e}, allowed {bar:.0e}").into());
        }
    }
    Ok(())
}

/// One frame at a time, and unevenly, against all at once.
fn chunks(executor: &mut Executor, fixture: &str) -> Result<(), Failed> {
    let all = Golden::open(fixture).shape("latents")[1];
    for detail in [TinyDetail::Full, TinyDetail::Preview] {
        let (_, want) = decode(executor, fixture, detail, &[all], Precision::F32)?;
        for lengths in [vec![1; all], vec![1, all - 1], vec![all - 1, 1]] {
            let (_, got) = decode(executor, fixture, detail, &lengths, Precision::F32)?;
            let distance = relative_l2(&got, &want);
            let within = distance <= CHUNKS; // false for NaN
            if !within {
                return Err(format!("chunks of {lengths:?} are off by {distance:.1e}").into());
            }
        }
    }
    Ok(())
}

/// What a run reports.
#[derive(Debug, Default, PartialEq)]
struct Reported {
    frames: Vec<u8>,
    /// Steps, and the sizes of the frames that were shown after them.
    previews: Vec<(usize, Vec<[u32; 2]>)>,
}

fn request() -> Request {
    let size = (Some(64), Some(48));
    Request {
        width: size.0,
        height: size.1,
        num_frames: Some(13),
        num_inference_steps: Some(6),
        guidance_scale: Some(1.0),
        seed: 3,
        ..Request::new("a boat")
    }
}

fn report(pipeline: &mut VideoPipeline, options: JobOptions) -> Result<Reported, EngineError> {
    let (settings, _) = pipeline.resolve(&request())?;
    let mut reported = Reported::default();
    let mut observer = |event: Event<'_>| {
        match event {
            Event::Frame(frame) => reported.frames.extend(frame.rgb),
            Event::Preview { step, frames } => {
                let whole =
                    |frame: &engine::Frame| frame.rgb.len() == 3 * (frame.width * frame.height) as usize;
                assert!(frames.iter().all(whole));
                let sizes = frames.iter().map(|frame| [frame.width, frame.height]).collect();
                reported.previews.push((step, sizes));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    };
    block_on(pipeline.run(Job { options, ..Job::new(&settings, &mut observer) }))?;
    Ok(reported)
}

/// A whole run: the right number of frames, one preview, the same frames in little memory, others than the full decoder's.
fn run(backend: &Backend) -> Result<(), Failed> {
    let options = LoadOptions { device: backend.device(), ..LoadOptions::default() };
    let mut pipeline = block_on(VideoPipeline::load(&model("wan", FIXTURES[0])?, options))?;
    let tiny = JobOptions { decoder: DecoderKind::Tiny, ..JobOptions::default() };
    let shown = report(&mut pipeline, JobOptions { preview: true, ..tiny })?;
    assert_eq!(shown.frames.len(), 3 * 64 * 48 * 13);
    // Half of 64 x 48, one for each latent frame; none after the last step.
    assert_eq!(shown.previews, [(5, vec![[32, 24]; 4])]);
    if !backend.is_cpu() {
        return Ok(());
    }
    let plain = report(&mut pipeline, tiny)?;
    assert_eq!((plain.frames == shown.frames, plain.previews.len()), (true, 0));
    let full = report(&mut pipeline, JobOptions::default())?;
    assert_ne!(full.frames, plain.frames);
    assert_eq!(full.frames.len(), plain.frames.len());
    let (settings, _) = pipeline.resolve(&request())?;
    let bytes = |pipeline: &mut VideoPipeline, options| -> Result<u64, EngineError> {
        let stages = pipeline.stages(&settings, options)?;
        let decoding = stages.iter().filter(|stage| stage.name.starts_with("decode"));
        Ok(decoding.map(|stage| stage.plan.weight_bytes + stage.plan.working_bytes()).max().unwrap_or(0))
    };
    let most = bytes(&mut pipeline, tiny)?;
    let tight = JobOptions { memory: Some(most * 2 / 3), ..tiny };
    assert!(bytes(&mut pipeline, tight)? <= most * 2 / 3);
    let in_parts = report(&mut pipeline, tight)?;
    assert_eq!(in_parts.frames.len(), plain.frames.len());
    Ok(())
}

/// A model without one says so before any work.
fn absent() -> Result<(), Failed> {
    let options = LoadOptions { device: engine::pipeline::DeviceChoice::Cpu, ..LoadOptions::default() };
    let mut pipeline = block_on(VideoPipeline::load(&Golden::open("wan").model(), options))?;
    for options in [
        JobOptions { decoder: DecoderKind::Tiny, ..JobOptions::default() },
        JobOptions { preview: true, ..JobOptions::default() },
    ] {
        let error = report(&mut pipeline, options).expect_err("there is no tiny decoder");
        assert!(matches!(error, EngineError::NoTinyDecoder), "{error}");
    }
    Ok(())
}

/// A decoder of other latents is refused, and so are models of other families.
fn another_kind() -> Result<(), Failed> {
    let options = LoadOptions { device: engine::pipeline::DeviceChoice::Cpu, ..LoadOptions::default() };
    let opened = block_on(VideoPipeline::load(&model("wan", FIXTURES[1])?, options));
    let error = opened.expect_err("48 channels are not 6").to_string();
    assert!(error.contains("channels that the tiny decoder takes is 48, must be 6"), "{error}");
    assert!(model("cogvideox", FIXTURES[0]).is_err());
    Ok(())
}
