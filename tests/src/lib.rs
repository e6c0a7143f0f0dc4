//! The harness and every op's cases, as a library: tests and benches run the same list.
mod case;
mod compare;
pub mod ops;
pub mod run;

pub use case::{Case, CaseInput, Role};
pub use compare::{Tolerance, compare, psnr, relative_l2};
