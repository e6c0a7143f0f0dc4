//! Where the hub and the cache are, and how patient a download is: from the variables that the hub's own tools read.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs, io};

use crate::{HubError, Result};

const ENDPOINT: &str = "https://huggingface.co";

/// What a [`Hub`](crate::Hub) works by. Take one from [`Settings::from_env`] and change what should differ.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The folder that holds one folder for each repository.
    pub cache: PathBuf,
    /// Scheme and host of the hub, without a slash at the end.
    pub endpoint: String,
    /// Sent to the hub's host and to no other.
    pub token: Option<Token>,
    /// Forbids the network.
    pub offline: bool,
    /// Whether the proxies that the environment names are used.
    pub proxy: bool,
    /// How often a request is tried again before it fails. A try that brought much does not count.
    pub retries: u32,
    /// The pause before the second try; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause, also where the hub asks for a longer one.
    pub longest_pause: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long nothing may arrive before the connection is given up.
    pub stall_timeout: Duration,
    /// The best kind of link that is tried between a snapshot and its blobs.
    pub links: Links,
    /// Tells the free bytes of the disk that a folder lies on.
    pub free_space: fn(&Path) -> io::Result<u64>,
}

/// How a file of a snapshot stands for its blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Links {
    /// The file itself: its blob is moved there, as Python does where links are impossible.
    Never,
    /// A hard link, else the file.
    Hard,
    /// A relative symbolic link, else a hard one, else the file.
    Symbolic,
}

/// The secret that opens private and gated repositories. Its text is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// Takes a token as it stands in a variable or a file; `None` if nothing but blanks is there.
    ///
    /// # Errors
    /// When it could not be sent in a header. `source` names where it came from.
    pub fn parse(text: &str, source: &str) -> Result<Option<Self>> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.chars().all(|c| c.is_ascii_graphic()) {
            let reason = "it holds characters that no token has".to_owned();
            return Err(HubError::BadSetting { name: source.to_owned(), reason });
        }
        Ok(Some(Self(text.to_owned())))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl Settings {
    /// What the environment says.
    ///
    /// # Errors
    /// When a variable's value has no meaning, or the file of the token cannot be read.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|name| env::var_os(name))
    }

    /// What a table of variables says. An empty value counts as absent.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let value = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let user = value("HOME").or_else(|| value("USERPROFILE")).map(PathBuf::from);
        let folder = |name: &str| value(name).map(|path| expand(PathBuf::from(path), user.as_deref()));
        let text = |name: &str| match value(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(bad(name, "it is not UTF-8")),
        };

        let home = folder("HF_HOME")
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| user.as_ref().map(|user| user.join(".cache/huggingface")))
            .ok_or_else(|| bad("HF_HOME", "it is not set, and neither is the home folder"))?;
        let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
        let token = match text("HF_TOKEN")? {
            Some(token) => Token::parse(&token, "HF_TOKEN")?,
            None => None,
        };
        let token = match token {
            Some(token) => Some(token),
            None => stored_token(&folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token")))?,
        };
        Ok(Self {
            cache: cache.unwrap_or_else(|| home.join("hub")),
            endpoint: endpoint(text("HF_ENDPOINT")?)?,
            token,
            offline: text("HF_HUB_OFFLINE")?.is_some_and(|value| is_true(&value)),
            proxy: true,
            retries: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_mins(5),
            connect_timeout: Duration::from_secs(20),
            stall_timeout: Duration::from_secs(30),
            links: Links::Symbolic,
            free_space: |folder| fs4::available_space(folder),
        })
    }
}

fn bad(name: &str, reason: &str) -> HubError {
    HubError::BadSetting { name: name.to_owned(), reason: reason.to_owned() }
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&&*value.to_uppercase())
}

/// `~` and `~/...` are the user's folder, as in Python.
fn expand(path: PathBuf, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

fn endpoint(value: Option<String>) -> Result<String> {
    let Some(value) = value else { return Ok(ENDPOINT.to_owned()) };
    let value = value.trim_end_matches('/');
    let host = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    let sound = host.is_some_and(|host| !host.is_empty() && !host.contains(['?', '#', '@', ' ']));
    if !sound || value.parse::<ureq::http::Uri>().is_err() {
        return Err(bad("HF_ENDPOINT", &format!("`{value}` is not the address of a host")));
    }
    Ok(value.to_owned())
}

fn stored_token(path: &Path) -> Result<Option<Token>> {
    match fs::read_to_string(path) {
        Ok(text) => Token::parse(&text, &path.display().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HubError::io(path, source)),
    }
}
