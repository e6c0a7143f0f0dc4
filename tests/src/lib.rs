//! The harness and every op's cases, as a library: tests and benches run the same list.
pub mod backend;
mod case;
pub mod checkpoints;
mod compare;
pub mod cooperative;
pub mod golden;
pub mod groups;
pub mod latents;
pub mod ops;
pub mod parity;
pub mod run;
pub mod variants;

pub use case::{Case, CaseInput, Role, narrow};
pub use compare::{Tolerance, compare, psnr, relative_l2};
pub use golden::Golden;
