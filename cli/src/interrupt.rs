//! Ctrl-C: the first asks the run to stop, the second ends the program at once. Neither leaves half a file.

use crate::encode::staging::remove_unfinished;
use crate::error::{Failure, Result};
use engine::run::Cancel;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Starts listening, also to the request to terminate. The flag ends what the device is doing.
pub(crate) fn install() -> Result<Cancel> {
    let cancel = Cancel::default();
    let flag = cancel.clone();
    ctrlc::set_handler(move || {
        if REQUESTED.swap(true, Ordering::Relaxed) {
            remove_unfinished();
            std::process::exit(130);
        }
        flag.cancel();
    })
    .map_err(|error| Failure::system(format!("cannot listen to Ctrl-C: {error}")))?;
    Ok(cancel)
}

/// Whether the run has been asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Fails if the run has been asked to stop.
pub(crate) fn check() -> Result<()> {
    if requested() { Err(Failure::interrupted()) } else { Ok(()) }
}
