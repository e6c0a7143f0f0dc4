//! An even number of latent frames is decoded to a few frames too many, which repeat the first: they are left out, whether
//! frames are decoded whole or in tiles, and none is lost at the end.
use engine::{
    compute::nn::Precision,
    pipeline::{DeviceChoice, JobOptions, LoadOptions, Request, TensorData, VideoPipeline},
};
use kinora_tests::{
    Golden,
    golden::Recorded,
    parity::{self, FRAMES},
};
use std::collections::BTreeMap;

const WIDTH: usize = 160;
const HEIGHT: usize = 128;
/// Bytes of a frame.
const FRAME: usize = 3 * WIDTH * HEIGHT;

fn request(frames: usize) -> Request {
    Request {
        width: Some(WIDTH),
        height: Some(HEIGHT),
        num_frames: Some(frames),
        num_inference_steps: Some(1),
        guidance_scale: Some(1.0),
        ..Request::new("a boat")
    }
}

fn within(memory: Option<u64>) -> JobOptions {
    JobOptions { memory, dump: true, ..JobOptions::default() }
}

/// The frames, and all that were decoded.
fn run(fixture: &str, request: &Request, memory: Option<u64>) -> [Vec<u8>; 2] {
    let model = Golden::open(fixture).model();
    let run = parity::run_model(&model, request, within(memory), DeviceChoice::Cpu, Precision::F32);
    let run: BTreeMap<String, Recorded> = run.unwrap_or_else(|e| panic!("{fixture}: {e}"));
    [FRAMES, "video.u8"].map(|key| match &run[key].data {
        TensorData::U8(bytes) => bytes.clone(),
        other => panic!("{fixture}: {key} is {other:?}"),
    })
}

/// Checks a run and returns how many frames were left out.
fn left_out(fixture: &str, frames: usize, memory: Option<u64>) -> usize {
    let [shown, decoded] = run(fixture, &request(frames), memory);
    assert_eq!(shown.len(), frames * FRAME, "{fixture}, {frames} frames");
    let left_out = decoded.len() / FRAME - frames;
    let (first, second) = (&shown[..FRAME], &shown[FRAME..2 * FRAME]);
    assert!(first != second, "{fixture}: {frames} frames begin with a still");
    for frame in decoded.chunks(FRAME).take(left_out) {
        assert!(frame == first, "{fixture}: of {frames} frames one is lost at the start");
    }
    let end = &decoded[left_out * FRAME..];
    // The device and the host may round a value that lies between two levels to either.
    let off = end.iter().zip(&shown).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(off <= Some(1), "{fixture}: other frames are shown than were decoded, {off:?} levels off");
    left_out
}

#[test]
fn no_frame_is_shown_twice_and_none_is_lost() {
    for fixture in ["cogvideox-even", "cogvideox-1.5"] {
        for (frames, repeated) in [(5, 3), (9, 0), (13, 3), (17, 0)] {
            assert_eq!(left_out(fixture, frames, None), repeated, "{fixture}, {frames} frames");
        }
    }
}

#[test]
fn tiles_do_the_same() {
    let options = LoadOptions { device: DeviceChoice::Cpu, ..LoadOptions::default() };
    let model = Golden::open("cogvideox-even").model();
    let mut pipeline = pollster::block_on(VideoPipeline::load(&model, options)).unwrap();
    let (settings, _) = pipeline.resolve(&request(13)).unwrap();
    let whole = pipeline.stages(&settings, within(None)).unwrap();
    let bytes = |plan: &engine::compute::plan::Plan| plan.weight_bytes + plan.working_bytes();
    let decoding = whole.iter().filter(|stage| stage.name.starts_with("decode"));
    let budget = decoding.map(|stage| bytes(&stage.plan)).max().unwrap_or(0) / 2;
    let tiled = pipeline.stages(&settings, within(Some(budget))).unwrap();
    assert!(tiled.iter().any(|stage| stage.name.contains("tile")), "{tiled:?}");
    assert_eq!(left_out("cogvideox-even", 13, Some(budget)), 3);
}
