//! The hub as callers see it: plan, then fetch.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::cache::{self, RepoCache};
use crate::choose::Choice;
use crate::http::Client;
use crate::listing::{Listed, Listing};
use crate::retry::Tries;
use crate::transfer::{Target, Transfers};
use crate::{Cancel, Event, HubError, Plan, PlannedFile, Progress, RepoId, Result, Settings, Wanted, local};

/// The longest file that is read to find out what else is needed.
const READABLE: u64 = 64 << 20;

/// A model hub and the cache that its files are kept in.
pub struct Hub {
    settings: Settings,
    client: Client,
}

impl Hub {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { client: Client::new(&settings), settings }
    }

    /// What it works by.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The folder of a model that is complete in the cache. The network is not asked.
    ///
    /// # Errors
    /// [`HubError::NotCached`] names what is missing.
    pub fn cached(&self, repo: &RepoId, wanted: &Wanted) -> Result<PathBuf> {
        Ok(local::plan(&self.settings, repo, wanted)?.snapshot)
    }

    /// Finds out which files are needed, how large they are and which are there.
    ///
    /// The hub is asked for its list of files; the index of the model and those of shards are fetched, for they tell what
    /// else is needed. When the network is forbidden, or fails and the model is complete, the plan is of the cached files.
    ///
    /// # Errors
    /// When the hub cannot be asked or refuses, or the repository lacks what the model needs.
    pub fn plan(
        &self,
        repo: &RepoId,
        wanted: &Wanted,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<Plan> {
        let cached = local::plan(&self.settings, repo, wanted);
        if self.settings.offline {
            return cached;
        }
        // With all of it at hand nobody should wait for a hub that is out of reach.
        let retries = if cached.is_ok() { 0 } else { self.settings.retries };
        let what = repo.to_string();
        let tries = Tries::limited(&self.settings, &what, retries);
        let listing = match tries.run(progress, cancel, || Listing::fetch(&self.client, repo)) {
            Ok(listing) => listing,
            Err(error) if error.is_outage() => {
                let Ok(mut plan) = cached else { return Err(error) };
                plan.notice = Some(format!("{error}; the revision in the cache is used"));
                return Ok(plan);
            }
            Err(error) => return Err(error),
        };
        self.plan_listed(repo, listing, wanted, progress, cancel)
    }

    fn plan_listed(
        &self,
        repo: &RepoId,
        listing: Listing,
        wanted: &Wanted,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<Plan> {
        let Listing { commit, files } = listing;
        let listed: BTreeMap<String, Listed> =
            files.into_iter().map(|file| (file.path.clone(), file)).collect();
        let names: BTreeSet<String> = listed.keys().cloned().collect();
        let cache = RepoCache::new(&self.settings, repo);
        let transfers = self.transfers(repo, &commit, &cache);
        let planned = |name: &str, progress: &mut dyn Progress| {
            let content = listed.get(name).and_then(|file| file.content.clone());
            let content = content.map_or_else(|| transfers.content(name, progress, cancel), Ok)?;
            let mut file = PlannedFile {
                path: name.to_owned(),
                size: content.size,
                missing: 0,
                is_cached: true,
                etag: content.etag,
            };
            transfers.look(&mut file);
            Ok(file)
        };
        let mut read = |name: &str| {
            let file = planned(name, progress)?;
            if file.size > READABLE {
                let reason = format!("it has {} bytes, which is too much for an index", file.size);
                return Err(HubError::BadFile { repo: repo.to_string(), file: name.to_owned(), reason });
            }
            transfers.obtain(&file, progress, cancel)?;
            let path = cache.snapshot(&commit).join(name);
            fs::read_to_string(&path).map_err(|error| HubError::io(&path, error))
        };
        let chosen = Choice { repo, files: &names, read: &mut read }.make(wanted)?;
        let files = chosen.iter().map(|name| planned(name, progress)).collect::<Result<_>>()?;
        let snapshot = cache.snapshot(&commit);
        Ok(Plan { repo: repo.clone(), commit, snapshot, files, notice: None, is_local: false })
    }

    /// Brings what is missing and gives the folder that holds all of it.
    ///
    /// # Errors
    /// When the disk is too full, a transfer fails for good, or `cancel` says to stop. What has arrived is kept.
    pub fn fetch(&self, plan: &Plan, progress: &mut dyn Progress, cancel: &Cancel) -> Result<PathBuf> {
        let cache = RepoCache::new(&self.settings, &plan.repo);
        let transfers = self.transfers(&plan.repo, &plan.commit, &cache);
        let mut now = plan.clone();
        if !plan.is_local {
            now.files.iter_mut().for_each(|file| transfers.look(file));
        }
        let (total, missing) = (now.total_bytes(), now.missing_bytes());
        progress.event(Event::Planned { files: now.files.len(), total, missing });
        if plan.is_local {
            return Ok(plan.snapshot.clone());
        }
        self.check_space(missing)?;
        for file in &now.files {
            transfers.obtain(file, progress, cancel)?;
        }
        // Last, so that a revision that is noted is complete.
        cache.note(plan.repo.revision(), &plan.commit)?;
        Ok(cache.snapshot(&plan.commit))
    }

    fn check_space(&self, needed: u64) -> Result<()> {
        if needed == 0 {
            return Ok(());
        }
        let folder = &self.settings.cache;
        cache::make_folder(folder)?;
        let free = (self.settings.free_space)(folder).map_err(|error| HubError::io(folder, error))?;
        if free < needed {
            return Err(HubError::DiskFull { folder: folder.clone(), free, needed });
        }
        Ok(())
    }

    fn transfers<'a>(&'a self, repo: &'a RepoId, commit: &'a str, cache: &'a RepoCache) -> Transfers<'a> {
        Transfers { settings: &self.settings, client: &self.client, target: Target { repo, commit, cache } }
    }
}
