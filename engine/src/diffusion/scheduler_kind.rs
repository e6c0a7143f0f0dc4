//! Chooses and builds a noise scheduler.

use std::fmt;
use std::str::FromStr;

use model_loader::config::{FlowMatchEulerConfig, SchedulerConfig, UniPcConfig};

use super::flow_match_euler::{FlowMatchEuler, FlowMatchEulerSettings};
use super::noise_scheduler::NoiseScheduler;
use super::scheduler_error::SchedulerError;
use super::unipc::{UniPc, UniPcSettings};

/// The noise schedulers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchedulerKind {
    /// [`FlowMatchEuler`], called `euler`.
    FlowMatchEuler,
    /// [`UniPc`], called `unipc`.
    UniPc,
}

impl SchedulerKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::FlowMatchEuler, Self::UniPc];

    /// The kind that a model folder asks for.
    #[must_use]
    pub const fn of(config: &SchedulerConfig) -> Self {
        match config {
            SchedulerConfig::FlowMatchEuler(_) => Self::FlowMatchEuler,
            SchedulerConfig::UniPc(_) => Self::UniPc,
        }
    }

    /// The name a user chooses it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlowMatchEuler => "euler",
            Self::UniPc => "unipc",
        }
    }

    /// Builds the scheduler of a model folder for `steps` steps.
    ///
    /// `kind` replaces the kind that the folder asks for, but keeps its shift and its timesteps; `flow_shift`
    /// replaces the shift.
    ///
    /// # Errors
    /// If the number of steps, the shift or a field of the configuration cannot be used.
    pub fn build(
        config: &SchedulerConfig,
        kind: Option<Self>,
        steps: usize,
        flow_shift: Option<f64>,
    ) -> Result<Box<dyn NoiseScheduler>, SchedulerError> {
        let num_train_timesteps = config.num_train_timesteps();
        let shift = flow_shift.unwrap_or(config.flow_shift());
        match kind.unwrap_or(Self::of(config)) {
            Self::FlowMatchEuler => {
                let settings = FlowMatchEulerSettings { num_train_timesteps, shift };
                Ok(Box::new(FlowMatchEuler::new(settings, steps)?))
            }
            Self::UniPc => {
                let own = match config {
                    SchedulerConfig::UniPc(config) => config.into(),
                    SchedulerConfig::FlowMatchEuler(_) => UniPcSettings::default(),
                };
                let settings = UniPcSettings { num_train_timesteps, flow_shift: shift, ..own };
                Ok(Box::new(UniPc::new(&settings, steps)?))
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

#[cfg(test)]
mod tests {
    use model_loader::config::{FlowMatchEulerConfig, SchedulerConfig, UniPcConfig};

    use super::SchedulerKind;
    use crate::diffusion::flow_match_euler::FlowMatchEuler;
    use crate::diffusion::noise_scheduler::NoiseScheduler;
    use crate::diffusion::unipc::{UniPc, UniPcSettings};

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
        let unipc = SchedulerConfig::UniPc(unipc_config());
        let euler_config = FlowMatchEulerConfig { num_train_timesteps: 1000, shift: 5.0 };
        let euler = SchedulerConfig::FlowMatchEuler(euler_config.clone());
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

    #[test]
    fn bad_numbers_reach_the_caller() {
        let config = SchedulerConfig::UniPc(unipc_config());
        for kind in SchedulerKind::ALL {
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
        let message = "ddim".parse::<SchedulerKind>().unwrap_err().to_string();
        assert_eq!(message, "no scheduler is called `ddim`, expected `euler` or `unipc`");
    }
}
