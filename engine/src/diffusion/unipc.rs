//! UniPC: a multistep predictor with a corrector that costs no further model run
//! (Zhao et al., arXiv:2302.04867), on flow-matching noise levels.
//!
//! This is the variant video models are sampled with: data prediction (`predict_x0`), `B(h) = e^h - 1`
//! (`bh2`), `x = (1 - sigma) x0 + sigma noise`. Both halves of a step are linear in the rows, so the whole
//! step is one [`StepUpdate`].

mod coefficients;

use self::coefficients::{Exponentials, log_snr, solve};
use super::noise_scheduler::{NoiseScheduler, StepUpdate};
use super::scheduler_error::SchedulerError;
use super::sigmas::{check, linspace, shift_sigma};

/// The highest order implemented, and the highest that is used in practice.
pub(super) const MAX_ORDER: usize = 3;

/// Rows in front of the history of predictions: the latents and the sample before the last prediction.
const LATENTS: usize = 0;
const LAST_SAMPLE: usize = 1;
const HISTORY: usize = 2;

/// The first noise level stays this far below 1, where nothing of the clean sample is left and the log
/// signal-to-noise ratio is infinite.
const MARGIN: f64 = 1e-6;

/// What a UniPC schedule is made from; the names are those of `scheduler_config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct UniPcSettings {
    /// Timesteps run from this number down to zero.
    pub num_train_timesteps: usize,
    /// Moves the noise levels towards 1 (arXiv:2403.03206).
    pub flow_shift: f64,
    /// Order of the predictor, 1 to 3.
    pub solver_order: usize,
    /// Whether the last steps fall back to lower orders, so that the very last one is of order 1.
    pub lower_order_final: bool,
    /// Steps whose result the next step does not correct.
    pub disable_corrector: Vec<usize>,
}

impl Default for UniPcSettings {
    fn default() -> Self {
        Self {
            num_train_timesteps: 1000,
            flow_shift: 1.0,
            solver_order: 2,
            lower_order_final: true,
            disable_corrector: Vec::new(),
        }
    }
}

/// `UniPCMultistepScheduler` with `use_flow_sigmas`, `flow_prediction` and `predict_x0`.
///
/// Rows: the latents, the corrected sample of the step before, then the predictions of the clean sample,
/// newest first, `solver_order` of them.
#[derive(Debug, Clone)]
pub struct UniPc {
    timesteps: Vec<f64>,
    sigmas: Vec<f64>,
    updates: Vec<StepUpdate>,
}

impl UniPc {
    /// A schedule of `steps` steps.
    ///
    /// # Errors
    /// If the number of steps, the shift or the order cannot be used.
    pub fn new(settings: &UniPcSettings, steps: usize) -> Result<Self, SchedulerError> {
        check(steps, settings.flow_shift)?;
        check_solver(settings)?;
        let (timesteps, sigmas) = noise_levels(settings, steps);
        let collapsed = SchedulerError::Collapsed { shift: settings.flow_shift, steps };
        if !sigmas.windows(2).all(|pair| pair[0] > pair[1]) {
            return Err(collapsed);
        }
        let lambdas: Vec<f64> = sigmas.iter().map(|&sigma| log_snr(sigma)).collect();
        let table = Table { settings, sigmas: &sigmas, lambdas: &lambdas };
        let updates: Vec<StepUpdate> = (0..steps).map(|step| table.update(step)).collect();
        if !updates.iter().all(StepUpdate::is_finite) {
            return Err(collapsed);
        }
        Ok(Self { timesteps, sigmas, updates })
    }
}

impl NoiseScheduler for UniPc {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    fn state_rows(&self) -> usize {
        self.updates[0].rows()
    }

    fn clean_row(&self) -> Option<usize> {
        Some(HISTORY)
    }

    fn update(&self, step: usize) -> StepUpdate {
        self.updates[step].clone()
    }
}

fn check_solver(settings: &UniPcSettings) -> Result<(), SchedulerError> {
    let unsupported = |field, value, expected| {
        Err(SchedulerError::Unsupported { scheduler: "UniPCMultistepScheduler", field, value, expected })
    };
    if !(1..=MAX_ORDER).contains(&settings.solver_order) {
        return unsupported("solver_order", settings.solver_order.to_string(), "1, 2 or 3");
    }
    if !settings.lower_order_final && settings.solver_order > 1 {
        // The last step ends without noise, where only the first order is finite.
        return unsupported("lower_order_final", "false".to_owned(), "true when `solver_order` is above 1");
    }
    Ok(())
}

/// Timesteps (whole numbers, rounded down) and noise levels (rounded to single precision) as diffusers has
/// them. The solver uses the levels; only the network sees the rounded timesteps.
fn noise_levels(settings: &UniPcSettings, steps: usize) -> (Vec<f64>, Vec<f64>) {
    let train = settings.num_train_timesteps as f64;
    let mut sigmas = linspace(1.0, 1.0 / train, steps + 1);
    sigmas.pop();
    for sigma in &mut sigmas {
        *sigma = shift_sigma(*sigma, settings.flow_shift);
    }
    if (sigmas[0] - 1.0).abs() < MARGIN {
        sigmas[0] -= MARGIN;
    }
    let timesteps = sigmas.iter().map(|sigma| (sigma * train).trunc()).collect();
    sigmas.push(0.0);
    #[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is what is wanted")]
    let sigmas = sigmas.iter().map(|&sigma| f64::from(sigma as f32)).collect();
    (timesteps, sigmas)
}

/// A linear combination of the old rows and, as its last entry, the model output.
type Form = Vec<f64>;

struct Table<'a> {
    settings: &'a UniPcSettings,
    sigmas: &'a [f64],
    lambdas: &'a [f64],
}

impl Table<'_> {
    fn rows(&self) -> usize {
        HISTORY + self.settings.solver_order
    }

    /// The order of the predictor: it grows with the history and shrinks towards the end.
    fn order(&self, step: usize) -> usize {
        let steps = self.sigmas.len() - 1;
        let wanted = if self.settings.lower_order_final {
            self.settings.solver_order.min(steps - step)
        } else {
            self.settings.solver_order
        };
        wanted.min(step + 1)
    }

    fn unit(&self, row: usize) -> Form {
        let mut form = vec![0.0; self.rows() + 1];
        form[row] = 1.0;
        form
    }

    fn update(&self, step: usize) -> StepUpdate {
        // After `step` steps there are that many predictions; what lies beyond is not passed on either.
        let mut history: Vec<Form> = (HISTORY..self.rows()).map(|row| self.unit(row)).collect();
        history.iter_mut().skip(step).for_each(|empty| empty.fill(0.0));

        // The clean sample as this step sees it: x0 = x - sigma v.
        let mut clean = self.unit(LATENTS);
        clean[self.rows()] = -self.sigmas[step];

        let corrects = step > 0 && !self.settings.disable_corrector.contains(&(step - 1));
        let sample = if corrects {
            let from = self.unit(LAST_SAMPLE);
            self.advance(step - 1, self.order(step - 1), &from, &history, Some(&clean))
        } else {
            self.unit(LATENTS)
        };

        history.insert(0, clean);
        history.truncate(self.settings.solver_order);
        let latents = self.advance(step, self.order(step), &sample, &history, None);

        let mut state: Vec<Form> = [latents, sample].into_iter().chain(history).collect();
        let output = state.iter_mut().filter_map(Form::pop).collect();
        StepUpdate { state, output, noise: vec![0.0; self.rows()] }
    }

    /// Goes from the noise level of `step` to the next one, starting at `sample`. `history[0]` is the clean
    /// sample predicted at `step`, `history[1]` the one before, and so on. With `arrived`, the clean sample
    /// predicted at the goal, this is the corrector (UniC); without, the predictor (UniP).
    ///
    /// `x' = sigma'/sigma x - (1 - sigma') (e^-h - 1) (x0 + sum_k rho_k D_k)` with the divided differences
    /// `D_k = (x0_k - x0) / r_k`, `r_k = (lambda_k - lambda) / h`.
    fn advance(
        &self,
        step: usize,
        order: usize,
        sample: &Form,
        history: &[Form],
        arrived: Option<&Form>,
    ) -> Form {
        let h = self.lambdas[step + 1] - self.lambdas[step];
        let exponentials = Exponentials::new(-h);
        let (ratio, weight) = (
            self.sigmas[step + 1] / self.sigmas[step],
            -(1.0 - self.sigmas[step + 1]) * exponentials.minus_one(),
        );

        // Earlier predictions lie at negative multiples of h, a later one at h itself.
        let mut others: Vec<(f64, &Form)> = (1..order)
            .map(|back| ((self.lambdas[step - back] - self.lambdas[step]) / h, &history[back]))
            .collect();
        others.extend(arrived.map(|clean| (1.0, clean)));

        let nodes: Vec<f64> = others.iter().map(|&(node, _)| node).collect();
        let rhos = match nodes.len() {
            // Of one difference the paper takes half, for any node.
            1 => vec![0.5],
            _ => solve(&nodes, &exponentials),
        };

        let mut result: Form =
            sample.iter().zip(&history[0]).map(|(x, clean)| ratio * x + weight * clean).collect();
        for ((node, clean), rho) in others.iter().zip(rhos) {
            for ((r, other), newest) in result.iter_mut().zip(*clean).zip(&history[0]) {
                *r += weight * rho * (other - newest) / node;
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_ORDER, UniPc, UniPcSettings};
    use crate::diffusion::noise_scheduler::NoiseScheduler;

    fn settings(solver_order: usize) -> UniPcSettings {
        UniPcSettings { solver_order, flow_shift: 3.0, ..Default::default() }
    }

    fn run(unipc: &UniPc, start: f64, velocity: impl Fn(f64, f64) -> f64) -> f64 {
        let mut rows = vec![0.0; unipc.state_rows()];
        rows[0] = start;
        for step in 0..unipc.steps() {
            let v = velocity(rows[0], unipc.sigmas()[step]);
            rows = unipc.update(step).apply(&rows, v, 0.0);
        }
        rows[0]
    }

    #[test]
    fn a_constant_clean_sample_is_found_exactly() {
        for order in 1..=MAX_ORDER {
            for steps in [1, 2, 3, 4, 5, 8, 50, 999, 1000] {
                let unipc = UniPc::new(&settings(order), steps).unwrap();
                let end = run(&unipc, 1.75, |x, sigma| (x - 0.25) / sigma);
                assert!((end - 0.25).abs() < 1e-9, "order {order}, {steps} steps: {end}");
            }
        }
    }

    #[test]
    fn the_newest_prediction_lies_in_its_row() {
        for order in 1..=MAX_ORDER {
            let unipc = UniPc::new(&settings(order), 6).unwrap();
            let row = unipc.clean_row().unwrap();
            let mut rows = vec![0.0; unipc.state_rows()];
            rows[0] = 1.75;
            for step in 0..6 {
                let (sigma, velocity) = (unipc.sigmas()[step], 0.5 - 0.1 * rows[0]);
                let clean = rows[0] - sigma * velocity;
                rows = unipc.update(step).apply(&rows, velocity, 0.0);
                assert!((rows[row] - clean).abs() < 1e-12, "order {order}, step {step}");
            }
        }
    }

    /// For normally distributed data of deviation `s` the flow is known: x(sigma) is proportional to
    /// sqrt((1 - sigma)^2 s^2 + sigma^2).
    #[test]
    fn the_error_falls_with_the_order() {
        let s = 0.5;
        let deviation = |sigma: f64| ((1.0 - sigma).powi(2) * s * s + sigma * sigma).sqrt();
        let velocity = |x: f64, sigma: f64| x * (sigma - (1.0 - sigma) * s * s) / deviation(sigma).powi(2);
        let error = |order, steps| {
            let unipc = UniPc::new(&settings(order), steps).unwrap();
            (run(&unipc, 1.0, velocity) - s / deviation(unipc.sigmas()[0])).abs()
        };
        assert!(error(2, 20) < 0.5 * error(1, 20), "{} {}", error(2, 20), error(1, 20));
        assert!(error(3, 20) < error(2, 20), "{} {}", error(3, 20), error(2, 20));
        for order in 1..=MAX_ORDER {
            assert!(error(order, 40) < 0.5 * error(order, 20), "order {order}");
        }
    }

    #[test]
    fn rows_without_content_are_not_read() {
        for order in 1..=MAX_ORDER {
            let unipc = UniPc::new(&settings(order), 6).unwrap();
            for step in 0..=order {
                // Before the step there are `step` predictions and, from the second step on, a last sample.
                let empty = |column: usize| column >= 2 + step || (column == 1 && step == 0);
                for row in unipc.update(step).state {
                    for (column, weight) in row.iter().enumerate().filter(|&(column, _)| empty(column)) {
                        assert_eq!(*weight, 0.0, "order {order}, step {step}, row {column}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_corrector_can_be_switched_off_step_by_step() {
        let corrected = UniPc::new(&settings(2), 6).unwrap();
        let without = UniPcSettings { disable_corrector: vec![2], ..settings(2) };
        let without = UniPc::new(&without, 6).unwrap();
        for step in 0..6 {
            let same = corrected.update(step) == without.update(step);
            // Step 3 is the one that would correct what step 2 predicted.
            assert_eq!(same, step != 3, "step {step}");
        }
        let last_sample_unread = without.update(3).state.iter().all(|row| row[1] == 0.0);
        assert!(last_sample_unread);
    }

    #[test]
    fn bad_settings_are_named() {
        let message = |settings: UniPcSettings, steps| UniPc::new(&settings, steps).unwrap_err().to_string();
        assert_eq!(message(settings(2), 0), "the number of steps is 0, expected 1 to 1000");
        assert_eq!(message(settings(2), 40_000), "the number of steps is 40000, expected 1 to 1000");
        assert_eq!(
            message(settings(4), 5),
            "UniPCMultistepScheduler: `solver_order` is 4, expected 1, 2 or 3"
        );
        assert_eq!(
            message(UniPcSettings { lower_order_final: false, ..settings(2) }, 5),
            "UniPCMultistepScheduler: `lower_order_final` is false, expected true when `solver_order` is above 1"
        );
        for flow_shift in [0.0, -2.0, f64::NAN, f64::INFINITY, 1e30, 1e-60] {
            let message = message(UniPcSettings { flow_shift, ..settings(2) }, 5);
            assert!(message.contains(&flow_shift.to_string()), "{message}");
        }
    }
}
