//! `kinora bench`: how long kernels, or the stages of a model, take beside what the device can do at most.

mod chip;

use crate::args::{BenchArgs, PrecisionArg, WeightArg, is_embedded};
use crate::device::DeviceArg;
use crate::error::{Failure, Result};
use crate::hints::Setup;
use crate::output::check_folder;
use crate::progress::tuning_line;
use crate::request::told;
use crate::workbench::{Report, Row, Stage, roofline};
use crate::{cache, model, threads, ui};
use engine::compute::cpu::has_fast_bf16;
use engine::compute::tuner::TuningEvent;
use engine::pipeline::{EngineError, LoadOptions, open_executor};
use model_loader::Format;
use std::ops::ControlFlow;
use workbench::{BenchCase, ModelBench, Peaks, StageTimes, bf16_cases, cases, half_cases, measure};

/// Measures, and prints a table or JSON on the standard output.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    if let Some(chip) = &args.chip.compile_for {
        return chip::run(args, chip);
    }
    if let Some(path) = &args.svg {
        check_folder(path)?;
    }
    threads::limit(args.threads)?;
    let report = pollster::block_on(async {
        match &args.model {
            Some(folder) => of_model(args, folder).await,
            None => of_kernels(args).await,
        }
    })?;
    let svg = args.svg.as_deref().map(|path| roofline::write(&report, path)).transpose()?;
    if let Some(notice) = svg.and_then(|svg| svg.notice) {
        ui::note(&notice);
    }
    ui::print(&if args.json { report.as_json() } else { report.as_text() })
}

fn options(args: &BenchArgs) -> LoadOptions {
    LoadOptions {
        device: args.device.clone().into(),
        precision: args.precision.asked(args.model.as_deref().is_some_and(|path| is_embedded(Some(path)))),
        gpu: cache::gpu_options(args.tuning),
        ..LoadOptions::default()
    }
}

/// A line for each graph that has new shapes.
fn note_tuning(event: TuningEvent<'_>) -> ControlFlow<()> {
    match event {
        TuningEvent::Notice(text) => ui::note(text),
        TuningEvent::Progress { done: 0, total } => ui::note(&tuning_line(total)),
        TuningEvent::Progress { .. } => {}
    }
    ControlFlow::Continue(())
}

fn setup(args: &BenchArgs) -> Setup {
    Setup::asked(&args.device, args.precision)
}

fn failed<E: Into<EngineError>>(setup: Setup) -> impl Fn(E) -> Failure {
    move |error| Failure::of_engine(&error.into(), setup)
}

fn no_such_kernel(args: &BenchArgs) -> Failure {
    let filter = args.filter.as_deref().unwrap_or_default();
    Failure::user(format!("no kernel's name contains `{filter}`"))
        .hint("without a filter all are measured and named")
}

/// Whether products of bfloat16 numbers are measured beside those of f32: on a CPU, where asked for or fast.
fn shows_bf16(args: &BenchArgs) -> bool {
    match args.precision {
        PrecisionArg::Bf16 => true,
        PrecisionArg::Auto => args.device == DeviceArg::Cpu && has_fast_bf16(),
        PrecisionArg::F32 | PrecisionArg::F16 => false,
    }
}

async fn of_kernels(args: &BenchArgs) -> Result<Report> {
    let wanted = |case: &BenchCase| args.filter.as_ref().is_none_or(|filter| case.name.contains(filter));
    let halves = if shows_bf16(args) { bf16_cases() } else { Vec::new() };
    let all = if args.precision == PrecisionArg::F16 { half_cases() } else { cases() };
    let cases: Vec<BenchCase> = all.into_iter().chain(halves).filter(wanted).collect();
    if cases.is_empty() {
        return Err(no_such_kernel(args));
    }
    let LoadOptions { device, precision, gpu, .. } = options(args);
    let opened = open_executor(device, precision.unwrap_or_default(), gpu).await;
    let (mut executor, device) = opened.map_err(failed(setup(args)))?;
    let setup = setup(args).opened(&device);
    let peaks = Peaks::measure(&mut executor).await.map_err(failed(setup))?;
    let mut rows = Vec::with_capacity(cases.len());
    for case in cases {
        ui::note(&format!("measuring {}", case.name));
        let graph = case.graph().map_err(failed(setup))?;
        let plan = executor.plan(&graph).map_err(failed(setup))?;
        let plan = executor.tune(&graph, plan, &mut note_tuning).await.map_err(failed(setup))?;
        let mut program = executor.compile(graph, plan).await.map_err(failed(setup))?;
        let measured =
            measure(&mut executor, &mut program, &[], args.runs as usize).await.map_err(failed(setup))?;
        rows.push(Row::of_case(case.name, &measured));
    }
    let title = "kernels".to_owned();
    Ok(Report { device, peaks, stages: vec![Stage { title, rows, host: None }] })
}

async fn of_model(args: &BenchArgs, path: &std::path::Path) -> Result<Report> {
    let model = model::read_configs(&model::open_folder(Some(path))?, args.weights.into())?;
    let request = model::request_of(args.width, args.height, args.frames);
    let (settings, notices) = model.resolve(&request).map_err(failed(setup(args)))?;
    notices.iter().for_each(|notice| ui::note(&told(notice)));
    let opened = ModelBench::open(model, options(args)).await;
    let mut bench = opened.map_err(failed(setup(args)))?;
    let setup = setup(args).opened(bench.device_name());
    let peaks = Peaks::measure(bench.executor()).await.map_err(failed(setup))?;
    let size = format!("{}x{}, {} frames", settings.width, settings.height, settings.num_frames);
    ui::note(&format!("measuring the stages of {size}"));
    let stages =
        bench.measure(&settings, args.runs as usize, &mut note_tuning).await.map_err(failed(setup))?;
    let device = bench.device_name().to_owned();
    let stages = stages.iter().map(|times| stage(times, &size)).collect();
    Ok(Report { device, peaks, stages })
}

fn stage(times: &StageTimes, size: &str) -> Stage {
    let title = format!(
        "{} of {size} ({} in a video; weights {}, working memory {})",
        times.stage,
        times.runs,
        ui::bytes(times.weight_bytes),
        ui::bytes(times.working_bytes)
    );
    Stage { title, rows: Row::of_program(&times.measured), host: Some(times.measured.wall) }
}

impl From<WeightArg> for Format {
    fn from(weights: WeightArg) -> Self {
        match weights {
            WeightArg::F32 => Self::F32,
            WeightArg::F16 => Self::F16,
            WeightArg::Bf16 => Self::BF16,
        }
    }
}
