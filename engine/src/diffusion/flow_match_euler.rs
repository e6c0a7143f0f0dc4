//! Euler's method on the flow-matching equation `dx/dsigma = v` (Lipman et al., arXiv:2210.02747).

use super::noise_scheduler::{NoiseScheduler, StepUpdate};
use super::scheduler_error::SchedulerError;
use super::sigmas::{check, linspace, shift_sigma};

/// What an Euler schedule is made from; the names are those of `scheduler_config.json`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowMatchEulerSettings {
    /// Timesteps run from this number down to zero.
    pub num_train_timesteps: usize,
    /// Moves the noise levels towards 1 (arXiv:2403.03206).
    pub shift: f64,
}

impl Default for FlowMatchEulerSettings {
    fn default() -> Self {
        Self { num_train_timesteps: 1000, shift: 1.0 }
    }
}

/// `FlowMatchEulerDiscreteScheduler`: one row, `x += (sigma' - sigma) v`.
#[derive(Debug, Clone)]
pub struct FlowMatchEuler {
    timesteps: Vec<f64>,
    sigmas: Vec<f64>,
}

impl FlowMatchEuler {
    /// A schedule of `steps` steps.
    ///
    /// The shift acts **twice**, as in diffusers: the end points are taken from the training table, which is
    /// shifted already, and the points spread evenly between them are shifted again.
    ///
    /// # Errors
    /// If the number of steps or the shift cannot be used.
    pub fn new(settings: FlowMatchEulerSettings, steps: usize) -> Result<Self, SchedulerError> {
        check(steps, settings.shift)?;
        let train = settings.num_train_timesteps as f64;
        // The training table is single precision throughout, and its rounding shows in the timesteps.
        let last = shift_in_single(1.0 / single(train), settings.shift);
        let first = shift_in_single(1.0, settings.shift);
        let spread = linspace(f64::from(first) * train, f64::from(last) * train, steps);
        let sigmas: Vec<f32> =
            spread.iter().map(|timestep| single(shift_sigma(timestep / train, settings.shift))).collect();
        Self::from_shifted(&sigmas, settings)
    }

    /// A schedule through the noise levels a pipeline chose itself; they are shifted once.
    ///
    /// # Errors
    /// If the number of levels or the shift cannot be used, or if the levels do not fall towards zero.
    pub fn through(settings: FlowMatchEulerSettings, sigmas: &[f64]) -> Result<Self, SchedulerError> {
        check(sigmas.len(), settings.shift)?;
        let sigmas: Vec<f32> =
            sigmas.iter().map(|&sigma| shift_in_single(single(sigma), settings.shift)).collect();
        Self::from_shifted(&sigmas, settings)
    }

    fn from_shifted(sigmas: &[f32], settings: FlowMatchEulerSettings) -> Result<Self, SchedulerError> {
        let falling = sigmas.windows(2).all(|pair| pair[0] > pair[1]);
        if !(falling && sigmas.iter().all(|&sigma| sigma > 0.0)) {
            return Err(SchedulerError::Collapsed { shift: settings.shift, steps: sigmas.len() });
        }
        let train = single(settings.num_train_timesteps as f64);
        Ok(Self {
            timesteps: sigmas.iter().map(|sigma| f64::from(sigma * train)).collect(),
            sigmas: sigmas.iter().map(|&sigma| f64::from(sigma)).chain([0.0]).collect(),
        })
    }
}

impl NoiseScheduler for FlowMatchEuler {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    fn state_rows(&self) -> usize {
        1
    }

    fn update(&self, step: usize) -> StepUpdate {
        StepUpdate {
            state: vec![vec![1.0]],
            output: vec![self.sigmas[step + 1] - self.sigmas[step]],
            noise: vec![0.0],
        }
    }
}

fn shift_in_single(sigma: f32, shift: f64) -> f32 {
    single(shift) * sigma / (1.0 + single(shift - 1.0) * sigma)
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is what is wanted")]
fn single(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::{FlowMatchEuler, FlowMatchEulerSettings};
    use crate::diffusion::scheduler_error::SchedulerError;
    use crate::diffusion::{noise_scheduler::NoiseScheduler, sigmas::shift_sigma};

    fn settings(shift: f64) -> FlowMatchEulerSettings {
        FlowMatchEulerSettings { shift, ..Default::default() }
    }

    #[test]
    fn unshifted_levels_are_even() {
        let euler = FlowMatchEuler::new(settings(1.0), 4).unwrap();
        let expected = [1.0, 0.667, 0.334, 0.001, 0.0];
        for (got, want) in euler.sigmas().iter().zip(expected) {
            assert!((got - want).abs() < 1e-7, "{got} {want}");
        }
        assert_eq!(euler.timesteps()[0], 1000.0);
    }

    #[test]
    fn own_levels_are_shifted_once() {
        let euler = FlowMatchEuler::through(settings(7.0), &[1.0, 0.5]).unwrap();
        assert!((euler.sigmas()[1] - shift_sigma(0.5, 7.0)).abs() < 1e-7);
        assert_eq!(euler.sigmas()[2], 0.0);
    }

    #[test]
    fn a_constant_velocity_is_integrated_exactly() {
        // x = x0 + sigma * (noise - x0) has the velocity noise - x0 everywhere.
        let (x0, noise) = (0.25, -1.5);
        for steps in [1, 2, 7, 1000] {
            let euler = FlowMatchEuler::new(settings(3.0), steps).unwrap();
            let start = x0 + euler.sigmas()[0] * (noise - x0);
            let end =
                (0..steps).fold(vec![start], |rows, step| euler.update(step).apply(&rows, noise - x0, 0.0));
            assert!((end[0] - x0).abs() < 1e-12, "{steps} steps: {}", end[0]);
        }
    }

    #[test]
    fn bad_numbers_are_named() {
        let steps = |n| FlowMatchEuler::new(settings(3.0), n).unwrap_err().to_string();
        assert_eq!(steps(0), "the number of steps is 0, expected 1 to 1000");
        assert_eq!(steps(1001), "the number of steps is 1001, expected 1 to 1000");
        assert!(steps(usize::MAX).contains(&usize::MAX.to_string()));
        for shift in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = FlowMatchEuler::new(settings(shift), 4).unwrap_err();
            assert!(error.to_string().contains(&shift.to_string()), "{error}");
        }
        let error = FlowMatchEuler::new(settings(1e12), 50).unwrap_err();
        assert_eq!(error, SchedulerError::Collapsed { shift: 1e12, steps: 50 });
        assert!(FlowMatchEuler::through(settings(1.0), &[0.5, 0.5]).is_err());
        assert!(FlowMatchEuler::through(settings(1.0), &[]).is_err());
        assert!(FlowMatchEuler::through(settings(1.0), &[f64::NAN, 0.5]).is_err());
    }
}
