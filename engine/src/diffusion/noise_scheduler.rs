//! What every noise scheduler offers: the timesteps for the network and one linear update per step.

use std::fmt::Debug;

/// A noise schedule with its solver, for a fixed number of steps.
///
/// A scheduler holds no state of the run: everything is a function of the step's index, so a run can be
/// resumed at any step from its saved state rows.
pub trait NoiseScheduler: Debug + Send + Sync {
    /// One value per step, as the network receives it.
    fn timesteps(&self) -> &[f64];

    /// The noise level before each step and, last, after the final one: one more than there are steps.
    fn sigmas(&self) -> &[f64];

    /// The table that the steps are made from, with the name it goes by.
    fn table(&self) -> (&'static str, &[f64]) {
        ("sigmas", self.sigmas())
    }

    /// How many rows of the latents' size the solver works on. Row 0 is the latents; the others are history,
    /// and must be zero before the first step.
    fn state_rows(&self) -> usize;

    /// The row that holds the newest prediction of the clean latents, for a solver that keeps one.
    fn clean_row(&self) -> Option<usize> {
        None
    }

    /// The update of step `step`.
    ///
    /// # Panics
    /// If `step` is not below [`steps`](Self::steps).
    fn update(&self, step: usize) -> StepUpdate;

    /// The number of steps.
    fn steps(&self) -> usize {
        self.timesteps().len()
    }

    /// How many times step `step` draws standard-normal noise of the latents' size. The last draw is the one that
    /// the update gets; diffusers throws others away, which shifts all later draws of its generator.
    fn noise_draws(&self, step: usize) -> usize {
        usize::from(self.update(step).needs_noise())
    }

    /// What the standard-normal noise is multiplied by to become the first latents.
    fn init_noise_sigma(&self) -> f64 {
        1.0
    }
}

/// One denoising step as a linear map of the state rows and the (guided) model output:
/// `new[r] = sum_i state[r][i] * old[i] + output[r] * model_output + noise[r] * fresh_noise`.
///
/// All new rows are computed from the old ones. A row without content yet has zero coefficients.
#[derive(Debug, Clone, PartialEq)]
pub struct StepUpdate {
    /// Weights of the old rows, `[rows][rows]`.
    pub state: Vec<Vec<f64>>,
    /// Weights of the model output, `[rows]`.
    pub output: Vec<f64>,
    /// Weights of fresh standard-normal noise, `[rows]`; all zero for a solver of an ordinary differential equation.
    pub noise: Vec<f64>,
}

impl StepUpdate {
    /// Number of state rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.output.len()
    }

    /// Whether the step wants fresh noise.
    #[must_use]
    pub fn needs_noise(&self) -> bool {
        self.noise.iter().any(|&weight| weight != 0.0)
    }

    /// Applies the update to the rows of one element, in double precision. This is the definition that
    /// executors are tested against, not the way they run.
    #[must_use]
    pub fn apply(&self, rows: &[f64], model_output: f64, noise: f64) -> Vec<f64> {
        let weighted = |weights: &[f64]| -> f64 { weights.iter().zip(rows).map(|(w, x)| w * x).sum() };
        (0..self.rows())
            .map(|r| weighted(&self.state[r]) + self.output[r] * model_output + self.noise[r] * noise)
            .collect()
    }

    /// Whether every weight is a finite number.
    pub(super) fn is_finite(&self) -> bool {
        self.state.iter().flatten().chain(&self.output).chain(&self.noise).all(|weight| weight.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::StepUpdate;

    #[test]
    fn an_update_reads_only_old_rows() {
        let swap = StepUpdate {
            state: vec![vec![0.0, 2.0], vec![1.0, 0.0]],
            output: vec![10.0, 0.0],
            noise: vec![0.0, 100.0],
        };
        assert_eq!(swap.apply(&[3.0, 5.0], 1.0, 2.0), [20.0, 203.0]);
        assert!(swap.needs_noise());
    }
}
