//! What the driver reports of a chip, as the target that the engine makes of the same numbers from wgpu.
use ash::{khr, vk};
use engine::{
    DType,
    compute::target::{CooperativeMatrices, Target},
};
use std::{collections::HashSet, ffi::CStr, ffi::CString};

/// Limits and features of a physical device.
pub(super) struct Properties {
    /// Its name.
    pub(super) name: String,
    /// The driver's name and version.
    pub(super) driver: String,
    extensions: HashSet<CString>,
    limits: vk::PhysicalDeviceLimits,
    most_bytes: u64,
    subgroups: Option<(u32, u32)>,
    shader_f16: bool,
    shader_i64: bool,
    cooperative: Vec<CooperativeMatrices>,
}

/// What wgpu asks of subgroups before it offers them.
const OPERATIONS: vk::SubgroupFeatureFlags = vk::SubgroupFeatureFlags::from_raw(
    vk::SubgroupFeatureFlags::BASIC.as_raw()
        | vk::SubgroupFeatureFlags::VOTE.as_raw()
        | vk::SubgroupFeatureFlags::ARITHMETIC.as_raw()
        | vk::SubgroupFeatureFlags::BALLOT.as_raw()
        | vk::SubgroupFeatureFlags::SHUFFLE.as_raw()
        | vk::SubgroupFeatureFlags::SHUFFLE_RELATIVE.as_raw()
        | vk::SubgroupFeatureFlags::QUAD.as_raw(),
);

/// wgpu on Linux makes no larger buffers of this driver.
const MOST_BYTES: u64 = i32::MAX as u64;
/// And binds no more of one: whole words.
const MOST_BOUND: u64 = MOST_BYTES & !3;

impl Properties {
    pub(super) fn read(
        entry: &ash::Entry,
        instance: &ash::Instance,
        physical: vk::PhysicalDevice,
    ) -> Result<Self, String> {
        // SAFETY: the physical device is the instance's.
        let listed = unsafe { instance.enumerate_device_extension_properties(physical) };
        let listed = listed.map_err(|e| format!("its extensions: {e}"))?;
        let extensions: HashSet<CString> = listed
            .iter()
            .filter_map(|extension| extension.extension_name_as_c_str().ok().map(CStr::to_owned))
            .collect();
        let mut version_11 = vk::PhysicalDeviceVulkan11Properties::default();
        let mut version_12 = vk::PhysicalDeviceVulkan12Properties::default();
        let mut version_13 = vk::PhysicalDeviceVulkan13Properties::default();
        let mut properties = vk::PhysicalDeviceProperties2::default()
            .push_next(&mut version_11)
            .push_next(&mut version_12)
            .push_next(&mut version_13);
        // SAFETY: the chain holds structures of Vulkan 1.3 only, which the instance was made for.
        unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
        let core = properties.properties;
        let (subgroup_11, driver_12, sizes_13) = (version_11, version_12, version_13);
        let mut features_11 = vk::PhysicalDeviceVulkan11Features::default();
        let mut features_12 = vk::PhysicalDeviceVulkan12Features::default();
        let mut features =
            vk::PhysicalDeviceFeatures2::default().push_next(&mut features_11).push_next(&mut features_12);
        // SAFETY: as above.
        unsafe { instance.get_physical_device_features2(physical, &mut features) };
        let shader_i64 = features.features.shader_int64 == vk::TRUE;
        let shader_f16 = features_12.shader_float16 == vk::TRUE
            && features_11.storage_buffer16_bit_access == vk::TRUE
            && features_11.uniform_and_storage_buffer16_bit_access == vk::TRUE;
        let with_subgroups = subgroup_11.subgroup_supported_operations.contains(OPERATIONS)
            && subgroup_11
                .subgroup_supported_stages
                .contains(vk::ShaderStageFlags::COMPUTE | vk::ShaderStageFlags::FRAGMENT);
        let subgroups = with_subgroups.then_some((sizes_13.min_subgroup_size, sizes_13.max_subgroup_size));
        let has_matrices = extensions.contains(khr::cooperative_matrix::NAME)
            && with_subgroups
            && features_12.vulkan_memory_model_device_scope == vk::TRUE;
        let cooperative =
            if has_matrices { cooperative(entry, instance, physical, shader_f16) } else { Vec::new() };
        Ok(Self {
            name: text(core.device_name_as_c_str().ok()),
            driver: format!(
                "{} {}",
                text(driver_12.driver_name_as_c_str().ok()),
                text(driver_12.driver_info_as_c_str().ok())
            ),
            extensions,
            limits: core.limits,
            most_bytes: sizes_13.max_buffer_size.min(subgroup_11.max_memory_allocation_size).min(MOST_BYTES),
            subgroups,
            shader_f16,
            shader_i64,
            cooperative,
        })
    }

    pub(super) fn has(&self, extension: &CStr) -> bool {
        self.extensions.contains(extension)
    }

    /// The same that the engine makes of it through wgpu.
    pub(super) fn target(&self) -> Target {
        let limits = &self.limits;
        Target {
            max_binding_bytes: u64::from(limits.max_storage_buffer_range).min(MOST_BOUND),
            max_buffer_bytes: self.most_bytes,
            offset_alignment: limits.min_storage_buffer_offset_alignment.max(32),
            max_groups: limits.max_compute_work_group_count.into_iter().min().unwrap_or(65_535),
            max_invocations: limits.max_compute_work_group_invocations,
            max_workgroup_bytes: limits.max_compute_shared_memory_size,
            shader_f16: self.shader_f16,
            shader_i64: self.shader_i64,
            subgroups: self.subgroups,
            cooperative: self.cooperative.clone(),
            ..Target::webgpu_defaults()
        }
    }
}

fn text(name: Option<&CStr>) -> String {
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn cooperative(
    entry: &ash::Entry,
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    shader_f16: bool,
) -> Vec<CooperativeMatrices> {
    let matrices = khr::cooperative_matrix::Instance::new(entry, instance);
    // SAFETY: the device lists the extension.
    let kinds = unsafe { matrices.get_physical_device_cooperative_matrix_properties(physical) };
    let dtype = |kind: vk::ComponentTypeKHR, other: vk::ComponentTypeKHR| match kind {
        _ if kind != other => None,
        vk::ComponentTypeKHR::FLOAT16 => Some(DType::F16),
        vk::ComponentTypeKHR::FLOAT32 => Some(DType::F32),
        _ => None,
    };
    let usable = |kind: &vk::CooperativeMatrixPropertiesKHR<'_>| {
        let sizes = [kind.m_size, kind.n_size, kind.k_size];
        let (operands, sums) = (dtype(kind.a_type, kind.b_type), dtype(kind.c_type, kind.result_type));
        let usable = CooperativeMatrices::usable(sizes, operands, sums, shader_f16);
        usable.filter(|_| kind.scope == vk::ScopeKHR::SUBGROUP)
    };
    CooperativeMatrices::ranked(kinds.unwrap_or_default().iter().filter_map(usable))
}
