//! How the fake hub can misbehave, once for each fault that it is given.

/// Which request a fault is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The list of files.
    List,
    /// `HEAD` of a file.
    Head(String),
    /// What the hub itself answers to `GET` of a large file.
    Resolve(String),
    /// The answer that brings the bytes of a file.
    Body(String),
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection ends after so many bytes of the body.
    Drop(usize),
    /// Nothing more comes after so many bytes of the body, but the connection stays.
    Stall(usize),
    /// The whole file comes, whatever part is asked for.
    IgnoreRange,
    /// Another part comes than the one asked for, and says so.
    OtherRange(usize),
    /// One byte is wrong: the one at this place in the file.
    Flip(usize),
    /// The same, and the connection ends after so many bytes.
    FlipAndDrop(usize, usize),
    /// More comes than the file has.
    TooLong,
    /// The server's copy changes: its etag is another one from now on.
    NewEtag,
    /// A status, with headers.
    Status(u16, Vec<(&'static str, String)>),
    /// A redirect.
    Redirect(String),
    /// Another text instead.
    Text(&'static str),
    /// Some headers are changed, or removed if they are empty.
    Headers(Vec<(&'static str, String)>),
}

impl Fault {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }
}
