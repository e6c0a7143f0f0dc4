//! Everything that can go wrong between a prompt and its video.
use super::{Cause, Fault, FaultyStage};
use crate::{
    diffusion::{GuidanceError, SchedulerError},
    error::{CompileError, DeviceError, PlanError, RunError},
    models::Mismatch,
    op::OpError,
    picture::PictureError,
};
use model_loader::LoadError;

/// Why no video came out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The model's files.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The settings do not fit the model.
    #[error("the {what} is {got}, {expected}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What it is.
        got: String,
        /// What it must be.
        expected: String,
    },
    /// The components of the model do not fit each other.
    #[error("{} is {}, must be {}, the {}", .0.what, .0.got, .0.expected, .0.other)]
    Mismatch(Mismatch),
    /// The steps.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// The guidance scale.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// The picture to start from.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// There is a picture, and nothing to be done with it.
    #[error("this model makes videos from text alone, and cannot start from a picture")]
    PictureUnused,
    /// There is no picture.
    #[error("this model makes videos from a picture and text, and there is no picture")]
    PictureMissing,
    /// A tiny decoder is asked for, and the model came without.
    #[error("the model has no tiny decoder")]
    NoTinyDecoder,
    /// Config and weights disagree in a way that only shows when the model is built.
    #[error("the model cannot be built: {0}")]
    Op(#[from] OpError),
    /// The video does not fit the device.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A stage needs more memory than the run may take.
    #[error("`{stage}` needs {} MB of memory, {} MB are allowed", needed.div_ceil(1_000_000), budget / 1_000_000)]
    Memory {
        /// The stage.
        stage: &'static str,
        /// Bytes that it needs at least.
        needed: u64,
        /// Bytes that the settings allow.
        budget: u64,
    },
    /// The device failed.
    #[error(transparent)]
    Device(DeviceError),
    /// A stage made what cannot be right.
    #[error("{stage} are {fault}: {cause}")]
    Broken {
        /// Which.
        stage: FaultyStage,
        /// What is wrong with it.
        fault: Fault,
        /// Why.
        cause: Cause,
    },
    /// The caller asked for it.
    #[error("cancelled")]
    Cancelled,
    /// A defect of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<CompileError> for EngineError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Plan(error) => Self::Plan(error),
            CompileError::Device(error) => Self::Device(error),
            CompileError::Cancelled => Self::Cancelled,
            other @ CompileError::OtherPlan => Self::Internal(other.to_string()),
        }
    }
}

impl From<RunError> for EngineError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Cancelled => Self::Cancelled,
            RunError::Device(error) => Self::Device(error),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl EngineError {
    /// Whether the user can mend it: wrong settings, a damaged model, too little memory.
    pub fn is_users(&self) -> bool {
        match self {
            Self::Load(_)
            | Self::Mismatch(_)
            | Self::Setting { .. }
            | Self::Scheduler(_)
            | Self::Guidance(_)
            | Self::Picture(_)
            | Self::PictureUnused
            | Self::PictureMissing
            | Self::NoTinyDecoder
            | Self::Memory { .. }
            | Self::Broken { cause: Cause::Weights { .. } | Cause::Overflow, .. }
            | Self::Plan(_) => true,
            Self::Op(_) | Self::Broken { .. } | Self::Cancelled | Self::Internal(_) => false,
            Self::Device(error) => {
                matches!(error, DeviceError::NoAdapter(_) | DeviceError::OutOfMemory { .. })
            }
        }
    }
}
