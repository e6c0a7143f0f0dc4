//! Measurements in print: a table, JSON, a plot.

mod compiled;
mod report;
pub(crate) mod roofline;

pub(crate) use compiled::{Compiled, CompiledRow};
pub(crate) use report::{Report, Row, Stage};
