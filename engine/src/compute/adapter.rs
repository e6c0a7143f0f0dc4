//! What is known of a GPU before it is opened: plain data.
use crate::target::Target;

/// What kind of device an adapter is, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A card of its own.
    Discrete,
    /// A part of the processor.
    Integrated,
    /// A share of a card in a virtual machine, or unknown.
    Other,
    /// A driver that computes on the CPU.
    Software,
}

/// One adapter, as `kinora devices` lists it.
#[derive(Debug, Clone)]
pub struct AdapterSummary {
    /// Its position: what `gpu:N` means.
    pub index: usize,
    /// The device's name.
    pub name: String,
    /// Kind of device.
    pub kind: AdapterKind,
    /// Vulkan, Metal, Dx12 or BrowserWebGpu.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// Its own memory, or its share of the machine's; `None` where the backend does not tell.
    pub memory_bytes: Option<u64>,
    /// The limits and features that plans are made for.
    pub target: Target,
    /// Whether compiled pipelines can be kept on disk.
    pub pipeline_cache: bool,
    /// Whether launches can be timed on the device.
    pub timestamps: bool,
}
