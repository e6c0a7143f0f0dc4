//! How much work one submission may hold, learned from how long the last ones took.
//!
//! Windows resets a GPU that is busy for 2 s, amdgpu and browsers behave alike; and nothing can be
//! cancelled or shown while a submission runs. So each aims at a fixed time.
use std::time::Duration;

/// Aimed length of one submission.
const GOAL: Duration = Duration::from_millis(100);

/// Bytes moved count as this many floating-point operations.
const FLOPS_PER_BYTE: u64 = 8;

/// The measured speed of a device in work units a second.
#[derive(Debug)]
pub(super) struct Pacing {
    units_per_second: f64,
}

impl Pacing {
    /// Starts from a low guess, so that the first submissions are short on any device.
    pub(super) fn new(software: bool) -> Self {
        Self { units_per_second: if software { 5e9 } else { 1e11 } }
    }

    /// The work of one launch in units.
    pub(super) fn units(flops: u64, bytes: u64) -> u64 {
        flops + FLOPS_PER_BYTE * bytes
    }

    /// Units that fit into one submission.
    pub(super) fn budget(&self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and far below 2^63"
        )]
        let units = (self.units_per_second * GOAL.as_secs_f64()) as u64;
        units.max(1)
    }

    /// Learns from a submission. Short ones say little: launch costs drown the work.
    ///
    /// No time at all says nothing: a browser's clock may be so coarse that it stands still for a whole submission.
    pub(super) fn learn(&mut self, units: u64, elapsed: Duration) {
        if elapsed.is_zero() {
            return;
        }
        let seconds = elapsed.as_secs_f64();
        if seconds < 2e-3 {
            // Faster than could be measured: allow more next time.
            self.units_per_second *= 1.5;
            return;
        }
        let measured = units as f64 / seconds;
        // Slower than thought is believed at once, faster only by and by.
        self.units_per_second = if measured < self.units_per_second {
            measured
        } else {
            (self.units_per_second * measured).sqrt()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_converges_to_the_goal() {
        let mut pacing = Pacing::new(false);
        for _ in 0..40 {
            let units = pacing.budget();
            pacing.learn(units, Duration::from_secs_f64(units as f64 / 3e12));
        }
        let seconds = pacing.budget() as f64 / 3e12;
        assert!((0.05..=0.11).contains(&seconds), "{seconds}");
    }

    #[test]
    fn a_clock_that_stands_still_changes_nothing() {
        let mut pacing = Pacing::new(false);
        let cautious = pacing.budget();
        for _ in 0..100 {
            pacing.learn(pacing.budget(), Duration::ZERO);
        }
        assert_eq!(pacing.budget(), cautious);
        pacing.learn(pacing.budget(), Duration::from_millis(1));
        assert!(pacing.budget() > cautious);
    }

    #[test]
    fn a_clock_of_whole_tenths_of_a_second_never_allows_more_than_was_measured() {
        let (speed, mut pacing, mut time) = (1e12, Pacing::new(false), 0.0);
        for _ in 0..200 {
            let units = pacing.budget();
            let before = time;
            time += units as f64 / speed;
            let ticks = |time: f64| (time * 10.0).floor() / 10.0;
            pacing.learn(units, Duration::from_secs_f64((ticks(time) - ticks(before)).max(0.0)));
            assert!(pacing.budget() as f64 / speed <= 0.11, "{}", pacing.budget());
        }
    }

    #[test]
    fn a_slow_device_is_believed_at_once() {
        let mut pacing = Pacing::new(false);
        pacing.learn(pacing.budget(), Duration::from_secs(2));
        assert!(pacing.budget() as f64 / (1e11 * 0.1 / 2.0) <= 0.11);
    }
}
