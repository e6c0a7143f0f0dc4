//! The WGSL kernels, and what turns one into text that wgpu accepts. Knows naga, not wgpu.
//!
//! Each file of `wgsl/` is one [`Kernel`] constant here ([`ALL`] lists them). A [`Variant`] says how it is
//! specialised; [`Kernel::prepare`] makes the text, parses it, and reads what it asks of its caller.

mod compose;
mod lint;
mod reflect;
mod translate;
mod variant;

pub use compose::ComposeError;
pub use lint::{Budget, lint};
pub use reflect::{Access, Binding, Field, Interface, Prepared};
pub use variant::{Elem, Variant};

/// One kernel: one file of `wgsl/`, with the entry point `main`.
#[derive(Debug)]
pub struct Kernel {
    /// The file's stem.
    pub name: &'static str,
    pub(crate) body: &'static str,
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kernel {}

impl std::hash::Hash for Kernel {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// A number that changes when any kernel, or any piece that kernels share, changes.
pub fn fingerprint() -> u64 {
    let kernels = ALL.iter().map(|kernel| (kernel.name, kernel.body));
    let texts = kernels.chain(COMMON.iter().copied()).flat_map(|(name, text)| [name, text]);
    // FNV-1a: the standard library's hash is not the same in every release.
    texts
        .flat_map(|text| text.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
