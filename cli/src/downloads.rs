//! Models of the hub: which names mean one, how their download is shown, and what its errors mean here.

use crate::error::{Failure, Result};
use crate::interrupt;
use crate::progress::{Progress, Stage};
use crate::ui;
use hub::{Cancel, Event, Hub, HubError, Plan, RepoId, Settings, Wanted};
use std::path::{Path, PathBuf};

/// The repository that a path means: none if it exists, for what is here wins, or is not written like one.
pub(crate) fn repository(path: &Path) -> Option<RepoId> {
    if path.exists() {
        return None;
    }
    RepoId::parse(path.to_str()?).ok()
}

/// The folder of a whole model: from the cache without asking anybody, else it is downloaded.
pub(crate) fn model(repo: &RepoId, quiet: bool) -> Result<PathBuf> {
    let hub = open()?;
    let wanted = Wanted::model();
    match hub.cached(repo, &wanted) {
        Ok(folder) => Ok(folder),
        Err(_) => fetch(&hub, repo, &wanted, quiet),
    }
}

/// Brings what is missing of a repository, having said how much that is; gives the folder.
pub(crate) fn fetch(hub: &Hub, repo: &RepoId, wanted: &Wanted, quiet: bool) -> Result<PathBuf> {
    let mut ear = Ear { progress: Progress::new(quiet), done: 0, current: (0, 0), total: 0 };
    let cancel = Cancel::when(interrupt::requested);
    let mut fetched = || {
        let plan = hub.plan(repo, wanted, &mut |event: Event<'_>| ear.hear(event), &cancel)?;
        ear.begin(&plan, &hub.settings().cache);
        hub.fetch(&plan, &mut |event: Event<'_>| ear.hear(event), &cancel)
    };
    fetched().map_err(|error| failure(&error))
}

/// The hub that the environment names.
pub(crate) fn open() -> Result<Hub> {
    Ok(Hub::new(Settings::from_env().map_err(|error| failure(&error))?))
}

/// Shows how far a download is.
struct Ear {
    progress: Progress,
    /// Bytes of the files that are whole.
    done: u64,
    /// How much there is of the file that is coming, and its size.
    current: (u64, u64),
    /// Bytes of all files; 0 before that is known.
    total: u64,
}

impl Ear {
    /// Says what will come, and where it goes.
    fn begin(&mut self, plan: &Plan, cache: &Path) {
        if let Some(notice) = plan.notice() {
            self.progress.note(notice);
        }
        self.total = plan.total_bytes();
        self.done = plan.files().iter().filter(|file| file.is_cached()).map(hub::PlannedFile::size).sum();
        if plan.missing_bytes() > 0 {
            self.progress.note(&announcement(plan, cache));
        }
    }

    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Started { file, size, position } => {
                self.current = (position, size);
                // The index is read before the total is known, and is small.
                if position > 0 && self.total > 0 {
                    let (there, size) = (ui::bytes(position), ui::bytes(size));
                    self.progress.note(&format!("going on with `{file}` at {there} of {size}"));
                }
            }
            Event::Bytes { position, size, .. } => self.current = (position, size),
            Event::Finished { .. } => {
                self.done += self.current.1;
                self.current = (0, 0);
            }
            Event::Waiting { file } => {
                self.progress.note(&format!("waiting for another process that downloads `{file}`"));
            }
            Event::Retrying { file, reason, pause } => {
                let pause = pause.as_secs_f64();
                self.progress.note(&format!("`{file}`: {reason}; trying again in {pause:.0} s"));
            }
            _ => {}
        }
        if self.total > 0 {
            let done = (self.done + self.current.0).min(self.total);
            self.progress.update(Stage::Downloading, done, self.total);
        }
    }
}

/// `downloading 14 files of org/name, 2.9 GB of 3.1 GB, into /home/..`.
fn announcement(plan: &Plan, cache: &Path) -> String {
    let missing = plan.files().iter().filter(|file| !file.is_cached()).count();
    let files = if missing == 1 { "1 file".to_owned() } else { format!("{missing} files") };
    let (total, left) = (ui::bytes(plan.total_bytes()), ui::bytes(plan.missing_bytes()));
    let size = if total == left { total } else { format!("{left} of {total}") };
    format!("downloading {files} of {}, {size}, into {}", plan.repo(), cache.display())
}

/// An error of the hub's in this program's terms.
pub(crate) fn failure(error: &HubError) -> Failure {
    let text = error.to_string();
    let failure = match error {
        HubError::Cancelled => return Failure::download_interrupted(),
        HubError::BadRepoId { .. }
        | HubError::BadSetting { .. }
        | HubError::NeedsToken { .. }
        | HubError::BadToken { .. }
        | HubError::Gated { .. }
        | HubError::NotFound { .. }
        | HubError::NotCached { .. }
        | HubError::PickAFile { .. }
        | HubError::NoMatch { .. }
        | HubError::BadName { .. }
        | HubError::BadFile { .. }
        | HubError::MissingFile { .. }
        | HubError::NoWeights { .. }
        | HubError::NoVariant { .. } => Failure::user(text),
        _ => Failure::system(text),
    };
    match hint(error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What helps, by this program's flags where it has some.
fn hint(error: &HubError) -> Option<String> {
    match error {
        HubError::NotFound { what: "repository", .. } => Some(
            "check the name: there is no folder or file of that name here either, and a private model needs HF_TOKEN set to a \
             token that may read it"
                .to_owned(),
        ),
        HubError::PickAFile { repo, .. } => Some(format!(
            "fetch one with `kinora pull {repo} --file NAME`, then give it by `--transformer` or the flag of its part"
        )),
        HubError::NoMatch { .. } => {
            Some("`--file` takes one of them, or `*` for a part of it; pickled weights are never fetched".to_owned())
        }
        HubError::NoVariant { .. } => Some("give one of these to `--variant`, or leave it out".to_owned()),
        other => other.hint(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_like_a_repository_and_is_not_here_is_one() {
        let here = tempfile::tempdir().unwrap();
        for path in
            ["default", "/models/wan", "./models/wan", "models/wan/vae", "-m", "C:\\models", "a/b.git"]
        {
            assert_eq!(repository(Path::new(path)), None, "{path}");
        }
        assert_eq!(repository(here.path()), None);
        // The tests run in the crate's folder.
        assert_eq!(repository(Path::new("src/commands")), None);
        assert_eq!(repository(Path::new("org/name@v1")).unwrap().to_string(), "org/name@v1");
    }

    #[test]
    fn errors_blame_whom_they_must_and_name_flags() {
        let picked = failure(&HubError::PickAFile { repo: "o/n".into(), found: "`a.gguf`".into() });
        assert_eq!(picked.exit_code(), 1);
        assert!(picked.hint_text().unwrap().contains("`kinora pull o/n --file NAME`"));
        let lost = failure(&HubError::Network { what: "o/n".into(), reason: "no route".into() });
        assert_eq!((lost.exit_code(), lost.hint_text().is_some()), (2, true));
        assert_eq!(failure(&HubError::Cancelled).exit_code(), 130);
    }
}
