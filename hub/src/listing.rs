//! The files of a repository at one commit, as the hub's API lists them.

use serde::Deserialize;

use crate::http::{Client, Subject};
use crate::names;
use crate::repo::is_commit;
use crate::retry::Failure;
use crate::{HubError, RepoId};

/// A file as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub path: String,
    /// Its size and the etag that names its blob, where the list tells both.
    pub content: Option<Content>,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub etag: String,
    pub size: u64,
}

/// All files at a commit.
#[derive(Debug)]
pub(crate) struct Listing {
    pub commit: String,
    pub files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: Option<u64>,
}

impl Listing {
    pub(crate) fn fetch(client: &Client, repo: &RepoId) -> Result<Self, Failure> {
        let revision = names::escaped(repo.revision()).replace('/', "%2F");
        let path = format!("/api/models/{}/revision/{revision}?blobs=true", repo.id());
        let text = client.text(&path, Subject { repo, file: None })?;
        Ok(Self::parse(&text, repo)?)
    }

    fn parse(text: &str, repo: &RepoId) -> Result<Self, HubError> {
        let bad = |reason: String| HubError::BadAnswer { what: repo.to_string(), reason };
        let info: Info = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        // The commit becomes the name of a folder.
        if !is_commit(&info.sha) {
            return Err(bad(format!("`{}` is not a commit", info.sha.escape_debug())));
        }
        let files = info.siblings.into_iter().map(Sibling::listed).collect();
        Ok(Self { commit: info.sha, files })
    }
}

impl Sibling {
    fn listed(self) -> Listed {
        let (size, etag) = match self.lfs {
            Some(lfs) => (lfs.size.or(self.size), Some(lfs.sha256)),
            None => (self.size, self.blob_id),
        };
        let etag = etag.and_then(|etag| names::blob(&etag));
        let content = size.zip(etag).map(|(size, etag)| Content { etag, size });
        Listed { path: self.rfilename, content }
    }
}
