//! What tells one set of weights from another without reading them all.

use sha2::{Digest, Sha256};

use super::Checkpoint;

/// Bytes that are read at each place of a tensor.
const SAMPLE: usize = 256;

impl Checkpoint {
    /// A digest of the names, formats, shapes, scales and changes of all tensors and of some bytes of each, at its beginning, middle
    /// and end: training moves all weights, so other weights have another one. Random weights have one for each format.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        if let Some(random) = &self.random {
            hash.update(format!("{random:?}"));
        }
        for (name, located) in &self.tensors {
            let format = located.entry.format.as_ref().map_or_else(|other| &**other, |format| format.name());
            hash.update(format!("{name}\0{format}\0{:?}\0{:?}\0", located.entry.shape, located.scale));
            for change in &located.changes {
                hash.update(format!("{change:?}\0"));
            }
            let bytes = self.shards[located.shard].bytes.get(located.entry.range.clone()).unwrap_or_default();
            let last = bytes.len().saturating_sub(SAMPLE);
            for start in [0, last / 2, last] {
                hash.update(&bytes[start..bytes.len().min(start + SAMPLE)]);
            }
        }
        hash.finalize().into()
    }
}
