//! What can go wrong between the hub and the cache. Every message names the repository, the file or the folder.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a model could not be had. [`HubError::hint`] says what to do about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubError {
    /// A text is not the name of a repository.
    #[error("`{text}` is not the name of a repository: {reason}")]
    BadRepoId {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A variable, or the file of the token, has a value without meaning.
    #[error("`{name}` cannot be used: {reason}")]
    BadSetting {
        /// The variable or the file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository names a file that would lie outside its folder.
    #[error("the repository names the file `{file}`, which is refused: {reason}")]
    BadName {
        /// The name, with what cannot be shown escaped.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub wants to know who asks, and no token is there.
    #[error("the hub does not show `{repo}` without a token")]
    NeedsToken {
        /// The repository.
        repo: String,
    },
    /// The hub does not accept the token.
    #[error("the hub does not accept the token for `{repo}`")]
    BadToken {
        /// The repository.
        repo: String,
    },
    /// The repository's conditions have to be accepted first, or the account has no access.
    #[error("access to `{repo}` is restricted")]
    Gated {
        /// The repository.
        repo: String,
        /// The page where access is granted.
        page: String,
        /// Whether a token was sent.
        had_token: bool,
    },
    /// There is no such repository, revision or file.
    #[error("the hub has no {what} `{name}`")]
    NotFound {
        /// `repository`, `revision` or `file`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The hub answers with a status that trying again does not change, or did not after all tries.
    #[error("the hub answered {status} for `{what}`: {reason}")]
    Status {
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What it means.
        reason: String,
    },
    /// All tries failed on the way.
    #[error("cannot fetch `{what}`: {reason}")]
    Network {
        /// What was asked for.
        what: String,
        /// Why the last try failed.
        reason: String,
    },
    /// The encryption does not hold: another may stand between here and the host.
    #[error("the connection to `{host}` cannot be trusted: {reason}")]
    Untrusted {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The hub's answer makes no sense.
    #[error("the hub's answer for `{what}` is not valid: {reason}")]
    BadAnswer {
        /// What was asked for.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// The file that is offered is not the one that was listed.
    #[error("the hub changed `{file}` since it was listed: {what} is {got}, expected {expected}")]
    Changed {
        /// The path in the repository.
        file: String,
        /// What differs.
        what: &'static str,
        /// What the hub says now.
        got: String,
        /// What the list said.
        expected: String,
    },
    /// The bytes are not the ones that the hub's hash is of, twice.
    #[error("`{file}` arrived damaged twice: its hash is {got}, expected {expected}")]
    Damaged {
        /// The path in the repository.
        file: String,
        /// The hash of what arrived.
        got: String,
        /// The hash that the hub tells.
        expected: String,
    },
    /// The disk is too full for what is missing.
    #[error("`{folder}` has {free} bytes free, but {needed} are still to be downloaded")]
    DiskFull {
        /// The cache.
        folder: PathBuf,
        /// What is free.
        free: u64,
        /// What is missing.
        needed: u64,
    },
    /// The system refused something in the cache.
    #[error("cannot use `{path}`: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Files of the model are not in the cache, and the network was not asked.
    #[error("`{repo}` is not complete in the cache: {missing} is missing")]
    NotCached {
        /// The repository.
        repo: String,
        /// The first file that is missing, or what else.
        missing: String,
        /// Whether the network is forbidden.
        offline: bool,
    },
    /// The repository is not a folder of components, and no file was picked.
    #[error("`{repo}` holds no model_index.json; its weights are {found}")]
    PickAFile {
        /// The repository.
        repo: String,
        /// The weights that are there, each in backticks.
        found: String,
    },
    /// No file has a name like the one that was picked.
    #[error("`{repo}` holds no file `{pattern}`; its weights are {found}")]
    NoMatch {
        /// The repository.
        repo: String,
        /// The name or pattern.
        pattern: String,
        /// The weights that are there, each in backticks.
        found: String,
    },
    /// A file of the repository is not what it must be.
    #[error("`{file}` of `{repo}` is not valid: {reason}")]
    BadFile {
        /// The repository.
        repo: String,
        /// The path in it.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A file that the model needs is not in the repository.
    #[error("`{file}` is missing from `{repo}`: {reason}")]
    MissingFile {
        /// The repository.
        repo: String,
        /// The path in it.
        file: String,
        /// Why it is needed.
        reason: String,
    },
    /// A component has no weights that can be used.
    #[error("`{repo}` holds no safetensors weights for `{component}` (found {found})")]
    NoWeights {
        /// The repository.
        repo: String,
        /// The component's folder.
        component: String,
        /// What its folder holds.
        found: String,
    },
    /// No component has weights of the variant that was asked for.
    #[error("`{repo}` has no weights of the variant `{variant}` (found {found})")]
    NoVariant {
        /// The repository.
        repo: String,
        /// The variant.
        variant: String,
        /// The variants that are there.
        found: String,
    },
    /// It was told to stop.
    #[error("the download was stopped")]
    Cancelled,
}

impl HubError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// Whether the hub could not be reached or served nothing, so that the cache may stand in for it.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Network { .. } | Self::Untrusted { .. })
            || matches!(self, Self::Status { status, .. } if *status == 429 || *status >= 500)
    }

    /// What the reader can do about it, in one or two sentences without a final period.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::BadRepoId { .. } => "write it as on the hub: `owner/name`, or `owner/name@revision`",
            Self::BadSetting { .. } => "correct the value, or remove it to use the default",
            Self::BadName { .. } => "the repository is damaged or hostile; use one that you trust",
            Self::NeedsToken { .. } => {
                "check the name; if the repository is private or restricted, set HF_TOKEN to a token that may read it"
            }
            Self::BadToken { .. } => {
                "the token may have expired; set HF_TOKEN to a valid one, or remove it if the repository is public"
            }
            Self::Gated { page, had_token, .. } => {
                let token = if *had_token {
                    "with the account of the token"
                } else {
                    "and set HF_TOKEN to a token of your account"
                };
                return Some(format!("open {page} and accept its conditions, {token}"));
            }
            Self::NotFound { what, .. } if *what == "repository" => {
                "check the name; a private repository needs HF_TOKEN set to a token that may read it"
            }
            Self::NotFound { .. } => "check the name on the repository's page",
            Self::Status { status: 429, .. } => "the hub limits how often it is asked; wait a few minutes",
            Self::Status { status, .. } if *status >= 500 => {
                "the hub has trouble of its own; try again later"
            }
            Self::Status { .. } => "check HF_ENDPOINT, if it is set",
            Self::Network { .. } => {
                "check the connection (and HF_ENDPOINT, if it is set) and run it again; what has arrived is kept"
            }
            Self::Untrusted { .. } => {
                "check the clock, HF_ENDPOINT and proxies; a network may ask to log in first"
            }
            Self::BadAnswer { .. } => {
                "something between here and the hub may change answers; check HF_ENDPOINT and proxies"
            }
            Self::Changed { .. } => "run it again",
            Self::Damaged { .. } => {
                "something between here and the hub changes the bytes, or the disk does; try another network"
            }
            Self::DiskFull { .. } => "free some space, or set HF_HUB_CACHE to a folder on a larger disk",
            Self::Io { .. } => "check that the folder can be written, or set HF_HUB_CACHE to one that can",
            Self::NotCached { offline: true, .. } => "unset HF_HUB_OFFLINE to download it",
            Self::NotCached { .. } => "download it first",
            Self::PickAFile { .. } => "pick one of them, by name or with `*` for a part of it",
            Self::NoMatch { .. } => "pick one of them; pickled weights are never fetched",
            Self::BadFile { .. } => "the repository is damaged, or not a model in the diffusers layout",
            Self::MissingFile { .. } => "the repository is not complete; use another one of the model",
            Self::NoWeights { .. } => {
                "only safetensors weights named as diffusers names them are fetched; use a repository that has them"
            }
            Self::NoVariant { .. } => "ask for one of these, or for none",
            Self::Cancelled => "run it again to go on; what has arrived is kept",
        };
        Some(hint.to_owned())
    }
}
