//! How a kernel is specialised: everything that can change its text or its pipeline, as one value.
use std::collections::{BTreeMap, BTreeSet};

/// Element type of one typed slot of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Elem {
    /// 32-bit float.
    F32,
    /// 16-bit float; needs the adapter's `SHADER_F16`.
    F16,
}

impl Elem {
    /// The WGSL type's name.
    pub fn wgsl(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

/// A kernel's whole specialisation. It is also the key under which its pipeline is cached.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variant {
    /// `alias NAME = f32 | f16;`
    pub aliases: BTreeMap<&'static str, Elem>,
    /// `const NAME = 4u;`: register tiles and switches, for naga sizes no private array by an override.
    pub consts: BTreeMap<&'static str, u32>,
    /// `override`s of the text, set when the pipeline is made: workgroup sizes and shared arrays.
    pub overrides: BTreeMap<&'static str, u32>,
    /// `#import HOOK` of the text, each answered with a file of `wgsl/common`.
    pub imports: BTreeMap<&'static str, &'static str>,
    /// `enable NAME;` beside f16, which follows from the aliases. What is enabled here not every target language has.
    pub enables: BTreeSet<&'static str>,
}

impl Variant {
    /// A variant that injects nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the element type of a slot.
    #[must_use]
    pub fn alias(mut self, name: &'static str, elem: Elem) -> Self {
        self.aliases.insert(name, elem);
        self
    }

    /// Sets an injected constant.
    #[must_use]
    pub fn constant(mut self, name: &'static str, value: u32) -> Self {
        self.consts.insert(name, value);
        self
    }

    /// Sets an override.
    #[must_use]
    pub fn overriding(mut self, name: &'static str, value: u32) -> Self {
        self.overrides.insert(name, value);
        self
    }

    /// Answers an import hook.
    #[must_use]
    pub fn import(mut self, hook: &'static str, file: &'static str) -> Self {
        self.imports.insert(hook, file);
        self
    }

    /// Enables an extension of the language.
    #[must_use]
    pub fn enabling(mut self, name: &'static str) -> Self {
        self.enables.insert(name);
        self
    }

    /// Whether the text needs the adapter's `SHADER_F16`.
    pub fn needs_f16(&self) -> bool {
        self.aliases.values().any(|e| *e == Elem::F16)
    }

    /// A short, stable label, another one for each variant: `X=f16 BM=64 GEMM=gemm_shared`.
    pub fn label(&self) -> String {
        let aliases = self.aliases.iter().map(|(n, e)| format!("{n}={}", e.wgsl()));
        let numbers = self.consts.iter().chain(&self.overrides).map(|(n, v)| format!("{n}={v}"));
        let imports = self.imports.iter().map(|(n, f)| format!("{n}={f}"));
        let enables = self.enables.iter().map(|name| format!("enable={name}"));
        aliases.chain(numbers).chain(imports).chain(enables).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_differs_is_in_the_label() {
        let variant = Variant::new().alias("X", Elem::F16).constant("BM", 64).import("GEMM", "gemm_shared");
        assert_eq!(variant.label(), "X=f16 BM=64 GEMM=gemm_shared");
        assert_eq!(variant.clone().overriding("LANES", 8).label(), "X=f16 BM=64 LANES=8 GEMM=gemm_shared");
        assert_eq!(variant.enabling("subgroups").label(), "X=f16 BM=64 GEMM=gemm_shared enable=subgroups");
    }
}
