//! Characters that stand for others, and characters that a prompt should not hold.

use unicode_normalization::UnicodeNormalization;

use super::windows_1252;

/// Uncurls quotes, takes Latin ligatures apart, gives full-width and half-width forms their usual width,
/// reads Latin-1's control characters as Windows-1252, and makes every line break `\n`.
pub(super) fn simplify(text: &str) -> String {
    let mut simple = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\u{80}'..='\u{9F}' => push_reread(&mut simple, c),
            '\u{2BC}' | '\u{2018}'..='\u{201B}' => simple.push('\''),
            '\u{201C}'..='\u{201F}' => simple.push('"'),
            '\r' => {
                characters.next_if_eq(&'\n');
                simple.push('\n');
            }
            '\u{2028}' | '\u{2029}' => simple.push('\n'),
            '\u{3000}' => simple.push(' '),
            '\u{FF01}'..='\u{FFEF}' => simple.extend(std::iter::once(c).nfkc()),
            _ => match ligature(c) {
                Some(letters) => simple.push_str(letters),
                None => simple.push(c),
            },
        }
    }
    simple
}

/// A control character between 0x80 and 0x9F is a byte of Windows-1252 in disguise.
fn push_reread(text: &mut String, c: char) {
    match u8::try_from(c).map_or(c, windows_1252::decode) {
        '\u{2018}' | '\u{2019}' => text.push('\''),
        '\u{201C}' | '\u{201D}' => text.push('"'),
        other => text.push(other),
    }
}

/// The letters of a ligature or digraph that is a matter of type, not of spelling.
fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ŉ' => "'n",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        _ => return None,
    })
}

/// Removes the sequences that colour text in a terminal: escape, `[`, digits and semicolons, a letter.
pub(super) fn remove_terminal_escapes(text: &str) -> String {
    const START: &str = "\x1B[";
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(START) {
        let (before, sequence) = rest.split_at(at);
        kept.push_str(before);
        let body = &sequence[START.len()..];
        let end = body.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match end.strip_prefix(|c: char| c.is_ascii_alphabetic()) {
            Some(after) => rest = after,
            None => {
                kept.push_str(START);
                rest = body;
            }
        }
    }
    kept.push_str(rest);
    kept
}

/// Removes control characters that show nothing, deprecated Arabic controls, annotations and byte order marks.
pub(super) fn remove_controls(text: &str) -> String {
    let stays = |c: &char| {
        !matches!(
            c,
            '\0'..='\x08'
                | '\x0B'
                | '\x0E'..='\x1F'
                | '\x7F'
                | '\u{206A}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFC}'
        )
    };
    text.chars().filter(stays).collect()
}
