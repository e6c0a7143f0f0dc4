//! The default model's default clip, from prompt to frames, on the CPU executor or the adapter that is asked for.
//!
//! `KINORA_BENCH_DEVICE=0` takes an adapter. To compare: `python benches/diffusers_baseline.py`.
use criterion::{Criterion, criterion_group, criterion_main};
use engine::pipeline::{DeviceChoice, Event, GenerationSettings, LoadOptions, VideoPipeline};
use model_loader::{ModelFolder, config::GenerationConfig};
use std::{hint::black_box, ops::ControlFlow, time::Duration};

fn clip(criterion: &mut Criterion) {
    let adapter = std::env::var("KINORA_BENCH_DEVICE").ok().and_then(|number| number.parse().ok());
    let device = adapter.map_or(DeviceChoice::Cpu, |index| DeviceChoice::Gpu(Some(index)));
    let folder = ModelFolder::embedded("default", default_model::FILES);
    let settings = settings(&folder);
    let options = LoadOptions { device, ..LoadOptions::default() };
    let mut pipeline =
        pollster::block_on(VideoPipeline::load(&folder, options)).unwrap_or_else(|e| panic!("{e}"));
    criterion.bench_function(&format!("clip/{}", pipeline.device_name()), |bencher| {
        bencher.iter(|| {
            let mut ignore = |event: Event<'_>| {
                black_box(event);
                ControlFlow::Continue(())
            };
            pollster::block_on(pipeline.generate(&settings, &mut ignore)).unwrap_or_else(|e| panic!("{e}"))
        });
    });
}

/// What `kinora generate` takes when nothing is said.
fn settings(folder: &ModelFolder) -> GenerationSettings {
    let defaults = GenerationConfig::load(folder).unwrap_or_else(|e| panic!("{e}"));
    let size = |value: Option<usize>| value.unwrap_or_else(|| panic!("generation.json lacks a size"));
    let prompt = "a red balloon rising over the sea at sunset, light rain";
    #[expect(clippy::cast_possible_truncation, reason = "a scale near one")]
    let guidance_scale = defaults.guidance_scale.map_or(5.0, |scale| scale as f32);
    GenerationSettings {
        num_inference_steps: size(defaults.num_inference_steps),
        guidance_scale,
        ..GenerationSettings::new(
            prompt,
            size(defaults.width),
            size(defaults.height),
            size(defaults.num_frames),
        )
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(30));
    targets = clip
}
criterion_main!(benches);
