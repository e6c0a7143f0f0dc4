//! Timing of the engine's own bench cases with criterion: compared with the CPU executor first, then timed.
mod session;

pub use session::{Session, devices};
