//! Why a noise scheduler cannot be built.

use thiserror::Error;

/// Why a noise scheduler cannot be built.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SchedulerError {
    /// The number of steps is zero or absurdly high.
    #[error("the number of steps is {steps}, expected 1 to {max}")]
    Steps {
        /// The number that was asked for.
        steps: usize,
        /// The largest that is possible.
        max: usize,
    },
    /// The shift is not a positive number.
    #[error("the flow shift is {shift}, expected a positive number")]
    Shift {
        /// The shift that was asked for.
        shift: f64,
    },
    /// The shift pushes noise levels so close together that they are equal in single precision.
    #[error("a flow shift of {shift} leaves no distance between the noise levels of {steps} steps")]
    Collapsed {
        /// The shift that was asked for.
        shift: f64,
        /// The number of steps.
        steps: usize,
    },
    /// There is no scheduler of this name.
    #[error("no scheduler is called `{name}`, expected `euler`, `unipc`, `ddim` or `dpm`")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// The model was trained for schedulers of another kind.
    #[error("the scheduler `{kind}` does not fit this model, which was made for `{own}`; expected `{}` or `{}`", fitting[0], fitting[1])]
    Misfit {
        /// The scheduler that was asked for.
        kind: &'static str,
        /// The one that the model's folder names.
        own: &'static str,
        /// Those that fit.
        fitting: [&'static str; 2],
    },
    /// The model's folder asks for a scheduler that is not supported, and no other was chosen.
    #[error("the model's scheduler cannot be run: {reason}")]
    NotSupported {
        /// What in which file is not supported.
        reason: String,
        /// Those that fit the model.
        fitting: [&'static str; 2],
    },
    /// Only flow-matching models have a shift.
    #[error("a flow shift does not fit this model, which was made for `{own}` and has none")]
    NoShift {
        /// The scheduler that the model's folder names.
        own: &'static str,
    },
    /// The configuration asks for something that is not implemented.
    #[error("{scheduler}: `{field}` is {value}, expected {expected}")]
    Unsupported {
        /// The scheduler's name in the configuration file.
        scheduler: &'static str,
        /// The name of the field in the configuration file.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would have been accepted.
        expected: &'static str,
    },
}

impl SchedulerError {
    /// What to do about it, where the message does not say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotSupported { fitting: [one, other], .. } => {
                Some(format!("choose another scheduler for it: `{one}` or `{other}`"))
            }
            _ => None,
        }
    }
}
