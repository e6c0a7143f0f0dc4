//! Files of `torch.save` (`.pt`, `.pth`, `.bin`): a zip archive with a pickle of the values and the tensors' bytes beside it. The
//! pickle is read as data and nothing of it is run.

mod globals;
mod pickle;
mod storage;
mod tensors;
mod zip;

use std::collections::BTreeMap;
use std::ops::Range;

use self::pickle::Fault;
use super::Parsed;
use crate::{Bytes, LoadError, Result};

/// What a zip archive begins with.
const ZIP: [u8; 4] = *b"PK\x03\x04";
/// What torch began its files with before it wrote archives: a pickle of a number.
const OLD_MAGIC: [u8; 15] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";
/// The pickle in an archive.
const PICKLE: &str = "data.pkl";

/// Whether the bytes are a zip archive, or a pickle as older versions of torch wrote it.
pub(super) fn is_torch(bytes: &[u8]) -> bool {
    // A header of safetensors may be as long as a pickle's first bytes say.
    bytes.starts_with(&ZIP) || (matches!(bytes, [0x80, 2..=5, ..]) && bytes.get(8) != Some(&b'{'))
}

/// Finds the tensors in the file `file`: those of the dict under `generator_ema`, `generator`, `state_dict` or `model`, the first of
/// these with tensors, else all. Their names are the keys of all dicts on the way, joined by dots.
pub(super) fn parse(file: &str, bytes: &Bytes) -> Result<Parsed> {
    if !bytes.starts_with(&ZIP) {
        let kind = if bytes.starts_with(&OLD_MAGIC) {
            "a torch file from before version 1.6"
        } else {
            "a pickle without an archive around it"
        };
        return Err(LoadError::OldTorchFile { file: file.to_owned(), kind });
    }
    let archive = Archive::open(file, bytes)?;
    let values = pickle::read(&bytes[archive.pickle.clone()]).map_err(|fault| match fault {
        Fault::Bad(reason) => archive.bad(format!("its pickle is damaged: {reason}")),
        Fault::Foreign(name) => LoadError::ForeignPickle { file: file.to_owned(), name: printable(&name) },
    })?;
    let mut entries = tensors::find(&archive, &values)?;
    entries.sort_by(|a, b| (a.range.start, &a.name).cmp(&(b.range.start, &b.name)));
    Ok(Parsed { entries, ..Parsed::default() })
}

/// A name from a file, fit for a message.
fn printable(name: &str) -> String {
    const LONGEST: usize = 100;
    let mut printable: String = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if name.chars().nth(LONGEST).is_some() {
        printable.push_str("...");
    }
    printable
}

/// The members of a file that `torch.save` wrote.
struct Archive<'a> {
    file: &'a str,
    pickle: Range<usize>,
    /// By key.
    storages: BTreeMap<&'a str, Range<usize>>,
}

impl<'a> Archive<'a> {
    fn open(file: &'a str, bytes: &'a [u8]) -> Result<Self> {
        let bad = |reason: String| LoadError::BadTorchFile { file: file.to_owned(), reason };
        let members = zip::members(bytes).map_err(bad)?;
        let mut roots = members.keys().filter_map(|name| name.strip_suffix(PICKLE)).filter(is_root);
        let root = match (roots.next(), roots.next()) {
            (Some(root), None) => root,
            (None, _) => return Err(bad(format!("it is a zip archive that holds no `{PICKLE}`"))),
            (Some(one), Some(two)) => {
                return Err(bad(format!("it holds both `{one}{PICKLE}` and `{two}{PICKLE}`")));
            }
        };
        let member = |name: &str| members.get(&*format!("{root}{name}")).cloned();
        if member("constants.pkl").is_some() {
            return Err(bad("it is a program of TorchScript, expected a dict of tensors".to_owned()));
        }
        let order = member("byteorder").map(|range| &bytes[range]);
        if let Some(order) = order.filter(|order| *order != b"little") {
            let order = printable(&String::from_utf8_lossy(&order[..order.len().min(16)]));
            return Err(bad(format!("its byte order is `{order}`, expected `little`")));
        }
        let storages = members.iter().filter_map(|(name, range)| {
            Some((name.strip_prefix(root)?.strip_prefix("data/")?, range.clone()))
        });
        Ok(Self { file, pickle: member(PICKLE).unwrap_or_default(), storages: storages.collect() })
    }

    fn bad(&self, reason: String) -> LoadError {
        LoadError::BadTorchFile { file: self.file.to_owned(), reason }
    }
}

/// Whether a member of this folder is at the top of its archive.
fn is_root(folder: &&str) -> bool {
    folder.strip_suffix('/').map_or(folder.is_empty(), |name| !name.contains('/'))
}
