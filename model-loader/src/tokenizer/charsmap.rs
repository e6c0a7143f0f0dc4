//! Checks sentencepiece's compiled character map: a double-array trie whose leaves point into a string of replacements.
//! The library that applies it trusts every index in it.

/// One unit of the trie.
#[derive(Clone, Copy)]
struct Unit(u32);

impl Unit {
    /// The byte that leads here; units that are leaves have no byte's label.
    const fn label(self) -> u32 {
        self.0 & ((1 << 31) | 0xFF)
    }

    const fn has_leaf(self) -> bool {
        self.0 >> 8 & 1 == 1
    }

    const fn offset(self) -> usize {
        ((self.0 >> 10) as usize) << ((self.0 & (1 << 9)) >> 6)
    }

    const fn value(self) -> usize {
        (self.0 & ((1 << 31) - 1)) as usize
    }
}

/// Refuses a map in which some text would lead outside of the trie or of the replacements.
pub(super) fn check(map: &[u8]) -> Result<(), String> {
    let damaged = || "its character map is damaged".to_owned();
    let (size, rest) = map.split_first_chunk().ok_or_else(damaged)?;
    let size = usize::try_from(u32::from_le_bytes(*size)).map_err(|_| damaged())?;
    let (trie, replacements) = rest.split_at_checked(size).ok_or_else(damaged)?;
    let (units, tail) = trie.as_chunks();
    let replacements = std::str::from_utf8(replacements).map_err(|_| damaged())?;
    let units: Vec<Unit> = units.iter().map(|unit| Unit(u32::from_le_bytes(*unit))).collect();
    let sound = tail.is_empty() && walk(&units, replacements).is_some();
    if sound { Ok(()) } else { Err(damaged()) }
}

/// Visits all that any text can reach; `None` if something of it lies outside.
fn walk(units: &[Unit], replacements: &str) -> Option<()> {
    let mut seen = vec![false; units.len()];
    let mut open = vec![units.first()?.offset()];
    while let Some(base) = open.pop() {
        for byte in 1..=0xFF_u32 {
            let place = base ^ byte as usize;
            let unit = *units.get(place)?;
            if unit.label() != byte || std::mem::replace(&mut seen[place], true) {
                continue;
            }
            let next = place ^ unit.offset();
            if unit.has_leaf() && !replacements.is_char_boundary(units.get(next)?.value()) {
                return None;
            }
            open.push(next);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map without any replacement: the root's block is empty.
    fn empty(replacements: &[u8]) -> Vec<u8> {
        let mut map = 1024_u32.to_le_bytes().to_vec();
        map.resize(4 + 1024, 0);
        map.extend_from_slice(replacements);
        map
    }

    fn with_unit(place: usize, unit: u32) -> Vec<u8> {
        let mut map = empty(b"x\0");
        map[4 + 4 * place..][..4].copy_from_slice(&unit.to_le_bytes());
        map
    }

    #[test]
    fn sound_maps_pass() {
        check(&empty(b"")).unwrap();
        // The byte 97 leads to unit 97, whose leaf is unit 97 ^ 1 = 96 and says: replacement at 0.
        check(&with_unit(97, 97 | 1 << 8 | 1 << 10)).unwrap();
    }

    #[test]
    fn maps_that_lead_outside_are_refused() {
        let huge = u32::MAX.to_le_bytes();
        let leaf_outside = 97 | 1 << 8 | 300 << 10;
        let children_outside = 97 | 300 << 10;
        for map in [
            vec![],
            huge.to_vec(),
            [&4_u32.to_le_bytes()[..], &[0; 3]].concat(),
            [&6_u32.to_le_bytes()[..], &[0; 6]].concat(),
            empty(&[0xFF]),
            with_unit(0, 300 << 10),
            with_unit(97, leaf_outside),
            with_unit(97, children_outside),
        ] {
            check(&map).unwrap_err();
        }
    }
}
