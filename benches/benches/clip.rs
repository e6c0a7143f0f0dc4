//! The default model's default clip, from prompt to frames, on the CPU executor or the adapter that is asked for.
//!
//! `KINORA_BENCH_DEVICE=0` takes an adapter. To compare: `python benches/diffusers_baseline.py`.
use criterion::{Criterion, criterion_group, criterion_main};
use engine::pipeline::{DeviceChoice, Event, Job, LoadOptions, Request, VideoPipeline};
use model_loader::ModelFolder;
use std::{hint::black_box, ops::ControlFlow, time::Duration};

fn clip(criterion: &mut Criterion) {
    let adapter = std::env::var("KINORA_BENCH_DEVICE").ok().and_then(|number| number.parse().ok());
    let device = adapter.map_or(DeviceChoice::Cpu, |index| DeviceChoice::Gpu(Some(index)));
    let folder = ModelFolder::embedded("default", default_model::FILES);
    let request = Request::new("a red balloon rising over the sea at sunset, light rain");
    let options = LoadOptions { device, ..LoadOptions::default() };
    let mut pipeline =
        pollster::block_on(VideoPipeline::load(&folder, options)).unwrap_or_else(|e| panic!("{e}"));
    let (settings, _) = pipeline.resolve(&request).unwrap_or_else(|e| panic!("{e}"));
    criterion.bench_function(&format!("clip/{}", pipeline.device_name()), |bencher| {
        bencher.iter(|| {
            let mut ignore = |event: Event<'_>| {
                black_box(event);
                ControlFlow::Continue(())
            };
            let job = Job::new(&settings, &mut ignore);
            pollster::block_on(pipeline.run(job)).unwrap_or_else(|e| panic!("{e}"))
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(30));
    targets = clip
}
criterion_main!(benches);
