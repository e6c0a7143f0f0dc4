//! DDIM (Song et al., arXiv:2010.02502): the deterministic first-order solver.

use super::noise_scheduler::{NoiseScheduler, StepUpdate};
use super::scheduler_error::SchedulerError;
use super::variance_preserving::{NoiseSchedule, NoiseScheduleSettings};

/// `CogVideoXDDIMScheduler`: one row, `x' = k x + (sqrt(a') - sqrt(a) k) x0` with `k = sqrt((1 - a') / (1 - a))`.
#[derive(Debug, Clone)]
pub struct Ddim {
    schedule: NoiseSchedule,
    sigmas: Vec<f64>,
}

impl Ddim {
    /// A schedule of `steps` steps.
    ///
    /// # Errors
    /// If the number of steps or a setting cannot be used.
    pub fn new(settings: &NoiseScheduleSettings, steps: usize) -> Result<Self, SchedulerError> {
        let schedule = NoiseSchedule::new("CogVideoXDDIMScheduler", settings, steps)?;
        Ok(Self { sigmas: schedule.sigmas(), schedule })
    }
}

impl NoiseScheduler for Ddim {
    fn timesteps(&self) -> &[f64] {
        self.schedule.timesteps()
    }

    fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    fn table(&self) -> (&'static str, &[f64]) {
        ("alphas_cumprod", self.schedule.alphas_cumprod())
    }

    fn state_rows(&self) -> usize {
        1
    }

    fn update(&self, step: usize) -> StepUpdate {
        let (a, after) = (self.schedule.alpha(step), self.schedule.alpha_after(step));
        let keep = ((1.0 - after) / (1.0 - a)).sqrt();
        let weight = after.sqrt() - a.sqrt() * keep;
        let [latents, output] = self.schedule.clean(step);
        StepUpdate {
            state: vec![vec![keep + weight * latents]],
            output: vec![weight * output],
            noise: vec![0.0],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ddim;
    use crate::diffusion::NoiseScheduler;
    use crate::diffusion::variance_preserving::{NoiseScheduleSettings, Prediction, Spacing};

    /// A model that knows the sample gets there, whatever it is asked to predict.
    #[test]
    fn a_constant_clean_sample_is_found_exactly() {
        let clean = 0.25;
        for spacing in [Spacing::Trailing, Spacing::Leading { offset: 1 }, Spacing::Linspace] {
            for prediction in [Prediction::Velocity, Prediction::Sample, Prediction::Epsilon] {
                let rescale_zero_snr = prediction != Prediction::Epsilon;
                let settings =
                    NoiseScheduleSettings { prediction, spacing, rescale_zero_snr, ..Default::default() };
                for steps in [1, 2, 4, 50] {
                    let ddim = Ddim::new(&settings, steps).unwrap();
                    let mut x = 1.75;
                    for step in 0..steps {
                        let a = ddim.schedule.alpha(step);
                        let noise = (x - a.sqrt() * clean) / (1.0 - a).sqrt();
                        let output = match prediction {
                            Prediction::Epsilon => noise,
                            Prediction::Sample => clean,
                            Prediction::Velocity => a.sqrt() * noise - (1.0 - a).sqrt() * clean,
                        };
                        x = ddim.update(step).apply(&[x], output, 0.0)[0];
                    }
                    assert!((x - clean).abs() < 1e-9, "{settings:?}, {steps} steps: {x}");
                }
            }
        }
    }

    #[test]
    fn every_weight_is_finite_for_every_number_of_steps() {
        for steps in 1..=1000 {
            let ddim = Ddim::new(&NoiseScheduleSettings::default(), steps).unwrap();
            assert!((0..steps).all(|step| ddim.update(step).is_finite()), "{steps} steps");
        }
    }
}
