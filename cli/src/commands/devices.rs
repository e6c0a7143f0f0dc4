//! `kinora devices`: what can compute here, and what its kernels may use.

mod tuning;

use crate::args::DevicesArgs;
use crate::error::Result;
use crate::ui;
use engine::compute::adapter::{AdapterKind, AdapterSummary};
use engine::compute::gpu::Gpu;
use serde_json::{Value, json};
use std::fmt::Write as _;
use tuning::Tuned;

/// Lists the devices on the standard output.
pub(crate) fn run(args: &DevicesArgs) -> Result<()> {
    let adapters = pollster::block_on(Gpu::adapters());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tables: Option<Vec<Tuned>> = args.tuning.then(|| adapters.iter().map(tuning::load).collect());
    let text = if args.json {
        as_json(&adapters, threads, tables.as_deref())
    } else {
        as_text(&adapters, threads, tables.as_deref())
    };
    ui::print(&text)
}

fn kind(kind: AdapterKind) -> &'static str {
    match kind {
        AdapterKind::Discrete => "discrete GPU",
        AdapterKind::Integrated => "integrated GPU",
        AdapterKind::Other => "other GPU",
        AdapterKind::Software => "software on the CPU",
    }
}

/// `24.0 GB of memory (22.1 GB for runs), `, as far as it is known.
fn memory(adapter: &AdapterSummary) -> String {
    let Some(bytes) = adapter.memory_bytes else { return String::new() };
    let usable = adapter.usable_bytes().map(|usable| format!(" ({} for runs)", ui::bytes(usable)));
    format!("{} of memory{}, ", ui::bytes(bytes), usable.unwrap_or_default())
}

fn as_text(adapters: &[AdapterSummary], threads: usize, tables: Option<&[Tuned]>) -> String {
    let mut text = String::new();
    for (index, adapter) in adapters.iter().enumerate() {
        let target = &adapter.target;
        // Writing into a string cannot fail.
        let _ = writeln!(text, "gpu:{}  {}", adapter.index, adapter.name);
        let _ = writeln!(text, "       {}, {}, {}", kind(adapter.kind), adapter.backend, adapter.driver);
        let _ = writeln!(
            text,
            "       limits: {}{} a binding, {} a buffer, {} of workgroup memory, {} invocations a workgroup",
            memory(adapter),
            ui::bytes(target.max_binding_bytes),
            ui::bytes(target.max_buffer_bytes),
            ui::bytes(target.max_workgroup_bytes.into()),
            target.max_invocations
        );
        let _ = writeln!(text, "       features: {}", features(adapter).join(", "));
        let _ = writeln!(text, "       kernels: {}", variants(adapter).join(", "));
        if let Some(table) = tables.and_then(|tables| tables.get(index)) {
            text.push_str(&tuning::as_text(table));
        }
    }
    let _ = writeln!(text, "cpu    {threads} threads, f32");
    if adapters.is_empty() {
        text.push_str("\nno GPU was found; the CPU computes\n");
    }
    text
}

fn as_json(adapters: &[AdapterSummary], threads: usize, tables: Option<&[Tuned]>) -> String {
    let gpus: Vec<Value> = adapters
        .iter()
        .enumerate()
        .map(|(index, adapter)| {
            let target = &adapter.target;
            let mut value = json!({
                "device": format!("gpu:{}", adapter.index),
                "name": adapter.name,
                "kind": kind(adapter.kind),
                "backend": adapter.backend,
                "driver": adapter.driver,
                "memory_bytes": adapter.memory_bytes,
                "free_bytes": adapter.free_bytes,
                "usable_bytes": adapter.usable_bytes(),
                "limits": {
                    "binding_bytes": target.max_binding_bytes,
                    "buffer_bytes": target.max_buffer_bytes,
                    "workgroup_bytes": target.max_workgroup_bytes,
                    "workgroup_invocations": target.max_invocations,
                    "groups_per_dimension": target.max_groups,
                },
                "features": features(adapter),
                "cooperative_matrices": target.cooperative.iter().map(|matrices| {
                    json!({ "size": matrices.size, "operands": matrices.operands.to_string() })
                }).collect::<Vec<_>>(),
                "kernels": variants(adapter),
            });
            if let Some(table) = tables.and_then(|tables| tables.get(index)) {
                value["tuning"] = tuning::as_json(table);
            }
            value
        })
        .collect();
    let cpu = json!({ "device": "cpu", "threads": threads });
    format!("{:#}\n", json!({ "gpus": gpus, "cpu": cpu }))
}

fn features(adapter: &AdapterSummary) -> Vec<String> {
    let mut features = Vec::new();
    if adapter.target.shader_f16 {
        features.push("f16".to_owned());
    }
    if adapter.target.shader_i64 {
        features.push("integers of 64 bits".to_owned());
    }
    if let Some((smallest, largest)) = adapter.target.subgroups {
        features.push(if smallest == largest {
            format!("subgroups of {smallest}")
        } else {
            format!("subgroups of {smallest} to {largest}")
        });
    }
    let cooperative: Vec<String> = adapter
        .target
        .cooperative
        .iter()
        .map(|matrices| format!("{0}x{0} {1}", matrices.size, matrices.operands))
        .collect();
    if !cooperative.is_empty() {
        features.push(format!("cooperative matrices of {}", cooperative.join(" and ")));
    }
    if adapter.timestamps {
        features.push("timestamps".to_owned());
    }
    if adapter.pipeline_cache {
        features.push("pipeline cache".to_owned());
    }
    if features.is_empty() {
        features.push("none".to_owned());
    }
    features
}

/// What plans choose on such a device.
fn variants(adapter: &AdapterSummary) -> Vec<&'static str> {
    let target = &adapter.target;
    let mut variants = vec![
        if target.software { "register tiles without workgroup memory" } else { "tiles in workgroup memory" },
        if target.shader_f16 { "activations in f32 or f16" } else { "activations in f32" },
    ];
    if target.subgroups.is_some() && !target.software {
        variants.push("sums across subgroups");
    }
    if !target.cooperative.is_empty() && !target.software {
        variants.push("products and attention on cooperative matrices, if they are found to multiply right");
    }
    variants
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{
        DType,
        compute::target::{CooperativeMatrices, Target},
    };

    fn adapter(kind: AdapterKind) -> AdapterSummary {
        AdapterSummary {
            index: 0,
            name: "A Card".into(),
            kind,
            backend: "Vulkan".into(),
            driver: "driver 1.2".into(),
            memory_bytes: None,
            free_bytes: None,
            target: Target { software: kind == AdapterKind::Software, ..Target::webgpu_defaults() },
            pipeline_cache: false,
            timestamps: false,
        }
    }

    #[test]
    fn devices_are_listed_with_what_they_are_called_by() {
        let text = as_text(&[adapter(AdapterKind::Discrete)], 8, None);
        assert!(text.starts_with("gpu:0  A Card\n       discrete GPU, Vulkan, driver 1.2\n"), "{text}");
        assert!(text.contains("limits: 134 MB a binding"), "{text}");
        let card = AdapterSummary { memory_bytes: Some(24 << 30), ..adapter(AdapterKind::Discrete) };
        let text_of_card = as_text(std::slice::from_ref(&card), 8, None);
        assert!(
            text_of_card.contains("limits: 25.8 GB of memory (24.5 GB for runs), 134 MB a binding"),
            "{text_of_card}"
        );
        assert!(as_json(&[card], 8, None).contains("\"memory_bytes\": 25769803776"));
        assert!(text.contains("features: none\n"), "{text}");
        assert!(text.ends_with("cpu    8 threads, f32\n"), "{text}");
        assert!(as_text(&[adapter(AdapterKind::Software)], 8, None).contains("register tiles"));
        assert!(as_text(&[], 2, None).contains("no GPU was found"));
    }

    #[test]
    fn cooperative_matrices_are_listed_with_their_sizes() {
        let mut card = adapter(AdapterKind::Discrete);
        let json = |card: &AdapterSummary| -> Value {
            serde_json::from_str(&as_json(std::slice::from_ref(card), 8, None)).unwrap()
        };
        assert_eq!(json(&card)["gpus"][0]["cooperative_matrices"], json!([]));
        let matrices =
            |size, operands| CooperativeMatrices { size, operands, emulated: false, proven_lanes: None };
        card.target.cooperative = vec![matrices(16, DType::F16), matrices(8, DType::F32)];
        let sizes = json!([{ "size": 16, "operands": "f16" }, { "size": 8, "operands": "f32" }]);
        assert_eq!(json(&card)["gpus"][0]["cooperative_matrices"], sizes);
        let text = as_text(&[card], 8, None);
        assert!(text.contains("features: cooperative matrices of 16x16 f16 and 8x8 f32\n"), "{text}");
        assert!(text.contains("if they are found to multiply right"), "{text}");
    }

    #[test]
    fn json_can_be_parsed() {
        let value: Value =
            serde_json::from_str(&as_json(&[adapter(AdapterKind::Integrated)], 8, None)).unwrap();
        assert_eq!(value["gpus"][0]["device"], "gpu:0");
        assert_eq!(value["cpu"]["threads"], 8);
    }
}
