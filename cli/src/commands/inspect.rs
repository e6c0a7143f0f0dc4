//! `kinora inspect`: what is in a model folder or a file of weights, or with which settings a video was made.

mod file;

use crate::args::{InspectArgs, is_embedded};
use crate::error::{Failure, Result};
use crate::files::settings::read_settings;
use crate::hints::Setup;
use crate::model::{self, DEFAULT_NAME};
use crate::request::told;
use crate::{cache, downloads, interrupt, provenance, ui};
use engine::compute::gpu::GpuOptions;
use engine::compute::plan::PlannedOp;
use engine::compute::tuner::{TuningMode, TuningOptions};
use engine::pipeline::{JobOptions, LoadOptions, Stage, VideoPipeline};
use model_loader::config::{GenerationConfig, ModelScheduler, TinyVaeConfig, TokenizerConfig};
use model_loader::{Checkpoint, FileContents, ModelFolder, NamedFile, Tokenizer};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

/// Describes the target on the standard output.
pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let path = &args.target;
    let is_video = path.is_file() && !is_weights(path)?;
    if is_video {
        return match read_settings(path)? {
            Some(found) => ui::print(&provenance::describe(&found)),
            None => Err(Failure::user(format!("`{}` holds no settings of kinora's", path.display()))
                .hint("other programs drop them when they convert a file")),
        };
    }
    let is_of_hub = downloads::repository(path).is_some();
    if is_of_hub {
        interrupt::install()?;
    } else if !path.exists() && path.as_os_str() != DEFAULT_NAME {
        return Err(Failure::user(format!("there is no `{}`", path.display())).hint(
            "name a model folder, a model of the hub, a file that kinora wrote, or `default` for the model inside this program",
        ));
    }
    if path.is_file() && args.parts.files().next().is_none() {
        let file = NamedFile::open(path).map_err(model::failure)?;
        let contents = FileContents::of(&file).map_err(model::failure)?;
        let is_whole = ["transformer", "text_encoder", "vae"]
            .iter()
            .all(|component| contents.parts.iter().any(|part| part.component == *component));
        if !is_whole || !args.plan {
            return ui::print(&file::describe(&file.name, &contents));
        }
    }
    let folder = model::open(Some(path), &args.parts, false)?;
    let mut text = match args.weights {
        // The weights need not be there.
        Some(_) => format!("model      {}\n", folder.location()),
        None => describe(&folder)?,
    };
    for notice in folder.notices() {
        ui::note(&notice);
    }
    if args.plan {
        text.push('\n');
        text.push_str(&plans(args, &folder)?);
    }
    ui::print(&text)
}

/// Whether a file holds weights, by how it begins.
fn is_weights(path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(16).read_to_end(&mut start));
    read.map_err(|error| Failure::user(format!("cannot read `{}`: {error}", path.display())))?;
    Ok(FileContents::is_likely(&start))
}

/// What a video of the asked size would run, stage by stage, and the memory that it takes.
fn plans(args: &InspectArgs, folder: &ModelFolder) -> Result<String> {
    let request = model::request_of(args.width, args.height, args.frames);
    let model = match args.weights {
        Some(weights) => model::read_for_plans(folder, weights)?,
        None => model::read(folder)?,
    };
    let (settings, notices) =
        model.resolve(&request).map_err(|error| Failure::of_engine(&error, Setup::default()))?;
    notices.iter().for_each(|notice| ui::note(&told(notice)));
    // As it would run: with what was measured, without measuring.
    let tuning = TuningOptions { mode: TuningMode::Stored, folder: cache::tuning() };
    let options = LoadOptions {
        device: args.device.clone().into(),
        precision: args.precision.asked(is_embedded(Some(&args.target))),
        gpu: GpuOptions { tuning, ..GpuOptions::default() },
        ..LoadOptions::default()
    };
    let asked = Setup::asked(&args.device, args.precision);
    let opened = pollster::block_on(VideoPipeline::open(model, options));
    let mut pipeline = opened.map_err(|error| Failure::of_engine(&error, asked))?;
    let setup = asked.opened(pipeline.device_name());
    let job = JobOptions { memory: args.memory, decoder: args.decoder.into(), ..JobOptions::default() };
    let stages = pipeline.stages(&settings, job).map_err(|error| Failure::of_engine(&error, setup))?;

    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = writeln!(
        text,
        "plan for {}x{}, {} frames, {} on {}",
        settings.width,
        settings.height,
        settings.num_frames,
        pipeline.precision(),
        pipeline.device_name()
    );
    let heads =
        ["stage", "runs", "GFLOP a run", "weights", "brought each run", "working memory", "largest binding"];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(stages.iter().map(|Stage { name, runs, plan, .. }| {
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let gflop = plan.flops() as f64 / 1e9;
        [
            (*name).to_owned(),
            runs.to_string(),
            format!("{gflop:.3}"),
            ui::bytes(plan.weight_bytes),
            ui::bytes(plan.streamed_bytes.each_run),
            ui::bytes(plan.working_bytes()),
            ui::bytes(plan.largest_binding()),
        ]
    }));
    text.push_str(&ui::table(&rows));
    if let Some(budget) = args.memory {
        for Stage { name, plan, .. } in stages.iter().filter(|stage| stage.plan.total_bytes() > budget) {
            let (needed, budget) = (ui::bytes(plan.total_bytes()), ui::bytes(budget));
            let _ = writeln!(text, "`{name}` does not fit {budget}: it needs {needed} at least");
        }
    }
    text.push('\n');
    text.push_str(&fusion(&stages));
    for Stage { name, plan, .. } in &stages {
        let _ = write!(text, "\n{name}\n{plan}");
    }
    Ok(text)
}

/// What one run of each stage launches and moves, and what it would launch unfused and must move.
fn fusion(stages: &[Stage]) -> String {
    let heads =
        ["one run", "launches", "unfused", "bytes moved", "unavoidable", "ratio", "the op furthest above"];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(stages.iter().map(|Stage { name, plan, .. }| {
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let ratio = plan.bytes() as f64 / plan.least_bytes().max(1) as f64;
        let excess = |op: &&PlannedOp| op.cost.bytes.saturating_sub(op.cost.least_bytes);
        let worst = plan.ops.iter().max_by_key(excess).filter(|op| excess(op) > 0);
        [
            (*name).to_owned(),
            plan.launches().to_string(),
            plan.unfused_launches().to_string(),
            ui::bytes(plan.bytes()),
            ui::bytes(plan.least_bytes()),
            format!("{ratio:.2}"),
            worst.map_or_else(|| "none".to_owned(), |op| format!("{} ({:.2})", op.name, op.cost.ratio())),
        ]
    }));
    ui::table(&rows)
}

/// The parts of a model, checked on the way.
fn describe(folder: &ModelFolder) -> Result<String> {
    let index = folder.index().map_err(model::failure)?;
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = writeln!(text, "model      {}", folder.location());
    let _ = writeln!(text, "pipeline   {}", index.pipeline);
    let _ = writeln!(text, "settings   {}", generation(folder)?);
    let scheduler = ModelScheduler::load(folder, "scheduler").map_err(model::failure)?;
    let about = match &scheduler {
        ModelScheduler { unsupported: Some(reason), .. } => format!(", cannot be run: {reason}"),
        ModelScheduler { config, .. } => {
            config.flow_shift().map(|shift| format!(", shift {shift}")).unwrap_or_default()
        }
    };
    let _ = writeln!(text, "scheduler  {}{about}", index.class("scheduler").unwrap_or("?"));
    let tokenizer = Tokenizer::open(folder, "tokenizer").map_err(model::failure)?;
    let _ = writeln!(text, "tokenizer  {} pieces{}", tokenizer.vocab_size(), longest_prompt(folder)?);

    model::read(folder)?;
    let mut rows = vec![["part", "class", "parameters", "tensors", "stored", "types"].map(str::to_owned)];
    let tiny =
        TinyVaeConfig::load_optional(folder).map_err(model::failure)?.map(|_| TinyVaeConfig::COMPONENT);
    for part in ["text_encoder", "transformer", "vae"].into_iter().chain(tiny) {
        let weights = Checkpoint::open(folder, part).map_err(model::failure)?;
        let types: Vec<String> = weights.formats().keys().map(ToString::to_string).collect();
        rows.push([
            part.to_owned(),
            index.class(part).unwrap_or(if tiny == Some(part) { "TAEHV" } else { "?" }).to_owned(),
            ui::count(weights.total_parameters() as u64),
            weights.names().count().to_string(),
            ui::bytes(weights.bytes_total() as u64),
            types.join(", "),
        ]);
    }
    text.push('\n');
    text.push_str(&ui::table(&rows));
    text.push_str(&file::origins(folder));
    Ok(text)
}

fn generation(folder: &ModelFolder) -> Result<String> {
    let config = GenerationConfig::load(folder).map_err(model::failure)?;
    let mut parts = Vec::new();
    if let (Some(width), Some(height)) = (config.width, config.height) {
        parts.push(format!("{width}x{height}"));
    }
    parts.extend(config.num_frames.map(|frames| format!("{frames} frames")));
    parts.extend(config.fps.map(|fps| format!("{fps} per second")));
    parts.extend(config.num_inference_steps.map(|steps| format!("{steps} steps")));
    parts.extend(config.guidance_scale.map(|scale| format!("guidance {scale}")));
    Ok(if parts.is_empty() { "the family's".to_owned() } else { parts.join(", ") })
}

fn longest_prompt(folder: &ModelFolder) -> Result<String> {
    let config = TokenizerConfig::load(folder, "tokenizer").map_err(model::failure)?;
    Ok(config.model_max_length.map_or_else(String::new, |length| format!(", prompts of up to {length}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_model_is_described() {
        let text = describe(&model::embedded()).unwrap();
        assert!(text.contains("128x80, 33 frames, 16 per second, 12 steps, guidance 4\n"), "{text}");
        assert!(text.contains("transformer   WanTransformer3DModel"), "{text}");
        assert!(text.contains("up to 48"), "{text}");
    }
}
