//! The code page Windows-1252, with Latin-1's control characters where it has none of its own.

/// What the bytes 0x80 to 0x9F stand for.
const UPPER: [char; 32] = [
    '\u{20AC}', '\u{81}', '\u{201A}', '\u{192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2C6}',
    '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8D}', '\u{17D}', '\u{8F}', '\u{90}', '\u{2018}',
    '\u{2019}', '\u{201C}', '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2DC}', '\u{2122}', '\u{161}',
    '\u{203A}', '\u{153}', '\u{9D}', '\u{17E}', '\u{178}',
];

/// The character that `byte` stands for.
pub(super) fn decode(byte: u8) -> char {
    match byte {
        0x80..=0x9F => UPPER[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// The byte that was read as `c`, whether by this code page or by Latin-1; `None` for what neither has.
pub(super) fn encode(c: char) -> Option<u8> {
    if let Ok(byte) = u8::try_from(u32::from(c)) {
        return Some(byte);
    }
    (0x80..=0x9F).find(|&byte| decode(byte) == c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_returns() {
        for byte in 0..=u8::MAX {
            assert_eq!(encode(decode(byte)), Some(byte));
            assert_eq!(encode(char::from(byte)), Some(byte));
        }
        assert_eq!(decode(0x80), '€');
        assert_eq!(decode(0x99), '™');
        assert_eq!(decode(0x9F), 'Ÿ');
        assert_eq!(encode('猫'), None);
    }
}
