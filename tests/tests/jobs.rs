//! Jobs on an open pipeline: what they leave behind, how they go on, and that they may move between threads.
use engine::pipeline::{
    Cause, DeviceChoice, EngineError, Event, Fault, Job, LoadOptions, Request, Settings, Snapshot,
    VideoPipeline, WeightPolicy,
};
use engine::{compute::gpu::GpuOptions, compute::run::Cancel, diffusion::NoiseSource};
use kinora_tests::{Golden, run};
use model_loader::ModelFolder;
use pollster::block_on;
use std::ops::ControlFlow;

/// The stages of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Text,
    Picture,
    Denoise,
    Decode,
}

impl At {
    const ALL: [Self; 4] = [Self::Text, Self::Picture, Self::Denoise, Self::Decode];

    /// Whether the stage begins with this event.
    fn begins(self, event: &Event<'_>) -> bool {
        match self {
            Self::Text => matches!(event, Event::Loading { done, total } if done == total),
            Self::Picture => matches!(event, Event::Encoded),
            Self::Denoise => matches!(event, Event::Step { done: 1, .. }),
            Self::Decode => matches!(event, Event::Decoding { done: 0, .. }),
        }
    }

    /// A file whose weights the stage runs on, and a word in their names.
    fn weights(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("text_encoder/", "encoder.block.0."),
            Self::Picture => ("vae/", "encoder.conv_in"),
            Self::Denoise => ("transformer/", "transformer_blocks.0."),
            Self::Decode => ("vae/", "decoder.conv_in"),
        }
    }
}

fn golden() -> Golden {
    Golden::open("cogvideox-5b-i2v")
}

/// The recorded picture's video, with noise that the job draws.
fn request(steps: usize) -> Request {
    let recorded = golden().request();
    Request {
        num_inference_steps: Some(steps),
        initial_latents: None,
        recorded_noise: Default::default(),
        seed: 5,
        noise: NoiseSource::TorchCpu,
        ..recorded
    }
}

fn devices() -> [DeviceChoice; 2] {
    [DeviceChoice::Cpu, DeviceChoice::Gpu(Some(run::main_adapter().index))]
}

fn open(model: &ModelFolder, device: DeviceChoice, weights: WeightPolicy) -> VideoPipeline {
    let gpu = GpuOptions { runtime_checks: true, ..GpuOptions::default() };
    let options = LoadOptions { device, gpu, weights, ..LoadOptions::default() };
    block_on(VideoPipeline::load(model, options)).unwrap_or_else(|e| panic!("{e}"))
}

fn settings(pipeline: &VideoPipeline, steps: usize) -> Settings {
    pipeline.resolve(&request(steps)).unwrap_or_else(|e| panic!("{e}")).0
}

/// Frames of a whole job.
fn frames(pipeline: &mut VideoPipeline, settings: &Settings, from: Option<Snapshot>) -> Vec<u8> {
    let mut frames = Vec::new();
    let mut observer = |event: Event<'_>| {
        if let Event::Frame(frame) = event {
            frames.extend(frame.rgb);
        }
        ControlFlow::Continue(())
    };
    let job = Job { from, ..Job::new(settings, &mut observer) };
    block_on(pipeline.run(job)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(frames.len(), 3 * settings.width * settings.height * settings.num_frames);
    frames
}

#[test]
fn a_cancelled_job_leaves_nothing() {
    for device in devices() {
        let mut pipeline = open(&golden().model(), device, WeightPolicy::DropAfterStage);
        let settings = settings(&pipeline, 2);
        for at in At::ALL {
            let before = pipeline.resident_bytes();
            let cancel = Cancel::default();
            let (flag, mut was_there) = (cancel.clone(), false);
            let mut observer = |event: Event<'_>| {
                if at.begins(&event) {
                    was_there = true;
                    flag.cancel();
                }
                assert!(!matches!(event, Event::Frame(_)), "{at:?}: a frame after the end");
                ControlFlow::Continue(())
            };
            let job = Job { cancel, ..Job::new(&settings, &mut observer) };
            let result = block_on(pipeline.run(job));
            assert!(matches!(result, Err(EngineError::Cancelled)), "{at:?}: {result:?}");
            assert!(was_there, "{at:?} never began");
            assert_eq!(pipeline.resident_bytes(), before, "{} at {at:?}", pipeline.device_name());
        }
        // The pipeline is as good as new.
        frames(&mut pipeline, &settings, None);
        assert_eq!(pipeline.resident_bytes(), 0);
    }
}

#[test]
fn bad_weights_are_named_and_leave_nothing() {
    for device in devices() {
        for at in At::ALL {
            let (file, part) = at.weights();
            let (model, tensor) = golden().damaged(file, part, |bytes| bytes.fill(0xff));
            let mut pipeline = open(&model, device.clone(), WeightPolicy::DropAfterStage);
            let settings = settings(&pipeline, 2);
            let mut observer = |_: Event<'_>| ControlFlow::Continue(());
            let result = block_on(pipeline.run(Job::new(&settings, &mut observer)));
            let Err(EngineError::Broken { fault: Fault::NotFinite, cause, .. }) = &result else {
                panic!("{at:?}: {result:?}");
            };
            let Cause::Weights { file: found, tensor: name, holds } = cause else {
                panic!("{at:?}: {cause}")
            };
            assert!(found.starts_with(file) && *name == tensor && *holds == "NaN", "{at:?}: {cause}");
            assert_eq!(pipeline.resident_bytes(), 0, "{} at {at:?}", pipeline.device_name());
        }
    }
}

#[test]
fn a_stopped_job_goes_on_as_if_it_had_never_stopped() {
    let model = golden().model();
    let mut pipeline = open(&model, DeviceChoice::Cpu, WeightPolicy::DropAfterStage);
    let settings = settings(&pipeline, 12);
    let whole = frames(&mut pipeline, &settings, None);

    let mut last = None;
    let mut observer = |event: Event<'_>| match event {
        Event::Snapshot(snapshot) => {
            last = Some(snapshot.clone());
            ControlFlow::Continue(())
        }
        Event::Step { done: 8, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let stopped = block_on(pipeline.run(Job::new(&settings, &mut observer)));
    assert!(matches!(stopped, Err(EngineError::Cancelled)), "{stopped:?}");
    let snapshot = last.unwrap_or_else(|| panic!("no snapshot in 8 steps"));
    assert_eq!(snapshot.step, 5);

    // Another process would open the model anew.
    let mut pipeline = open(&model, DeviceChoice::Cpu, WeightPolicy::DropAfterStage);
    assert!(frames(&mut pipeline, &settings, Some(snapshot.clone())) == whole);
    // It is the snapshot that decides, and not the seed alone.
    let mut other = snapshot;
    other.latents.iter_mut().for_each(|value| *value += 0.5);
    assert!(frames(&mut pipeline, &settings, Some(other)) != whole);
}

#[test]
fn a_snapshot_of_another_job_is_refused() {
    let mut pipeline = open(&golden().model(), DeviceChoice::Cpu, WeightPolicy::DropAfterStage);
    let settings = settings(&pipeline, 2);
    let noise = settings.noise.stream(0);
    for (step, latents, what) in [(1, 7, "the number of a snapshot's latents is 7"), (3, 0, "step of")] {
        let from = Some(Snapshot { step, latents: vec![0.0; latents], noise: noise.clone() });
        let mut observer = |_: Event<'_>| ControlFlow::Continue(());
        let job = Job { from, ..Job::new(&settings, &mut observer) };
        let error = block_on(pipeline.run(job)).unwrap_err().to_string();
        assert!(error.contains(what) || latents == 0, "{error}");
    }
}

#[test]
fn weights_that_stay_are_brought_once() {
    for device in devices() {
        let model = golden().model();
        let brought = |pipeline: &mut VideoPipeline, settings: &Settings| {
            let before = pipeline.executor().brought_bytes();
            let video = frames(pipeline, settings, None);
            (pipeline.executor().brought_bytes() - before, video)
        };
        let mut command = open(&model, device.clone(), WeightPolicy::DropAfterStage);
        let settings = settings(&command, 2);
        let (anew, video) = brought(&mut command, &settings);
        assert_eq!(brought(&mut command, &settings).0, anew, "a command brings all weights for each job");

        let mut server = open(&model, device.clone(), WeightPolicy::Keep);
        let (first, _) = brought(&mut server, &settings);
        let kept = server.resident_bytes();
        let (second, again) = brought(&mut server, &settings);
        assert!(again == video, "{device:?}: another video");
        assert_eq!(server.resident_bytes(), kept, "{device:?}");
        // What is not the model's: positions and their tables.
        assert!(first <= anew && second + kept <= anew, "{device:?}: {first}, {second}, {kept} of {anew}");
    }
}

#[test]
fn a_job_may_move_between_threads() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let mut pipeline = send(open(&golden().model(), DeviceChoice::Cpu, WeightPolicy::DropAfterStage));
    let settings = settings(&pipeline, 1);
    let mut observer = |_: Event<'_>| ControlFlow::Continue(());
    let job = send(pipeline.run(Job::new(&settings, &mut observer)));
    block_on(job).unwrap_or_else(|e| panic!("{e}"));
}
