//! How much memory an adapter has, and how much of it is free.

/// Bytes of an adapter's own memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct DeviceMemory {
    /// Of its largest heap, where the backend tells.
    pub(super) total: Option<u64>,
    /// What the driver would let this process take of it at present.
    pub(super) free: Option<u64>,
}

impl DeviceMemory {
    /// Asks the driver.
    #[cfg(any(windows, target_os = "linux", target_os = "android"))]
    pub(super) fn of(adapter: &wgpu::Adapter) -> Self {
        use ash::vk;
        // SAFETY: the handle is only asked for its properties, and is used no longer than the guard lives.
        let Some(adapter) = (unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }) else {
            return Self::default();
        };
        let (shared, device) = (adapter.shared_instance(), adapter.raw_physical_device());
        let instance = shared.raw_instance();
        // SAFETY: the physical device is one of this instance; both live as long as the guard.
        let memory = unsafe { instance.get_physical_device_memory_properties(device) };
        let is_local = |heap: &vk::MemoryHeap| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL);
        let heaps = || memory.memory_heaps_as_slice().iter().enumerate();
        let largest = heaps().filter(|(_, heap)| is_local(heap)).max_by_key(|(_, heap)| heap.size);
        let Some((index, heap)) = largest else { return Self::default() };
        // SAFETY: as above.
        let extensions =
            unsafe { instance.enumerate_device_extension_properties(device) }.unwrap_or_default();
        let has_budget = extensions.iter().any(|extension| {
            extension.extension_name_as_c_str().is_ok_and(|name| name == vk::EXT_MEMORY_BUDGET_NAME)
        });
        // The question that can be extended is part of Vulkan 1.1.
        if !has_budget || shared.instance_api_version() < vk::API_VERSION_1_1 {
            return Self { total: Some(heap.size), free: None };
        }
        let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
        let mut properties = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budget);
        // SAFETY: the instance has the function, and the device the extension of the structure.
        unsafe { instance.get_physical_device_memory_properties2(device, &mut properties) };
        let free = budget.heap_budget[index].saturating_sub(budget.heap_usage[index]);
        Self { total: Some(heap.size), free: Some(free) }
    }

    /// Not told there.
    #[cfg(not(any(windows, target_os = "linux", target_os = "android")))]
    pub(super) fn of(_: &wgpu::Adapter) -> Self {
        Self::default()
    }
}
