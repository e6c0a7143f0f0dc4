//! What the tests share: a fake hub, a model on it, a cache in a temporary folder and an ear for events.

mod faults;
mod http;
mod model;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hub::{Cancel, Event, Hub, HubError, Plan, RepoId, Settings, Wanted};
use tempfile::TempDir;

pub(crate) use faults::{Fault, Key};
pub(crate) use model::{files_of_model, weights};
pub(crate) use server::{FakeHub, Place};

/// The repository that the fake hub has.
pub(crate) const REPO: &str = "org/tiny";

/// A cache of its own, pointed at a fake hub.
pub(crate) struct Bench {
    pub hub: FakeHub,
    pub folder: TempDir,
    pub settings: Settings,
}

impl Bench {
    pub(crate) fn new(hub: FakeHub) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), &hub);
        Self { hub, folder, settings }
    }

    /// A hub that has one large file.
    pub(crate) fn of_file(name: &str, bytes: Vec<u8>) -> Self {
        Self::new(FakeHub::start([(name.to_owned(), bytes)]))
    }

    pub(crate) fn of_model() -> Self {
        Self::new(FakeHub::start(files_of_model()))
    }

    /// Gives up connections soon, for tests in which one stalls.
    pub(crate) fn impatient(mut self) -> Self {
        self.settings.stall_timeout = Duration::from_millis(300);
        self
    }

    pub(crate) fn open(&self) -> Hub {
        Hub::new(self.settings.clone())
    }

    pub(crate) fn repo_folder(&self) -> PathBuf {
        self.settings.cache.join("models--org--tiny")
    }

    pub(crate) fn plan(&self, wanted: &Wanted) -> Result<Plan, HubError> {
        self.open().plan(&repo(), wanted, &mut |_: Event<'_>| {}, &Cancel::never())
    }

    pub(crate) fn pull(&self, wanted: &Wanted) -> Result<PathBuf, HubError> {
        self.pull_heard(wanted).0
    }

    /// Downloads, and tells what was heard meanwhile, each event in a few words.
    pub(crate) fn pull_heard(&self, wanted: &Wanted) -> (Result<PathBuf, HubError>, Vec<String>) {
        let mut heard = Vec::new();
        let mut ear = |event: Event<'_>| heard.extend(words(event));
        let hub = self.open();
        let plan = hub.plan(&repo(), wanted, &mut ear, &Cancel::never());
        let folder = plan.and_then(|plan| hub.fetch(&plan, &mut ear, &Cancel::never()));
        (folder, heard)
    }

    /// What the snapshot holds of a file.
    pub(crate) fn read(&self, file: &str) -> Vec<u8> {
        let path = self.repo_folder().join("snapshots").join(self.hub.commit()).join(file);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

pub(crate) fn repo() -> RepoId {
    RepoId::parse(REPO).unwrap()
}

pub(crate) fn files(patterns: &[&str]) -> Wanted {
    Wanted::Files(patterns.iter().map(|&pattern| pattern.to_owned()).collect())
}

fn settings(home: &Path, hub: &FakeHub) -> Settings {
    let mut settings = Settings::from_lookup(|name| match name {
        "HF_HOME" => Some(home.into()),
        "HF_ENDPOINT" => Some(hub.address().into()),
        _ => None,
    })
    .unwrap();
    settings.proxy = false;
    settings.retries = 3;
    settings.first_pause = Duration::from_millis(1);
    settings.longest_pause = Duration::from_millis(20);
    // Long, so that a busy machine is not taken for a stall.
    settings.stall_timeout = Duration::from_secs(20);
    settings
}

/// An event, without what differs from run to run.
fn words(event: Event<'_>) -> Option<String> {
    Some(match event {
        Event::Planned { files, total, missing } => format!("planned {files} {total} {missing}"),
        Event::Started { file, size, position } => format!("started {file} {position}/{size}"),
        Event::Finished { file } => format!("finished {file}"),
        Event::Waiting { file } => format!("waiting {file}"),
        Event::Retrying { file, reason, .. } => format!("retrying {file}: {reason}"),
        _ => return None,
    })
}

/// Every file and link under a folder: `path`, or `path -> target`, sorted.
pub(crate) fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_symlink() {
                found.push(format!("{name} -> {}", fs::read_link(path).unwrap().display()));
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}
