//! When a failed try is followed by another, and how long that waits.

use std::thread;
use std::time::{Duration, Instant};

use crate::{Cancel, Event, HubError, Progress, Result, Settings};

/// How often the question whether to stop is asked while waiting.
const SLICE: Duration = Duration::from_millis(50);

/// How a try failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another one would fail alike.
    Final(HubError),
    /// Another one may succeed. The error is what is told when there is none.
    Passing { error: Box<HubError>, reason: String, pause: Option<Duration> },
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

impl Failure {
    pub(crate) fn broken(what: &str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let error = Box::new(HubError::Network { what: what.to_owned(), reason: reason.clone() });
        Self::Passing { error, reason, pause: None }
    }
}

/// Counts the tries of one request.
pub(crate) struct Tries<'a> {
    settings: &'a Settings,
    what: &'a str,
    left: u32,
    failed: u32,
}

impl<'a> Tries<'a> {
    pub(crate) fn new(settings: &'a Settings, what: &'a str) -> Self {
        Self::limited(settings, what, settings.retries)
    }

    /// With another number of further tries.
    pub(crate) fn limited(settings: &'a Settings, what: &'a str, retries: u32) -> Self {
        Self { settings, what, left: retries, failed: 0 }
    }

    /// Begins to count anew: the last try brought much.
    pub(crate) fn renew(&mut self) {
        (self.left, self.failed) = (self.settings.retries, 0);
    }

    /// Waits for the next try, or gives the error if there is none.
    pub(crate) fn again(
        &mut self,
        failure: Failure,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<()> {
        let (error, reason, pause) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing { error, reason, pause } => (error, reason, pause),
        };
        if self.left == 0 {
            return Err(*error);
        }
        let doubled = self.settings.first_pause.saturating_mul(1 << self.failed.min(16));
        let pause = pause.unwrap_or(doubled).min(self.settings.longest_pause);
        (self.left, self.failed) = (self.left - 1, self.failed + 1);
        progress.event(Event::Retrying { file: self.what, reason: &reason, pause });
        wait(pause, cancel)
    }

    /// Does `one` until it succeeds or no try is left.
    pub(crate) fn run<T>(
        mut self,
        progress: &mut dyn Progress,
        cancel: &Cancel,
        mut one: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T> {
        loop {
            cancel.check()?;
            match one() {
                Ok(value) => return Ok(value),
                Err(failure) => self.again(failure, progress, cancel)?,
            }
        }
    }
}

/// Waits, unless it is told to stop.
pub(crate) fn wait(pause: Duration, cancel: &Cancel) -> Result<()> {
    let end = Instant::now() + pause;
    loop {
        cancel.check()?;
        match end.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => thread::sleep(left.min(SLICE)),
            _ => return Ok(()),
        }
    }
}
