//! The HLSL of a variant as wgpu writes it without runtime checks.
use naga::back::hlsl::{BindTarget, Options, PipelineOptions, ShaderModel, Writer};
use shaders::{Kernel, Variant};

/// # Errors
/// If the variant is not valid or cannot be said in HLSL.
pub(crate) fn write(kernel: &Kernel, variant: &Variant) -> Result<String, String> {
    let prepared = kernel.prepare(variant).map_err(|e| e.to_string())?;
    let (module, info) = prepared.settled(variant).map_err(|e| e.to_string())?;
    let target = |register| BindTarget { register, ..BindTarget::default() };
    let bindings = prepared.interface.bindings.iter().map(|binding| binding.index);
    let options = Options {
        shader_model: ShaderModel::V6_2,
        binding_map: bindings
            .map(|binding| (naga::ResourceBinding { group: 0, binding }, target(binding)))
            .collect(),
        fake_missing_bindings: false,
        // How many workgroups there are, which Direct3D does not tell.
        special_constants_binding: Some(BindTarget { space: 1, ..target(0) }),
        zero_initialize_workgroup_memory: false,
        restrict_indexing: false,
        force_loop_bounding: false,
        ..Options::default()
    };
    let mut text = String::new();
    let stage = PipelineOptions { entry_point: Some((naga::ShaderStage::Compute, "main".to_owned())) };
    Writer::new(&mut text, &options, &stage).write(&module, &info, None).map_err(|e| e.to_string())?;
    Ok(text)
}
