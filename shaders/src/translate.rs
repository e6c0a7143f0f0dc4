//! A variant in the languages of drivers, as wgpu hands it to them when runtime checks are off.
use crate::{ComposeError, Prepared, Variant};
use naga::{
    Module, ShaderStage,
    back::{pipeline_constants::process_overrides, spv},
    proc::{BoundsCheckPolicies, BoundsCheckPolicy},
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

const ENTRY_POINT: &str = "main";

impl Prepared {
    /// The SPIR-V 1.6 of a variant: no bounds checks, loops not bounded, workgroup memory not zeroed.
    ///
    /// # Errors
    /// If the variant is not valid or cannot be said in SPIR-V.
    pub fn spirv(&self, variant: &Variant) -> Result<Vec<u32>, ComposeError> {
        let (module, info) = self.settled(variant)?;
        let unchecked = BoundsCheckPolicy::Unchecked;
        let options = spv::Options {
            lang_version: (1, 6),
            flags: spv::WriterFlags::empty(),
            bounds_check_policies: BoundsCheckPolicies {
                index: unchecked,
                buffer: unchecked,
                image_load: unchecked,
                binding_array: unchecked,
            },
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: false,
            emit_int_div_checks: false,
            ..spv::Options::default()
        };
        let stage =
            spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: ENTRY_POINT.to_owned() };
        spv::write_vec(&module, &info, &options, Some(&stage))
            .map_err(|e| ComposeError::Invalid { kernel: self.kernel(), report: format!("SPIR-V: {e}") })
    }

    /// The module with the variant's overrides set, and what the validator says of it.
    ///
    /// # Errors
    /// If it is not valid, with or without them.
    pub fn settled(&self, variant: &Variant) -> Result<(Module, ModuleInfo), ComposeError> {
        let invalid = |report: String| ComposeError::Invalid { kernel: self.kernel(), report };
        let info = self.validate()?;
        let constants =
            variant.overrides.iter().map(|(name, value)| ((*name).to_owned(), f64::from(*value))).collect();
        let stage = Some((ShaderStage::Compute, ENTRY_POINT));
        let (module, _) = process_overrides(&self.module, &info, stage, &constants)
            .map_err(|e| invalid(format!("{} with its overrides: {e}", variant.label())))?;
        let module = module.into_owned();
        let info = Validator::new(ValidationFlags::all(), Capabilities::all())
            .validate(&module)
            .map_err(|e| invalid(format!("{} with its overrides: {e:?}", variant.label())))?;
        Ok((module, info))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Elem, Kernel};

    #[test]
    fn spirv_has_its_magic_number_and_the_overrides_are_set() {
        let body = "@group(0) @binding(0) var<storage, read_write> out: array<X>;
override SIZE: u32 = 1u;
@compute @workgroup_size(SIZE) fn main() { out[0] = X(SIZE); }
";
        let kernel = Kernel { name: "k", body };
        let variant = Variant::new().alias("X", Elem::F32).overriding("SIZE", 8);
        let prepared = kernel.prepare(&variant).unwrap();
        let words = prepared.spirv(&variant).unwrap();
        assert_eq!(words[..2], [0x0723_0203, 0x0001_0600]);
        let (module, _) = prepared.settled(&variant).unwrap();
        assert_eq!(module.entry_points[0].workgroup_size, [8, 1, 1]);
    }
}
