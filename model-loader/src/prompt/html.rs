//! Character references such as `&amp;`, resolved as Python's `html.unescape` resolves them.

use std::collections::HashMap;
use std::sync::LazyLock;

use entities::ENTITIES;

use super::windows_1252;

/// By name, without the `&`; those that may stand without a semicolon are there in both spellings.
static NAMED: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    ENTITIES.iter().filter_map(|e| Some((e.entity.strip_prefix('&')?, e.characters))).collect()
});

/// The longest name that is looked up, in characters.
const LONGEST: usize = 32;

/// Resolves every reference: numbers, names, and the start of a word that is a name which needs no semicolon.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        rest = match numeric(after).or_else(|| named(after)) {
            Some((resolved, tail)) => {
                plain.push_str(&resolved);
                tail
            }
            None => {
                plain.push('&');
                after
            }
        };
    }
    plain.push_str(rest);
    plain
}

/// Resolves only references that end in a semicolon and cannot be meant otherwise, and names of letters
/// that were put in capitals, such as `&EACUTE;`.
pub(super) fn unescape_strict(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        match strict(rest) {
            Some((resolved, tail)) => {
                plain.push_str(&resolved);
                rest = tail;
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// A reference with its `&` and `;` at the start of `text`, and what follows it.
fn strict(text: &str) -> Option<(String, &str)> {
    const MOST: usize = 24;
    let body = text[1..].strip_prefix('#').unwrap_or(&text[1..]);
    let tail = body.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    let letters = body.len() - tail.len();
    let tail = tail.strip_prefix(';')?;
    if letters == 0 || letters > MOST {
        return None;
    }
    let reference = &text[..text.len() - tail.len()];
    if reference.starts_with("&#") {
        let resolved = unescape(reference);
        return (!resolved.contains(';')).then_some((resolved, tail));
    }
    let name = &reference[1..];
    if let Some(characters) = NAMED.get(name) {
        return Some(((*characters).to_owned(), tail));
    }
    let lower = name.to_ascii_lowercase();
    let in_capitals = name.to_ascii_uppercase() == name && unescape(reference) == reference;
    let characters = NAMED.get(lower.as_str()).filter(|_| in_capitals)?;
    Some((characters.to_uppercase(), tail))
}

/// `#123;`, `#x1F;`, the semicolon optional.
fn numeric(text: &str) -> Option<(String, &str)> {
    let body = text.strip_prefix('#')?;
    let (radix, body) = match body.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => (16, hexadecimal),
        None => (10, body),
    };
    let tail = body.trim_start_matches(|c: char| c.is_digit(radix));
    let digits = &body[..body.len() - tail.len()];
    if digits.is_empty() {
        return None;
    }
    // A number too large for 32 bits is no character either.
    let number = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    Some((character(number), tail.strip_prefix(';').unwrap_or(tail)))
}

/// What HTML makes of a number: some stand for others, some for nothing, some for the replacement character.
fn character(number: u32) -> String {
    match number {
        0x80..=0x9F => u8::try_from(number).map(windows_1252::decode).into_iter().collect(),
        0x01..=0x08 | 0x0B | 0x0E..=0x1F | 0x7F | 0xFDD0..=0xFDEF => String::new(),
        0 | 0xD800..=0xDFFF => '\u{FFFD}'.into(),
        // The last two of every plane are no characters.
        0..=0x10_FFFF if number & 0xFFFE == 0xFFFE => String::new(),
        _ => char::from_u32(number).unwrap_or('\u{FFFD}').into(),
    }
}

/// A name at the start of `text`, or the longest start of a name that needs no semicolon.
fn named(text: &str) -> Option<(String, &str)> {
    let ends = |c: char| matches!(c, '\t' | '\n' | '\x0C' | ' ' | '<' | '&' | '#' | ';');
    let mut end =
        text.char_indices().take_while(|(_, c)| !ends(*c)).take(LONGEST).map(|(i, c)| i + c.len_utf8());
    let length = end.by_ref().last().unwrap_or(0);
    let word = &text[..length];
    if word.is_empty() {
        return None;
    }
    if text[length..].starts_with(';')
        && let Some(characters) = NAMED.get(&text[..=length])
    {
        return Some(((*characters).to_owned(), &text[length + 1..]));
    }
    // Every such name is of ASCII and has at least two letters.
    (2..=length)
        .rev()
        .filter(|&at| text.is_char_boundary(at))
        .find_map(|at| NAMED.get(&text[..at]).map(|characters| ((*characters).to_owned(), &text[at..])))
}
