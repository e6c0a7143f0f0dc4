//! Where a video goes: the format that a file name asks for, and the name that a prompt gets.

use crate::error::{Failure, Result};
use crate::files::staging::{check_target, folder_of};
use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// The longest part of a prompt that goes into a file name, in characters.
const LONGEST_SLUG: usize = 48;

/// Where to write, and in which format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An H.264 video.
    Mp4(PathBuf),
    /// The same under a name that nobody asked for: it takes the next one if there is such a file.
    Derived(PathBuf),
    /// One PNG to each frame; the path without the numbers.
    PngSequence(PathBuf),
    /// One animated PNG.
    Apng(PathBuf),
    /// An uncompressed YUV4MPEG2 video.
    Y4m(PathBuf),
    /// The same to the standard output.
    Stdout,
}

impl Target {
    /// Reads a value of `--output`: the format is in the extension, and `-` is the standard output.
    pub(crate) fn parse(output: &OsStr) -> Result<Self> {
        if output == "-" {
            return Ok(Self::Stdout);
        }
        let path = PathBuf::from(output);
        let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        let target = match extension.as_deref() {
            Some("mp4" | "m4v") => Self::Mp4(path),
            Some("png") => Self::PngSequence(path),
            Some("apng") => Self::Apng(path),
            Some("y4m") => Self::Y4m(path),
            _ => {
                return Err(Failure::user(format!("cannot tell the format of `{}`", path.display()))
                    .hint("known extensions: .mp4, .png (one file per frame), .apng, .y4m; `-` is Y4M to the standard output"));
            }
        };
        if let Some(path) = target.path() {
            check_folder(path)?;
        }
        Ok(target)
    }

    /// An MP4 in the working directory, named after prompt and seed.
    pub(crate) fn derived(prompt: &str, seed: u64) -> Self {
        Self::Derived(PathBuf::from(format!("{}.mp4", derived_stem(prompt, seed))))
    }

    /// Fails if raw video would be poured into a terminal.
    pub(crate) fn check_stream(&self, stdout: &impl IsTerminal) -> Result<()> {
        if *self == Self::Stdout && stdout.is_terminal() {
            return Err(Failure::user("raw video is not written to a terminal").hint(
                "send it on, as in kinora generate PROMPT -o - | ffplay -, or name a file with `-o FILE.mp4`",
            ));
        }
        Ok(())
    }

    /// The file or the pattern of files; nothing for the standard output.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Mp4(path)
            | Self::Derived(path)
            | Self::PngSequence(path)
            | Self::Apng(path)
            | Self::Y4m(path) => Some(path),
            Self::Stdout => None,
        }
    }
}

/// Fails now, not after minutes of work, if `path` cannot be written.
pub(crate) fn check_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(Failure::user(format!(
            "cannot write `{}`: there is no folder `{}`",
            path.display(),
            folder.display()
        ))
        .hint(format!("create it first: mkdir -p '{}'", folder.display())));
    }
    check_target(path)
}

/// The words of the prompt in lower case and the seed, joined by `-`.
fn derived_stem(prompt: &str, seed: u64) -> String {
    let mut slug = String::new();
    let mut length = 0;
    for word in prompt.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '\u{2019}') {
        let word: String =
            word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let word: String = word.chars().take(LONGEST_SLUG).collect();
        let letters = word.chars().count();
        if letters == 0 {
            continue;
        }
        if length + letters > LONGEST_SLUG {
            break;
        }
        slug.push_str(&word);
        slug.push('-');
        length += letters + 1;
    }
    if slug.is_empty() {
        slug.push_str("kinora-");
    }
    format!("{slug}{seed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_chooses_the_format() {
        let parse = |text: &str| Target::parse(OsStr::new(text)).unwrap();
        assert_eq!(parse("-"), Target::Stdout);
        assert_eq!(parse("a.mp4"), Target::Mp4("a.mp4".into()));
        assert_eq!(parse("A.MP4"), Target::Mp4("A.MP4".into()));
        assert_eq!(parse("a.b.png"), Target::PngSequence("a.b.png".into()));
        assert_eq!(parse("a.apng"), Target::Apng("a.apng".into()));
        assert_eq!(parse("a.y4m"), Target::Y4m("a.y4m".into()));
    }

    #[test]
    fn an_unknown_extension_is_refused_with_the_known_ones() {
        for name in ["a.avi", "a", ".mp4", "a.", ""] {
            let failure = Target::parse(OsStr::new(name)).unwrap_err();
            assert_eq!(failure.exit_code(), 1);
            for known in [".mp4", ".png", ".apng", ".y4m"] {
                assert!(failure.hint_text().unwrap().contains(known));
            }
        }
    }

    #[test]
    fn a_missing_folder_is_noticed_before_the_work() {
        let failure = Target::parse(OsStr::new("no/such/a.mp4")).unwrap_err();
        assert_eq!(failure.to_string(), "cannot write `no/such/a.mp4`: there is no folder `no/such`");
    }

    #[test]
    fn names_come_from_the_prompt() {
        let stem = derived_stem("A red balloon rising over the sea at sunset, light rain", 42);
        assert_eq!(stem, "a-red-balloon-rising-over-the-sea-at-sunset-42");
        assert_eq!(derived_stem("", 7), "kinora-7");
        assert_eq!(derived_stem(" ../..\\ / ", 7), "kinora-7");
        assert_eq!(derived_stem("The dog's bone", 1), "the-dogs-bone-1");
        assert_eq!(derived_stem("日本の海", 1), "日本の海-1");
        let long = derived_stem(&"x".repeat(1000), 1);
        assert_eq!(long.len(), LONGEST_SLUG + 2);
    }
}
