//! Chooses and builds a noise scheduler.

use std::fmt;
use std::str::FromStr;

use model_loader::config::{
    CogVideoXSchedulerConfig, FlowMatchEulerConfig, ModelScheduler, PredictionType, SchedulerConfig,
    TimestepSpacing, UniPcConfig,
};

use super::ddim::Ddim;
use super::dpm::Dpm;
use super::flow_match_euler::{FlowMatchEuler, FlowMatchEulerSettings};
use super::noise_scheduler::NoiseScheduler;
use super::scheduler_error::SchedulerError;
use super::unipc::{UniPc, UniPcSettings};
use super::variance_preserving::{NoiseScheduleSettings, Prediction, Spacing};

/// The noise schedulers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchedulerKind {
    /// [`FlowMatchEuler`], called `euler`.
    FlowMatchEuler,
    /// [`UniPc`], called `unipc`.
    UniPc,
    /// [`Ddim`], called `ddim`.
    Ddim,
    /// [`Dpm`], called `dpm`.
    Dpm,
}

/// What a model was trained to undo: its schedulers cannot be exchanged with the other's.
enum Schedule {
    /// Flow matching from a sample to noise, moved by a shift.
    Flow { num_train_timesteps: usize, shift: f64 },
    /// Diffusion that keeps the variance.
    VariancePreserving(NoiseScheduleSettings),
}

impl SchedulerKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::FlowMatchEuler, Self::UniPc, Self::Ddim, Self::Dpm];

    /// The kind that a model folder asks for.
    #[must_use]
    pub const fn of(config: &SchedulerConfig) -> Self {
        match config {
            SchedulerConfig::FlowMatchEuler(_) => Self::FlowMatchEuler,
            SchedulerConfig::UniPc(_) => Self::UniPc,
            SchedulerConfig::CogVideoXDdim(_) => Self::Ddim,
            SchedulerConfig::CogVideoXDpm(_) => Self::Dpm,
        }
    }

    /// The name a user chooses it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlowMatchEuler => "euler",
            Self::UniPc => "unipc",
            Self::Ddim => "ddim",
            Self::Dpm => "dpm",
        }
    }

    /// Builds the scheduler of a model folder for `steps` steps.
    ///
    /// `kind` replaces the kind that the folder asks for, but keeps its schedule: for a flow-matching model its
    /// shift, which `flow_shift` replaces.
    ///
    /// # Errors
    /// If the number of steps, the shift or a field of the configuration cannot be used, if the model was not
    /// trained for this kind of scheduler, or if no `kind` replaces a scheduler that is not supported.
    pub fn build(
        model: &ModelScheduler,
        kind: Option<Self>,
        steps: usize,
        flow_shift: Option<f64>,
    ) -> Result<Box<dyn NoiseScheduler>, SchedulerError> {
        let config = &model.config;
        let own = Self::of(config);
        if let (None, Some(reason)) = (kind, &model.unsupported) {
            return Err(SchedulerError::NotSupported {
                reason: reason.clone(),
                fitting: own.fitting().map(Self::name),
            });
        }
        let kind = kind.unwrap_or(own);
        match (Schedule::new(config, flow_shift), kind) {
            (Schedule::Flow { num_train_timesteps, shift }, Self::FlowMatchEuler) => {
                let settings = FlowMatchEulerSettings { num_train_timesteps, shift };
                Ok(Box::new(FlowMatchEuler::new(settings, steps)?))
            }
            (Schedule::Flow { num_train_timesteps, shift }, Self::UniPc) => {
                let own = match config {
                    SchedulerConfig::UniPc(config) => config.into(),
                    _ => UniPcSettings::default(),
                };
                let settings = UniPcSettings { num_train_timesteps, flow_shift: shift, ..own };
                Ok(Box::new(UniPc::new(&settings, steps)?))
            }
            (Schedule::VariancePreserving(_), Self::Ddim | Self::Dpm) if flow_shift.is_some() => {
                Err(SchedulerError::NoShift { own: own.name() })
            }
            (Schedule::VariancePreserving(settings), Self::Ddim) => {
                Ok(Box::new(Ddim::new(&settings, steps)?))
            }
            (Schedule::VariancePreserving(settings), Self::Dpm) => Ok(Box::new(Dpm::new(&settings, steps)?)),
            _ => Err(SchedulerError::Misfit {
                kind: kind.name(),
                own: own.name(),
                fitting: own.fitting().map(Self::name),
            }),
        }
    }

    /// The kinds that run the same models as this one.
    const fn fitting(self) -> [Self; 2] {
        match self {
            Self::FlowMatchEuler | Self::UniPc => [Self::FlowMatchEuler, Self::UniPc],
            Self::Ddim | Self::Dpm => [Self::Ddim, Self::Dpm],
        }
    }
}

impl Schedule {
    fn new(config: &SchedulerConfig, flow_shift: Option<f64>) -> Self {
        let num_train_timesteps = config.num_train_timesteps();
        let flow = |own: f64| Self::Flow { num_train_timesteps, shift: flow_shift.unwrap_or(own) };
        match config {
            SchedulerConfig::FlowMatchEuler(config) => flow(config.shift),
            SchedulerConfig::UniPc(config) => flow(config.flow_shift),
            SchedulerConfig::CogVideoXDdim(config) | SchedulerConfig::CogVideoXDpm(config) => {
                Self::VariancePreserving(config.into())
            }
        }
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SchedulerKind {
    type Err = SchedulerError;

    fn from_str(name: &str) -> Result<Self, SchedulerError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| SchedulerError::Unknown { name: name.to_owned() })
    }
}

impl From<&FlowMatchEulerConfig> for FlowMatchEulerSettings {
    fn from(config: &FlowMatchEulerConfig) -> Self {
        Self { num_train_timesteps: config.num_train_timesteps, shift: config.shift }
    }
}

impl From<&UniPcConfig> for UniPcSettings {
    fn from(config: &UniPcConfig) -> Self {
        Self {
            num_train_timesteps: config.num_train_timesteps,
            flow_shift: config.flow_shift,
            solver_order: config.solver_order,
            lower_order_final: config.lower_order_final,
            disable_corrector: config.disable_corrector.clone(),
        }
    }
}

impl From<&CogVideoXSchedulerConfig> for NoiseScheduleSettings {
    fn from(config: &CogVideoXSchedulerConfig) -> Self {
        Self {
            num_train_timesteps: config.num_train_timesteps,
            betas: [config.beta_start, config.beta_end],
            set_alpha_to_one: config.set_alpha_to_one,
            prediction: match config.prediction_type {
                PredictionType::Epsilon => Prediction::Epsilon,
                PredictionType::Sample => Prediction::Sample,
                PredictionType::Velocity => Prediction::Velocity,
            },
            spacing: match config.timestep_spacing {
                TimestepSpacing::Leading => Spacing::Leading { offset: config.steps_offset },
                TimestepSpacing::Linspace => Spacing::Linspace,
                TimestepSpacing::Trailing => Spacing::Trailing,
            },
            rescale_zero_snr: config.rescale_betas_zero_snr,
            snr_shift_scale: config.snr_shift_scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use model_loader::config::{
        CogVideoXSchedulerConfig, FlowMatchEulerConfig, ModelScheduler, PredictionType, SchedulerConfig,
        TimestepSpacing, UniPcConfig,
    };

    use super::SchedulerKind;
    use crate::diffusion::ddim::Ddim;
    use crate::diffusion::dpm::Dpm;
    use crate::diffusion::flow_match_euler::FlowMatchEuler;
    use crate::diffusion::noise_scheduler::NoiseScheduler;
    use crate::diffusion::unipc::{UniPc, UniPcSettings};
    use crate::diffusion::variance_preserving::NoiseScheduleSettings;

    fn unipc_config() -> UniPcConfig {
        UniPcConfig {
            num_train_timesteps: 1000,
            solver_order: 3,
            lower_order_final: true,
            disable_corrector: vec![0],
            flow_shift: 5.0,
        }
    }

    fn same(a: &dyn NoiseScheduler, b: &dyn NoiseScheduler) -> bool {
        a.timesteps() == b.timesteps()
            && a.sigmas() == b.sigmas()
            && a.state_rows() == b.state_rows()
            && (0..a.steps()).all(|step| a.update(step) == b.update(step))
    }

    #[test]
    fn the_folder_decides_unless_overridden() {
        let unipc = SchedulerConfig::UniPc(unipc_config()).into();
        let euler_config = FlowMatchEulerConfig { num_train_timesteps: 1000, shift: 5.0 };
        let euler = SchedulerConfig::FlowMatchEuler(euler_config.clone()).into();
        let build = |config, kind, shift| SchedulerKind::build(config, kind, 7, shift).unwrap();

        let own_unipc = UniPc::new(&UniPcSettings::from(&unipc_config()), 7).unwrap();
        let default_unipc = UniPcSettings { flow_shift: 5.0, ..Default::default() };
        let default_unipc = UniPc::new(&default_unipc, 7).unwrap();
        let own_euler = FlowMatchEuler::new((&euler_config).into(), 7).unwrap();

        assert!(same(build(&unipc, None, None).as_ref(), &own_unipc));
        assert!(same(build(&euler, None, None).as_ref(), &own_euler));
        assert!(same(build(&unipc, Some(SchedulerKind::FlowMatchEuler), None).as_ref(), &own_euler));
        assert!(same(build(&euler, Some(SchedulerKind::UniPc), None).as_ref(), &default_unipc));
        assert!(same(build(&unipc, Some(SchedulerKind::UniPc), None).as_ref(), &own_unipc));
        assert!(!same(build(&unipc, None, Some(3.0)).as_ref(), &own_unipc));
    }

    fn cogvideox_config() -> CogVideoXSchedulerConfig {
        CogVideoXSchedulerConfig {
            num_train_timesteps: 1000,
            beta_start: 0.000_85,
            beta_end: 0.012,
            set_alpha_to_one: true,
            steps_offset: 0,
            prediction_type: PredictionType::Velocity,
            timestep_spacing: TimestepSpacing::Trailing,
            rescale_betas_zero_snr: true,
            snr_shift_scale: 3.0,
        }
    }

    #[test]
    fn both_solvers_of_a_diffusion_model_share_its_schedule() {
        let settings = NoiseScheduleSettings { snr_shift_scale: 3.0, ..Default::default() };
        let ddim = Ddim::new(&settings, 7).unwrap();
        let dpm = Dpm::new(&settings, 7).unwrap();
        for config in
            [SchedulerConfig::CogVideoXDdim, SchedulerConfig::CogVideoXDpm].map(|c| c(cogvideox_config()))
        {
            let own = SchedulerKind::of(&config);
            let model = config.into();
            let build = |kind| SchedulerKind::build(&model, kind, 7, None).unwrap();
            assert!(same(build(Some(SchedulerKind::Ddim)).as_ref(), &ddim));
            assert!(same(build(Some(SchedulerKind::Dpm)).as_ref(), &dpm));
            assert!(same(build(None).as_ref(), build(Some(own)).as_ref()));
        }
    }

    #[test]
    fn a_scheduler_of_another_kind_of_model_is_refused() {
        let flow = SchedulerConfig::UniPc(unipc_config()).into();
        let diffusion = SchedulerConfig::CogVideoXDdim(cogvideox_config()).into();
        let message =
            |config, kind| SchedulerKind::build(config, Some(kind), 7, None).unwrap_err().to_string();
        for kind in [SchedulerKind::Ddim, SchedulerKind::Dpm] {
            assert_eq!(
                message(&flow, kind),
                format!(
                    "the scheduler `{kind}` does not fit this model, which was made for `unipc`; expected `euler` or `unipc`"
                )
            );
        }
        for kind in [SchedulerKind::FlowMatchEuler, SchedulerKind::UniPc] {
            assert_eq!(
                message(&diffusion, kind),
                format!(
                    "the scheduler `{kind}` does not fit this model, which was made for `ddim`; expected `ddim` or `dpm`"
                )
            );
        }
        let shifted = SchedulerKind::build(&diffusion, None, 7, Some(3.0)).unwrap_err().to_string();
        assert_eq!(shifted, "a flow shift does not fit this model, which was made for `ddim` and has none");
    }

    #[test]
    fn another_scheduler_takes_the_place_of_one_that_is_not_supported() {
        let own = SchedulerConfig::UniPc(unipc_config());
        let model = ModelScheduler { config: own.clone(), unsupported: Some("`f.json` says `x`".to_owned()) };
        let error = SchedulerKind::build(&model, None, 7, None).unwrap_err();
        assert_eq!(error.to_string(), "the model's scheduler cannot be run: `f.json` says `x`");
        assert_eq!(error.hint().unwrap(), "choose another scheduler for it: `euler` or `unipc`");
        let supported = own.into();
        for kind in [SchedulerKind::FlowMatchEuler, SchedulerKind::UniPc] {
            let build = |model| SchedulerKind::build(model, Some(kind), 7, None).unwrap();
            assert!(same(build(&model).as_ref(), build(&supported).as_ref()));
        }
        SchedulerKind::build(&model, Some(SchedulerKind::Ddim), 7, None).unwrap_err();
    }

    #[test]
    fn bad_numbers_reach_the_caller() {
        let config = SchedulerConfig::UniPc(unipc_config()).into();
        for kind in [SchedulerKind::FlowMatchEuler, SchedulerKind::UniPc] {
            let message = |steps, shift| {
                SchedulerKind::build(&config, Some(kind), steps, shift).unwrap_err().to_string()
            };
            assert_eq!(message(0, None), "the number of steps is 0, expected 1 to 1000");
            assert_eq!(message(4, Some(-1.0)), "the flow shift is -1, expected a positive number");
        }
    }

    #[test]
    fn names_lead_back() {
        for kind in SchedulerKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let message = "ddpm".parse::<SchedulerKind>().unwrap_err().to_string();
        assert_eq!(message, "no scheduler is called `ddpm`, expected `euler`, `unipc`, `ddim` or `dpm`");
    }
}
