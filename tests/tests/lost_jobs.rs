//! A GPU that is lost in the middle of a job: the job goes on from its last snapshot on a newly opened one, once.
use engine::{
    compute::error::DeviceError,
    compute::gpu::{GpuOptions, LossSwitch},
    pipeline::{DeviceChoice, EngineError, Event, Job, LoadOptions, Request, Settings, VideoPipeline},
};
use kinora_tests::{Golden, run};
use pollster::block_on;
use std::ops::ControlFlow;

const STEPS: usize = 8;

/// A pipeline on a GPU that the switch destroys.
fn open(loss: &LossSwitch) -> (VideoPipeline, Settings) {
    let gpu = GpuOptions { loss: loss.clone(), ..GpuOptions::default() };
    let device = DeviceChoice::Gpu(Some(run::main_adapter().index));
    let options = LoadOptions { device, gpu, ..LoadOptions::default() };
    let model = Golden::open("cogvideox-5b-i2v").model();
    let pipeline = block_on(VideoPipeline::load(&model, options)).unwrap_or_else(|e| panic!("{e}"));
    let request = Request {
        num_inference_steps: Some(STEPS),
        // Two chunks of the decoder, so that one can be lost after frames were shown.
        num_frames: Some(17),
        initial_latents: None,
        recorded_noise: Default::default(),
        ..Golden::open("cogvideox-5b-i2v").request()
    };
    let (settings, _) = pipeline.resolve(&request).unwrap_or_else(|e| panic!("{e}"));
    (pipeline, settings)
}

/// What a job reports.
#[derive(Debug, Default)]
struct Seen {
    frames: Vec<Vec<u8>>,
    steps: Vec<usize>,
    notices: Vec<String>,
}

/// Runs a job; `lose` says at which events the device is lost.
fn job(
    pipeline: &mut VideoPipeline,
    settings: &Settings,
    loss: &LossSwitch,
    mut lose: impl FnMut(&Event<'_>, &Seen) -> bool + Send,
) -> (Result<(), EngineError>, Seen) {
    let mut seen = Seen::default();
    let mut observer = |event: Event<'_>| {
        if lose(&event, &seen) {
            loss.lose();
        }
        match event {
            Event::Frame(frame) => seen.frames.push(frame.rgb),
            Event::Step { done, .. } => seen.steps.push(done),
            Event::Notice(text) => seen.notices.push(text.to_owned()),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let result = block_on(pipeline.run(Job::new(settings, &mut observer)));
    (result.map(|_| ()), seen)
}

#[test]
fn a_job_goes_on_after_a_loss_in_any_stage() {
    type When = fn(&Event<'_>) -> bool;
    let stages: [(&str, usize, When); 6] = [
        ("text", 0, |event| matches!(event, Event::Loading { done, total } if done == total)),
        ("picture", 0, |event| matches!(event, Event::Encoded)),
        ("first steps", 0, |event| matches!(event, Event::Step { done: 3, .. })),
        ("later steps", 5, |event| matches!(event, Event::Step { done: 6, .. })),
        ("decode", STEPS, |event| matches!(event, Event::Decoding { done: 0, .. })),
        ("frames", STEPS, |event| matches!(event, Event::Frame(_))),
    ];
    let loss = LossSwitch::default();
    let (mut pipeline, settings) = open(&loss);
    let (result, whole) = job(&mut pipeline, &settings, &loss, |_, _| false);
    result.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(whole.frames.len(), settings.num_frames);
    for (stage, from, when) in stages {
        let mut lost = false;
        let (result, seen) = job(&mut pipeline, &settings, &loss, |event, _| {
            let now = !lost && when(event);
            lost |= now;
            now
        });
        result.unwrap_or_else(|e| panic!("{stage}: {e}"));
        assert!(lost && loss.is_idle(), "{stage}: nothing was lost");
        let told = format!("going on from step {from} ");
        assert!(seen.notices.iter().any(|notice| notice.contains(&told)), "{stage}: {:?}", seen.notices);
        assert_eq!(seen.steps.last(), Some(&STEPS), "{stage}");
        assert!(seen.frames == whole.frames, "{stage}: another video");
        assert_eq!(pipeline.resident_bytes(), 0, "{stage}");
    }
}

#[test]
fn a_second_loss_in_one_job_is_an_error() {
    let loss = LossSwitch::default();
    let (mut pipeline, settings) = open(&loss);
    let (result, seen) =
        job(&mut pipeline, &settings, &loss, |event, _| matches!(event, Event::Step { done: 2, .. }));
    assert!(matches!(result, Err(EngineError::Device(DeviceError::Lost(_)))), "{result:?}");
    assert_eq!(seen.steps.iter().filter(|done| **done == 2).count(), 2, "{:?}", seen.steps);
    assert!(seen.frames.is_empty());
    // The next job opens a device of its own.
    let (result, seen) = job(&mut pipeline, &settings, &loss, |_, _| false);
    result.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(seen.frames.len(), settings.num_frames);
}
