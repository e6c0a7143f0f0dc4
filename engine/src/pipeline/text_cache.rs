//! What text encoders made of earlier prompts, kept on disk: the second run of a prompt loads no encoder.
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Where encoded prompts are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextCache {
    /// A folder for nothing else; the first entry makes it.
    pub folder: PathBuf,
    /// Bytes that it may take; of what is more, the entries that were not used for the longest time go.
    pub most_bytes: u64,
}

/// How an entry's file begins: the form of its contents.
const MAGIC: &[u8; 8] = b"kinora1\n";
const ENDING: &str = "embeds";

/// What decides the hidden states of a text.
#[derive(Debug)]
pub(super) struct TextKey<'a> {
    /// Of the encoder's weights.
    pub(super) weights: [u8; 32],
    /// The device with its arithmetic: others round differently.
    pub(super) device: &'a str,
    /// What the encoder reads.
    pub(super) ids: &'a [u32],
}

impl TextKey<'_> {
    fn file(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(MAGIC);
        hash.update(env!("CARGO_PKG_VERSION"));
        hash.update(self.weights);
        hash.update(self.device);
        hash.update([0]);
        for id in self.ids {
            hash.update(id.to_le_bytes());
        }
        let digest = hash.finalize();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hex}.{ENDING}")
    }
}

impl TextCache {
    /// The hidden states of a text of `values` numbers, if they are there and whole.
    pub(super) fn read(&self, key: &TextKey<'_>, values: usize) -> Option<Vec<f32>> {
        let path = self.folder.join(key.file());
        let bytes = fs::read(&path).ok()?;
        let rest = bytes.strip_prefix(MAGIC)?;
        let (digest, data) = rest.split_first_chunk::<32>()?;
        if data.len() != 4 * values || Sha256::digest(data).as_slice() != digest {
            return None;
        }
        // The time of the last use decides what goes first; without it nothing is wrong.
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(data.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
    }

    /// Keeps the hidden states of a text. A failure is told; nothing is lost but time.
    pub(super) fn write(&self, key: &TextKey<'_>, values: &[f32]) -> Result<(), String> {
        let told = |error: io::Error| {
            format!("the encoded prompt cannot be kept in `{}`: {error}", self.folder.display())
        };
        fs::create_dir_all(&self.folder).map_err(told)?;
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        if data.len() as u64 > self.most_bytes {
            return Ok(());
        }
        let path = self.folder.join(key.file());
        // Whole or not at all, whoever writes beside.
        let staged = self.folder.join(format!("{}.{}.part", key.file(), std::process::id()));
        let written = fs::File::create(&staged).and_then(|mut file| {
            file.write_all(MAGIC)?;
            file.write_all(&Sha256::digest(&data))?;
            file.write_all(&data)
        });
        if let Err(error) = written.and_then(|()| fs::rename(&staged, &path)) {
            let _ = fs::remove_file(&staged);
            return Err(told(error));
        }
        self.shrink();
        Ok(())
    }

    /// Removes what was not used for the longest time, until the rest keeps to the limit.
    fn shrink(&self) {
        let mut entries = entries(&self.folder);
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        let mut total = 0;
        for entry in entries {
            total += entry.bytes;
            if total > self.most_bytes {
                let _ = fs::remove_file(entry.path);
            }
        }
    }
}

struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// The entries in a folder; other files are left alone.
fn entries(folder: &Path) -> Vec<Entry> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten();
    all.filter_map(|entry| {
        let (path, metadata) = (entry.path(), entry.metadata().ok()?);
        let is_entry = metadata.is_file() && path.extension().is_some_and(|ending| ending == ENDING);
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        is_entry.then_some(Entry { path, bytes: metadata.len(), used })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(ids: &[u32]) -> TextKey<'_> {
        TextKey { weights: [7; 32], device: "CPU f32", ids }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("kinora-texts-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn what_is_kept_comes_back_for_the_same_text_alone() {
        let cache = TextCache { folder: folder("same"), most_bytes: 1 << 20 };
        let values = [1.5, -2.0, f32::MIN_POSITIVE];
        cache.write(&key(&[1, 2]), &values).unwrap();
        assert_eq!(cache.read(&key(&[1, 2]), 3).as_deref(), Some(&values[..]));
        assert_eq!(cache.read(&key(&[1, 2]), 4), None, "of another size");
        assert_eq!(cache.read(&key(&[1]), 3), None);
        assert_eq!(cache.read(&TextKey { device: "GPU", ..key(&[1, 2]) }, 3), None);
        assert_eq!(cache.read(&TextKey { weights: [8; 32], ..key(&[1, 2]) }, 3), None);
        let path = cache.folder.join(key(&[1, 2]).file());
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(cache.read(&key(&[1, 2]), 3), None, "damaged");
        fs::remove_dir_all(cache.folder).unwrap();
    }

    #[test]
    fn what_was_used_last_stays() {
        let cache = TextCache { folder: folder("limit"), most_bytes: 3 * (40 + 400) };
        fs::create_dir_all(&cache.folder).unwrap();
        fs::write(cache.folder.join("note.txt"), [0; 9000]).unwrap();
        let values = [0.5; 100];
        for id in 0..3 {
            cache.write(&key(&[id]), &values).unwrap();
            let file = fs::File::options().append(true).open(cache.folder.join(key(&[id]).file())).unwrap();
            let age = Duration::from_secs(3600 - u64::from(id));
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        // The oldest is used again, so the second goes.
        assert!(cache.read(&key(&[0]), 100).is_some());
        cache.write(&key(&[3]), &values).unwrap();
        let there: Vec<u32> = (0..4).filter(|id| cache.read(&key(&[*id]), 100).is_some()).collect();
        assert_eq!(there, [0, 2, 3]);
        assert!(cache.folder.join("note.txt").exists());
        cache.write(&key(&[9]), &[0.0; 1000]).unwrap();
        assert!(cache.read(&key(&[9]), 1000).is_none(), "larger than the limit");
        fs::remove_dir_all(cache.folder).unwrap();
    }
}
