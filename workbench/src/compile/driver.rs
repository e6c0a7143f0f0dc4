//! Mesa's Vulkan driver for AMD, opened for a chip that need not be there. All that is `unsafe` about it lies here.
//!
//! RADV makes a device without hardware when `RADV_FORCE_FAMILY` names a chip. It cannot run anything, but compiles as it does
//! for users, and `VK_KHR_pipeline_executable_properties` tells what the compiler knows. Instance, device and pipelines are
//! made as wgpu 30 makes them (`wgpu-hal/src/vulkan/{adapter,device}.rs`), so that the code is the one that users get.
mod capture;
mod properties;

use super::{Chip, CompileError, Executable};
use ash::{ext, khr, vk};
use engine::compute::target::Target;
use shaders::{Access, Binding, Kernel, Variant};
use std::ffi::CStr;

/// The driver with a device of one chip.
pub(super) struct Driver {
    chip: &'static Chip,
    /// Its name and version.
    pub(super) name: String,
    pub(super) target: Target,
    device: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    instance: ash::Instance,
    /// Holds the loader's library open.
    _entry: ash::Entry,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("chip", &self.chip.name)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a pipeline is made of, freed at the end.
struct Parts<'a> {
    device: &'a ash::Device,
    set: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
    module: vk::ShaderModule,
    pipeline: vk::Pipeline,
}

impl Driver {
    /// Opens it. The process must have been started with the chip's environment.
    pub(super) fn open(chip: &'static Chip) -> Result<Self, CompileError> {
        let failed = |reason: String| CompileError::Driver { chip: chip.name, reason };
        // SAFETY: the loader is the system's Vulkan loader; nothing else in this process depends on how it is initialised.
        let entry = unsafe { ash::Entry::load() }.map_err(|e| failed(format!("no Vulkan loader: {e}")))?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let create = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the structures live until the call returns; no layers or extensions are named.
        let instance = unsafe { entry.create_instance(&create, None) }
            .map_err(|e| failed(format!("no instance: {e}")))?;
        match open_device(&entry, &instance, chip) {
            Ok((name, target, device)) => {
                let executables = khr::pipeline_executable_properties::Device::new(&instance, &device);
                Ok(Self { chip, name, target, device, executables, instance, _entry: entry })
            }
            Err(reason) => {
                // SAFETY: nothing made of the instance is left.
                unsafe { instance.destroy_instance(None) };
                Err(failed(reason))
            }
        }
    }

    /// Compiles a variant and says what came of it. `lanes`: the subgroup size to ask for, which wgpu does not do.
    pub(super) fn compile(
        &self,
        kernel: &'static Kernel,
        variant: &Variant,
        lanes: Option<u32>,
        assembly: bool,
    ) -> Result<Executable, CompileError> {
        let failed =
            |reason: String| CompileError::Kernel { kernel: kernel.name, variant: variant.label(), reason };
        let prepared = kernel.prepare(variant).map_err(|e| failed(e.to_string()))?;
        let words = prepared.spirv(variant).map_err(|e| failed(e.to_string()))?;
        let refused = |e: vk::Result| failed(format!("the driver refuses it: {e}"));
        let mut parts = Parts::new(&self.device);
        parts.make(&words, &prepared.interface.bindings, self.stage(lanes), assembly).map_err(refused)?;
        capture::read(&self.executables, &self.device, parts.pipeline, assembly).map_err(refused)
    }

    /// The flags of wgpu's compute stages, and a subgroup size to ask for.
    fn stage(&self, lanes: Option<u32>) -> (vk::PipelineShaderStageCreateFlags, Option<u32>) {
        let offered = self.target.subgroups.zip(lanes);
        match offered.filter(|((least, most), lanes)| (least..=most).contains(&lanes)) {
            // The two exclude each other.
            Some((_, lanes)) => (vk::PipelineShaderStageCreateFlags::empty(), Some(lanes)),
            None if self.target.subgroups.is_some() => {
                (vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE, None)
            }
            None => (vk::PipelineShaderStageCreateFlags::empty(), None),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: pipelines and layouts are freed by `Parts` before the driver can go; nothing was ever submitted.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

impl<'a> Parts<'a> {
    fn new(device: &'a ash::Device) -> Self {
        Self {
            device,
            set: vk::DescriptorSetLayout::null(),
            layout: vk::PipelineLayout::null(),
            module: vk::ShaderModule::null(),
            pipeline: vk::Pipeline::null(),
        }
    }

    fn make(
        &mut self,
        words: &[u32],
        bindings: &[Binding],
        (flags, lanes): (vk::PipelineShaderStageCreateFlags, Option<u32>),
        assembly: bool,
    ) -> Result<(), vk::Result> {
        let bindings: Vec<_> = bindings.iter().map(layout_binding).collect();
        let sets = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: `sets` and what it points to live until the call returns.
        self.set = unsafe { self.device.create_descriptor_set_layout(&sets, None) }?;
        let sets = [self.set];
        let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
        // SAFETY: the set layout was made by the same device.
        self.layout = unsafe { self.device.create_pipeline_layout(&layout, None) }?;
        let module = vk::ShaderModuleCreateInfo::default().code(words);
        // SAFETY: naga has validated the module and written the words.
        self.module = unsafe { self.device.create_shader_module(&module, None) }?;
        let mut required = vk::PipelineShaderStageRequiredSubgroupSizeCreateInfo::default();
        let mut stage = vk::PipelineShaderStageCreateInfo::default()
            .flags(flags)
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(self.module)
            .name(c"main");
        if let Some(lanes) = lanes {
            required.required_subgroup_size = lanes;
            stage = stage.push_next(&mut required);
        }
        let mut capture = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR;
        if assembly {
            capture |= vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
        }
        let create = vk::ComputePipelineCreateInfo::default().flags(capture).stage(stage).layout(self.layout);
        // SAFETY: module and layout are the device's and fit each other: both follow from the same naga module.
        let made =
            unsafe { self.device.create_compute_pipelines(vk::PipelineCache::null(), &[create], None) };
        self.pipeline = made.map_err(|(_, e)| e)?.first().copied().unwrap_or_default();
        Ok(())
    }
}

impl Drop for Parts<'_> {
    fn drop(&mut self) {
        // SAFETY: each is null or the device's, and nobody else has it.
        unsafe {
            self.device.destroy_pipeline(self.pipeline, None);
            self.device.destroy_shader_module(self.module, None);
            self.device.destroy_pipeline_layout(self.layout, None);
            self.device.destroy_descriptor_set_layout(self.set, None);
        }
    }
}

fn layout_binding(binding: &Binding) -> vk::DescriptorSetLayoutBinding<'static> {
    let kind = match binding.access {
        Access::Uniform => vk::DescriptorType::UNIFORM_BUFFER,
        Access::Read | Access::ReadWrite => vk::DescriptorType::STORAGE_BUFFER,
    };
    vk::DescriptorSetLayoutBinding::default()
        .binding(binding.index)
        .descriptor_type(kind)
        .descriptor_count(1)
        .stage_flags(vk::ShaderStageFlags::COMPUTE)
}

/// The first physical device, with the features that the engine asks wgpu for.
fn open_device(
    entry: &ash::Entry,
    instance: &ash::Instance,
    chip: &Chip,
) -> Result<(String, Target, ash::Device), String> {
    // SAFETY: the instance is alive.
    let devices = unsafe { instance.enumerate_physical_devices() }.map_err(|e| e.to_string())?;
    let physical = *devices.first().ok_or_else(|| {
        "it lists no device; Mesa before 22 and from 26 on makes none without hardware".to_owned()
    })?;
    let properties = properties::Properties::read(entry, instance, physical)?;
    if !properties.name.to_lowercase().contains(chip.name) {
        return Err(format!("the device is `{}`", properties.name));
    }
    if !properties.has(khr::pipeline_executable_properties::NAME) {
        return Err("it has no VK_KHR_pipeline_executable_properties".to_owned());
    }
    let device = create_device(instance, physical, &properties).map_err(|e| format!("no device: {e}"))?;
    Ok((properties.driver.clone(), properties.target(), device))
}

fn create_device(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    properties: &properties::Properties,
) -> Result<ash::Device, vk::Result> {
    let wanted: [&CStr; 3] =
        [khr::pipeline_executable_properties::NAME, khr::cooperative_matrix::NAME, ext::robustness2::NAME];
    let names: Vec<_> = wanted.iter().filter(|name| properties.has(name)).map(|name| name.as_ptr()).collect();
    let queue = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
    let target = properties.target();
    let core =
        vk::PhysicalDeviceFeatures::default().robust_buffer_access(true).shader_int64(target.shader_i64);
    let mut version_11 = vk::PhysicalDeviceVulkan11Features::default()
        .storage_buffer16_bit_access(target.shader_f16)
        .uniform_and_storage_buffer16_bit_access(target.shader_f16);
    let mut version_12 = vk::PhysicalDeviceVulkan12Features::default()
        .shader_float16(target.shader_f16)
        .shader_int8(true)
        .vulkan_memory_model(true)
        .vulkan_memory_model_device_scope(true);
    let mut version_13 = vk::PhysicalDeviceVulkan13Features::default()
        .subgroup_size_control(target.subgroups.is_some())
        .maintenance4(true);
    let mut executable =
        vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
    let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
    let mut matrices = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
    let mut create = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queue)
        .enabled_extension_names(&names)
        .enabled_features(&core)
        .push_next(&mut version_11)
        .push_next(&mut version_12)
        .push_next(&mut version_13)
        .push_next(&mut executable);
    if properties.has(ext::robustness2::NAME) {
        create = create.push_next(&mut robust);
    }
    if properties.has(khr::cooperative_matrix::NAME) {
        create = create.push_next(&mut matrices);
    }
    // SAFETY: the extensions are among those that the device lists, the structures live until the call returns.
    unsafe { instance.create_device(physical, &create, None) }
}
