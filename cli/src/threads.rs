//! How many threads compute.

use crate::error::{Failure, Result};

/// Takes the number asked for, or else leaves one for each core.
pub(crate) fn limit(threads: Option<u16>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    engine::compute::cpu::use_threads(threads.into())
        .map_err(|reason| Failure::system(format!("cannot start {threads} threads: {reason}")))
}
