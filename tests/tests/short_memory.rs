//! Memory that runs short in the middle of a job, and prompts that were encoded before: the video is the same.
use engine::{
    compute::{
        gpu::{GpuOptions, LossSwitch},
        nn::Precision,
    },
    pipeline::{
        DeviceChoice, EngineError, Event, Job, JobOptions, LoadOptions, Request, TextCache, VideoPipeline,
        WeightPolicy,
    },
};
use kinora_tests::{Golden, psnr, run};
use model_loader::ModelFolder;
use std::ops::ControlFlow;

/// A model whose weights are large enough to be brought one by one.
fn model() -> ModelFolder {
    ModelFolder::embedded("default", default_model::FILES)
}

fn request() -> Request {
    Request {
        // Small frames: the weights are most of it, and decoding them whole fits half.
        width: Some(32),
        height: Some(32),
        num_frames: Some(1),
        num_inference_steps: Some(2),
        seed: 3,
        ..Request::new("a red balloon over the sea")
    }
}

/// What a run gave.
struct Outcome {
    frames: Vec<u8>,
    notices: Vec<String>,
    planned: u64,
    streamed: u64,
    resident: u64,
}

fn make(folder: &ModelFolder, load: LoadOptions, memory: Option<u64>) -> Result<Outcome, EngineError> {
    let (mut frames, mut notices) = (Vec::new(), Vec::new());
    let mut observer = |event: Event<'_>| {
        match event {
            Event::Frame(frame) => frames.extend(frame.rgb),
            Event::Notice(text) => notices.push(text.to_owned()),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let (planned, resident) = pollster::block_on(async {
        let mut pipeline = VideoPipeline::load(folder, load).await?;
        let (settings, _) = pipeline.resolve(&request())?;
        let options = JobOptions { memory, ..JobOptions::default() };
        let report = pipeline.run(Job { options, ..Job::new(&settings, &mut observer) }).await?;
        Ok::<_, EngineError>((report.planned, pipeline.resident_bytes()))
    })?;
    Ok(Outcome { frames, notices, planned: planned.total, streamed: planned.streamed, resident })
}

fn options(device: DeviceChoice) -> LoadOptions {
    LoadOptions { device, precision: Some(Precision::F32), ..LoadOptions::default() }
}

fn gpu() -> DeviceChoice {
    DeviceChoice::Gpu(Some(run::main_adapter().index))
}

#[test]
fn half_the_memory_gives_the_same_video() {
    for device in [DeviceChoice::Cpu, gpu()] {
        let whole = make(&model(), options(device.clone()), None).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(whole.streamed, 0);
        let half = whole.planned / 2;
        let short = make(&model(), options(device.clone()), Some(half)).unwrap_or_else(|e| panic!("{e}"));
        assert!(short.planned <= half && short.streamed > 0, "{device:?}: {} of {half}", short.planned);
        let distance = psnr(&short.frames, &whole.frames);
        assert!(distance > 60.0, "{device:?}: {distance:.1} dB");
    }
}

#[test]
fn a_device_that_runs_out_of_memory_goes_on_with_half() {
    let whole = make(&model(), options(gpu()), None).unwrap_or_else(|e| panic!("{e}"));
    assert!(whole.notices.is_empty(), "{:?}", whole.notices);
    let mut seen = 0;
    for calls in [3, 60, 200, 400] {
        let shortage = LossSwitch::default();
        shortage.lose_after(calls);
        let load = LoadOptions {
            gpu: GpuOptions { shortage: shortage.clone(), ..GpuOptions::default() },
            ..options(gpu())
        };
        let short = make(&model(), load, None).unwrap_or_else(|e| panic!("in call {calls}: {e}"));
        if !shortage.is_idle() {
            continue;
        }
        seen += 1;
        let told =
            short.notices.iter().any(|text| text.contains("out of GPU memory") && text.contains("going on"));
        assert!(told, "in call {calls}: {:?}", short.notices);
        let distance = psnr(&short.frames, &whole.frames);
        assert!(distance > 50.0, "in call {calls}: {distance:.1} dB");
    }
    assert!(seen >= 2, "memory ran out in {seen} runs");
}

#[test]
fn the_second_run_of_a_prompt_loads_no_encoder() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let cache = TextCache { folder: folder.path().join("texts"), most_bytes: 1 << 30 };
    let model = Golden::open("wan-f16").model();
    let load = |texts: Option<&TextCache>| LoadOptions {
        weights: WeightPolicy::Keep,
        texts: texts.cloned(),
        ..options(DeviceChoice::Cpu)
    };
    let without = make(&model, load(None), None).unwrap_or_else(|e| panic!("{e}"));
    let first = make(&model, load(Some(&cache)), None).unwrap_or_else(|e| panic!("{e}"));
    let second = make(&model, load(Some(&cache)), None).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(without.frames, first.frames);
    assert_eq!(first.frames, second.frames);
    assert_eq!(without.resident, first.resident);
    assert!(second.resident < first.resident, "{} of {}", second.resident, first.resident);
}
