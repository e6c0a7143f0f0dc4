//! `scheduler/scheduler_config.json`: how noise is removed step by step.

mod cogvideox;
mod model_scheduler;

pub use cogvideox::{CogVideoXSchedulerConfig, PredictionType, TimestepSpacing};
pub use model_scheduler::ModelScheduler;

use crate::config::{Fields, limits};
use crate::{Family, Result};

/// Which noise scheduler a model asks for, and its numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum SchedulerConfig {
    /// `FlowMatchEulerDiscreteScheduler`.
    FlowMatchEuler(FlowMatchEulerConfig),
    /// `UniPCMultistepScheduler` on flow sigmas.
    UniPc(UniPcConfig),
    /// `CogVideoXDDIMScheduler`.
    CogVideoXDdim(CogVideoXSchedulerConfig),
    /// `CogVideoXDPMScheduler`.
    CogVideoXDpm(CogVideoXSchedulerConfig),
}

/// The numbers of a `FlowMatchEulerDiscreteScheduler`.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowMatchEulerConfig {
    /// Timesteps in training; what sigma 1 is as a timestep.
    pub num_train_timesteps: usize,
    /// How far the sigmas are shifted towards noise.
    pub shift: f64,
}

/// The numbers of a `UniPCMultistepScheduler` that predicts flow with the `bh2` solver.
#[derive(Clone, Debug, PartialEq)]
pub struct UniPcConfig {
    /// Timesteps in training; what sigma 1 is as a timestep.
    pub num_train_timesteps: usize,
    /// Order of the solver: 1, 2 or 3.
    pub solver_order: usize,
    /// Whether the order falls towards the last step.
    pub lower_order_final: bool,
    /// Steps (counted from zero) after which the corrector does not run.
    pub disable_corrector: Vec<usize>,
    /// How far the sigmas are shifted towards noise.
    pub flow_shift: f64,
}

const FLOW_MATCH_EULER: &str = "FlowMatchEulerDiscreteScheduler";
const UNIPC: &str = "UniPCMultistepScheduler";
const COGVIDEOX_DDIM: &str = "CogVideoXDDIMScheduler";
const COGVIDEOX_DPM: &str = "CogVideoXDPMScheduler";
const SUPPORTED: [&str; 4] = [FLOW_MATCH_EULER, UNIPC, COGVIDEOX_DDIM, COGVIDEOX_DPM];

/// The schedulers that can run a model of a family.
const fn fitting(family: Family) -> &'static [&'static str] {
    match family {
        Family::Wan => &[FLOW_MATCH_EULER, UNIPC],
        Family::CogVideoX => &[COGVIDEOX_DDIM, COGVIDEOX_DPM],
    }
}

impl SchedulerConfig {
    /// Checks the config in `json`; messages call it `file`. [`ModelScheduler::load`] reads the one of a model.
    ///
    /// # Errors
    /// When it is damaged, or asks for something that is not supported.
    pub fn from_json(file: &str, json: &[u8]) -> Result<Self> {
        Self::take(Fields::parse(file, json)?, &SUPPORTED)
    }

    /// Timesteps in training, whichever the scheduler.
    #[must_use]
    pub const fn num_train_timesteps(&self) -> usize {
        match self {
            Self::FlowMatchEuler(config) => config.num_train_timesteps,
            Self::UniPc(config) => config.num_train_timesteps,
            Self::CogVideoXDdim(config) | Self::CogVideoXDpm(config) => config.num_train_timesteps,
        }
    }

    /// The shift of the sigmas, for a scheduler that has sigmas: one of a flow-matching model.
    #[must_use]
    pub const fn flow_shift(&self) -> Option<f64> {
        match self {
            Self::FlowMatchEuler(config) => Some(config.shift),
            Self::UniPc(config) => Some(config.flow_shift),
            Self::CogVideoXDdim(_) | Self::CogVideoXDpm(_) => None,
        }
    }

    /// Reads the config of one of the classes `supported`.
    fn take(mut fields: Fields, supported: &[&str]) -> Result<Self> {
        let class: String = fields.required("_class_name")?;
        if !supported.contains(&&*class) {
            return Err(fields.unsupported("_class_name", class, &supported.join(", ")));
        }
        match &*class {
            FLOW_MATCH_EULER => FlowMatchEulerConfig::take(fields).map(Self::FlowMatchEuler),
            UNIPC => UniPcConfig::take(fields).map(Self::UniPc),
            COGVIDEOX_DDIM => CogVideoXSchedulerConfig::take(fields, &class).map(Self::CogVideoXDdim),
            _ => CogVideoXSchedulerConfig::take(fields, &class).map(Self::CogVideoXDpm),
        }
    }
}

impl FlowMatchEulerConfig {
    fn take(mut fields: Fields) -> Result<Self> {
        for key in [
            "use_dynamic_shifting",
            "invert_sigmas",
            "use_karras_sigmas",
            "use_exponential_sigmas",
            "use_beta_sigmas",
            "stochastic_sampling",
        ] {
            fields.only(key, false, false)?;
        }
        fields.absent("shift_terminal")?;
        let config = Self {
            num_train_timesteps: fields.size_or("num_train_timesteps", 1000, limits::LENGTH)?,
            shift: fields.positive_or("shift", 1.0)?,
        };
        // These matter with use_dynamic_shifting only.
        fields.ignore_rest(
            FLOW_MATCH_EULER,
            &["base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len", "time_shift_type"],
        );
        Ok(config)
    }
}

impl UniPcConfig {
    fn take(mut fields: Fields) -> Result<Self> {
        fields.only("prediction_type", "epsilon", "flow_prediction")?;
        fields.only("use_flow_sigmas", false, true)?;
        fields.only("predict_x0", true, true)?;
        fields.only("solver_type", "bh2", "bh2")?;
        fields.only("final_sigmas_type", "zero", "zero")?;
        fields.only("timestep_spacing", "linspace", "linspace")?;
        for key in [
            "thresholding",
            "use_karras_sigmas",
            "use_exponential_sigmas",
            "use_beta_sigmas",
            "use_dynamic_shifting",
            "rescale_betas_zero_snr",
        ] {
            fields.only(key, false, false)?;
        }
        for key in ["trained_betas", "solver_p", "sigma_min", "sigma_max", "shift_terminal"] {
            fields.absent(key)?;
        }
        let config = Self {
            num_train_timesteps: fields.size_or("num_train_timesteps", 1000, limits::LENGTH)?,
            solver_order: fields.or("solver_order", 2)?,
            lower_order_final: fields.or("lower_order_final", true)?,
            disable_corrector: fields.or("disable_corrector", Vec::new())?,
            flow_shift: fields.positive_or("flow_shift", 1.0)?,
        };
        if !(1..=3).contains(&config.solver_order) {
            return Err(fields.unsupported("solver_order", config.solver_order, "1, 2, 3"));
        }
        // Betas play no part on flow sigmas; the others belong to thresholding, leading spacing and dynamic shifting.
        fields.ignore_rest(
            UNIPC,
            &[
                "beta_start",
                "beta_end",
                "beta_schedule",
                "dynamic_thresholding_ratio",
                "sample_max_value",
                "steps_offset",
                "time_shift_type",
            ],
        );
        Ok(config)
    }
}
