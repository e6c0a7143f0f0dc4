//! What a composed kernel asks of its caller, read from the WGSL and nowhere else.
use crate::{ComposeError, Kernel, Variant};
use naga::{
    AddressSpace, Module, StorageAccess, TypeInner,
    front::wgsl,
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

/// How a kernel touches a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The parameter block.
    Uniform,
    /// A storage buffer that is only read.
    Read,
    /// A storage buffer that is written, and perhaps read.
    ReadWrite,
}

/// One resource of bind group 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Binding number.
    pub index: u32,
    /// The variable's name.
    pub name: String,
    /// How it is used.
    pub access: Access,
}

/// One member of the parameter block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its offset in bytes.
    pub offset: u32,
}

/// The caller's view of a composed kernel.
#[derive(Debug, Clone, Default)]
pub struct Interface {
    /// Every declared resource, by binding number.
    pub bindings: Vec<Binding>,
    /// The members of `Params`.
    pub params: Vec<Field>,
}

/// A kernel specialised by a variant: composed and parsed once, overrides still open.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The WGSL.
    pub text: String,
    /// What naga makes of it. [`Prepared::validate`] says whether it is valid.
    pub module: Module,
    /// What it asks of its caller.
    pub interface: Interface,
    kernel: &'static str,
}

impl Kernel {
    /// Composes the text, parses it and reads its bindings and parameters.
    ///
    /// # Errors
    /// If it does not compose or parse, or `variant` sets an override that it lacks.
    pub fn prepare(&self, variant: &Variant) -> Result<Prepared, ComposeError> {
        let text = self.compose(variant)?;
        let module = wgsl::parse_str(&text).map_err(|e| ComposeError::Invalid {
            kernel: self.name,
            report: e.emit_to_string_with_path(&text, self.name),
        })?;
        for name in variant.overrides.keys() {
            if !module.overrides.iter().any(|(_, o)| o.name.as_deref() == Some(*name)) {
                return Err(ComposeError::UnknownOverride { kernel: self.name, name });
            }
        }
        let interface = interface(&module);
        Ok(Prepared { text, module, interface, kernel: self.name })
    }
}

impl Prepared {
    pub(crate) fn kernel(&self) -> &'static str {
        self.kernel
    }

    /// Validates the module for a device that can do everything.
    ///
    /// # Errors
    /// [`ComposeError::Invalid`] with the line that is wrong.
    pub fn validate(&self) -> Result<ModuleInfo, ComposeError> {
        let validated = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&self.module);
        validated.map_err(|e| ComposeError::Invalid {
            kernel: self.kernel,
            report: e.emit_to_string_with_path(&self.text, self.kernel),
        })
    }
}

fn interface(module: &Module) -> Interface {
    let mut out = Interface::default();
    for (_, var) in module.global_variables.iter() {
        let Some(binding) = &var.binding else { continue };
        let access = match var.space {
            AddressSpace::Uniform => Access::Uniform,
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Access::ReadWrite,
            _ => Access::Read,
        };
        if access == Access::Uniform
            && let TypeInner::Struct { members, .. } = &module.types[var.ty].inner
        {
            let field =
                |m: &naga::StructMember| Field { name: m.name.clone().unwrap_or_default(), offset: m.offset };
            out.params = members.iter().map(field).collect();
        }
        out.bindings.push(Binding {
            index: binding.binding,
            name: var.name.clone().unwrap_or_default(),
            access,
        });
    }
    out.bindings.sort_by_key(|b| b.index);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Elem;

    const BODY: &str = "struct Params { rows: u32, columns: u32 }
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> out: array<X>;
override SIZE: u32 = 1u;
@compute @workgroup_size(SIZE) fn main() { out[0] = x[params.columns]; }
";

    #[test]
    fn bindings_come_in_order_with_their_access_and_the_parameters() {
        let kernel = Kernel { name: "k", body: BODY };
        let variant = Variant::new().alias("X", Elem::F32).overriding("SIZE", 8);
        let prepared = kernel.prepare(&variant).unwrap();
        prepared.validate().unwrap();
        let bindings: Vec<_> =
            prepared.interface.bindings.iter().map(|b| (b.name.as_str(), b.access)).collect();
        assert_eq!(bindings, [("params", Access::Uniform), ("x", Access::Read), ("out", Access::ReadWrite)]);
        let params: Vec<_> = prepared.interface.params.iter().map(|f| (f.name.as_str(), f.offset)).collect();
        assert_eq!(params, [("rows", 0), ("columns", 4)]);
        let unknown = kernel.prepare(&variant.overriding("TILE", 8)).unwrap_err();
        assert_eq!(unknown.to_string(), "k.wgsl has no `override TILE`");
    }

    #[test]
    fn what_does_not_parse_or_validate_is_shown_with_its_line() {
        let broken = |from: &str, to: &str| {
            let body: &'static str = BODY.replace(from, to).leak();
            Kernel { name: "k", body }.prepare(&Variant::new().alias("X", Elem::F32))
        };
        let report = broken("out[0] =", "out[0] = *").unwrap_err().to_string();
        assert!(report.contains("out[0] = *"), "{report}");
        let report =
            broken("storage, read_write", "storage, read").unwrap().validate().unwrap_err().to_string();
        assert!(report.contains("out[0] ="), "{report}");
    }
}
