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
    /// What of that the driver would let this process take at present; `None` where it does not tell.
    pub free_bytes: Option<u64>,
    /// The limits and features that plans are made for.
    pub target: Target,
    /// Whether compiled pipelines can be kept on disk.
    pub pipeline_cache: bool,
    /// Whether launches can be timed on the device.
    pub timestamps: bool,
}

impl AdapterSummary {
    /// Bytes that runs may take on it: what is free, or all there is, less a reserve for other programs and for what drivers keep
    /// for themselves. `None` where that is not known, and for software, whose memory is the machine's.
    pub fn usable_bytes(&self) -> Option<u64> {
        const RESERVE: u64 = 256 << 20;
        if self.kind == AdapterKind::Software {
            return None;
        }
        let bytes = self.free_bytes.or(self.memory_bytes)?;
        Some(bytes.saturating_sub(RESERVE.max(bytes / 20)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_stays_with_others() {
        let card = |kind, memory_bytes, free_bytes| AdapterSummary {
            index: 0,
            name: String::new(),
            kind,
            backend: "Vulkan".to_owned(),
            driver: String::new(),
            memory_bytes,
            free_bytes,
            target: Target::webgpu_defaults(),
            pipeline_cache: false,
            timestamps: false,
        };
        let usable = |kind, memory, free| card(kind, memory, free).usable_bytes();
        let discrete = AdapterKind::Discrete;
        assert_eq!(usable(discrete, Some(8_000_000_000), Some(7_000_000_000)), Some(6_650_000_000));
        assert_eq!(usable(discrete, Some(8_000_000_000), None), Some(7_600_000_000));
        assert_eq!(usable(discrete, Some(1 << 30), None), Some((1 << 30) - (256 << 20)));
        assert_eq!(usable(discrete, None, None), None);
        assert_eq!(usable(AdapterKind::Software, Some(1 << 40), None), None);
    }
}
