//! A memory limit chooses shorter chunks, then tiles, and says so when nothing fits.
use engine::{
    nn::Precision,
    pipeline::{DeviceChoice, GenerationSettings, LoadOptions, StagePlan, TensorData, VideoPipeline},
};
use kinora_tests::{
    Golden,
    parity::{self, FRAMES},
    psnr,
};

fn settings(memory: Option<u64>) -> GenerationSettings {
    let settings = GenerationSettings::new("a boat", 160, 128, 9);
    GenerationSettings { num_inference_steps: 1, guidance_scale: 1.0, memory, ..settings }
}

fn plans(fixture: &str, memory: Option<u64>) -> Result<Vec<StagePlan>, String> {
    plans_for(fixture, &settings(memory))
}

fn plans_for(fixture: &str, settings: &GenerationSettings) -> Result<Vec<StagePlan>, String> {
    let options = LoadOptions { device: DeviceChoice::Cpu, ..LoadOptions::default() };
    let pipeline = pollster::block_on(VideoPipeline::load(&Golden::open(fixture).model(), options));
    pipeline.map_err(|e| e.to_string())?.plans(settings).map_err(|e| e.to_string())
}

fn bytes(plan: &StagePlan) -> u64 {
    plan.plan.weight_bytes + plan.plan.working_bytes()
}

fn frames(fixture: &str, memory: Option<u64>) -> Vec<u8> {
    let model = Golden::open(fixture).model();
    let run = parity::run_model(&model, &settings(memory), DeviceChoice::Cpu, Precision::F32);
    match run.unwrap_or_else(|e| panic!("{fixture}: {e}")).remove(FRAMES).map(|frames| frames.data) {
        Some(TensorData::U8(bytes)) => bytes,
        _ => panic!("{fixture}: no frames"),
    }
}

/// What decoding takes at most and everything else takes at most.
fn needs(fixture: &str) -> (u64, u64) {
    let plans = plans(fixture, None).unwrap_or_else(|e| panic!("{fixture}: {e}"));
    let (decoding, others): (Vec<_>, Vec<_>) =
        plans.iter().partition(|plan| plan.stage.starts_with("decode"));
    let most = |plans: &[&StagePlan]| plans.iter().map(|plan| bytes(plan)).max().unwrap_or(0);
    (most(&decoding), most(&others))
}

#[test]
fn less_memory_means_tiles_that_are_blended() {
    for fixture in ["cogvideox", "wan"] {
        let (decoding, others) = needs(fixture);
        let budget = decoding * 2 / 5;
        assert!(others <= budget, "{fixture}: {others} of {decoding} bytes leave no room for a limit");
        let tiled = plans(fixture, Some(budget)).unwrap_or_else(|e| panic!("{fixture}: {e}"));
        assert!(tiled.iter().any(|plan| plan.stage.contains("tile")), "{fixture}: {tiled:?}");
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
    let plans = plans("wan", Some(budget)).unwrap_or_else(|e| panic!("{e}"));
    assert!(!plans.iter().any(|plan| plan.stage.contains("tile")), "{plans:?}");
    let distance = psnr(&frames("wan", Some(budget)), &frames("wan", None));
    // Sums in another order may round a pixel the other way.
    assert!(distance > 60.0, "{distance:.1} dB");
}

#[test]
fn under_a_limit_guidance_passes_come_one_after_the_other() {
    let step = |memory| {
        let guided = GenerationSettings { guidance_scale: 5.0, ..settings(memory) };
        let plans = plans_for("wan", &guided).unwrap_or_else(|e| panic!("{e}"));
        plans.into_iter().find(|plan| plan.stage == "denoise a step").unwrap_or_else(|| panic!("no step"))
    };
    let (free, limited) = (step(None), step(Some(1 << 30)));
    assert!(bytes(&limited) < bytes(&free), "{} of {} bytes", bytes(&limited), bytes(&free));
    assert!(limited.plan.ops.len() > free.plan.ops.len());
}

#[test]
fn what_does_not_fit_is_said() {
    let error = plans("cogvideox", Some(100_000)).unwrap_err();
    assert!(
        error.starts_with("`decode` needs ") && error.ends_with(" of memory, 0 MB are allowed"),
        "{error}"
    );
    let model = Golden::open("cogvideox").model();
    let run = parity::run_model(&model, &settings(Some(50_000)), DeviceChoice::Cpu, Precision::F32);
    let error = run.unwrap_err().to_string();
    assert!(error.starts_with("`encode` needs 1 MB"), "{error}");
}
