//! Groups of 256 values: the fit of runs, and of the numbers that scale the scales of runs.

use super::fit::{extreme, inverse, round, scale, scale_and_least, weights};
use super::{byte, half};

const LEN: usize = 256;

/// A fitted group whose runs have a scale. Of `RUNS` runs.
pub(super) struct Symmetric<const RUNS: usize> {
    /// Scales the scales.
    pub(super) scale: f32,
    pub(super) scales: [f32; RUNS],
    /// From zero up.
    pub(super) levels: [u8; LEN],
}

/// A fitted group whose runs have a scale and a minimum.
pub(super) struct Affine<const RUNS: usize> {
    /// Scales the scales.
    pub(super) scale: f32,
    /// Scales the minima, which are taken away.
    pub(super) least: f32,
    pub(super) scales: [u8; RUNS],
    pub(super) leasts: [u8; RUNS],
    pub(super) levels: [u8; LEN],
}

/// Levels from `-most` to `most - 1`, scales from `-finest` to `finest - 1`.
pub(super) fn symmetric<const RUNS: usize, const RUN: usize>(
    values: &[f32; LEN],
    most: f32,
    finest: f32,
) -> Symmetric<RUNS> {
    let (runs, weights) = runs::<RUNS, RUN>(values);
    let mut wanted = [0.0; RUNS];
    for ((wanted, run), weights) in wanted.iter_mut().zip(&runs).zip(&weights) {
        *wanted = scale(run, weights, -most, most - 1.0);
    }
    let top = half(-extreme(&wanted) / finest);
    let over = inverse(top);
    let scales = wanted.map(|scale| round((scale * over).clamp(-finest, finest - 1.0)));
    let assign = |top: f32| -> ([[f32; RUN]; RUNS], f32, f32) {
        // Levels, the scale that is best for them, and their error with the scale they were made with.
        let mut levels = [[0.0; RUN]; RUNS];
        let (mut up, mut down, mut error) = (0.0, 0.0, 0.0);
        for run in 0..RUNS {
            let step = top * scales[run];
            let over = inverse(step);
            for i in 0..RUN {
                let (value, weight) = (runs[run][i], weights[run][i]);
                let level = round((value * over).clamp(-most, most - 1.0));
                levels[run][i] = level;
                let part = scales[run] * level;
                up += weight * value * part;
                down += weight * part * part;
                error += weight * (value - top * part) * (value - top * part);
            }
        }
        (levels, up * inverse(down), error)
    };
    let (mut scale, mut best) = (top, assign(top));
    let refit = half(best.1);
    let other = assign(refit);
    if other.2 < best.2 {
        (scale, best) = (refit, other);
    }
    Symmetric { scale, scales, levels: flat(&best.0, most) }
}

/// Levels from 0 to `most`, scales and minima from 0 to `finest`.
pub(super) fn affine<const RUNS: usize, const RUN: usize>(
    values: &[f32; LEN],
    most: f32,
    finest: f32,
) -> Affine<RUNS> {
    let (runs, weights) = runs::<RUNS, RUN>(values);
    let (mut wanted_scales, mut wanted_leasts) = ([0.0; RUNS], [0.0; RUNS]);
    for run in 0..RUNS {
        let (scale, least) = scale_and_least(&runs[run], &weights[run], most, true);
        (wanted_scales[run], wanted_leasts[run]) = (scale, -least);
    }
    let in_steps = |wanted: [f32; RUNS]| {
        let top = half(extreme(&wanted) / finest);
        let over = inverse(top);
        (top, wanted.map(|wanted| round((wanted * over).clamp(0.0, finest))))
    };
    let (mut scale, scales) = in_steps(wanted_scales);
    let (mut least, leasts) = in_steps(wanted_leasts);
    let mut fit = Fit::new(&runs, &weights, [&scales, &leasts], [scale, least], most);
    for _ in 0..2 {
        let tops = fit.best_tops();
        let other = Fit::new(&runs, &weights, [&scales, &leasts], tops, most);
        if other.error < fit.error {
            ([scale, least], fit) = (tops, other);
        }
    }
    let (scales, leasts) = (scales.map(byte), leasts.map(byte));
    Affine { scale, least, scales, leasts, levels: flat(&fit.levels, 0.0) }
}

/// Levels of all runs, and sums over the parts that scales and minima have in the values.
struct Fit<const RUNS: usize, const RUN: usize> {
    levels: [[f32; RUN]; RUNS],
    error: f32,
    tops: [f32; 2],
    value_up: f32,
    value_down: f32,
    up_up: f32,
    up_down: f32,
    down_down: f32,
}

impl<const RUNS: usize, const RUN: usize> Fit<RUNS, RUN> {
    fn new(
        runs: &[[f32; RUN]; RUNS],
        weights: &[[f32; RUN]; RUNS],
        [scales, leasts]: [&[f32; RUNS]; 2],
        tops: [f32; 2],
        most: f32,
    ) -> Self {
        let [scale, least] = tops;
        let mut fit = Self {
            levels: [[0.0; RUN]; RUNS],
            error: 0.0,
            tops,
            value_up: 0.0,
            value_down: 0.0,
            up_up: 0.0,
            up_down: 0.0,
            down_down: 0.0,
        };
        for run in 0..RUNS {
            let (over, down) = (inverse(scale * scales[run]), leasts[run]);
            for i in 0..RUN {
                let (value, weight) = (runs[run][i], weights[run][i]);
                let level = round(((value + least * down) * over).clamp(0.0, most));
                fit.levels[run][i] = level;
                let up = scales[run] * level;
                let off = value - (scale * up - least * down);
                fit.error += weight * off * off;
                fit.value_up += weight * value * up;
                fit.value_down += weight * value * down;
                fit.up_up += weight * up * up;
                fit.up_down += weight * up * down;
                fit.down_down += weight * down * down;
            }
        }
        fit
    }

    /// The two numbers that are best for these levels, in half precision.
    fn best_tops(&self) -> [f32; 2] {
        let determinant = self.up_up * self.down_down - self.up_down * self.up_down;
        let scale = (self.value_up * self.down_down - self.value_down * self.up_down) / determinant;
        let least = (self.value_up * self.up_down - self.value_down * self.up_up) / determinant;
        if determinant > 0.0 && scale.is_finite() && least.is_finite() {
            [half(scale), half(least)]
        } else {
            self.tops
        }
    }
}

/// The values of all runs and their weights.
fn runs<const RUNS: usize, const RUN: usize>(
    values: &[f32; LEN],
) -> ([[f32; RUN]; RUNS], [[f32; RUN]; RUNS]) {
    let (mut runs, mut all) = ([[0.0; RUN]; RUNS], [[0.0; RUN]; RUNS]);
    for ((run, all), values) in runs.iter_mut().zip(&mut all).zip(values.as_chunks().0) {
        *run = *values;
        *all = weights(values);
    }
    (runs, all)
}

fn flat<const RUNS: usize, const RUN: usize>(levels: &[[f32; RUN]; RUNS], zero: f32) -> [u8; LEN] {
    let mut flat = [0; LEN];
    for (flat, level) in flat.iter_mut().zip(levels.as_flattened()) {
        *flat = byte(level + zero);
    }
    flat
}
