//! A memory limit chooses shorter chunks, then tiles, and says so when nothing fits.
use engine::{
    compute::nn::Precision,
    pipeline::{DeviceChoice, JobOptions, LoadOptions, Request, Stage, TensorData, VideoPipeline},
};
use kinora_tests::{
    Golden,
    parity::{self, FRAMES},
    psnr,
};

fn request() -> Request {
    Request {
        width: Some(160),
        height: Some(128),
        num_frames: Some(9),
        num_inference_steps: Some(1),
        guidance_scale: Some(1.0),
        ..Request::new("a boat")
    }
}

fn within(memory: Option<u64>) -> JobOptions {
    JobOptions { memory, ..JobOptions::default() }
}

fn stages(fixture: &str, memory: Option<u64>) -> Result<Vec<Stage>, String> {
    stages_of(fixture, &request(), memory)
}

fn stages_of(fixture: &str, request: &Request, memory: Option<u64>) -> Result<Vec<Stage>, String> {
    let options = LoadOptions { device: DeviceChoice::Cpu, ..LoadOptions::default() };
    let opened = pollster::block_on(VideoPipeline::load(&Golden::open(fixture).model(), options));
    let mut pipeline = opened.map_err(|e| e.to_string())?;
    let (settings, _) = pipeline.resolve(request).map_err(|e| e.to_string())?;
    pipeline.stages(&settings, within(memory)).map_err(|e| e.to_string())
}

fn bytes(stage: &Stage) -> u64 {
    stage.plan.weight_bytes + stage.plan.working_bytes()
}

fn frames(fixture: &str, memory: Option<u64>) -> Vec<u8> {
    let model = Golden::open(fixture).model();
    let run = parity::run_model(&model, &request(), within(memory), DeviceChoice::Cpu, Precision::F32);
    match run.unwrap_or_else(|e| panic!("{fixture}: {e}")).remove(FRAMES).map(|frames| frames.data) {
        Some(TensorData::U8(bytes)) => bytes,
        _ => panic!("{fixture}: no frames"),
    }
}

/// What decoding takes at most and everything else takes at most.
fn needs(fixture: &str) -> (u64, u64) {
    let stages = stages(fixture, None).unwrap_or_else(|e| panic!("{fixture}: {e}"));
    let (decoding, others): (Vec<_>, Vec<_>) =
        stages.iter().partition(|stage| stage.name.starts_with("decode"));
    let most = |stages: &[&Stage]| stages.iter().map(|stage| bytes(stage)).max().unwrap_or(0);
    (most(&decoding), most(&others))
}

#[test]
fn less_memory_means_tiles_that_are_blended() {
    for fixture in ["cogvideox", "wan"] {
        let (decoding, others) = needs(fixture);
        let budget = decoding * 2 / 5;
        assert!(others <= budget, "{fixture}: {others} of {decoding} bytes leave no room for a limit");
        let tiled = stages(fixture, Some(budget)).unwrap_or_else(|e| panic!("{fixture}: {e}"));
        assert!(tiled.iter().any(|plan| plan.name.contains("tile")), "{fixture}: {tiled:?}");
        assert!(tiled.iter().all(|plan| bytes(plan) <= budget), "{fixture}");

        let (whole, blended) = (frames(fixture, None), frames(fixture, Some(budget)));
        assert_eq!(whole.len(), 160 * 128 * 9 * 3, "{fixture}");
        // Noise for weights sees far: tiles differ, but not as frames in another order or place would.
        let (near, elsewhere) = (psnr(&blended, &whole), psnr(&blended, &rotated(&whole)));
        assert!(
            near.is_finite() && near > elsewhere + 1.0,
            "{fixture}: {near:.1} dB, moved {elsewhere:.1} dB"
        );
    }
}

/// Every byte a third of the video further on.
fn rotated(frames: &[u8]) -> Vec<u8> {
    let mut frames = frames.to_vec();
    let third = frames.len() / 3;
    frames.rotate_left(third);
    frames
}

#[test]
fn shorter_chunks_give_the_same_video() {
    let (decoding, others) = needs("wan");
    let budget = decoding - 1;
    assert!(others <= budget);
    let plans = stages("wan", Some(budget)).unwrap_or_else(|e| panic!("{e}"));
    assert!(!plans.iter().any(|plan| plan.name.contains("tile")), "{plans:?}");
    let distance = psnr(&frames("wan", Some(budget)), &frames("wan", None));
    // Sums in another order may round a pixel the other way.
    assert!(distance > 60.0, "{distance:.1} dB");
}

#[test]
fn under_a_limit_guidance_passes_come_one_after_the_other() {
    let step = |memory| {
        let guided = Request { guidance_scale: Some(5.0), ..request() };
        let stages = stages_of("wan", &guided, memory).unwrap_or_else(|e| panic!("{e}"));
        stages.into_iter().find(|stage| stage.name == "denoise a step").unwrap_or_else(|| panic!("no step"))
    };
    let (free, limited) = (step(None), step(Some(1 << 30)));
    assert!(bytes(&limited) < bytes(&free), "{} of {} bytes", bytes(&limited), bytes(&free));
    assert!(limited.plan.ops.len() > free.plan.ops.len());
}

#[test]
fn what_does_not_fit_is_said() {
    let error = stages("cogvideox", Some(100_000)).unwrap_err();
    assert!(
        error.starts_with("`decode` needs ") && error.ends_with(" of memory, 0 MB are allowed"),
        "{error}"
    );
    let model = Golden::open("cogvideox").model();
    let limit = within(Some(50_000));
    let run = parity::run_model(&model, &request(), limit, DeviceChoice::Cpu, Precision::F32);
    let error = run.unwrap_err().to_string();
    assert!(error.starts_with("`encode` needs 1 MB"), "{error}");
}
