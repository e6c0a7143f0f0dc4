//! Where compiled GPU pipelines are kept between runs.

use std::path::PathBuf;

/// A folder for them, made if need be; none where there is no place for caches. `KINORA_CACHE` names another one.
pub(crate) fn pipelines() -> Option<PathBuf> {
    let folder = match set("KINORA_CACHE") {
        Some(folder) => folder,
        None => system()?.join("kinora"),
    };
    let folder = folder.join("pipelines");
    // Without the folder everything works, only the next start is slower.
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder)
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
