//! The members of a zip archive whose bytes are stored as they are, as `torch.save` writes it.

use std::collections::BTreeMap;
use std::ops::Range;

const END: [u8; 4] = *b"PK\x05\x06";
const END_LEN: usize = 22;
const LOCATOR64: [u8; 4] = *b"PK\x06\x07";
const LOCATOR64_LEN: usize = 20;
const END64: [u8; 4] = *b"PK\x06\x06";
const END64_LEN: usize = 56;
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const CENTRAL_LEN: usize = 46;
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_LEN: usize = 30;
/// The longest comment at the end of an archive.
const MAX_COMMENT: usize = 65_535;

/// Where in `bytes` the members lie, by name. An error is the reason why it is not a sound archive.
pub(super) fn members(bytes: &[u8]) -> Result<BTreeMap<&str, Range<usize>>, String> {
    let Directory { range, count } = directory(bytes)?;
    let (start, mut rest) = (range.start, &bytes[range]);
    let mut members = BTreeMap::new();
    for index in 0..count {
        let Some((name, record, after)) = central(rest) else {
            return Err(format!("its directory is cut short at member {index} of {count}"));
        };
        rest = after;
        let name =
            str::from_utf8(name).map_err(|_| format!("the name of its member {index} is not UTF-8"))?;
        let range =
            record.range(name, &bytes[..start]).map_err(|reason| format!("member `{name}`: {reason}"))?;
        if members.insert(name, range).is_some() {
            return Err(format!("member `{name}`: the directory lists it twice"));
        }
    }
    match rest.len() {
        0 => Ok(members),
        left => Err(format!("its directory has {left} bytes after the last of {count} members")),
    }
}

/// The list of all members.
struct Directory {
    range: Range<usize>,
    count: usize,
}

fn directory(bytes: &[u8]) -> Result<Directory, String> {
    let end = find_end(bytes).ok_or("it is cut short: the zip directory at its end is absent")?;
    let record = &bytes[end..];
    let narrow =
        (u64::from(u16_at(record, 10)), u64::from(u32_at(record, 12)), u64::from(u32_at(record, 16)));
    let is_wide = narrow.0 == u64::from(u16::MAX) || narrow.1.max(narrow.2) == u64::from(u32::MAX);
    let (count, len, start) = if is_wide { wide_directory(bytes, end)? } else { narrow };
    let range = range(start, len)
        .filter(|range| range.end <= end)
        .ok_or_else(|| format!("its directory claims {len} bytes at {start}, its end record is at {end}"))?;
    let most = range.len() / CENTRAL_LEN;
    let count = usize::try_from(count)
        .ok()
        .filter(|&count| count <= most)
        .ok_or_else(|| format!("its directory claims {count} members, it has room for {most}"))?;
    Ok(Directory { range, count })
}

/// The last place whose end record has a comment that reaches the end of the file.
fn find_end(bytes: &[u8]) -> Option<usize> {
    let last = bytes.len().checked_sub(END_LEN)?;
    (last.saturating_sub(MAX_COMMENT)..=last)
        .rev()
        .find(|&at| bytes[at..].starts_with(&END) && usize::from(u16_at(&bytes[at..], 20)) == last - at)
}

/// Count, length and start as an archive with more than 4 GB or 65,535 members has them.
fn wide_directory(bytes: &[u8], end: usize) -> Result<(u64, u64, u64), String> {
    let locator = end.checked_sub(LOCATOR64_LEN).map(|at| &bytes[at..end]);
    let locator = locator.filter(|locator| locator.starts_with(&LOCATOR64));
    let at = u64_at(locator.ok_or("it lacks the directory for large archives (zip64)")?, 8);
    let record = range(at, END64_LEN as u64)
        .and_then(|range| bytes.get(range))
        .filter(|record| record.starts_with(&END64))
        .ok_or_else(|| format!("there is no directory for large archives (zip64) at {at}"))?;
    Ok((u64_at(record, 32), u64_at(record, 40), u64_at(record, 48)))
}

/// What the directory says of a member.
struct Record {
    flags: u16,
    method: u16,
    stored: u64,
    size: u64,
    local: u64,
}

/// The name of the first member in the directory, its record, and what follows.
fn central(rest: &[u8]) -> Option<(&[u8], Record, &[u8])> {
    let (fixed, after) = rest.split_at_checked(CENTRAL_LEN).filter(|_| rest.starts_with(&CENTRAL))?;
    let (name, after) = after.split_at_checked(usize::from(u16_at(fixed, 28)))?;
    let (extra, after) = after.split_at_checked(usize::from(u16_at(fixed, 30)))?;
    let (_, after) = after.split_at_checked(usize::from(u16_at(fixed, 32)))?;
    // What does not fit 32 bits is in a field of its own, in this order.
    let mut wide = wide_field(extra).as_chunks().0.iter().map(|&value| u64::from_le_bytes(value));
    let mut widened = |value: u32| if value == u32::MAX { wide.next() } else { Some(u64::from(value)) };
    let size = widened(u32_at(fixed, 24))?;
    let stored = widened(u32_at(fixed, 20))?;
    let local = widened(u32_at(fixed, 42))?;
    Some((name, Record { flags: u16_at(fixed, 8), method: u16_at(fixed, 10), stored, size, local }, after))
}

/// The extra field with the numbers of more than 32 bits.
fn wide_field(mut extra: &[u8]) -> &[u8] {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let Some((field, rest)) = rest.split_at_checked(usize::from(u16_at(head, 2))) else { break };
        if u16_at(head, 0) == 1 {
            return field;
        }
        extra = rest;
    }
    &[]
}

impl Record {
    /// Where the member's bytes are in `bytes`, which end where the directory begins.
    fn range(&self, name: &str, bytes: &[u8]) -> Result<Range<usize>, String> {
        if self.flags & 1 != 0 {
            return Err("it is encrypted".to_owned());
        }
        if self.method != 0 || self.stored != self.size {
            return Err(format!("it is compressed (method {}), expected stored bytes", self.method));
        }
        let header = range(self.local, LOCAL_LEN as u64)
            .and_then(|range| bytes.get(range))
            .filter(|header| header.starts_with(&LOCAL))
            .ok_or_else(|| format!("there is no header of a member at {}", self.local))?;
        let name_len = u16_at(header, 26);
        let skipped = LOCAL_LEN as u64 + u64::from(name_len) + u64::from(u16_at(header, 28));
        let beyond = || {
            let (size, local, all) = (self.size, self.local, bytes.len());
            format!(
                "its {size} bytes after the header at {local} do not lie within the {all} before the directory"
            )
        };
        let data = self.local.checked_add(skipped).and_then(|start| range(start, self.size));
        let data = data.filter(|data| data.end <= bytes.len()).ok_or_else(beyond)?;
        let names = range(self.local + LOCAL_LEN as u64, u64::from(name_len));
        if names.and_then(|names| bytes.get(names)) != Some(name.as_bytes()) {
            return Err(format!("the header at {} is of another member", self.local));
        }
        Ok(data)
    }
}

fn range(start: u64, len: u64) -> Option<Range<usize>> {
    let end = start.checked_add(len)?;
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

// The caller has checked that the bytes are there.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
