//! Names of numbered files, as `printf` writes them: `frame-%04d.png`.

use crate::error::{Failure, Result};
use std::path::Path;

/// The most digits that a pattern may ask for.
const MOST_DIGITS: usize = 9;

/// The names of the frames of one video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    before: String,
    digits: usize,
    after: String,
}

impl Numbered {
    /// The names that a path asks for. Without a pattern in it the number goes before the extension.
    pub(crate) fn parse(path: &Path, frames: u32) -> Result<Self> {
        let refused = |why: &str| {
            Failure::user(format!("cannot number files like `{}`{why}", path.display()))
                .hint("write the place of the number once, as in frame-%04d.png, or leave it out")
        };
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| refused(""))?;
        let Some((before, digits, after)) = split(name) else {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(|| refused(""))?;
            let digits = frames.to_string().len().max(4);
            return Ok(Self { before: format!("{stem}-"), digits, after: ".png".to_owned() });
        };
        if split(after).is_some() {
            return Err(refused(": there are two places for a number"));
        }
        if digits > MOST_DIGITS {
            return Err(refused(&format!(": a number has {MOST_DIGITS} digits at most")));
        }
        Ok(Self { before: before.to_owned(), digits, after: after.to_owned() })
    }

    /// The name of a frame; the first is 1.
    pub(crate) fn name(&self, number: u32) -> String {
        let Self { before, digits, after } = self;
        format!("{before}{number:0digits$}{after}")
    }

    /// The pattern, as ffmpeg takes it.
    pub(crate) fn pattern(&self) -> String {
        let Self { before, digits, after } = self;
        if *digits > 1 { format!("{before}%0{digits}d{after}") } else { format!("{before}%d{after}") }
    }

    /// Whether a file of this name could be one of the frames.
    pub(crate) fn includes(&self, name: &str) -> bool {
        let number = name.strip_prefix(&self.before).and_then(|rest| rest.strip_suffix(&self.after));
        number.is_some_and(|number| {
            number.len() >= self.digits && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    }

    /// The names for another attempt: `f-%04d.png` becomes `f-2-%04d.png` at the second.
    pub(crate) fn other(&self, attempt: usize) -> Self {
        if attempt == 1 {
            return self.clone();
        }
        Self { before: format!("{}{attempt}-", self.before), ..self.clone() }
    }
}

/// What is before and after the first `%d`, `%4d` or `%04d`, and its number of digits.
fn split(name: &str) -> Option<(&str, usize, &str)> {
    name.match_indices('%').find_map(|(start, _)| {
        let rest = &name[start + 1..];
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let after = rest[digits..].strip_prefix('d')?;
        let count = if digits == 0 { 1 } else { rest[..digits].parse().ok()? };
        Some((&name[..start], count, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str, frames: u32) -> Result<Numbered> {
        Numbered::parse(Path::new(path), frames)
    }

    #[test]
    fn the_number_goes_where_the_pattern_says() {
        for (path, first, pattern) in [
            ("a/f.png", "f-0001.png", "f-%04d.png"),
            ("frames/%04d.png", "0001.png", "%04d.png"),
            ("f-%d.png", "f-1.png", "f-%d.png"),
            ("f%3d-of-9.png", "f001-of-9.png", "f%03d-of-9.png"),
            ("100%.png", "100%-0001.png", "100%-%04d.png"),
            ("50%off.png", "50%off-0001.png", "50%off-%04d.png"),
            ("%x%02d.PNG", "%x01.PNG", "%x%02d.PNG"),
        ] {
            let names = parse(path, 33).unwrap();
            assert_eq!((names.name(1).as_str(), names.pattern().as_str()), (first, pattern), "{path}");
        }
        // A number that needs more digits has them.
        assert_eq!(parse("%d.png", 33).unwrap().name(12345), "12345.png");
        assert_eq!(parse("f.png", 12345).unwrap().name(1), "f-00001.png");
        assert_eq!(parse("f-%02d.png", 5).unwrap().other(3).pattern(), "f-3-%02d.png");
    }

    #[test]
    fn a_pattern_that_makes_no_sense_is_refused() {
        for path in ["%04d-%04d.png", "%10d.png"] {
            assert_eq!(parse(path, 5).unwrap_err().exit_code(), 1, "{path}");
        }
        assert!(parse("%d%d.png", 5).unwrap_err().hint_text().unwrap().contains("frame-%04d.png"));
    }

    #[test]
    fn frames_are_known_by_their_names() {
        let names = parse("f-%04d.png", 5).unwrap();
        for (name, included) in [
            ("f-0001.png", true),
            ("f-12345.png", true),
            ("f-1.png", false),
            ("f-000a.png", false),
            ("f.png", false),
        ] {
            assert_eq!(names.includes(name), included, "{name}");
        }
    }
}
