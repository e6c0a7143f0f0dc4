//! One file from the hub into its place in the cache, over as many tries as it takes.

use std::io::Read;

use crate::cache::{self, RepoCache};
use crate::http::{Answer, Client, Subject, body_reason};
use crate::listing::Content;
use crate::part::Part;
use crate::retry::{Failure, Tries};
use crate::{Cancel, Event, HubError, PlannedFile, Progress, RepoId, Result, Settings, names};

/// A try that brought this much does not count as a failed one: long downloads over bad lines come to an end.
const MUCH: u64 = 1 << 20;
/// How much is read from the network at once.
const CHUNK: usize = 128 << 10;

/// Where files come from and go to.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub repo: &'a RepoId,
    pub commit: &'a str,
    pub cache: &'a RepoCache,
}

pub(crate) struct Transfers<'a> {
    pub settings: &'a Settings,
    pub client: &'a Client,
    pub target: Target<'a>,
}

/// What the hub tells of a file before it is fetched.
struct Head {
    content: Content,
    /// The etag as it stands in a request, where the hub serves the file itself.
    validator: Option<String>,
}

impl Transfers<'_> {
    /// Looks again how much of a file is there.
    pub(crate) fn look(&self, file: &mut PlannedFile) {
        file.is_cached =
            self.is_placed(file) || cache::is_file(&self.target.cache.blob(&file.etag), file.size);
        let left = self.target.cache.incomplete(&file.etag).metadata().map_or(0, |data| data.len());
        file.missing = match left {
            _ if file.is_cached => 0,
            left if left > file.size => file.size,
            left => file.size - left,
        };
    }

    /// Asks what a file holds that the list of files does not tell of.
    pub(crate) fn content(
        &self,
        file: &str,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<Content> {
        Ok(self.head(file, progress, cancel)?.content)
    }

    /// Sees to it that a file is whole and in its place.
    pub(crate) fn obtain(
        &self,
        file: &PlannedFile,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<()> {
        let Target { commit, cache, .. } = self.target;
        names::check(&file.path)?;
        if self.is_placed(file) {
            return Ok(());
        }
        cache.prepare()?;
        let lock = cache.lock(&file.etag, cancel, || progress.event(Event::Waiting { file: &file.path }))?;
        let fresh = !cache::is_file(&cache.blob(&file.etag), file.size);
        // Another process may have moved the blob there in the meantime.
        if !self.is_placed(file) {
            if fresh {
                self.transfer(file, progress, cancel)?;
            }
            cache.place(&file.etag, commit, &file.path, fresh)?;
            progress.event(Event::Finished { file: &file.path });
        }
        drop(lock);
        Ok(())
    }

    fn is_placed(&self, file: &PlannedFile) -> bool {
        let place = self.target.cache.snapshot(self.target.commit).join(&file.path);
        cache::is_file(&place, file.size)
    }

    /// Fetches a blob, checks it and gives it its name.
    fn transfer(&self, file: &PlannedFile, progress: &mut dyn Progress, cancel: &Cancel) -> Result<()> {
        let (name, size) = (file.path.as_str(), file.size);
        let Head { content, mut validator } = self.head(name, progress, cancel)?;
        let content = agreed(file, content)?;
        let cache = self.target.cache;
        let mut part = Part::open(cache.incomplete(&file.etag), &content, |position| {
            progress.event(Event::Checking { file: name, position, size });
            cancel.check()
        })?;
        progress.event(Event::Started { file: name, size, position: part.len() });
        let mut tries = Tries::new(self.settings, name);
        let mut was_damaged = false;
        loop {
            cancel.check()?;
            let before = part.len();
            if let Err(failure) = self.attempt(name, &mut part, &mut validator, progress, cancel) {
                if part.len().saturating_sub(before) >= MUCH {
                    tries.renew();
                }
                tries.again(failure, progress, cancel)?;
                continue;
            }
            let Some(got) = part.fault() else { return part.finish(&cache.blob(&file.etag)) };
            if was_damaged {
                part.discard()?;
                return Err(HubError::Damaged { file: name.to_owned(), got, expected: content.etag });
            }
            was_damaged = true;
            part.restart()?;
            let reason = "what arrived is not what the hub's hash is of";
            progress.event(Event::Retrying { file: name, reason, pause: self.settings.first_pause });
            crate::retry::wait(self.settings.first_pause, cancel)?;
        }
    }

    /// Asks for the size, the etag and the commit of a file.
    fn head(&self, file: &str, progress: &mut dyn Progress, cancel: &Cancel) -> Result<Head> {
        let Target { repo, commit, .. } = self.target;
        let bad = |reason: &str| HubError::BadAnswer { what: file.to_owned(), reason: reason.to_owned() };
        let tries = Tries::new(self.settings, file);
        let answer = tries.run(progress, cancel, || {
            self.client.open("HEAD", &self.address(file), &[], Subject { repo, file: Some(file) })
        })?;
        if let Some(got) = answer.commit.as_deref().filter(|got| *got != commit) {
            let (got, expected) = (got.to_owned(), commit.to_owned());
            return Err(HubError::Changed { file: file.to_owned(), what: "its commit", got, expected });
        }
        let served = answer.response.status().is_success();
        let own = |name: &str| answer.header(name).filter(|_| served);
        let size = answer.size.or_else(|| own("content-length")?.parse().ok());
        let etag = answer.etag.as_deref().or_else(|| own("etag")).and_then(names::blob);
        let validator = own("etag").filter(|_| answer.from_hub).and_then(strong);
        let size = size.ok_or_else(|| bad("it tells no size"))?;
        let etag = etag.ok_or_else(|| bad("it tells no etag that could name a file"))?;
        Ok(Head { content: Content { etag, size }, validator })
    }

    /// One request for what is missing. What it brought is kept, whatever its end.
    fn attempt(
        &self,
        name: &str,
        part: &mut Part,
        validator: &mut Option<String>,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        if part.is_whole() {
            return Ok(());
        }
        let range = format!("bytes={}-", part.len());
        let mut headers = Vec::new();
        if part.len() > 0 {
            headers.push(("range", range.as_str()));
            headers.extend(validator.as_deref().map(|etag| ("if-range", etag)));
        }
        let subject = Subject { repo: self.target.repo, file: Some(name) };
        let mut answer = self.client.open("GET", &self.address(name), &headers, subject)?;
        fit(&answer, name, part)?;
        *validator = answer.header("etag").and_then(strong);

        let size = part.len() + part.rest();
        let mut body = answer.response.body_mut().as_reader();
        let mut buffer = vec![0; CHUNK];
        loop {
            cancel.check()?;
            let count = match body.read(&mut buffer) {
                Ok(0) if part.is_whole() => return Ok(()),
                Ok(0) => {
                    return Err(Failure::broken(
                        name,
                        format!("it ended after {} of {size} bytes", part.len()),
                    ));
                }
                Ok(count) => count,
                // What follows the last byte does not matter.
                Err(_) if part.is_whole() => return Ok(()),
                Err(error) => return Err(Failure::broken(name, body_reason(error, self.settings))),
            };
            if count as u64 > part.rest() {
                part.restart()?;
                return Err(Failure::broken(name, format!("more than its {size} bytes arrived")));
            }
            part.write(&buffer[..count])?;
            progress.event(Event::Bytes { file: name, position: part.len(), size });
        }
    }

    fn address(&self, file: &str) -> String {
        format!("/{}/resolve/{}/{}", self.target.repo.id(), self.target.commit, names::escaped(file))
    }
}

/// Makes the part fit what an answer brings, or tells why the answer is of no use.
fn fit(answer: &Answer, name: &str, part: &mut Part) -> Result<(), Failure> {
    let size = part.len() + part.rest();
    match answer.response.status().as_u16() {
        206 => {
            let range = answer.header("content-range").unwrap_or("none");
            if content_range(range).is_none_or(|(start, total)| start != part.len() || total != Some(size)) {
                let asked = part.len();
                part.restart()?;
                return Err(Failure::broken(
                    name,
                    format!("asked from byte {asked} of {size}, it sent `{range}`"),
                ));
            }
        }
        416 => {
            let asked = part.len();
            part.restart()?;
            return Err(Failure::broken(name, format!("asked from byte {asked} of {size}, it has none")));
        }
        _ => {
            // The whole file, whatever was asked for.
            part.restart()?;
            let length = answer.header("content-length").and_then(|length| length.parse::<u64>().ok());
            if let Some(length) = length.filter(|length| *length != size) {
                return Err(Failure::broken(name, format!("{length} bytes are offered, expected {size}")));
            }
        }
    }
    Ok(())
}

/// First byte and size of the file, of `bytes 5-9/10`; the size may be `*`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.parse().ok()?, total))
}

/// An etag by which a range may be asked for; a weak one is not enough.
fn strong(etag: &str) -> Option<String> {
    (etag.starts_with('"') && etag.len() > 2).then(|| etag.to_owned())
}

/// What the file must hold: what was listed, unless the hub now says something else.
fn agreed(file: &PlannedFile, now: Content) -> Result<Content> {
    let changed = |what, got: String, expected: String| HubError::Changed {
        file: file.path.clone(),
        what,
        got,
        expected,
    };
    if now.size != file.size {
        return Err(changed("its size", now.size.to_string(), file.size.to_string()));
    }
    // Mirrors may have etags of their own; then the list has the hash.
    if now.etag.len() == file.etag.len() && !now.etag.eq_ignore_ascii_case(&file.etag) {
        return Err(changed("its hash", now.etag, file.etag.clone()));
    }
    Ok(Content { etag: file.etag.clone(), size: file.size })
}
