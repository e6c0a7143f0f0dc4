//! What of a repository is in the cache, without asking the network.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::RepoCache;
use crate::choose::Choice;
use crate::{HubError, Plan, PlannedFile, RepoId, Result, Settings, Wanted};

/// A plan of files that are all in the cache, or what is missing.
pub(crate) fn plan(settings: &Settings, repo: &RepoId, wanted: &Wanted) -> Result<Plan> {
    let missing = |what: String| HubError::NotCached {
        repo: repo.to_string(),
        missing: what,
        offline: settings.offline,
    };
    let cache = RepoCache::new(settings, repo);
    let commit = cache
        .commit(repo.revision())
        .ok_or_else(|| missing(format!("its revision `{}`", repo.revision())))?;
    let snapshot = cache.snapshot(&commit);
    let files = files(&snapshot);
    if files.is_empty() {
        return Err(missing(format!("the commit {commit}")));
    }
    let mut read = |file: &str| {
        let path = snapshot.join(file);
        fs::read_to_string(&path).map_err(|error| HubError::io(&path, error))
    };
    let chosen =
        Choice { repo, files: &files, read: &mut read }.make(wanted).map_err(|error| match error {
            HubError::MissingFile { file, .. } => missing(format!("`{file}`")),
            HubError::NoWeights { component, .. } => missing(format!("the weights of `{component}`")),
            HubError::NoMatch { pattern, .. } => missing(format!("`{pattern}`")),
            HubError::NoVariant { variant, .. } => missing(format!("the variant `{variant}`")),
            HubError::PickAFile { .. } => missing("`model_index.json`".to_owned()),
            other => other,
        })?;
    let planned = chosen.into_iter().map(|path| {
        let size = fs::metadata(snapshot.join(&path)).map_or(0, |data| data.len());
        PlannedFile { path, size, missing: 0, is_cached: true, etag: String::new() }
    });
    Ok(Plan { repo: repo.clone(), commit, files: planned.collect(), snapshot, notice: None, is_local: true })
}

/// All files of a snapshot whose blobs are there, with forward slashes.
fn files(snapshot: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<(String, PathBuf)> = vec![(String::new(), snapshot.to_owned())];
    while let Some((front, folder)) = open.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let (name, path) = (format!("{front}{name}"), entry.path());
            // A linked folder is none of ours, and might lead in a circle.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push((format!("{name}/"), path));
            } else if path.is_file() {
                found.insert(name);
            }
        }
    }
    found
}
