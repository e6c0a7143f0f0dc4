//! Text in, WGSL out: a typed header, then each `#import` line replaced by its file, each file once.
use crate::{COMMON, Elem, Kernel, Variant};
use std::{collections::BTreeSet, fmt::Write};

/// Why a kernel could not be made into valid WGSL. Always a defect of the kernel or of its caller.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// An import names no file of `wgsl/common`.
    #[error("{kernel}.wgsl imports `{import}`, which wgsl/common lacks")]
    UnknownImport {
        /// The kernel.
        kernel: &'static str,
        /// What it asked for.
        import: String,
    },
    /// An import hook that the variant does not answer.
    #[error("{kernel}.wgsl has the import hook `{hook}`, which the variant leaves open")]
    OpenHook {
        /// The kernel.
        kernel: &'static str,
        /// The hook.
        hook: String,
    },
    /// The text does not parse or validate.
    #[error("{kernel}.wgsl is not valid WGSL:\n{report}")]
    Invalid {
        /// The kernel.
        kernel: &'static str,
        /// naga's report.
        report: String,
    },
    /// The variant sets an override that the text lacks.
    #[error("{kernel}.wgsl has no `override {name}`")]
    UnknownOverride {
        /// The kernel.
        kernel: &'static str,
        /// The override.
        name: &'static str,
    },
}

impl Kernel {
    /// The WGSL of this kernel specialised by `variant` (overrides stay to be set by the pipeline).
    pub fn compose(&self, variant: &Variant) -> Result<String, ComposeError> {
        let mut out = String::new();
        if variant.needs_f16() {
            out.push_str("enable f16;\n");
        }
        for name in &variant.enables {
            let _ = writeln!(out, "enable {name};");
        }
        for (name, elem) in &variant.aliases {
            let _ = writeln!(out, "alias {name} = {};", elem.wgsl());
            let _ = writeln!(out, "const {}_IS_F16 = {};", name.to_uppercase(), *elem == Elem::F16);
        }
        for (name, value) in &variant.consts {
            let _ = writeln!(out, "const {name} = {value}u;");
        }
        self.expand(self.body, variant, &mut BTreeSet::new(), &mut out)?;
        Ok(out)
    }

    fn expand(
        &self,
        text: &'static str,
        variant: &Variant,
        seen: &mut BTreeSet<&'static str>,
        out: &mut String,
    ) -> Result<(), ComposeError> {
        for line in text.lines() {
            match line.strip_prefix("#import ") {
                None => {
                    out.push_str(line);
                    out.push('\n');
                }
                Some(import) => self.import(import.trim(), variant, seen, out)?,
            }
        }
        Ok(())
    }

    fn import(
        &self,
        import: &'static str,
        variant: &Variant,
        seen: &mut BTreeSet<&'static str>,
        out: &mut String,
    ) -> Result<(), ComposeError> {
        let is_hook = import.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let file = match variant.imports.get(import) {
            Some(file) => *file,
            None if is_hook => {
                return Err(ComposeError::OpenHook { kernel: self.name, hook: import.to_owned() });
            }
            None => import,
        };
        if !seen.insert(file) {
            return Ok(());
        }
        let (_, text) = COMMON
            .iter()
            .find(|(name, _)| *name == file)
            .ok_or_else(|| ComposeError::UnknownImport { kernel: self.name, import: file.to_owned() })?;
        self.expand(text, variant, seen, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_hook_and_an_unknown_import_are_named() {
        let kernel = Kernel { name: "k", body: "#import GEMM\n" };
        let open = kernel.compose(&Variant::new()).unwrap_err().to_string();
        assert_eq!(open, "k.wgsl has the import hook `GEMM`, which the variant leaves open");
        let unknown = kernel.compose(&Variant::new().import("GEMM", "nope")).unwrap_err().to_string();
        assert_eq!(unknown, "k.wgsl imports `nope`, which wgsl/common lacks");
    }

    #[test]
    fn the_header_comes_first_and_enables_f16_only_when_used() {
        let kernel = Kernel { name: "k", body: "// body\n" };
        let text = kernel.compose(&Variant::new().alias("X", Elem::F16).constant("TILE", 4)).unwrap();
        assert_eq!(text, "enable f16;\nalias X = f16;\nconst X_IS_F16 = true;\nconst TILE = 4u;\n// body\n");
        let text = kernel.compose(&Variant::new().alias("X", Elem::F32)).unwrap();
        assert!(!text.contains("enable"));
    }
}
