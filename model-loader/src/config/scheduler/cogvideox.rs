//! The numbers of CogVideoX's two schedulers, which share one configuration.

use crate::Result;
use crate::config::{Fields, limits};

/// The numbers of a `CogVideoXDDIMScheduler` or a `CogVideoXDPMScheduler`.
#[derive(Clone, Debug, PartialEq)]
pub struct CogVideoXSchedulerConfig {
    /// Timesteps in training; the length of the noise schedule.
    pub num_train_timesteps: usize,
    /// Noise added by the first training timestep.
    pub beta_start: f64,
    /// Noise added by the last one. Between them, the square roots are spread evenly (`scaled_linear`).
    pub beta_end: f64,
    /// Whether the last step ends without any noise, and not at the first training timestep.
    pub set_alpha_to_one: bool,
    /// Added to every timestep of `leading` spacing.
    pub steps_offset: usize,
    /// What the network's output means.
    pub prediction_type: PredictionType,
    /// How the timesteps are spread.
    pub timestep_spacing: TimestepSpacing,
    /// Whether the last training timestep is nothing but noise (arXiv:2305.08891).
    pub rescale_betas_zero_snr: bool,
    /// Moves the schedule towards noise; 1 leaves it.
    pub snr_shift_scale: f64,
}

/// What a network's output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredictionType {
    /// The noise in the sample.
    Epsilon,
    /// The sample without noise.
    Sample,
    /// `sqrt(a) noise - sqrt(1 - a) sample` (arXiv:2202.00512).
    Velocity,
}

/// How inference timesteps are spread over those of training (arXiv:2305.08891, table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestepSpacing {
    /// Evenly from zero, in whole steps; the last training timestep is left out.
    Leading,
    /// Evenly, both ends included.
    Linspace,
    /// Evenly back from the last training timestep.
    Trailing,
}

impl CogVideoXSchedulerConfig {
    pub(super) fn take(mut fields: Fields, class: &str) -> Result<Self> {
        // The other schedules are computed in single precision, and no published model has them.
        fields.only("beta_schedule", "scaled_linear", "scaled_linear")?;
        fields.absent("trained_betas")?;
        let config = Self {
            num_train_timesteps: fields.size_or("num_train_timesteps", 1000, limits::LENGTH)?,
            beta_start: fields.positive_or("beta_start", 0.000_85)?,
            beta_end: fields.positive_or("beta_end", 0.012)?,
            set_alpha_to_one: fields.or("set_alpha_to_one", true)?,
            steps_offset: fields.or("steps_offset", 0)?,
            prediction_type: prediction_type(&mut fields)?,
            timestep_spacing: timestep_spacing(&mut fields)?,
            rescale_betas_zero_snr: fields.or("rescale_betas_zero_snr", false)?,
            snr_shift_scale: fields.positive_or("snr_shift_scale", 3.0)?,
        };
        for (key, beta) in [("beta_start", config.beta_start), ("beta_end", config.beta_end)] {
            if beta >= 1.0 {
                return Err(fields.bad(key, &beta.into(), "a number between 0 and 1"));
            }
        }
        if config.steps_offset >= config.num_train_timesteps {
            let expected = format!("less than num_train_timesteps, {}", config.num_train_timesteps);
            return Err(fields.bad("steps_offset", &config.steps_offset.into(), &expected));
        }
        // The library has these from the schedulers it was derived from, and reads none of them.
        fields.ignore_rest(class, &["clip_sample", "clip_sample_range", "sample_max_value"]);
        Ok(config)
    }
}

fn prediction_type(fields: &mut Fields) -> Result<PredictionType> {
    let name = fields.or("prediction_type", "epsilon".to_owned())?;
    match name.as_str() {
        "epsilon" => Ok(PredictionType::Epsilon),
        "sample" => Ok(PredictionType::Sample),
        "v_prediction" => Ok(PredictionType::Velocity),
        _ => Err(fields.unsupported("prediction_type", name, "epsilon, sample, v_prediction")),
    }
}

fn timestep_spacing(fields: &mut Fields) -> Result<TimestepSpacing> {
    let name = fields.or("timestep_spacing", "leading".to_owned())?;
    match name.as_str() {
        "leading" => Ok(TimestepSpacing::Leading),
        "linspace" => Ok(TimestepSpacing::Linspace),
        "trailing" => Ok(TimestepSpacing::Trailing),
        _ => Err(fields.unsupported("timestep_spacing", name, "leading, linspace, trailing")),
    }
}
