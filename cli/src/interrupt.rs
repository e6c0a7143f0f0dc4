//! Ctrl-C: the first asks the run to stop, the second ends the program at once. Neither leaves half a file.

use crate::error::{Failure, Result};
use crate::files::staging::remove_unfinished;
use engine::compute::run::Cancel;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Makes a write beyond `ulimit -f` an error like any other, instead of the end of the program.
pub(crate) fn ignore_size_limit() {
    signals::ignore_size_limit();
}

/// Starts listening, also to the request to terminate. The flag ends what the device is doing.
pub(crate) fn install() -> Result<Cancel> {
    let is_hangup_ignored = signals::hangup_is_ignored();
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
    if is_hangup_ignored {
        signals::ignore_hangup();
    }
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

/// Signals that are no requests to stop.
#[cfg(unix)]
mod signals {
    use libc::{SIG_IGN, SIGHUP, SIGXFSZ, sighandler_t, signal};

    fn ignore(number: i32) -> sighandler_t {
        // SAFETY: no handler is installed that could run at a bad moment.
        unsafe { signal(number, SIG_IGN) }
    }

    pub(super) fn ignore_size_limit() {
        ignore(SIGXFSZ);
    }

    /// Whether hanging up is ignored, as under `nohup`.
    pub(super) fn hangup_is_ignored() -> bool {
        ignore(SIGHUP) == SIG_IGN
    }

    pub(super) fn ignore_hangup() {
        ignore(SIGHUP);
    }
}

/// Other systems have none.
#[cfg(not(unix))]
mod signals {
    pub(super) fn ignore_size_limit() {}

    pub(super) fn hangup_is_ignored() -> bool {
        false
    }

    pub(super) fn ignore_hangup() {}
}
