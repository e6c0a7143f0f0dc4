//! Reads the settings back out of a written file. The file may be anyone's: cut short, broken or made to harm.

use serde_json::{Map, Value};
use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// Text longer than this is not ours.
const LONGEST_TEXT: usize = 1 << 20;
/// An index larger than this is not ours either.
const LARGEST_INDEX: u32 = 64 << 20;
/// The key that marks a comment as ours.
pub const MARK: &str = "kinora";

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A video or picture, with our settings or without.
    Settings(Option<Map<String, Value>>),
    /// Something else.
    Unknown,
}

/// The settings that were put into an MP4, PNG or APNG; nothing if the file has none.
///
/// # Errors
/// If it cannot be read, or is broken.
pub fn settings_in<R: BufRead + Seek>(mut file: R) -> io::Result<Content> {
    let mut start = [0; 12];
    let length = read_up_to(&mut file, &mut start)?;
    file.seek(SeekFrom::Start(0))?;
    let comments = if start.starts_with(PNG) {
        png_comments(file)?
    } else if length == start.len() && start[4..8] == *b"ftyp" {
        mp4_comments(&mut file)?
    } else {
        return Ok(Content::Unknown);
    };
    Ok(Content::Settings(comments.iter().find_map(|text| settings(text))))
}

/// Ours, if it is a JSON object with our mark in it.
fn settings(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str::<Map<String, Value>>(text).ok().filter(|map| map.contains_key(MARK))
}

fn png_comments<R: BufRead + Seek>(file: R) -> io::Result<Vec<String>> {
    let mut decoder = png::Decoder::new(file);
    decoder.set_limits(png::Limits { bytes: LARGEST_INDEX as usize });
    decoder.set_ignore_text_chunk(false);
    let reader = decoder.read_info().map_err(|error| invalid(error.to_string()))?;
    let info = reader.info();
    let latin = info
        .uncompressed_latin1_text
        .iter()
        .filter(|chunk| chunk.keyword == "Comment")
        .map(|c| c.text.clone());
    let unicode =
        info.utf8_text.iter().filter(|chunk| chunk.keyword == "Comment").filter_map(|c| c.get_text().ok());
    Ok(latin.chain(unicode).filter(|text| text.len() <= LONGEST_TEXT).collect())
}

/// Steps over the outermost boxes until the index.
fn mp4_comments<R: Read + Seek>(file: &mut R) -> io::Result<Vec<String>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut position = 0;
    while end - position >= 8 {
        file.seek(SeekFrom::Start(position))?;
        let mut header = [0; 16];
        let length = read_up_to(file, &mut header)?;
        let short = u64::from(u32::from_be_bytes([header[0], header[1], header[2], header[3]]));
        let (header_size, size) = match short {
            0 => (8, end - position),
            1 if length == 16 => (16, u64::from_be_bytes(header[8..].try_into().unwrap_or_default())),
            short => (8, short),
        };
        if size < header_size || size > end - position {
            return Err(invalid("a box says it is larger than the file"));
        }
        if header[4..8] == *b"moov" {
            if size > u64::from(LARGEST_INDEX) {
                return Err(invalid("its index is too large"));
            }
            file.seek(SeekFrom::Start(position + header_size))?;
            let mut moov = Vec::new();
            file.take(size - header_size).read_to_end(&mut moov)?;
            return Ok(index_comments(&moov));
        }
        position += size;
    }
    Ok(Vec::new())
}

/// The texts of `udta/meta/ilst/©cmt/data`.
fn index_comments(moov: &[u8]) -> Vec<String> {
    let mut comments = Vec::new();
    for meta in children(moov, *b"udta").flat_map(|udta| children(udta, *b"meta")) {
        // Version and flags come before the boxes.
        let Some(meta) = meta.get(4..) else { continue };
        for comment in children(meta, *b"ilst").flat_map(|list| children(list, *b"\xa9cmt")) {
            for data in children(comment, *b"data") {
                if let Some(text) = data.get(8..).filter(|text| text.len() <= LONGEST_TEXT) {
                    comments.push(String::from_utf8_lossy(text).into_owned());
                }
            }
        }
    }
    comments
}

/// The contents of the boxes of one kind, as far as the sizes make sense.
fn children(mut bytes: &[u8], kind: [u8; 4]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let (header, _) = bytes.split_first_chunk::<8>()?;
            let size = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
            if size < 8 || size > bytes.len() {
                return None;
            }
            let (this, rest) = bytes.split_at(size);
            bytes = rest;
            if this[4..8] == kind {
                return Some(&this[8..]);
            }
        }
    })
}

fn read_up_to<R: Read>(file: &mut R, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}
