//! Cleans a prompt as diffusers' Wan pipeline does before it is tokenised.
//!
//! That is `ftfy.fix_text`, `html.unescape` twice, and blanks. The table in `tests/fixtures/prompts.json` holds
//! what those functions of Python make of many texts. Of ftfy's repairs one is narrower here, and a rule
//! of our own: text that was encoded as UTF-8 and read as Latin-1 or Windows-1252 is recognised and repaired;
//! mix-ups of other code pages, and those that lost bytes on the way, are left as they are.

mod characters;
mod html;
mod mojibake;
mod windows_1252;

use unicode_normalization::UnicodeNormalization;

/// `text` cleaned: damaged characters repaired, character references resolved, runs of white space made one
/// blank, none at either end.
#[must_use]
pub fn clean(text: &str) -> String {
    let text = html::unescape(&html::unescape(&fix_text(text)));
    text.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// White space as Python has it: Unicode's, and the four separators among the control characters.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1C'..='\x1F').contains(&c)
}

/// Repairs each line. From the first line that holds a `<` on, the text may be HTML that is meant.
fn fix_text(text: &str) -> String {
    let mut fixed = String::with_capacity(text.len());
    let mut markup = false;
    for line in text.split_inclusive('\n') {
        markup = markup || line.contains('<');
        fixed.push_str(&fix_line(line, !markup));
    }
    fixed
}

/// One repair may make room for another, so that all of them run until nothing changes.
fn fix_line(line: &str, resolve: bool) -> String {
    // Every pass that changes something takes an escape, a character or a level of damage away: far fewer
    // than this many passes happen. The bound is for texts made to be slow.
    const PASSES: usize = 64;
    let mut text = line.to_owned();
    for _ in 0..PASSES {
        let before = text.clone();
        if resolve {
            text = html::unescape_strict(&text);
        }
        text = characters::simplify(&mojibake::repair(&text));
        text = characters::remove_controls(&characters::remove_terminal_escapes(&text));
        text = text.nfc().collect();
        if text == before {
            break;
        }
    }
    text
}
