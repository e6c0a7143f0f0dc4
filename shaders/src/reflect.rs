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
    /// The size of `Params` in bytes.
    pub params_size: u32,
}

impl Kernel {
    /// Parses and validates the composed text and reads its bindings and parameters.
    pub fn interface(&self, variant: &Variant) -> Result<Interface, ComposeError> {
        let (module, _) = self.module(variant)?;
        let mut out = Interface::default();
        for (_, var) in module.global_variables.iter() {
            let Some(binding) = &var.binding else { continue };
            let access = match var.space {
                AddressSpace::Uniform => Access::Uniform,
                AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => {
                    Access::ReadWrite
                }
                _ => Access::Read,
            };
            if access == Access::Uniform
                && let TypeInner::Struct { members, span } = &module.types[var.ty].inner
            {
                out.params_size = *span;
                out.params = members
                    .iter()
                    .map(|m| Field { name: m.name.clone().unwrap_or_default(), offset: m.offset })
                    .collect();
            }
            out.bindings.push(Binding {
                index: binding.binding,
                name: var.name.clone().unwrap_or_default(),
                access,
            });
        }
        out.bindings.sort_by_key(|b| b.index);
        Ok(out)
    }

    /// The validated naga module of this kernel, overrides still open.
    pub fn module(&self, variant: &Variant) -> Result<(Module, ModuleInfo), ComposeError> {
        let text = self.compose(variant)?;
        let bad = |report| ComposeError::Invalid { kernel: self.name, report };
        let module = wgsl::parse_str(&text).map_err(|e| bad(e.emit_to_string_with_path(&text, self.name)))?;
        let info = Validator::new(ValidationFlags::all(), Capabilities::all())
            .validate(&module)
            .map_err(|e| bad(e.emit_to_string_with_path(&text, self.name)))?;
        for name in variant.overrides.keys() {
            if !module.overrides.iter().any(|(_, o)| o.name.as_deref() == Some(*name)) {
                return Err(ComposeError::UnknownOverride { kernel: self.name, name });
            }
        }
        Ok((module, info))
    }
}
