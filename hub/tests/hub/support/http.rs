//! As much of HTTP/1.1 as a test server needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A request without a body.
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn read(stream: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let first = lines.next()?;
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self { method, path, headers: headers.collect() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An answer, and how much of its body is sent before it ends or stalls.
#[derive(Default)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub cut: Option<usize>,
    pub stalls: bool,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_string()));
        self
    }

    /// Sends it and tells how many bytes of the body went out.
    pub(crate) fn send(self, stream: &mut TcpStream, head_only: bool) -> usize {
        let mut text = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", self.status);
        if !self.headers.iter().any(|(name, _)| *name == "Content-Length") {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in self.headers.iter().filter(|(_, value)| !value.is_empty()) {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        let body = if head_only { &[][..] } else { &self.body[..self.cut.unwrap_or(self.body.len())] };
        if stream.write_all(text.as_bytes()).is_err() || stream.write_all(body).is_err() {
            return 0;
        }
        if self.stalls {
            // Until the other side gives up; the limit only ends a test that hangs.
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = stream.read(&mut [0]);
        }
        body.len()
    }
}
