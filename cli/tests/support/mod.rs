//! Runs the binary in a folder of its own.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// An empty folder that the binary runs in.
pub(crate) struct Workspace(tempfile::TempDir);

/// What a run said and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code.
    pub(crate) exit: Option<i32>,
    /// The standard output; empty where it is no text.
    pub(crate) stdout: String,
    /// The same as bytes.
    pub(crate) bytes: Vec<u8>,
    /// The standard error.
    pub(crate) stderr: String,
}

impl Workspace {
    /// A new folder.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A path inside it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// The command with these arguments, ready to start.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kinora"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null()).env_remove("NO_COLOR");
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::from(self.command(arguments).output().unwrap())
    }

    /// Fails unless the folder holds these files and no others, hidden ones included.
    pub(crate) fn holds(&self, names: &[&str]) {
        let mut found: Vec<String> = std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, names);
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            exit: output.status.code(),
            stdout: String::from_utf8(output.stdout.clone()).unwrap_or_default(),
            bytes: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// Fails unless the exit code is this one.
    pub(crate) fn code(&self, code: i32) {
        assert_eq!(self.exit, Some(code), "{self:?}");
    }
}
