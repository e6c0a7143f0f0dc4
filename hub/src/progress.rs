//! What a download tells while it runs, and how it is told to stop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Something that happened. Positions are bytes from the start of the file, so that a file begun again goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// All is known and nothing has begun.
    Planned {
        /// How many files the model has.
        files: usize,
        /// Their size.
        total: u64,
        /// How much of it has to be transferred.
        missing: u64,
    },
    /// A file is begun, or taken up again.
    Started {
        /// The path in the repository.
        file: &'a str,
        /// Its size.
        size: u64,
        /// How much of it an earlier run left.
        position: u64,
    },
    /// What an earlier run left is read, so that the whole file can be checked.
    Checking {
        /// The path in the repository.
        file: &'a str,
        /// How much was read.
        position: u64,
        /// How much there is to read.
        size: u64,
    },
    /// More of a file has arrived.
    Bytes {
        /// The path in the repository.
        file: &'a str,
        /// How much of it is there.
        position: u64,
        /// Its size.
        size: u64,
    },
    /// A file is whole, checked and in its place.
    Finished {
        /// The path in the repository.
        file: &'a str,
    },
    /// Another process downloads the same file.
    Waiting {
        /// The path in the repository.
        file: &'a str,
    },
    /// A try failed; there will be another.
    Retrying {
        /// The path in the repository, or what else was asked for.
        file: &'a str,
        /// Why the last try failed.
        reason: &'a str,
        /// How long the next one waits.
        pause: Duration,
    },
}

/// Hears the events of a download. Every `FnMut(Event<'_>)` is one.
pub trait Progress {
    /// Hears of `event`.
    fn event(&mut self, event: Event<'_>);
}

impl<F: FnMut(Event<'_>)> Progress for F {
    fn event(&mut self, event: Event<'_>) {
        self(event);
    }
}

/// Asked again and again whether to stop. What has arrived by then is kept for the next run.
#[derive(Clone)]
pub struct Cancel(Arc<dyn Fn() -> bool + Send + Sync>);

impl Cancel {
    /// Stops once `question` answers true.
    pub fn when(question: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(question))
    }

    /// Never stops.
    #[must_use]
    pub fn never() -> Self {
        Self::when(|| false)
    }

    pub(crate) fn check(&self) -> crate::Result<()> {
        if (self.0)() { Err(crate::HubError::Cancelled) } else { Ok(()) }
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cancel(..)")
    }
}
