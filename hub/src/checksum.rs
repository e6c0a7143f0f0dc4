//! The hash that a file must have, which its etag tells: SHA-256 of a large file, git's blob id of a small one.

use std::fmt::Write;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A hash in the making. An etag that is no hash cannot be checked: then only the length counts.
#[derive(Clone)]
pub(crate) enum Checksum {
    Sha256(Sha256),
    Git(Sha1),
    Unknown,
}

impl Checksum {
    /// The hash that `etag` is of a file of this size, before its first byte.
    pub(crate) fn new(etag: &str, size: u64) -> Self {
        let hex = etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        match etag.len() {
            64 if hex => Self::Sha256(Sha256::new()),
            40 if hex => Self::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
            _ => Self::Unknown,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Git(hash) => hash.update(bytes),
            Self::Unknown => {}
        }
    }

    /// The hash, if it is not what `etag` says.
    pub(crate) fn differs(self, etag: &str) -> Option<String> {
        let got = match self {
            Self::Sha256(hash) => hex(&hash.finalize()),
            Self::Git(hash) => hex(&hash.finalize()),
            Self::Unknown => return None,
        };
        (!got.eq_ignore_ascii_case(etag)).then_some(got)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::Checksum;

    #[test]
    fn hashes_are_the_published_ones() {
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        // `printf abc | git hash-object --stdin`
        let git = "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f";
        for etag in [sha256, git] {
            let of = |parts: &[&str]| {
                let mut sum = Checksum::new(etag, 3);
                parts.iter().for_each(|part| sum.update(part.as_bytes()));
                sum.differs(etag)
            };
            assert_eq!(of(&["a", "bc"]), None);
            assert_ne!(of(&["abd"]), None);
        }
        assert_eq!(Checksum::new("opaque", 3).differs("opaque"), None);
    }
}
