//! A cheaply cloned range of bytes: of a mapped file, of shared memory, or of the program itself.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Read-only bytes that stay where they are: a clone or a slice shares the owner and copies nothing.
#[derive(Clone)]
pub struct Bytes {
    owner: Owner,
    range: Range<usize>,
}

#[derive(Clone)]
enum Owner {
    #[cfg(not(target_arch = "wasm32"))]
    Mapped(Arc<memmap2::Mmap>),
    Shared(Arc<[u8]>),
    Static(&'static [u8]),
}

impl Bytes {
    /// Bytes that live as long as the program.
    #[must_use]
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Self { range: 0..bytes.len(), owner: Owner::Static(bytes) }
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn from_map(map: memmap2::Mmap) -> Self {
        Self { range: 0..map.len(), owner: Owner::Mapped(Arc::new(map)) }
    }

    /// The bytes at `range`, or `None` when it does not lie inside.
    #[must_use]
    pub fn get(&self, range: Range<usize>) -> Option<Self> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        let start = self.range.start + range.start;
        Some(Self { owner: self.owner.clone(), range: start..start + range.len() })
    }

    /// The bytes at `range`.
    ///
    /// # Panics
    /// When `range` does not lie inside, as slicing does; [`Bytes::get`] does not panic.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let len = self.len();
        self.get(range.clone()).unwrap_or_else(|| panic!("range {range:?} is outside of {len} bytes"))
    }

    /// Tells the system that these bytes are not needed for a while: pages of a mapped file leave this process's memory
    /// and are read again, from the system's cache, at the next access. Bytes that are not mapped stay as they are.
    pub fn release_pages(&self) {
        #[cfg(unix)]
        if let Owner::Mapped(map) = &self.owner
            && !self.range.is_empty()
        {
            // SAFETY: the map is read-only, so no page holds anything that the file does not.
            let advised = unsafe {
                map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, self.range.start, self.len())
            };
            // It is advice: a system that refuses it keeps the pages.
            drop(advised);
        }
    }

    /// Whether the bytes are a file's pages, which the system may drop and read again.
    #[must_use]
    pub const fn is_mapped(&self) -> bool {
        match self.owner {
            #[cfg(not(target_arch = "wasm32"))]
            Owner::Mapped(_) => true,
            Owner::Shared(_) | Owner::Static(_) => false,
        }
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self::from_static(&[])
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all: &[u8] = match &self.owner {
            #[cfg(not(target_arch = "wasm32"))]
            Owner::Mapped(map) => map,
            Owner::Shared(shared) => shared,
            Owner::Static(bytes) => bytes,
        };
        &all[self.range.clone()]
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Arc<[u8]>> for Bytes {
    fn from(shared: Arc<[u8]>) -> Self {
        Self { range: 0..shared.len(), owner: Owner::Shared(shared) }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Arc::<[u8]>::from(bytes).into()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = match &self.owner {
            #[cfg(not(target_arch = "wasm32"))]
            Owner::Mapped(_) => "mapped",
            Owner::Shared(_) => "shared",
            Owner::Static(_) => "static",
        };
        write!(f, "Bytes({} {owner} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_slices_share_and_stay_inside() {
        let bytes = Bytes::from((0..10).collect::<Vec<u8>>());
        let middle = bytes.slice(2..8);
        assert_eq!(&*middle, &[2, 3, 4, 5, 6, 7]);
        assert_eq!(&*middle.slice(1..3), &[3, 4]);
        assert_eq!(middle.slice(6..6).len(), 0);
        assert!(middle.get(5..7).is_none());
        #[expect(clippy::reversed_empty_ranges, reason = "the case under test")]
        let reversed = 3..2;
        assert!(middle.get(reversed).is_none());
        assert!(middle.get(0..usize::MAX).is_none());
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn released_pages_come_back() {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..100_000_u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
        file.write_all(&content).unwrap();
        // SAFETY: nobody else has the file.
        let bytes = Bytes::from_map(unsafe { memmap2::Mmap::map(&file).unwrap() });
        for range in [0..100_000, 5..9, 4096..8192, 7000..7000] {
            bytes.slice(range.clone()).release_pages();
            assert_eq!(&bytes[range.clone()], &content[range]);
        }
        Bytes::from_static(b"abc").release_pages();
    }

    #[test]
    #[should_panic(expected = "outside of 3 bytes")]
    fn slice_panics_outside() {
        let _ = Bytes::from_static(b"abc").slice(1..4);
    }
}
