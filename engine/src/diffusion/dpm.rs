//! The stochastic second-order multistep solver DPM-Solver++ (Lu et al., arXiv:2211.01095) as CogVideoX has it.

use super::noise_scheduler::{NoiseScheduler, StepUpdate};
use super::scheduler_error::SchedulerError;
use super::variance_preserving::{NoiseSchedule, NoiseScheduleSettings};

/// `CogVideoXDPMScheduler`. Rows: the latents, and the clean sample as predicted in the step before.
///
/// With the log signal-to-noise ratio `l = ln(a / (1 - a)) / 2`, `h = l' - l` and `r = (l - l_before) / h`:
///
/// `x' = sqrt((1 - a') / (1 - a)) e^-h x - expm1(-2 h) sqrt(a') D + sqrt(1 - a') sqrt(1 - e^-2h) noise`, where `D` is
/// `(1 + 1 / 2r) x0 - x0_before / 2r`, or `x0` in the first step and in one that ends without noise.
#[derive(Debug, Clone)]
pub struct Dpm {
    schedule: NoiseSchedule,
    sigmas: Vec<f64>,
    updates: Vec<StepUpdate>,
}

impl Dpm {
    /// A schedule of `steps` steps.
    ///
    /// # Errors
    /// If the number of steps or a setting cannot be used.
    pub fn new(settings: &NoiseScheduleSettings, steps: usize) -> Result<Self, SchedulerError> {
        const NAME: &str = "CogVideoXDPMScheduler";
        let schedule = NoiseSchedule::new(NAME, settings, steps)?;
        let updates: Vec<StepUpdate> = (0..steps).map(|step| update(&schedule, step)).collect();
        if !updates.iter().all(StepUpdate::is_finite) {
            let (field, value) = ("timestep_spacing", format!("{:?}", settings.spacing));
            let expected = "a spacing that ends between noise levels";
            return Err(SchedulerError::Unsupported { scheduler: NAME, field, value, expected });
        }
        Ok(Self { sigmas: schedule.sigmas(), updates, schedule })
    }
}

impl NoiseScheduler for Dpm {
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
        2
    }

    fn clean_row(&self) -> Option<usize> {
        Some(1)
    }

    fn update(&self, step: usize) -> StepUpdate {
        self.updates[step].clone()
    }

    fn noise_draws(&self, step: usize) -> usize {
        if is_second_order(&self.schedule, step) { 2 } else { 1 }
    }
}

fn is_second_order(schedule: &NoiseSchedule, step: usize) -> bool {
    step > 0 && schedule.end(step).is_some()
}

/// Where nothing but noise or no noise at all is left, `l` is infinite. Doubles give the limits: `e^-inf` is 0, and
/// whatever is divided by an infinite `r` is gone.
fn update(schedule: &NoiseSchedule, step: usize) -> StepUpdate {
    let log_snr = |a: f64| (a / (1.0 - a)).sqrt().ln();
    let (a, after) = (schedule.alpha(step), schedule.alpha_after(step));
    let h = log_snr(after) - log_snr(a);
    let keep = ((1.0 - after) / (1.0 - a)).sqrt() * (-h).exp();
    let weight = -(-2.0 * h).exp_m1() * after.sqrt();
    let noise = (1.0 - after).sqrt() * (1.0 - (-2.0 * h).exp()).sqrt();
    let back = if is_second_order(schedule, step) {
        let r = (log_snr(a) - log_snr(schedule.alpha(step - 1))) / h;
        1.0 / (2.0 * r)
    } else {
        0.0
    };
    let [latents, output] = schedule.clean(step);
    let newest = weight * (1.0 + back);
    StepUpdate {
        state: vec![vec![keep + newest * latents, -weight * back], vec![latents, 0.0]],
        output: vec![newest * output, output],
        noise: vec![noise, 0.0],
    }
}

#[cfg(test)]
mod tests {
    use super::Dpm;
    use crate::diffusion::NoiseScheduler;
    use crate::diffusion::variance_preserving::{NoiseScheduleSettings, Spacing};

    fn dpm(steps: usize) -> Dpm {
        Dpm::new(&NoiseScheduleSettings::default(), steps).unwrap()
    }

    #[test]
    fn every_weight_is_finite_for_every_number_of_steps() {
        for spacing in [Spacing::Trailing, Spacing::Linspace, Spacing::Leading { offset: 0 }] {
            for set_alpha_to_one in [true, false] {
                let settings = NoiseScheduleSettings { spacing, set_alpha_to_one, ..Default::default() };
                for steps in 1..=1000 {
                    assert!(Dpm::new(&settings, steps).is_ok(), "{settings:?}, {steps} steps");
                }
            }
        }
    }

    #[test]
    fn the_first_step_starts_from_noise_alone_and_the_last_ends_without() {
        let dpm = dpm(50);
        let first = dpm.update(0);
        // All is noise: what was there does not count, what comes is the prediction and fresh noise.
        assert_eq!(first.state, [[0.0, 0.0], [0.0, 0.0]]);
        assert_eq!(first.output[1], -1.0);
        assert!((first.output[0].powi(2) + first.noise[0].powi(2) - 1.0).abs() < 1e-12);
        let last = dpm.update(49);
        assert!(!last.needs_noise());
        assert_eq!(last.state[0], last.state[1]);
        assert_eq!(last.output[0], last.output[1]);
        // The first prediction lies at an infinite distance, and is not looked back to.
        assert_eq!(dpm.update(1).state[0][1], 0.0);
        assert!(dpm.update(2).state[0][1] < 0.0);
    }

    #[test]
    fn draws_are_counted_as_the_reference_draws() {
        let dpm = dpm(50);
        let draws: Vec<usize> = (0..50).map(|step| dpm.noise_draws(step)).collect();
        assert_eq!(draws, [vec![1], vec![2; 48], vec![1]].concat());
        // Six steps do not divide a thousand: the last one ends at timestep 0, and draws twice.
        assert_eq!((0..6).map(|step| self::dpm(6).noise_draws(step)).sum::<usize>(), 11);
    }

    /// With a model that knows the sample, every step arrives at `sqrt(a') sample` with noise of variance `1 - a'`.
    #[test]
    fn every_step_arrives_at_its_noise_level() {
        for steps in [1, 2, 6, 20] {
            let dpm = dpm(steps);
            for step in 0..steps {
                let (a, after) = (dpm.schedule.alpha(step), dpm.schedule.alpha_after(step));
                let update = dpm.update(step);
                let clean = 0.25;
                let mean = update.apply(&[a.sqrt() * clean, clean], -(1.0 - a).sqrt() * clean, 0.0);
                assert!((mean[0] - after.sqrt() * clean).abs() < 1e-12, "{steps} steps, step {step}");
                assert!((mean[1] - clean).abs() < 1e-12);
                let noise = update.apply(&[(1.0 - a).sqrt(), 0.0], a.sqrt(), 0.0)[0];
                let variance = noise.powi(2) + update.noise[0].powi(2);
                assert!((variance - (1.0 - after)).abs() < 1e-12, "{steps} steps, step {step}: {variance}");
            }
        }
    }
}
