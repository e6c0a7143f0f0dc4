//! The noise schedule of a variance-preserving model: `x = sqrt(a) sample + sqrt(1 - a) noise`, with one `a`
//! per training timestep.

use super::scheduler_error::SchedulerError;
use super::sigmas::linspace;

/// What a network's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// The noise in `x`.
    Epsilon,
    /// The sample without noise.
    Sample,
    /// `sqrt(a) noise - sqrt(1 - a) sample` (Salimans and Ho, arXiv:2202.00512).
    Velocity,
}

/// How the timesteps of a run are spread over those of training (arXiv:2305.08891, table 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Evenly from `offset`, in whole steps; the last training timestep is left out.
    Leading {
        /// Added to every timestep.
        offset: usize,
    },
    /// Evenly, both ends included.
    Linspace,
    /// Evenly back from the last training timestep.
    Trailing,
}

/// What the schedule of [`Ddim`](super::Ddim) and [`Dpm`](super::Dpm) is made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoiseScheduleSettings {
    /// Training timesteps.
    pub num_train_timesteps: usize,
    /// Noise added by the first and by the last of them; the square roots are spread evenly between.
    pub betas: [f64; 2],
    /// Whether the last step ends at no noise at all, and not at the first training timestep.
    pub set_alpha_to_one: bool,
    /// What the network's output means.
    pub prediction: Prediction,
    /// How the timesteps are spread.
    pub spacing: Spacing,
    /// Whether the last training timestep is nothing but noise (Lin et al., arXiv:2305.08891).
    pub rescale_zero_snr: bool,
    /// Divides the signal-to-noise ratio by its value.
    pub snr_shift_scale: f64,
}

impl Default for NoiseScheduleSettings {
    /// Those of CogVideoX 5B.
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            betas: [0.000_85, 0.012],
            set_alpha_to_one: true,
            prediction: Prediction::Velocity,
            spacing: Spacing::Trailing,
            rescale_zero_snr: true,
            snr_shift_scale: 1.0,
        }
    }
}

/// A linear combination of the latents and the model output: two weights.
pub(super) type Pair = [f64; 2];

/// The schedule with the timesteps of one run.
#[derive(Debug, Clone)]
pub(super) struct NoiseSchedule {
    alphas_cumprod: Vec<f64>,
    final_alpha: f64,
    prediction: Prediction,
    timesteps: Vec<f64>,
    indices: Vec<usize>,
    /// From a timestep to the one that its step ends at. Not always the next of the list: when the steps do
    /// not divide the training timesteps, both round in their own way.
    stride: usize,
}

impl NoiseSchedule {
    pub(super) fn new(
        scheduler: &'static str,
        settings: &NoiseScheduleSettings,
        steps: usize,
    ) -> Result<Self, SchedulerError> {
        let train = settings.num_train_timesteps;
        if !(1..=train).contains(&steps) {
            return Err(SchedulerError::Steps { steps, max: train });
        }
        let alphas_cumprod = alphas_cumprod(settings);
        let unsupported = |field, value: String, expected| {
            Err(SchedulerError::Unsupported { scheduler, field, value, expected })
        };
        let falling = alphas_cumprod.windows(2).all(|pair| pair[0] > pair[1]);
        if !(falling && alphas_cumprod.iter().all(|a| (0.0..1.0).contains(a))) {
            let value = format!("{:?}", settings.betas);
            return unsupported("beta_start` and `beta_end", value, "two numbers between 0 and 1");
        }
        let indices = indices(settings.spacing, train, steps);
        if let Spacing::Leading { offset } = settings.spacing
            && indices[0] >= train
        {
            let expected = "an offset that keeps all timesteps below `num_train_timesteps`";
            return unsupported("steps_offset", offset.to_string(), expected);
        }
        if settings.prediction == Prediction::Epsilon && alphas_cumprod[indices[0]] == 0.0 {
            let expected = "v_prediction or sample, as the first timestep is nothing but noise";
            return unsupported("prediction_type", "epsilon".to_owned(), expected);
        }
        Ok(Self {
            final_alpha: if settings.set_alpha_to_one { 1.0 } else { alphas_cumprod[0] },
            prediction: settings.prediction,
            timesteps: indices.iter().map(|&index| index as f64).collect(),
            stride: train / steps,
            alphas_cumprod,
            indices,
        })
    }

    pub(super) fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    pub(super) fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    /// `a` before step `step`.
    pub(super) fn alpha(&self, step: usize) -> f64 {
        self.alphas_cumprod[self.indices[step]]
    }

    /// `a` after it.
    pub(super) fn alpha_after(&self, step: usize) -> f64 {
        self.end(step).map_or(self.final_alpha, |index| self.alphas_cumprod[index])
    }

    /// The timestep at which a step ends; none if that would be below zero.
    pub(super) fn end(&self, step: usize) -> Option<usize> {
        self.indices[step].checked_sub(self.stride)
    }

    /// The clean sample that the model output of step `step` stands for.
    pub(super) fn clean(&self, step: usize) -> Pair {
        let a = self.alpha(step);
        match self.prediction {
            Prediction::Epsilon => [1.0 / a.sqrt(), -(1.0 - a).sqrt() / a.sqrt()],
            Prediction::Sample => [0.0, 1.0],
            Prediction::Velocity => [a.sqrt(), -(1.0 - a).sqrt()],
        }
    }

    /// The deviation of the noise before each step and after the last.
    pub(super) fn sigmas(&self) -> Vec<f64> {
        let last = self.indices.len() - 1;
        let alphas = (0..=last).map(|step| self.alpha(step)).chain([self.alpha_after(last)]);
        alphas.map(|a| (1.0 - a).sqrt()).collect()
    }
}

/// The share of the signal's variance at every training timestep.
fn alphas_cumprod(settings: &NoiseScheduleSettings) -> Vec<f64> {
    let [start, end] = settings.betas.map(f64::sqrt);
    let mut product = 1.0;
    let mut alphas: Vec<f64> = linspace(start, end, settings.num_train_timesteps)
        .into_iter()
        .map(|root| {
            product *= 1.0 - root * root;
            product
        })
        .collect();
    let shift = settings.snr_shift_scale;
    for a in &mut alphas {
        *a /= shift + (1.0 - shift) * *a;
    }
    if settings.rescale_zero_snr {
        let (first, last) = (alphas[0].sqrt(), alphas[alphas.len() - 1].sqrt());
        let scale = first / (first - last);
        for a in &mut alphas {
            *a = ((a.sqrt() - last) * scale).powi(2);
        }
    }
    alphas
}

/// The timesteps of a run, falling, rounded as numpy rounds.
fn indices(spacing: Spacing, train: usize, steps: usize) -> Vec<usize> {
    match spacing {
        Spacing::Leading { offset } => (0..steps).rev().map(|i| i * (train / steps) + offset).collect(),
        Spacing::Linspace => {
            let points = linspace(0.0, (train - 1) as f64, steps);
            points.into_iter().rev().map(|point| whole(point.round_ties_even())).collect()
        }
        Spacing::Trailing => {
            // numpy's arange takes its second point less its first as the distance of all; where rounding
            // makes it append a point at zero, that is left out.
            let train = train as f64;
            let distance = (train - train / steps as f64) - train;
            (0..steps).map(|i| whole((train + i as f64 * distance).round_ties_even() - 1.0)).collect()
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "timesteps are whole and small")]
fn whole(value: f64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> NoiseScheduleSettings {
        NoiseScheduleSettings::default()
    }

    fn schedule(settings: &NoiseScheduleSettings, steps: usize) -> Result<NoiseSchedule, SchedulerError> {
        NoiseSchedule::new("CogVideoXDDIMScheduler", settings, steps)
    }

    fn message(settings: &NoiseScheduleSettings, steps: usize) -> String {
        schedule(settings, steps).unwrap_err().to_string()
    }

    /// As numpy computes them.
    #[test]
    fn timesteps_are_spread_as_asked() {
        let spread = |spacing, steps| indices(spacing, 1000, steps);
        assert_eq!(spread(Spacing::Trailing, 6), [999, 832, 666, 499, 332, 166]);
        assert_eq!(spread(Spacing::Trailing, 3), [999, 666, 332]);
        assert_eq!(spread(Spacing::Linspace, 5), [999, 749, 500, 250, 0]);
        assert_eq!(spread(Spacing::Linspace, 1), [0]);
        assert_eq!(spread(Spacing::Leading { offset: 0 }, 6), [830, 664, 498, 332, 166, 0]);
        assert_eq!(spread(Spacing::Leading { offset: 1 }, 3), [667, 334, 1]);
        // A tie, decided by the rounding of the distance: 1000 - 3 * 1000 / 48 is 937.5.
        assert_eq!(spread(Spacing::Trailing, 48)[3], 936);
        for steps in 1..=1000 {
            let trailing = spread(Spacing::Trailing, steps);
            assert!(trailing.len() == steps && trailing.windows(2).all(|pair| pair[0] > pair[1]), "{steps}");
        }
    }

    #[test]
    fn the_rescaled_schedule_ends_in_pure_noise() {
        let alphas = alphas_cumprod(&settings());
        assert_eq!((alphas.len(), alphas[999]), (1000, 0.0));
        assert!((alphas[0] - (1.0 - 0.000_85)).abs() < 1e-15);
        let plain = alphas_cumprod(&NoiseScheduleSettings { rescale_zero_snr: false, ..settings() });
        assert!(plain[999] > 0.004 && plain[999] < 0.005);
    }

    #[test]
    fn the_shift_divides_the_signal_to_noise_ratio() {
        let plain = NoiseScheduleSettings { rescale_zero_snr: false, ..settings() };
        let shifted = NoiseScheduleSettings { snr_shift_scale: 3.0, ..plain };
        let ratio = |a: f64| a / (1.0 - a);
        for (a, b) in alphas_cumprod(&plain).into_iter().zip(alphas_cumprod(&shifted)) {
            assert!((ratio(a) / ratio(b) - 3.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_step_may_end_beside_the_next_timestep() {
        let schedule = schedule(&settings(), 6).unwrap();
        let ends: Vec<_> = (0..6).map(|step| schedule.end(step)).collect();
        assert_eq!(ends, [833, 666, 500, 333, 166, 0].map(Some));
        let even = NoiseSchedule::new("", &settings(), 50).unwrap();
        assert_eq!((even.end(48), even.end(49)), (Some(19), None));
        assert_eq!(even.alpha_after(49), 1.0);
        let kept = NoiseScheduleSettings { set_alpha_to_one: false, ..settings() };
        let kept = NoiseSchedule::new("", &kept, 50).unwrap();
        assert_eq!(kept.alpha_after(49), kept.alphas_cumprod()[0]);
    }

    #[test]
    fn bad_numbers_are_named() {
        assert_eq!(message(&settings(), 0), "the number of steps is 0, expected 1 to 1000");
        assert_eq!(message(&settings(), 1001), "the number of steps is 1001, expected 1 to 1000");
        let epsilon = NoiseScheduleSettings { prediction: Prediction::Epsilon, ..settings() };
        let refused = message(&epsilon, 5);
        assert!(refused.contains("`prediction_type` is epsilon"), "{refused}");
        // Without the rescaling, or where the last timestep is left out, there is signal everywhere.
        assert!(schedule(&NoiseScheduleSettings { rescale_zero_snr: false, ..epsilon }, 5).is_ok());
        assert!(
            schedule(&NoiseScheduleSettings { spacing: Spacing::Leading { offset: 0 }, ..epsilon }, 5)
                .is_ok()
        );
        let offset = NoiseScheduleSettings { spacing: Spacing::Leading { offset: 1 }, ..settings() };
        assert!(message(&offset, 1000).contains("`steps_offset` is 1"));
        for betas in [[0.0, 0.0], [1.5, 2.0], [f64::NAN, 0.1], [0.1, f64::INFINITY]] {
            let refused = message(&NoiseScheduleSettings { betas, ..settings() }, 5);
            assert!(refused.contains("`beta_start` and `beta_end`"), "{refused}");
        }
    }
}
