//! `kinora generate`: a prompt becomes a file.

use crate::args::GenerateArgs;
use crate::error::{Failure, Result};
use crate::hints::Setup;
use crate::preview::Previews;
use crate::progress::Progress;
use crate::recorder::Recorder;
use crate::request::Request;
use crate::tensors::Dump;
use crate::trace::Trace;
use crate::{cache, files, interrupt, memory, provenance, threads, ui};
use encode::VideoInfo;
use engine::pipeline::{EngineError, Job, LoadOptions, Report, VideoPipeline};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Makes the video and prints its name.
pub(crate) fn run(args: &GenerateArgs) -> Result<()> {
    let start = Instant::now();
    threads::limit(args.threads)?;
    let cancel = interrupt::install()?;
    let request = Request::new(args)?;
    request.target.check_stream(&std::io::stdout())?;
    let trace = args.trace.as_deref().map(Trace::create).transpose()?;
    let dump = args.dump.as_deref().map(Dump::create).transpose()?;
    let mut recorder = Recorder::new(Progress::new(args.quiet), trace, dump);
    for notice in &request.notices {
        recorder.note(notice);
    }

    let is_compared = args.dump.is_some() || args.video.initial_latents.is_some();
    let options = LoadOptions {
        device: args.device.clone().into(),
        precision: args.precision.asked(is_compared || args.source.is_embedded()),
        gpu: cache::gpu_options(args.tuning),
        texts: cache::texts(args.no_cache),
        ..LoadOptions::default()
    };
    let Request { target, preview, model, settings, options: job_options, .. } = request;
    let asked = Setup::asked(&args.device, args.precision);
    let opened = pollster::block_on(VideoPipeline::open(model, options));
    let mut pipeline = opened.map_err(|error| failure(&mut recorder, &error, asked))?;
    let setup = asked.opened(pipeline.device_name());
    recorder.note(&format!("computing on {}", pipeline.device_name()));
    let info = VideoInfo::new(&settings, &provenance::of(args, &settings, &pipeline));
    if let Some(preview) = preview {
        let step = pipeline.model().frame_step();
        recorder.show(Previews::new(preview, settings.fps, step, args.native_size));
    }
    recorder.write_to(files::open(&target, info, args.native_size)?);
    let job = Job { options: job_options, cancel, ..Job::new(&settings, &mut recorder) };
    let report = pollster::block_on(pipeline.run(job));
    let report = report.map_err(|error| failure(&mut recorder, &error, setup))?;

    let (written, writing, progress) = recorder.finish()?;
    for notice in &written.notices {
        progress.note(notice);
    }
    progress.note(&summary(&report, writing, start.elapsed(), settings.seed));
    match &written.name {
        Some(name) => ui::print(&format!("{name}\n")),
        None => Ok(()),
    }
}

/// The engine's error, unless the run was stopped from this side: then the reason for that.
fn failure(recorder: &mut Recorder, error: &EngineError, setup: Setup) -> Failure {
    match recorder.stopped() {
        Err(stopped) => stopped,
        Ok(()) => Failure::of_engine(error, setup),
    }
}

/// `load 0.1 s, denoise 1.4 s, decode 0.6 s, write 0.1 s; 2.2 s in all, peak memory 240 MB (...), seed 42`.
fn summary(report: &Report, writing: Duration, total: Duration, seed: u64) -> String {
    let mut text = String::new();
    for stage in &report.stages {
        // Frames are written while the next ones are decoded: that time is shown by itself. Writing into a string
        // cannot fail.
        let time =
            if stage.name == "decode" { stage.duration.saturating_sub(writing) } else { stage.duration };
        let _ = write!(text, "{} {:.1} s, ", stage.name, time.as_secs_f64());
    }
    let _ = write!(text, "write {:.1} s; {:.1} s in all", writing.as_secs_f64(), total.as_secs_f64());
    if let Some(peak) = memory::peak_resident() {
        let _ = write!(text, ", peak memory {}", ui::bytes(peak));
    }
    let planned = &report.planned;
    let (weights, working) = (ui::bytes(planned.weights), ui::bytes(planned.working));
    let _ = write!(text, " (planned on the device: {weights} of weights + {working}");
    if planned.streamed > 0 {
        let _ = write!(text, ", {} brought in each run", ui::bytes(planned.streamed));
    }
    let _ = write!(text, "), seed {seed}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::pipeline::{PlannedMemory, StageTime};

    #[test]
    fn the_summary_tells_where_the_time_went() {
        let stage = |name, millis| StageTime { name, duration: Duration::from_millis(millis) };
        let report = Report {
            stages: vec![stage("load", 100), stage("decode", 900)],
            planned: PlannedMemory { weights: 14_000_000, working: 99_000, ..PlannedMemory::default() },
        };
        let text = summary(&report, Duration::from_millis(300), Duration::from_millis(1100), 7);
        assert!(text.starts_with("load 0.1 s, decode 0.6 s, write 0.3 s; 1.1 s in all"), "{text}");
        assert!(text.ends_with("(planned on the device: 14.0 MB of weights + 99.0 kB), seed 7"), "{text}");
    }
}
