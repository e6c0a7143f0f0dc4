//! What can go wrong, said so that a person can act on it, and the exit code that goes with it.

use crate::hints::{Setup, message};
use engine::pipeline::EngineError;
use std::fmt;
use std::io;
use std::path::Path;

/// The result of everything in this program.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The input: a flag, a file, a prompt.
    User,
    /// This program or the machine.
    System,
    /// Nobody: the run was stopped from outside.
    Interrupted,
}

/// An error with its exit code and, where there is one, a way out.
#[derive(Debug)]
pub(crate) struct Failure {
    blame: Blame,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// The input is wrong: exit code 1.
    pub(crate) fn user(message: impl Into<String>) -> Self {
        Self { blame: Blame::User, message: message.into(), hint: None }
    }

    /// The program or the machine failed: exit code 2.
    pub(crate) fn system(message: impl Into<String>) -> Self {
        Self { blame: Blame::System, message: message.into(), hint: None }
    }

    /// Ctrl-C: exit code 130, as shells count it.
    pub(crate) fn interrupted() -> Self {
        Self { blame: Blame::Interrupted, message: "interrupted; nothing was written".into(), hint: None }
    }

    /// The same in the middle of a download.
    pub(crate) fn download_interrupted() -> Self {
        let message = "interrupted; what has arrived is kept, the same command goes on from there".into();
        Self { blame: Blame::Interrupted, message, hint: None }
    }

    /// `cannot write `path`: No space left on device`, with the blame that the kind of error suggests.
    pub(crate) fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        Self {
            blame: blame_for(error),
            message: format!("cannot {action} `{}`: {}", path.display(), reason(error)),
            hint: None,
        }
    }

    /// The same for the standard output, which has no path.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        Self {
            blame: Blame::System,
            message: format!("cannot write to the standard output: {}", reason(error)),
            hint: None,
        }
    }

    /// An error of the engine's, with what helps against it in a run set up like this.
    pub(crate) fn of_engine(error: &EngineError, setup: Setup) -> Self {
        let text = message(error);
        let failure = if error.is_users() { Self::user(text) } else { Self::system(text) };
        Self { hint: setup.hint(error), ..failure }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Who has to act.
    pub(crate) fn blame(&self) -> Blame {
        self.blame
    }

    /// The process exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.blame {
            Blame::User => 1,
            Blame::System => 2,
            Blame::Interrupted => 130,
        }
    }

    /// What to do about it, where something can be done.
    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The system's words without the ` (os error 28)` that Rust appends and without a final period.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" (os error ").unwrap_or(text.len());
    text[..end].trim_end_matches('.').to_owned()
}

fn blame_for(error: &io::Error) -> Blame {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound
        | Kind::PermissionDenied
        | Kind::AlreadyExists
        | Kind::IsADirectory
        | Kind::NotADirectory
        | Kind::InvalidFilename
        | Kind::ReadOnlyFilesystem
        | Kind::InvalidData
        | Kind::UnexpectedEof => Blame::User,
        _ => Blame::System,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_names_the_path_and_leaves_out_the_number() {
        let error = std::fs::read("/no/such/file").unwrap_err();
        let failure = Failure::io("read", Path::new("/no/such/file"), &error);
        assert_eq!(failure.to_string(), format!("cannot read `/no/such/file`: {}", reason(&error)));
        assert!(!failure.to_string().contains("os error"));
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn a_full_disk_is_not_the_users_fault() {
        let failure = Failure::io("write", Path::new("x.mp4"), &io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(failure.exit_code(), 2);
    }
}
