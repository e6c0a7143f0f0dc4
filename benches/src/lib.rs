//! Timing of the tests' cases at the sizes of real models: checked first, then timed.
mod rate;
mod session;
pub mod shapes;

pub use rate::{Peaks, Work};
pub use session::{Session, devices};
