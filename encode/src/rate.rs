//! Frame rates as the fractions that file formats want.

use std::fmt;

/// A frame rate in frames per second, as a fraction in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Frames ...
    pub(crate) numerator: u32,
    /// ... in so many seconds. Neither is zero.
    pub(crate) denominator: u32,
}

impl Rate {
    /// The fraction meant by a number: rates of film and television, however they are rounded, become n·1000/1001, and
    /// any other number the simplest fraction that it is.
    pub fn from_fps(fps: f64) -> Self {
        television(fps).unwrap_or_else(|| Self::nearest(fps, u32::MAX / 1000))
    }

    /// Frames in [`Rate::denominator`] seconds.
    pub fn numerator(self) -> u32 {
        self.numerator
    }

    /// The seconds that [`Rate::numerator`] frames last.
    pub fn denominator(self) -> u32 {
        self.denominator
    }

    /// Clock ticks per second and per frame, with at least 10,000 ticks to a second.
    pub fn ticks(self) -> (u32, u32) {
        let factor = 10_000_u32.div_ceil(self.numerator).min(u32::MAX / self.numerator.max(self.denominator));
        (self.numerator * factor, self.denominator * factor)
    }

    /// The seconds that one frame lasts, as a fraction of 16-bit numbers.
    pub fn delay(self) -> (u16, u16) {
        let fps = f64::from(self.numerator) / f64::from(self.denominator);
        let Self { numerator, denominator } = Self::nearest(fps, u32::from(u16::MAX));
        (u16::try_from(denominator).unwrap_or(u16::MAX), u16::try_from(numerator).unwrap_or(u16::MAX))
    }

    /// The first convergent of `value`'s continued fraction that is as good as equal, or the last with numbers up to
    /// `limit`.
    fn nearest(value: f64, limit: u32) -> Self {
        let limit = u64::from(limit);
        let (mut before, mut last) = ((0, 1), (1, 0));
        let mut rest = value.clamp(1e-4, 1e6);
        loop {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped below")]
            let whole = rest.floor().clamp(0.0, 4e9) as u64;
            let next = (whole * last.0 + before.0, whole * last.1 + before.1);
            if next.0 > limit || next.1 > limit {
                break;
            }
            (before, last) = (last, next);
            #[expect(clippy::cast_precision_loss, reason = "at most 32 bits")]
            let error = (last.0 as f64 / last.1.max(1) as f64 / value - 1.0).abs();
            let fraction = rest - rest.floor();
            if (last.1 > 0 && error < 1e-10) || fraction < 1e-12 {
                break;
            }
            rest = 1.0 / fraction;
        }
        let whole = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        Self { numerator: whole(last.0), denominator: whole(last.1) }
    }
}

/// Whole rates that are also played slower by 1000/1001.
const TELEVISION: [u32; 9] = [24, 30, 48, 60, 72, 90, 96, 120, 240];

/// 24000/1001 for 23.976 and 23.98, 30000/1001 for 29.97, and so on.
fn television(fps: f64) -> Option<Rate> {
    let whole = fps.ceil();
    let exact = whole * 1000.0 / 1001.0;
    let is_rounded_to = |unit: f64| (fps - (exact * unit).round() / unit).abs() < 1e-9;
    let is_meant = is_rounded_to(100.0) || is_rounded_to(1000.0) || (fps - exact).abs() < 1e-5;
    // Has no factor in common with 1001.
    let frames = TELEVISION.into_iter().find(|frames| f64::from(*frames) == whole && is_meant)?;
    Some(Rate { numerator: frames * 1000, denominator: 1001 })
}

/// A number or a fraction: `24`, `23.976`, `24000/1001`. The range is checked elsewhere.
///
/// # Errors
/// If it is neither.
pub fn frames_per_second(text: &str) -> Result<f64, NotARate> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let fps = match text.split_once('/') {
        Some((frames, seconds)) => number(frames).zip(number(seconds)).map(|(f, s)| f / s),
        None => number(text),
    };
    fps.ok_or(NotARate)
}

/// A text that is no frame rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number or a fraction such as 24, 23.976 or 24000/1001")]
pub struct NotARate;

impl fmt::Display for Rate {
    /// As [`frames_per_second`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            denominator => write!(f, "{}/{denominator}", self.numerator),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> (u32, u32) {
        let rate = Rate::from_fps(frames_per_second(text).unwrap());
        (rate.numerator, rate.denominator)
    }

    #[test]
    fn common_rates_become_their_fractions() {
        for (text, numerator, denominator) in [
            ("16", 16, 1),
            ("24.0", 24, 1),
            ("23.976", 24000, 1001),
            ("23.98", 24000, 1001),
            ("23.976024", 24000, 1001),
            ("24000/1001", 24000, 1001),
            ("29.97", 30000, 1001),
            ("30000/1001", 30000, 1001),
            ("59.94", 60000, 1001),
            ("119.88", 120_000, 1001),
            ("12.5", 25, 2),
            ("0.5", 1, 2),
            ("25/3", 25, 3),
            ("12.345", 2469, 200),
            // Near a rate of television, and not meant.
            ("29.971", 29971, 1000),
            ("29.96", 749, 25),
            ("24.98", 1249, 50),
            ("0.01", 1, 100),
            ("1000", 1000, 1),
            ("999.999", 999_999, 1000),
        ] {
            assert_eq!(rate(text), (numerator, denominator), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["16", "25/2", "24000/1001", "2469/200", "60000/1001"] {
            assert_eq!(Rate::from_fps(frames_per_second(text).unwrap()).to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_no_rate() {
        for text in ["", "fast", "24fps", "/", "24/", "/1001", "1/2/3"] {
            assert!(frames_per_second(text).is_err(), "{text}");
        }
        // What has no sensible value is refused with the range.
        assert!(frames_per_second("1/0").unwrap().is_infinite());
    }

    #[test]
    fn ticks_are_fine_and_exact() {
        for fps in [0.01, 0.5, 1.0, 16.0, 23.976, 29.971, 240.0, 999.999] {
            let rate = Rate::from_fps(fps);
            let (per_second, per_frame) = rate.ticks();
            assert!(per_second >= 10_000 || rate.denominator > 1, "{fps}");
            assert_eq!(
                u64::from(per_second) * u64::from(rate.denominator),
                u64::from(per_frame) * u64::from(rate.numerator)
            );
            let (delay, unit) = rate.delay();
            assert!((f64::from(unit) / f64::from(delay) / fps - 1.0).abs() < 1e-4, "{fps}");
        }
        assert_eq!(Rate::from_fps(23.976).delay(), (1001, 24000));
    }
}
