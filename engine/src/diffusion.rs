//! Sampling: noise schedules and their solvers, guidance, and the noise that a run starts from.
//!
//! Everything here runs on the host in a few microseconds. A solver never sees the latents: it describes
//! each step as a small linear map ([`StepUpdate`]) that one kernel applies to them.

mod ddim;
mod dpm;
mod flow_match_euler;
mod guidance;
mod noise;
mod noise_scheduler;
mod scheduler_error;
mod scheduler_kind;
mod sigmas;
mod unipc;
mod variance_preserving;

pub use ddim::Ddim;
pub use dpm::Dpm;
pub use flow_match_euler::{FlowMatchEuler, FlowMatchEulerSettings};
pub use guidance::{GuidanceError, GuidanceSettings};
pub use noise::{NoiseSource, NoiseStream, PhiloxNormal, TorchCpuNormal};
pub use noise_scheduler::{NoiseScheduler, StepUpdate};
pub use scheduler_error::SchedulerError;
pub use scheduler_kind::SchedulerKind;
pub(crate) use sigmas::MAX_STEPS;
pub use unipc::{UniPc, UniPcSettings};
pub use variance_preserving::{NoiseScheduleSettings, Prediction, Spacing};

#[cfg(test)]
mod golden_tests;
