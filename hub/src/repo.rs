//! The name of a repository: `owner/name`, or `owner/name@revision`.

use std::fmt;
use std::str::FromStr;

use crate::{HubError, Result};

/// The longest owner, name or revision, in characters.
const LONGEST: usize = 96;

/// A repository of the hub, at a revision: a branch, a tag or a commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepoId {
    owner: String,
    name: String,
    revision: String,
}

impl RepoId {
    /// Reads `owner/name` or `owner/name@revision`; without a revision it is `main`.
    ///
    /// # Errors
    /// When the hub could have no repository of that name.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |reason: &str| HubError::BadRepoId { text: text.to_owned(), reason: reason.to_owned() };
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, name) = id.split_once('/').ok_or_else(|| refuse("there is no `/` in it"))?;
        for part in [owner, name] {
            word(part).map_err(|reason| refuse(&reason))?;
        }
        if name.ends_with(".git") {
            return Err(refuse("a name does not end in `.git`"));
        }
        if revision.len() > LONGEST {
            return Err(refuse("the revision is too long"));
        }
        for part in revision.split('/') {
            word(part).map_err(|reason| refuse(&format!("the revision is not sound: {reason}")))?;
        }
        Ok(Self { owner: owner.to_owned(), name: name.to_owned(), revision: revision.to_owned() })
    }

    /// `owner/name`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The branch, tag or commit.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The name of its folder in the cache.
    pub(crate) fn folder(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }
}

impl FromStr for RepoId {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        if self.revision == "main" { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

/// Whether a part of a name is one by the hub's rules; the reason if not.
fn word(part: &str) -> Result<(), String> {
    let sound = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if part.is_empty() {
        Err("a part of it is empty".to_owned())
    } else if part.len() > LONGEST {
        Err(format!("a part of it is longer than {LONGEST} characters"))
    } else if let Some(c) = part.chars().find(|&c| !sound(c)) {
        Err(format!("`{}` is not allowed in it", c.escape_debug()))
    } else if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
        Err(format!("`{part}` begins or ends with `-` or `.`"))
    } else if part.contains("--") || part.contains("..") {
        Err(format!("`{part}` holds `--` or `..`"))
    } else {
        Ok(())
    }
}

/// Whether a text is the id of a commit, as refs and the hub spell it.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
