//! Where compiled GPU pipelines, what was measured of them and encoded prompts are kept between runs.

use crate::args::TuneArgs;
use engine::compute::gpu::GpuOptions;
use engine::compute::tuner::{TuningMode, TuningOptions};
use engine::pipeline::TextCache;
use std::path::PathBuf;

/// A GPU as commands use it: with what is kept, and tuned as asked.
pub(crate) fn gpu_options(args: TuneArgs) -> GpuOptions {
    let mode = match (args.no_tune, args.tune) {
        (true, _) => TuningMode::Off,
        (false, true) => TuningMode::Always,
        (false, false) => TuningMode::Hardware,
    };
    let tuning = TuningOptions { mode, folder: tuning() };
    GpuOptions { pipeline_cache: pipelines(), tuning, ..GpuOptions::default() }
}

/// A folder for pipelines, made if need be; none where there is no place for caches. `KINORA_CACHE` names another one.
pub(crate) fn pipelines() -> Option<PathBuf> {
    let folder = folder()?.join("pipelines");
    // Without the folder everything works, only the next start is slower.
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

/// A folder for tuning tables, which the first of them makes.
pub(crate) fn tuning() -> Option<PathBuf> {
    Some(folder()?.join("tuning"))
}

/// Bytes that encoded prompts may take: some hundred of them.
const MOST_TEXTS: u64 = 500_000_000;

/// Where encoded prompts are kept, which the first of them makes; none if they are not to be.
pub(crate) fn texts(no_cache: bool) -> Option<TextCache> {
    if no_cache {
        return None;
    }
    Some(TextCache { folder: folder()?.join("texts"), most_bytes: MOST_TEXTS })
}

/// The folders of all that is kept, with what is in them.
pub(crate) fn folders() -> Option<(PathBuf, [(&'static str, &'static str); 3])> {
    let all = [
        ("texts", "encoded prompts"),
        ("pipelines", "compiled kernels"),
        ("tuning", "which kernels are the fastest"),
    ];
    Some((folder()?, all))
}

fn folder() -> Option<PathBuf> {
    match set("KINORA_CACHE") {
        Some(folder) => Some(folder),
        None => Some(system()?.join("kinora")),
    }
}

fn system() -> Option<PathBuf> {
    if cfg!(windows) {
        set("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        Some(set("HOME")?.join("Library").join("Caches"))
    } else {
        set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))
    }
}

/// An environment variable that holds an absolute path.
fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}
