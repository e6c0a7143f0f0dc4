//! Names that come from the hub and become paths: none may lead out of the folder it is put in.

use crate::{HubError, Result};

/// The longest etag that may name a blob.
const LONGEST_ETAG: usize = 128;

/// Refuses a file whose name could be written anywhere but inside its snapshot, on any system.
pub(crate) fn check(file: &str) -> Result<&str> {
    match fault(file) {
        None => Ok(file),
        Some(reason) => {
            Err(HubError::BadName { file: file.escape_debug().to_string(), reason: reason.to_owned() })
        }
    }
}

fn fault(file: &str) -> Option<&'static str> {
    if file.chars().any(char::is_control) {
        return Some("it holds a control character");
    }
    if file.contains('\\') {
        return Some("it holds a backslash");
    }
    if file.contains(':') {
        return Some("it holds a colon, as drives do");
    }
    if file.starts_with('/') {
        return Some("it is absolute");
    }
    file.split('/').find_map(|part| match part {
        "" => Some("a part of it is empty"),
        "." | ".." => Some("it leads out of its folder"),
        // Windows drops what stands at the end, so `.. ` would be `..` there.
        _ if part.ends_with(['.', ' ']) => Some("a part of it ends in a dot or a blank"),
        _ if is_device(part) => Some("it is the name of a device on Windows"),
        _ => None,
    })
}

fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end().to_ascii_uppercase();
    let numbered = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    ["CON", "PRN", "AUX", "NUL"].contains(&&*stem)
        || numbered.is_some_and(|number| number.len() == 1 && number.chars().all(|c| c.is_ascii_digit()))
}

/// An etag as it names a blob: without quotes and the mark of a weak one. `None` if it cannot be a name.
pub(crate) fn blob(etag: &str) -> Option<String> {
    let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    let sound = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    (!etag.is_empty() && etag.len() <= LONGEST_ETAG && etag.chars().all(sound)).then(|| etag.to_owned())
}

/// A path as it stands in an address: all but letters, digits and a few marks are escaped; slashes stay.
pub(crate) fn escaped(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        for good in [
            "a",
            "a/b.c",
            "transformer/x-00001-of-00002.safetensors",
            "a b/ü",
            ".gitattributes",
            "console.json",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        let bad = [
            "",
            "..",
            "../a",
            "a/../b",
            "/a",
            "a//b",
            "a/",
            "C:/a",
            "c:a",
            "a\\b",
            "..\\a",
            "a\0b",
            "a/. ",
            "a/.. /b",
            "nul",
            "a/COM1.json",
            "a\nb",
            "./a",
            "//host/share",
        ];
        for name in bad {
            let error = check(name).expect_err(name).to_string();
            assert!(error.contains(&format!("`{}`", name.escape_debug())), "{error}");
        }
    }

    #[test]
    fn etags_become_names_or_nothing() {
        assert_eq!(blob("\"abc\"").as_deref(), Some("abc"));
        assert_eq!(blob("W/\"a-1\"").as_deref(), Some("a-1"));
        for bad in ["", "\"\"", "../x", "a/b", "a.lock", "a b", &"a".repeat(200)] {
            assert_eq!(blob(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_are_escaped() {
        assert_eq!(escaped("a b/ü?#%.json"), "a%20b/%C3%BC%3F%23%25.json");
    }
}
