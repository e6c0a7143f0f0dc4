//! Requests to the hub. Redirects are followed here, because the token must not go where they lead.

use std::io::ErrorKind;
use std::time::Duration;

use ureq::http::{Response, Uri, header};
use ureq::{Agent, Body};

use crate::retry::Failure;
use crate::{HubError, RepoId, Settings};

/// More redirects than this lead in a circle.
const REDIRECTS: usize = 6;
/// The longest answer that is read as text.
const TEXT: u64 = 64 << 20;

pub(crate) struct Client {
    agent: Agent,
    settings: Settings,
}

/// What is asked for, for messages and for the page that grants access.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub repo: &'a RepoId,
    /// The file; `None` for the list of files.
    pub file: Option<&'a str>,
}

impl Subject<'_> {
    pub(crate) fn name(&self) -> String {
        self.file.map_or_else(|| self.repo.to_string(), str::to_owned)
    }
}

/// An answer, and what the redirects on the way to it told.
pub(crate) struct Answer {
    pub response: Response<Body>,
    /// Whether it comes from the hub itself, not from where the hub sent us.
    pub from_hub: bool,
    pub etag: Option<String>,
    pub size: Option<u64>,
    pub commit: Option<String>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        text(&self.response, name)
    }
}

impl Client {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("kinora/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(settings.connect_timeout))
            .timeout_resolve(Some(settings.connect_timeout))
            .timeout_per_read(Some(settings.stall_timeout))
            .timeout_per_write(Some(settings.stall_timeout));
        if !settings.proxy {
            config = config.proxy(None);
        }
        Self { agent: config.build().into(), settings: settings.clone() }
    }

    /// The text behind a path of the hub.
    pub(crate) fn text(&self, path: &str, subject: Subject<'_>) -> Result<String, Failure> {
        let mut answer = self.open("GET", path, &[], subject)?;
        let body = answer.response.body_mut().with_config().limit(TEXT).read_to_string();
        body.map_err(|error| Failure::broken(&subject.name(), reason(&error, &self.settings)))
    }

    /// Asks for a path of the hub. A `HEAD` stops where the hub leads elsewhere; all else is an answer of 2xx or 416.
    pub(crate) fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        subject: Subject<'_>,
    ) -> Result<Answer, Failure> {
        if self.settings.offline {
            let missing = format!("`{}`", subject.name());
            return Err(HubError::NotCached { repo: subject.repo.to_string(), missing, offline: true }.into());
        }
        let broken = |reason: String| Failure::broken(&subject.name(), reason);
        let mut address = format!("{}{path}", self.settings.endpoint);
        let hub = origin(&address).ok_or_else(|| broken(format!("`{address}` is not an address")))?;
        let (mut etag, mut size, mut commit) = (None, None, None);
        for _ in 0..=REDIRECTS {
            let from_hub = origin(&address).as_ref() == Some(&hub);
            let response = self
                .send(method, &address, headers, from_hub)
                .map_err(|error| self.lost(&error, &address, subject))?;
            etag = etag.or_else(|| text(&response, "x-linked-etag").map(str::to_owned));
            size = size.or_else(|| text(&response, "x-linked-size")?.parse().ok());
            commit = commit.or_else(|| text(&response, "x-repo-commit").map(str::to_owned));
            if response.status().is_redirection() && response.status() != 304 {
                let to = text(&response, "location").and_then(|to| join(&address, to));
                let to = to.ok_or_else(|| broken("a redirect leads nowhere".to_owned()))?;
                let next = origin(&to);
                if is_downgrade(&hub, &to) {
                    return Err(broken(format!("a redirect leads to `{to}`, which is not encrypted")));
                }
                if method == "HEAD" && next.as_ref() != Some(&hub) {
                    return Ok(Answer { response, from_hub, etag, size, commit });
                }
                address = to;
                continue;
            }
            if !response.status().is_success() && response.status() != 416 {
                return Err(self.refusal(&response, subject, from_hub));
            }
            return Ok(Answer { response, from_hub, etag, size, commit });
        }
        Err(broken("redirects lead in a circle".to_owned()))
    }

    fn send(
        &self,
        method: &str,
        address: &str,
        headers: &[(&str, &str)],
        with_token: bool,
    ) -> Result<Response<Body>, ureq::Error> {
        // What the hub tells is of the file as it is, so it must not be packed.
        let mut request =
            ureq::http::Request::builder().method(method).uri(address).header("accept-encoding", "identity");
        for &(name, value) in headers {
            request = request.header(name, value);
        }
        if let (true, Some(token)) = (with_token, &self.settings.token) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        self.agent.run(request.body(())?)
    }

    /// What it means that no answer came.
    fn lost(&self, error: &ureq::Error, address: &str, subject: Subject<'_>) -> Failure {
        let uri = address.parse::<Uri>().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or(address).to_owned();
        let reason = reason(error, &self.settings);
        match error {
            ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
                HubError::Untrusted { host, reason }.into()
            }
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) => HubError::Untrusted { host, reason }.into(),
            _ => Failure::broken(&subject.name(), format!("no answer from `{host}`: {reason}")),
        }
    }

    /// What an answer that is no success means.
    fn refusal(&self, response: &Response<Body>, subject: Subject<'_>, from_hub: bool) -> Failure {
        let status = response.status().as_u16();
        let (what, repo) = (subject.name(), subject.repo.id());
        let code = text(response, "x-error-code").unwrap_or_default();
        let said = text(response, "x-error-message").map_or_else(|| meaning(status).to_owned(), shortened);
        if !from_hub || status == 408 || status == 429 || status >= 500 {
            let place = if from_hub { "the hub" } else { "the place that the hub leads to" };
            let pause = text(response, "retry-after")
                .and_then(|after| after.trim().parse().ok())
                .map(Duration::from_secs);
            let reason = format!("{place} answered {status}, {said}");
            let error = if from_hub {
                HubError::Status { what, status, reason: said }
            } else {
                HubError::Network { what, reason: reason.clone() }
            };
            return Failure::Passing { error: Box::new(error), reason, pause };
        }
        let had_token = self.settings.token.is_some();
        let page = format!("{}/{repo}", self.settings.endpoint);
        Failure::Final(match (status, code) {
            (401 | 403, "GatedRepo") | (403, _) => HubError::Gated { repo, page, had_token },
            (401, _) if had_token && code != "RepoNotFound" => HubError::BadToken { repo },
            (401, _) if had_token => HubError::NotFound { what: "repository", name: repo },
            (401, _) => HubError::NeedsToken { repo },
            (404, "RevisionNotFound") => {
                HubError::NotFound { what: "revision", name: subject.repo.to_string() }
            }
            (404, _) if subject.file.is_some() => HubError::NotFound { what: "file", name: what },
            (404, _) => HubError::NotFound { what: "repository", name: repo },
            _ => HubError::Status { what, status, reason: said },
        })
    }
}

fn text<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

fn meaning(status: u16) -> &'static str {
    match status {
        408 => "it waited too long",
        429 => "too many requests",
        500.. => "it has trouble of its own",
        _ => "it refuses the request",
    }
}

/// Why a request failed, in the words of a person.
fn reason(error: &ureq::Error, settings: &Settings) -> String {
    match error {
        ureq::Error::Timeout(ureq::Timeout::PerRead | ureq::Timeout::PerWrite) => stalled(settings),
        ureq::Error::Timeout(_) => format!("no connection within {:?}", settings.connect_timeout),
        ureq::Error::HostNotFound => "the host is not known".to_owned(),
        ureq::Error::Io(error) if broke_off(error.kind()) => "the connection broke off".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn broke_off(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn stalled(settings: &Settings) -> String {
    format!("nothing arrived for {:?}", settings.stall_timeout)
}

/// Why a body broke off.
pub(crate) fn body_reason(error: std::io::Error, settings: &Settings) -> String {
    reason(&ureq::Error::from(error), settings)
}

/// Scheme, host and port of an address.
fn origin(address: &str) -> Option<String> {
    let uri: Uri = address.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    (scheme == "https" || scheme == "http").then_some(())?;
    Some(format!("{scheme}://{}:{port}", uri.host()?.to_ascii_lowercase()))
}

/// Whether a redirect leads from an encrypted hub to where anybody on the way could change the bytes.
fn is_downgrade(hub: &str, to: &str) -> bool {
    hub.starts_with("https:") && origin(to).is_none_or(|to| !to.starts_with("https:"))
}

/// Where a redirect from `address` leads.
fn join(address: &str, to: &str) -> Option<String> {
    let uri: Uri = address.parse().ok()?;
    let whole = if to.contains("://") {
        to.to_owned()
    } else if let Some(rest) = to.strip_prefix("//") {
        format!("{}://{rest}", uri.scheme_str()?)
    } else if to.starts_with('/') {
        format!("{}://{}{to}", uri.scheme_str()?, uri.authority()?)
    } else {
        return None;
    };
    origin(&whole).is_some().then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::{is_downgrade, join, origin};

    #[test]
    fn origins_tell_hosts_apart() {
        assert_eq!(origin("https://HF.co/a"), origin("https://hf.co:443/b?c"));
        for other in
            ["http://hf.co/a", "https://hf.co:444/a", "https://hf.co.evil.org/a", "https://evil.org/hf.co"]
        {
            assert_ne!(origin("https://hf.co/a"), origin(other), "{other}");
        }
        assert_eq!(origin("file:///etc/passwd"), None);
        assert_eq!(origin("https://hf.co@evil.org/"), origin("https://evil.org/"));
    }

    #[test]
    fn encryption_is_not_given_up() {
        let hub = origin("https://hf.co").unwrap();
        assert!(is_downgrade(&hub, "http://hf.co/a") && is_downgrade(&hub, "HTTP://cdn.org/a"));
        assert!(!is_downgrade(&hub, "https://cdn.org/a") && !is_downgrade(&hub, "HTTPS://cdn.org/a"));
        assert!(!is_downgrade(&origin("http://127.0.0.1").unwrap(), "http://127.0.0.1:2/a"));
    }

    #[test]
    fn redirects_lead_where_they_say() {
        let from = "https://hf.co/o/n/resolve/main/a";
        assert_eq!(join(from, "/x/a?b=c").as_deref(), Some("https://hf.co/x/a?b=c"));
        assert_eq!(join(from, "//cdn.org/a").as_deref(), Some("https://cdn.org/a"));
        assert_eq!(join(from, "https://cdn.org/a").as_deref(), Some("https://cdn.org/a"));
        assert_eq!(join(from, "ftp://cdn.org/a"), None);
        assert_eq!(join(from, "next"), None);
    }
}
