//! Measurements in print: a table, JSON, a plot.

mod report;
pub(crate) mod roofline;

pub(crate) use report::{Report, Row, Stage};
