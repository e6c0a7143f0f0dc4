//! Tries the forms of an op on the device and keeps a table of what was the fastest.
//!
//! A form may only win if it gives what the heuristic's form gives on random operands. The GPU part is in `gpu`.
mod search;
mod table;

pub(crate) use search::{Search, Trials};
pub use table::{Entry, Outcome, TableError, TuningTable};

use std::{ops::ControlFlow, path::PathBuf};

/// When forms are tried, and when what is known of them is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TuningMode {
    /// Never: the heuristics decide.
    #[default]
    Off,
    /// What is in the table is used; nothing is tried.
    Stored,
    /// New shapes are tried on GPUs; not on software, where translating a form takes longer than it can win.
    Hardware,
    /// New shapes are tried on every adapter.
    Always,
}

/// How kernels are chosen.
#[derive(Debug, Clone, Default)]
pub struct TuningOptions {
    /// Whether to try.
    pub mode: TuningMode,
    /// Where the tables are kept; without it they last as long as the executor.
    pub folder: Option<PathBuf>,
}

/// What a tuner reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TuningEvent<'a> {
    /// Something the user should know.
    Notice(&'a str),
    /// Classes of shapes whose forms were tried.
    Progress {
        /// Done.
        done: usize,
        /// In all.
        total: usize,
    },
}

/// Hears of events; [`ControlFlow::Break`] ends the tuning.
#[cfg(not(target_arch = "wasm32"))]
pub type TuningObserver<'a> = dyn FnMut(TuningEvent<'_>) -> ControlFlow<()> + Send + 'a;

/// Hears of events; [`ControlFlow::Break`] ends the tuning.
#[cfg(target_arch = "wasm32")]
pub type TuningObserver<'a> = dyn FnMut(TuningEvent<'_>) -> ControlFlow<()> + 'a;
