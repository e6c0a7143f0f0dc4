//! Which form wins: the fastest of those that are right.
use super::{Entry, Outcome};
use crate::error::DeviceError;
use std::time::Duration;

/// One launch that can be run in several forms; the first is the plainest.
pub(crate) trait Trials {
    /// Runs a form and says how far its result is from the first form's (relative L2). The first form comes first.
    async fn difference(&mut self, form: usize) -> Result<f64, DeviceError>;

    /// The time of one launch.
    async fn time(&mut self, form: usize) -> Result<Duration, DeviceError>;

    /// The largest difference that is rounding.
    fn tolerance(&self) -> f64;
}

/// What one search works with.
pub(crate) struct Search<'a, I, K> {
    /// Names of the legal forms.
    pub(crate) forms: &'a [String],
    /// Which of them the heuristic takes.
    pub(crate) likely: usize,
    /// Whether there is time for another trial.
    pub(crate) in_time: I,
    /// Called with what is known so far before and after each trial: a trial that brings down the driver is not repeated.
    pub(crate) keep: K,
}

/// A form replaces the heuristic's only if it takes at most this share of its time.
const CLEARLY_FASTER: f64 = 0.97;

/// Forms within this factor of the fastest are timed a second time, one after the other.
const CLOSE: f64 = 1.25;

/// What a form is noted as while it runs.
const UNFINISHED: &str = "it did not finish";

impl<I: Fn() -> bool, K: FnMut(&Entry)> Search<'_, I, K> {
    /// Tries what `known` lacks, as long as there is time; `None` if the plainest form does not run.
    ///
    /// # Errors
    /// If the device is lost, which is noted first.
    pub(crate) async fn run(
        mut self,
        known: Entry,
        trials: &mut impl Trials,
    ) -> Result<Option<Entry>, DeviceError> {
        let mut entry = known;
        // Without a result to compare with nothing can be said.
        let Some(first) = usable(self.reference(trials).await)? else { return Ok(None) };
        entry.tried.insert(self.forms[0].clone(), Outcome::Microseconds(micros(first)));
        let likely = self.likely;
        let others = (1..self.forms.len()).filter(|index| *index != likely);
        for index in [likely].into_iter().filter(|index| *index > 0).chain(others) {
            let form = &self.forms[index];
            if entry.tried.contains_key(form) {
                continue;
            }
            if !(self.in_time)() {
                break;
            }
            entry.tried.insert(form.clone(), Outcome::Refused(UNFINISHED.to_owned()));
            self.note_fastest(&mut entry);
            let outcome = match attempt(trials, index).await {
                Ok(outcome) => outcome,
                Err(DeviceError::Lost(reason)) => {
                    let outcome = Outcome::Refused(format!("the device was lost: {reason}"));
                    entry.tried.insert(form.clone(), outcome);
                    self.note_fastest(&mut entry);
                    return Err(DeviceError::Lost(reason));
                }
                Err(error) => Outcome::Refused(error.to_string()),
            };
            entry.tried.insert(form.clone(), outcome);
            self.note_fastest(&mut entry);
        }
        self.run_off(&mut entry, trials).await?;
        self.note_fastest(&mut entry);
        Ok(Some(entry))
    }

    async fn reference(&self, trials: &mut impl Trials) -> Result<Duration, DeviceError> {
        trials.difference(0).await?;
        trials.time(0).await
    }

    /// Times the heuristic's form and those near the fastest once more: the first were timed on a device that was waking up.
    async fn run_off(&self, entry: &mut Entry, trials: &mut impl Trials) -> Result<(), DeviceError> {
        let time = |entry: &Entry, index: usize| entry.microseconds(&self.forms[index]);
        let all = 0..self.forms.len();
        let best = all.clone().filter_map(|index| time(entry, index)).fold(f64::INFINITY, f64::min);
        let close: Vec<usize> = all
            .filter(|index| time(entry, *index).is_some_and(|t| t <= CLOSE * best || *index == self.likely))
            .collect();
        if close.len() < 2 {
            return Ok(());
        }
        for index in close {
            if !(self.in_time)() {
                return Ok(());
            }
            let Some(before) = time(entry, index) else { continue };
            if let Some(again) = usable(trials.time(index).await)? {
                let least = before.min(micros(again));
                entry.tried.insert(self.forms[index].clone(), Outcome::Microseconds(least));
            }
        }
        Ok(())
    }

    /// Chooses by what is known, and has it kept.
    fn note_fastest(&mut self, entry: &mut Entry) {
        let time = |form: &String| entry.microseconds(form);
        // The heuristic's form may turn out to be wrong or not to run; before it is tried, it is believed.
        let refused = matches!(entry.tried.get(&self.forms[self.likely]), Some(Outcome::Refused(_)));
        let heuristic = &self.forms[if refused { 0 } else { self.likely }];
        let limit = time(heuristic).map_or(f64::INFINITY, |own| CLEARLY_FASTER * own);
        let timed = self
            .forms
            .iter()
            .filter(|form| *form != heuristic)
            .filter_map(|form| time(form).map(|time| (form, time)));
        let best = timed.filter(|(_, time)| *time <= limit).min_by(|a, b| a.1.total_cmp(&b.1));
        entry.form = best.map_or(heuristic, |(form, _)| form).clone();
        (self.keep)(entry);
    }
}

async fn attempt(trials: &mut impl Trials, form: usize) -> Result<Outcome, DeviceError> {
    let difference = trials.difference(form).await?;
    // Written so that NaN is refused.
    let right = difference <= trials.tolerance();
    if !right {
        return Ok(Outcome::Refused(format!("its result is off by {difference:.1e}")));
    }
    Ok(Outcome::Microseconds(micros(trials.time(form).await?)))
}

/// A lost device is an error, anything else a form that does not run.
fn usable(time: Result<Duration, DeviceError>) -> Result<Option<Duration>, DeviceError> {
    match time {
        Ok(time) => Ok(Some(time)),
        Err(DeviceError::Lost(reason)) => Err(DeviceError::Lost(reason)),
        Err(_) => Ok(None),
    }
}

/// To the nanosecond: more digits would only be noise in the file.
fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e9).round() / 1e3
}

#[cfg(test)]
mod tests;
