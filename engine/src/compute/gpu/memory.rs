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
    pub(super) fn of(adapter: &wgpu::Adapter) -> Self {
        // Each answers for adapters of its own backend alone.
        #[cfg(any(windows, target_os = "linux", target_os = "android"))]
        if let Some(memory) = vulkan::memory(adapter) {
            return memory;
        }
        #[cfg(windows)]
        if let Some(memory) = dx12::memory(adapter) {
            return memory;
        }
        #[cfg(target_vendor = "apple")]
        if let Some(memory) = metal::memory(adapter) {
            return memory;
        }
        let _ = adapter;
        Self::default()
    }
}

/// The largest heap of a device's own, and with `VK_EXT_memory_budget` what is free of it.
#[cfg(any(windows, target_os = "linux", target_os = "android"))]
mod vulkan {
    use super::DeviceMemory;
    use ash::vk;

    pub(super) fn memory(adapter: &wgpu::Adapter) -> Option<DeviceMemory> {
        // SAFETY: the handle is only asked for its properties, and is used no longer than the guard lives.
        let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
        let (shared, device) = (adapter.shared_instance(), adapter.raw_physical_device());
        let instance = shared.raw_instance();
        // SAFETY: the physical device is one of this instance; both live as long as the guard.
        let memory = unsafe { instance.get_physical_device_memory_properties(device) };
        let is_local = |heap: &vk::MemoryHeap| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL);
        let heaps = memory.memory_heaps_as_slice().iter().enumerate();
        let (index, heap) = heaps.filter(|(_, heap)| is_local(heap)).max_by_key(|(_, heap)| heap.size)?;
        // SAFETY: as above.
        let extensions =
            unsafe { instance.enumerate_device_extension_properties(device) }.unwrap_or_default();
        let has_budget = extensions.iter().any(|extension| {
            extension.extension_name_as_c_str().is_ok_and(|name| name == vk::EXT_MEMORY_BUDGET_NAME)
        });
        // The question that can be extended is part of Vulkan 1.1.
        if !has_budget || shared.instance_api_version() < vk::API_VERSION_1_1 {
            return Some(DeviceMemory { total: Some(heap.size), free: None });
        }
        let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
        let mut properties = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budget);
        // SAFETY: the instance has the function, and the device the extension of the structure.
        unsafe { instance.get_physical_device_memory_properties2(device, &mut properties) };
        let free = budget.heap_budget[index].saturating_sub(budget.heap_usage[index]);
        Some(DeviceMemory { total: Some(heap.size), free: Some(free) })
    }
}

/// What DXGI says of the memory segment of a device's own; of one without, of what it shares with the system.
#[cfg(windows)]
mod dx12 {
    use super::DeviceMemory;
    use windows::Win32::Graphics::Dxgi::{DXGI_MEMORY_SEGMENT_GROUP_LOCAL, DXGI_QUERY_VIDEO_MEMORY_INFO};

    pub(super) fn memory(adapter: &wgpu::Adapter) -> Option<DeviceMemory> {
        // SAFETY: the handle is only asked for its properties, and is used no longer than the guard lives.
        let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Dx12>() }?;
        let dxgi = adapter.raw_adapter();
        // SAFETY: the adapter is a live COM object.
        let desc = unsafe { dxgi.GetDesc1() }.ok();
        // Devices that share all memory have a local segment too, and next to nothing that is dedicated.
        let total = desc.map(|desc| desc.DedicatedVideoMemory as u64).filter(|bytes| *bytes >= 1 << 30);
        let mut info = DXGI_QUERY_VIDEO_MEMORY_INFO::default();
        // SAFETY: the structure lives through the call; node 0 is the only one of an adapter that is not linked.
        let asked = unsafe { dxgi.QueryVideoMemoryInfo(0, DXGI_MEMORY_SEGMENT_GROUP_LOCAL, &mut info) };
        let free = asked.ok().map(|()| info.Budget.saturating_sub(info.CurrentUsage));
        Some(DeviceMemory { total: total.or(Some(info.Budget).filter(|bytes| *bytes > 0)), free })
    }
}

/// What Metal recommends a process to stay below.
#[cfg(target_vendor = "apple")]
mod metal {
    use super::DeviceMemory;
    use objc2_metal::MTLDevice as _;

    pub(super) fn memory(adapter: &wgpu::Adapter) -> Option<DeviceMemory> {
        // SAFETY: the handle is only asked for its properties, and is used no longer than the guard lives.
        let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Metal>() }?;
        let device = adapter.raw_device();
        let most = device.recommendedMaxWorkingSetSize();
        let free = most.saturating_sub(device.currentAllocatedSize() as u64);
        Some(DeviceMemory { total: Some(most), free: Some(free) })
    }
}
