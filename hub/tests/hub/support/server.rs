//! A model hub on 127.0.0.1: the hub itself, and at another port the place where it keeps large files.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::faults::{Fault, Key};
use super::http::{Reply, Request};

/// Which of the two servers was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Hub,
    Storage,
}

/// A request that was answered.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub place: Place,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// Bytes of the body that went out, if it is one of a file.
    pub sent: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

struct File {
    bytes: Vec<u8>,
    /// Changes with every change of the server's copy.
    edition: usize,
}

struct State {
    files: Vec<(String, File)>,
    commit: String,
    faults: Vec<(Key, Fault)>,
    log: Vec<Asked>,
    /// Whether the list tells sizes and hashes.
    lists_blobs: bool,
    storage: String,
}

/// The fake hub. Its threads end with the test's process.
pub(crate) struct FakeHub {
    address: String,
    state: Arc<Mutex<State>>,
}

impl FakeHub {
    pub(crate) fn start(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let (hub, storage) = (bind(), bind());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let files = files.into_iter().map(|(name, bytes)| (name, File { bytes, edition: 0 }));
        let state = State {
            files: files.collect(),
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            faults: Vec::new(),
            log: Vec::new(),
            lists_blobs: true,
            storage: address(&storage),
        };
        let fake = Self { address: address(&hub), state: Arc::new(Mutex::new(state)) };
        serve(hub, Place::Hub, Arc::clone(&fake.state));
        serve(storage, Place::Storage, Arc::clone(&fake.state));
        fake
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn commit(&self) -> String {
        self.state().commit.clone()
    }

    /// The next request that `key` is for goes wrong.
    pub(crate) fn fault(&self, key: Key, fault: Fault) {
        self.state().faults.push((key, fault));
    }

    /// The repository has another commit now, with this file changed.
    pub(crate) fn commit_change(&self, commit: &str, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        state.commit = commit.to_owned();
        state.files.retain(|(known, _)| known != name);
        state.files.push((name.to_owned(), File { bytes: bytes.to_vec(), edition: 0 }));
    }

    pub(crate) fn list_no_blobs(&self) {
        self.state().lists_blobs = false;
    }

    pub(crate) fn log(&self) -> Vec<Asked> {
        self.state().log.clone()
    }

    pub(crate) fn forget_log(&self) {
        self.state().log.clear();
    }

    /// All bytes of files that went out.
    pub(crate) fn sent(&self) -> usize {
        let is_file = |asked: &&Asked| asked.method == "GET" && !asked.path.starts_with("/api/");
        self.state().log.iter().filter(is_file).map(|asked| asked.sent).sum()
    }

    /// Methods and paths of all requests to one of the servers.
    pub(crate) fn asked(&self, place: Place) -> Vec<String> {
        let log = self.state().log.clone();
        log.iter()
            .filter(|asked| asked.place == place)
            .map(|asked| format!("{} {}", asked.method, asked.path))
            .collect()
    }
}

fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn serve(listener: TcpListener, place: Place, state: Arc<Mutex<State>>) {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let state = Arc::clone(&state);
            thread::spawn(move || answer(stream, place, &state));
        }
    });
}

fn answer(mut stream: TcpStream, place: Place, state: &Mutex<State>) {
    let Some(request) = Request::read(&stream) else { return };
    let (reply, at) = {
        let mut state = state.lock().unwrap();
        let reply = state.reply(place, &request);
        let head_only = request.method == "HEAD";
        let sent = if head_only || reply.status >= 300 { 0 } else { reply.cut.unwrap_or(reply.body.len()) };
        let Request { method, path, headers } = request;
        state.log.push(Asked { place, method, path, headers, sent });
        (reply, head_only)
    };
    reply.send(&mut stream, at);
}

/// Large files lie elsewhere.
fn is_large(name: &str) -> bool {
    [".safetensors", ".gguf", ".bin", ".model"].iter().any(|ending| name.ends_with(ending))
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn git_id(bytes: &[u8]) -> String {
    let mut hash = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hash.update(bytes);
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl State {
    fn take_fault(&mut self, key: &Key) -> Option<Fault> {
        let at = self.faults.iter().position(|(known, _)| known == key)?;
        Some(self.faults.remove(at).1)
    }

    fn reply(&mut self, place: Place, request: &Request) -> Reply {
        let path = request.path.replace("%20", " ");
        if place == Place::Hub && path.starts_with("/api/") {
            return self.list(&path);
        }
        let head = format!("/org/tiny/resolve/{}/", self.commit);
        let name = match place {
            Place::Hub => path.strip_prefix(&head),
            Place::Storage => path.strip_prefix("/stored/"),
        };
        let Some(name) =
            name.filter(|name| self.files.iter().any(|(known, _)| known == name)).map(str::to_owned)
        else {
            return Reply::new(404).with("X-Error-Code", "EntryNotFound");
        };
        let elsewhere = place == Place::Hub && is_large(&name);
        let key = match request.method.as_str() {
            "HEAD" => Key::Head(name.clone()),
            _ if elsewhere => Key::Resolve(name.clone()),
            _ => Key::Body(name.clone()),
        };
        let fault = self.take_fault(&key);
        if matches!(fault, Some(Fault::NewEtag)) {
            let file = self.files.iter_mut().find(|(known, _)| *known == name).unwrap();
            file.1.edition += 1;
        }
        let file = &self.files.iter().find(|(known, _)| *known == name).unwrap().1;
        let reply = if elsewhere {
            self.lead_on(&name, file)
        } else {
            body(&name, file, place, request, fault.as_ref())
        };
        spoil(reply.with("X-Repo-Commit", &self.commit), fault)
    }

    fn list(&mut self, path: &str) -> Reply {
        let fault = self.take_fault(&Key::List);
        let known = ["main".to_owned(), "v1".to_owned(), self.commit.clone()];
        let known = known
            .iter()
            .any(|revision| path == format!("/api/models/org/tiny/revision/{revision}?blobs=true"));
        if !known {
            let code =
                if path.starts_with("/api/models/org/tiny/") { "RevisionNotFound" } else { "RepoNotFound" };
            return spoil(Reply::new(404).with("X-Error-Code", code), fault);
        }
        let siblings: Vec<serde_json::Value> =
            self.files.iter().map(|(name, file)| self.sibling(name, file)).collect();
        let body =
            serde_json::json!({ "id": "org/tiny", "sha": self.commit, "siblings": siblings }).to_string();
        spoil(Reply { body: body.into_bytes(), ..Reply::new(200) }, fault)
    }

    fn sibling(&self, name: &str, file: &File) -> serde_json::Value {
        let size = file.bytes.len();
        if !self.lists_blobs {
            return serde_json::json!({ "rfilename": name });
        }
        // The blob of a large file is git's pointer to it, whose id names nothing here.
        let mut sibling =
            serde_json::json!({ "rfilename": name, "size": size, "blobId": git_id(&file.bytes) });
        if is_large(name) {
            sibling["blobId"] = git_id(b"pointer").into();
            sibling["lfs"] =
                serde_json::json!({ "sha256": sha256(&file.bytes), "size": size, "pointerSize": 134 });
        }
        sibling
    }

    /// The redirect to where a large file lies; its own etag is not the file's.
    fn lead_on(&self, name: &str, file: &File) -> Reply {
        Reply { body: b"Found".to_vec(), ..Reply::new(302) }
            .with("Location", format!("{}/stored/{}", self.storage, name.replace(' ', "%20")))
            .with("ETag", "\"of-the-redirect\"")
            .with("X-Linked-Etag", format!("\"{}\"", sha256(&file.bytes)))
            .with("X-Linked-Size", file.bytes.len())
    }
}

/// The bytes of a file, or the part asked for.
fn body(name: &str, file: &File, place: Place, request: &Request, fault: Option<&Fault>) -> Reply {
    let etag = match place {
        Place::Hub => format!("\"{}\"", git_id(&file.bytes)),
        Place::Storage => format!("\"stored-{}-{}\"", name.len(), file.edition),
    };
    let total = file.bytes.len();
    let start = request
        .header("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let fresh = request.header("if-range").is_none_or(|known| known == etag);
    let reply = match start.filter(|_| fresh) {
        Some(start) if !matches!(fault, Some(Fault::IgnoreRange)) => {
            if start >= total {
                return Reply::new(416).with("Content-Range", format!("bytes */{total}"));
            }
            let start = if let Some(Fault::OtherRange(other)) = fault { *other } else { start };
            let body = file.bytes[start..].to_vec();
            Reply { body, ..Reply::new(206) }
                .with("Content-Range", format!("bytes {start}-{}/{total}", total - 1))
        }
        _ => Reply { body: file.bytes.clone(), ..Reply::new(200) },
    };
    reply.with("ETag", etag)
}

fn spoil(mut reply: Reply, fault: Option<Fault>) -> Reply {
    match fault {
        None | Some(Fault::IgnoreRange | Fault::OtherRange(_) | Fault::NewEtag) => {}
        Some(Fault::Drop(count)) => reply.cut = Some(count),
        Some(Fault::Stall(count)) => (reply.cut, reply.stalls) = (Some(count), true),
        Some(Fault::Flip(at)) => reply.body[at] ^= 1,
        Some(Fault::FlipAndDrop(at, count)) => {
            reply.body[at] ^= 1;
            reply.cut = Some(count);
        }
        Some(Fault::TooLong) => {
            // Told by no length, or the client would see it at once.
            reply.body.extend(b"more");
            reply = reply.with("Content-Length", "");
        }
        Some(Fault::Status(status, headers)) => {
            let kept = Reply { body: b"no".to_vec(), ..Reply::new(status) };
            reply = headers.into_iter().fold(kept, |reply, (name, value)| reply.with(name, value));
        }
        Some(Fault::Text(text)) => reply.body = text.as_bytes().to_vec(),
        Some(Fault::Redirect(to)) => reply = Reply::new(307).with("Location", to),
        Some(Fault::Headers(headers)) => {
            reply = headers.into_iter().fold(reply, |reply, (name, value)| reply.with(name, value));
        }
    }
    reply
}
