//! Why a command line is refused, where the parser's own advice would mislead.

use super::Cli;
use crate::error::Failure;
use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// What to tell.
pub(crate) enum Refusal {
    /// In the parser's words: a request for help too.
    Parser(clap::Error),
    /// In ours.
    Ours(Failure),
}

/// Reads a command line, the program's name included.
pub(crate) fn parse(line: Vec<OsString>) -> Result<Cli, Refusal> {
    Cli::try_parse_from(&line).map_err(|error| explain(error, &line))
}

/// The parser advises to put `--` before whatever it does not know, which would make a value of a flag the prompt. That
/// helps with a prompt alone, and one shows by its spaces.
fn explain(mut error: clap::Error, line: &[OsString]) -> Refusal {
    if error.kind() != ErrorKind::UnknownArgument {
        return Refusal::Parser(error);
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else {
        return Refusal::Parser(error);
    };
    let is_prompt = |text: &&str| text.starts_with(unknown.as_str()) && text.contains(char::is_whitespace);
    if let Some(prompt) = line.iter().filter_map(|argument| argument.to_str()).find(is_prompt) {
        let failure = Failure::user(format!("`{prompt}` begins with a hyphen, so it is taken for a flag"));
        return Refusal::Ours(failure.hint(format!(
            "put a prompt like this last, after `--`: kinora generate [FLAGS] -- \"{prompt}\""
        )));
    }
    error.remove(ContextKind::Suggested);
    Refusal::Parser(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn refused(line: &[&str]) -> String {
        let line = ["kinora", "generate"].iter().chain(line).map(OsString::from).collect();
        match parse(line) {
            Err(Refusal::Parser(error)) => error.to_string(),
            Err(Refusal::Ours(failure)) => format!("{failure}\n{}", failure.hint_text().unwrap()),
            Ok(_) => panic!("taken"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_prompt_with_a_hyphen_is_told_where_it_goes() {
        for prompt in ["-a boat", "--a boat at sea", "- a boat"] {
            let text = refused(&["--seed", "1", prompt]);
            assert!(text.contains(&format!("`{prompt}` begins with a hyphen")), "{text}");
            assert!(text.ends_with(&format!("kinora generate [FLAGS] -- \"{prompt}\"")), "{text}");
            let line = ["kinora", "generate", "--seed", "1", "--", prompt].map(OsString::from);
            assert!(parse(line.into()).is_ok());
        }
    }

    #[test]
    fn nobody_is_told_to_make_a_value_the_prompt() {
        for flags in [&["x", "--bogus"][..], &["x", "-1"], &["x", "--dump", "-d"], &["x", "-z"]] {
            let text = refused(flags);
            assert!(text.contains("unexpected argument") && !text.contains("'-- "), "{text}");
        }
        // A flag that is nearly right is still named.
        assert!(refused(&["x", "--framse", "5"]).contains("--frames"));
    }

    #[test]
    fn a_negative_number_is_a_wrong_value_and_no_unknown_flag() {
        for flag in ["--width", "--height", "--frames", "--steps", "--threads", "--seed", "--memory"] {
            let text = refused(&["x", flag, "-1"]);
            assert!(text.contains("invalid value '-1'") && text.contains(flag), "{text}");
        }
        assert!(refused(&["x", "--seed", "-1"]).contains("leave `--seed` out for a new one each time"));
    }

    #[test]
    fn values_that_begin_with_a_hyphen_are_taken() {
        let line =
            "x --negative -blurry -o -a.mp4 -i -p.png -m -m --initial-latents -l --guidance -1 --fps -5";
        let line = ["kinora", "generate"].into_iter().chain(line.split(' ')).map(OsString::from);
        let Ok(Cli { command: crate::args::Command::Generate(args) }) = parse(line.collect()) else {
            panic!()
        };
        assert_eq!(args.video.negative.as_deref(), Some("-blurry"));
        assert_eq!(args.output.as_deref(), Some("-a.mp4".as_ref()));
        assert_eq!((args.video.image, args.source.model), (Some("-p.png".into()), Some("-m".into())));
        assert_eq!(args.video.fps, Some(-5.0));
    }
}
