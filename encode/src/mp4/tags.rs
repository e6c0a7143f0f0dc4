//! The boxes of our own: colour description and iTunes-style metadata.

use super::{BoxSize, BoxType, UnknownBox};

/// The box that names BT.709 primaries, transfer and matrix, in limited range.
pub(super) fn bt709() -> UnknownBox {
    unknown(*b"colr", [b"nclx".as_slice(), &[0, 1, 0, 1, 0, 1, 0]].concat())
}

/// A box with this content.
pub(super) fn unknown(kind: [u8; 4], payload: Vec<u8>) -> UnknownBox {
    UnknownBox {
        box_type: BoxType::Normal(kind),
        box_size: BoxSize::with_payload_size(BoxType::Normal(kind), payload.len() as u64),
        payload,
    }
}

/// The content of `udta`: `meta` with a list of titled texts. Keywords without a place in that list are left out.
pub(super) fn udta(metadata: &[(String, String)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (keyword, text) in metadata {
        let Some(kind) = item_kind(keyword) else { continue };
        // Type 1 is UTF-8 text; four bytes of locale follow.
        let data = boxed(*b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], text.as_bytes()]);
        list.extend(boxed(kind, &[&data]));
    }
    if list.is_empty() {
        return Vec::new();
    }
    let handler = boxed(*b"hdlr", &[&[0; 8], b"mdirappl", &[0; 9]]);
    boxed(*b"meta", &[&[0; 4], &handler, &boxed(*b"ilst", &[&list])])
}

/// The item that a keyword of PNG's becomes.
fn item_kind(keyword: &str) -> Option<[u8; 4]> {
    match keyword {
        "Title" => Some(*b"\xa9nam"),
        "Software" => Some(*b"\xa9too"),
        "Comment" => Some(*b"\xa9cmt"),
        _ => None,
    }
}

/// A whole box of this content.
pub(super) fn boxed(kind: [u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let length = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(length);
    // Prompts are cut long before four gigabytes.
    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(kind);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}
