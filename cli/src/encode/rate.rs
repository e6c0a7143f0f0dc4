//! Frame rates as the fractions that file formats want.

/// A frame rate in frames per second, as a fraction in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Frames ...
    pub(crate) numerator: u32,
    /// ... in so many seconds.
    pub(crate) denominator: u32,
}

impl Rate {
    /// The fraction meant by a decimal number: whole rates stay whole, 23.976 and its kin become n·1000/1001,
    /// anything else is taken to a thousandth.
    pub(crate) fn from_fps(fps: f64) -> Self {
        let whole = fps.round();
        if (fps - whole).abs() < 1e-6 {
            return Self::lowest(to_u32(whole), 1);
        }
        // 23.976 and 29.97 are written with two or three decimals.
        let ntsc = fps.ceil();
        if (fps - ntsc * 1000.0 / 1001.0).abs() < 2e-3 && ntsc >= 24.0 {
            return Self::lowest(to_u32(ntsc * 1000.0), 1001);
        }
        Self::lowest(to_u32(fps * 1000.0), 1000)
    }

    /// Clock ticks per second and per frame, with at least 10,000 ticks to a second.
    pub(crate) fn ticks(self) -> (u32, u32) {
        let factor = 10_000_u32.div_ceil(self.numerator).min(u32::MAX / self.numerator.max(self.denominator));
        (self.numerator * factor, self.denominator * factor)
    }

    /// The seconds that one frame lasts, as a fraction of 16-bit numbers.
    pub(crate) fn delay(self) -> (u16, u16) {
        let (mut per_second, mut frames) = (self.numerator, self.denominator);
        while per_second > u32::from(u16::MAX) || frames > u32::from(u16::MAX) {
            (per_second, frames) = (per_second.div_ceil(2), frames.div_ceil(2));
        }
        (u16::try_from(frames).unwrap_or(u16::MAX), u16::try_from(per_second).unwrap_or(u16::MAX))
    }

    fn lowest(numerator: u32, denominator: u32) -> Self {
        let (mut a, mut b) = (numerator, denominator);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self { numerator: numerator / a, denominator: denominator / a }
    }
}

/// The nearest whole number, at least one.
fn to_u32(value: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the range first")]
    let whole = value.round().clamp(1.0, f64::from(u32::MAX / 2)) as u32;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_rates_become_their_fractions() {
        let rate = |fps| {
            let rate = Rate::from_fps(fps);
            (rate.numerator, rate.denominator)
        };
        assert_eq!(rate(16.0), (16, 1));
        assert_eq!(rate(24.0), (24, 1));
        assert_eq!(rate(23.976), (24000, 1001));
        assert_eq!(rate(29.97), (30000, 1001));
        assert_eq!(rate(12.5), (25, 2));
        assert_eq!(rate(0.5), (1, 2));
    }

    #[test]
    fn ticks_are_fine_and_exact() {
        for fps in [0.001, 0.5, 1.0, 16.0, 23.976, 29.971, 240.0, 1000.0] {
            let rate = Rate::from_fps(fps);
            let (per_second, per_frame) = rate.ticks();
            assert!(per_second >= 10_000 || rate.denominator > 1, "{fps}");
            assert_eq!(
                u64::from(per_second) * u64::from(rate.denominator),
                u64::from(per_frame) * u64::from(rate.numerator)
            );
            let (delay, unit) = rate.delay();
            assert!((f64::from(unit) / f64::from(delay) / fps - 1.0).abs() < 1e-3, "{fps}");
        }
    }
}
