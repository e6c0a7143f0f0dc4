//! Which adapter comes first.
use crate::adapter::{AdapterKind, AdapterSummary};
use std::cmp::Reverse;

/// Discrete, integrated, other, software; of equals the one with more memory, and of software the faster driver.
///
/// Adapters that are equal in all of this keep the drivers' order.
pub(super) fn rank(adapter: &AdapterSummary) -> impl Ord + use<> {
    let software = match adapter.kind {
        AdapterKind::Software => software_rank(adapter),
        _ => 0,
    };
    // A backend that does not tell the memory still limits its buffers by it, or by less.
    let memory = adapter.memory_bytes.unwrap_or(adapter.target.max_buffer_bytes);
    (adapter.kind, software, Reverse(memory))
}

/// lavapipe translates to vector code with LLVM; SwiftShader is many times slower on these kernels.
fn software_rank(adapter: &AdapterSummary) -> u8 {
    let text = format!("{} {}", adapter.name, adapter.driver).to_lowercase();
    if text.contains("llvmpipe") || text.contains("lavapipe") {
        0
    } else if text.contains("swiftshader") {
        1
    } else {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    fn adapter(name: &str, kind: AdapterKind, memory_bytes: Option<u64>) -> AdapterSummary {
        AdapterSummary {
            index: 0,
            name: name.to_owned(),
            kind,
            backend: "Vulkan".to_owned(),
            driver: String::new(),
            memory_bytes,
            free_bytes: None,
            target: Target::webgpu_defaults(),
            pipeline_cache: false,
            timestamps: false,
        }
    }

    fn ranked(mut adapters: Vec<AdapterSummary>) -> Vec<String> {
        adapters.sort_by_key(rank);
        adapters.into_iter().map(|adapter| adapter.name).collect()
    }

    #[test]
    fn kinds_come_first_then_memory() {
        use AdapterKind::{Discrete, Integrated, Other, Software};
        let names = ranked(vec![
            adapter("llvmpipe", Software, Some(64 << 30)),
            adapter("shared", Integrated, Some(48 << 30)),
            adapter("virtual", Other, Some(16 << 30)),
            adapter("small card", Discrete, Some(8 << 30)),
            adapter("large card", Discrete, Some(24 << 30)),
        ]);
        assert_eq!(names, ["large card", "small card", "shared", "virtual", "llvmpipe"]);
    }

    #[test]
    fn without_knowledge_the_largest_buffer_counts_and_equals_keep_their_order() {
        let card = |name, bytes| {
            let mut card = adapter(name, AdapterKind::Discrete, None);
            card.target.max_buffer_bytes = bytes;
            card
        };
        let names = ranked(vec![card("a", 1 << 30), card("b", 4 << 30), card("c", 4 << 30)]);
        assert_eq!(names, ["b", "c", "a"]);
    }

    #[test]
    fn lavapipe_comes_before_swiftshader_and_that_before_others() {
        let software = |name, driver: &str| AdapterSummary {
            driver: driver.to_owned(),
            ..adapter(name, AdapterKind::Software, Some(1 << 30))
        };
        let mut larger = software("Microsoft Basic Render Driver", "");
        larger.memory_bytes = Some(64 << 30);
        let names = ranked(vec![
            larger,
            software("SwiftShader Device (LLVM 16.0.0)", "SwiftShader driver"),
            software("llvmpipe (LLVM 19.1.7, 256 bits)", "llvmpipe Mesa 25"),
        ]);
        assert_eq!(
            names,
            [
                "llvmpipe (LLVM 19.1.7, 256 bits)",
                "SwiftShader Device (LLVM 16.0.0)",
                "Microsoft Basic Render Driver"
            ]
        );
    }
}
