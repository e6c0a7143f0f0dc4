//! Repairs text that was encoded as UTF-8 and then read as Latin-1 or Windows-1252: `cafÃ©` for `café`.
//!
//! A sequence of UTF-8 read that way is an accented letter and one to three signs. Few of those sequences
//! occur in text that is meant, and then at the end of a word in capitals or before a closing quote
//! (`CAFÉ®`, `“É”`). So a sequence alone is repaired only when it shows a sign that no text has there.

use std::ops::Range;

use super::windows_1252;

/// How often text can have been damaged in a row and still be repaired.
const LEVELS: usize = 4;

/// `text` with what shows to be damaged repaired.
pub(super) fn repair(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..LEVELS {
        match repair_once(&text) {
            Some(repaired) => text = repaired,
            None => break,
        }
    }
    text
}

/// One character of the text and the byte that may have been read as it.
#[derive(Clone, Copy)]
struct Read {
    c: char,
    byte: Option<u8>,
}

fn repair_once(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let reads: Vec<Read> = text.chars().map(|c| Read { c, byte: windows_1252::encode(c) }).collect();
    let sequences = sequences(&reads);
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (i, sequence) in sequences.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if sequences[group.end - 1].end == sequence.start => group.end = i + 1,
            _ => groups.push(i..i + 1),
        }
    }
    let convincing = |group: &Range<usize>| is_damage(&reads, &sequences[group.clone()]);
    let certain: Vec<bool> = groups.iter().map(convincing).collect();
    if !certain.contains(&true) {
        return None;
    }
    // When every sign of the line belongs to a sequence and one is certain, all of them are damage.
    let covered: usize = sequences.iter().map(ExactSizeIterator::len).sum();
    let all = covered == reads.iter().filter(|read| !read.c.is_ascii()).count();

    let mut repaired = String::with_capacity(text.len());
    let mut next = 0;
    for (group, certain) in groups.iter().zip(certain) {
        if !(all || certain) {
            continue;
        }
        let range = sequences[group.start].start..sequences[group.end - 1].end;
        repaired.extend(reads[next..range.start].iter().map(|read| read.c));
        let bytes: Vec<u8> = reads[range.clone()].iter().filter_map(|read| read.byte).collect();
        repaired.push_str(std::str::from_utf8(&bytes).ok()?);
        next = range.end;
    }
    repaired.extend(reads[next..].iter().map(|read| read.c));
    Some(repaired)
}

/// Where the bytes make sound UTF-8 of more than one byte.
fn sequences(reads: &[Read]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < reads.len() {
        let length = match reads[at].byte {
            Some(0xC2..=0xDF) => 2,
            Some(0xE0..=0xEF) => 3,
            Some(0xF0..=0xF4) => 4,
            _ => 1,
        };
        let bytes: Option<Vec<u8>> =
            reads.get(at..at + length).and_then(|reads| reads.iter().map(|read| read.byte).collect());
        let sound = bytes.is_some_and(|bytes| std::str::from_utf8(&bytes).is_ok());
        if length > 1 && sound {
            found.push(at..at + length);
            at += length;
        } else {
            at += 1;
        }
    }
    found
}

/// Whether adjacent sequences are damage rather than text that is meant.
fn is_damage(reads: &[Read], group: &[Range<usize>]) -> bool {
    let signs = |sequence: &Range<usize>| reads[sequence.start + 1..sequence.end].iter().map(|read| read.c);
    let odd = group.iter().any(|sequence| signs(sequence).any(is_odd));
    let plain_letters = group.iter().any(|sequence| signs(sequence).any(char::is_alphabetic));
    if group.len() > 1 && (odd || !plain_letters) {
        return true;
    }
    group.iter().any(|sequence| {
        let lead = reads[sequence.start].c;
        let after_small = sequence.start > 0 && reads[sequence.start - 1].c.is_lowercase();
        let before_small = reads.get(sequence.end).is_some_and(|read| read.c.is_lowercase());
        let mut signs = signs(sequence);
        match sequence.len() {
            4 => true,
            // Signs, dingbats and emoji of U+2000 and above come out as `â` and, say, `œ`, as no language has them.
            3 => signs.clone().any(is_odd) || (lead == 'â' && signs.next().is_some_and(char::is_alphabetic)),
            _ => signs.any(|sign| {
                // Letters from U+0080 to U+00FF, the most frequent damage of all.
                let frequent = lead == 'Ã' || (lead == 'Â' && !sign.is_alphabetic());
                // A capital, or a sign that ends a word, inside of a word.
                let inside = after_small && lead.is_uppercase() && !sign.is_alphabetic();
                is_control(sign)
                    || frequent
                    || inside
                    || (is_odd(sign) && (before_small || !can_follow_capitals(sign)))
            }),
        }
    })
}

const fn is_control(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9F}')
}

/// Whether no text has `sign` right after an accented letter, unless it is one that marks names and numbers.
fn is_odd(sign: char) -> bool {
    !sign.is_alphabetic()
        && !matches!(sign, '‚' | '„' | '…' | '‘' | '’' | '“' | '”' | '•' | '–' | '—' | '›' | '»' | '\u{A0}')
        || matches!(sign, 'ƒ' | 'ˆ' | 'ª' | 'º')
}

/// Whether `sign` may stand after a word in capitals: marks, superscripts, stops.
const fn can_follow_capitals(sign: char) -> bool {
    matches!(
        sign,
        '®' | '™'
            | '©'
            | '°'
            | '²'
            | '³'
            | '¹'
            | '·'
            | '´'
            | '†'
            | '‡'
            | '€'
            | '£'
            | '¥'
            | '¢'
            | '§'
            | '\u{AD}'
    )
}
