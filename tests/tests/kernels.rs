//! Every kernel is reached by a case, and every variant that any target gets, by heuristic or by tuning, is valid everywhere.
use engine::{
    DType,
    compute::ops::Mask,
    compute::plan::{Plan, PlanTarget},
    compute::target::{CooperativeMatrices, Target},
};
use kinora_tests::{
    Case,
    ops::{self, attention},
};
use naga::{
    back::{hlsl, msl, pipeline_constants::process_overrides, spv},
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};
use shaders::{Kernel, Variant, lint};
use std::collections::{BTreeMap, BTreeSet};

/// One of each kind of adapter, and one that emulates what only some of them have.
fn targets() -> Vec<Target> {
    let browser = Target::webgpu_defaults();
    let desktop = Target {
        shader_f16: true,
        subgroups: Some((32, 32)),
        max_binding_bytes: 2 << 30,
        max_buffer_bytes: 4 << 30,
        max_invocations: 1024,
        max_workgroup_bytes: 48 << 10,
        ..browser.clone()
    };
    let matrices =
        |size, operands, emulated| CooperativeMatrices { size, operands, emulated, proven_lanes: None };
    let tensor_cores = Target { cooperative: vec![matrices(16, DType::F16, false)], ..desktop.clone() };
    let apple = Target {
        cooperative: vec![matrices(8, DType::F16, false), matrices(8, DType::F32, false)],
        max_workgroup_bytes: 32 << 10,
        ..desktop.clone()
    };
    let emulated = Target {
        cooperative: vec![matrices(16, DType::F16, true), matrices(8, DType::F32, true)],
        max_workgroup_bytes: 32 << 10,
        ..desktop.clone()
    };
    let software = Target { software: true, shader_f16: true, subgroups: Some((8, 8)), ..browser.clone() };
    let wide_software = Target { shader_i64: true, ..software.clone() };
    vec![browser, desktop, tensor_cores, apple, emulated, software, wide_software]
}

/// The variants of the heuristics on every target, and what the tuner may choose instead: on every target, or on those alone that have
/// no more than WebGPU's defaults.
fn variants(tuned_everywhere: bool) -> BTreeSet<(&'static str, Variant)> {
    let mut found = BTreeSet::new();
    let all = ops::all().into_iter().map(|case| (case, u64::MAX));
    // Keys beyond one binding: what attention carries from launch to launch.
    for (case, binding) in all.chain(carried().into_iter().map(|case| (case, 64 << 10))) {
        let (graph, _) = case.graph().unwrap_or_else(|e| panic!("{}: {e}", case.name));
        for target in targets() {
            let target = Target { max_binding_bytes: target.max_binding_bytes.min(binding), ..target };
            if case.needs_f16() && !target.shader_f16 {
                continue;
            }
            let plan = |target: &Target| {
                Plan::new(&graph, &PlanTarget::Gpu(target.clone()))
                    .unwrap_or_else(|e| panic!("{}: {e}", case.name))
            };
            let heuristic = plan(&target);
            note(&mut found, &heuristic);
            if !tuned_everywhere && target.max_workgroup_bytes > Target::webgpu_defaults().max_workgroup_bytes
            {
                continue;
            }
            for choice in heuristic.ops.iter().filter_map(|op| op.choice.as_ref()) {
                for form in &choice.forms {
                    let tuning = target.tuning.with(&choice.key, form);
                    note(&mut found, &plan(&Target { tuning, ..target.clone() }));
                }
            }
        }
    }
    found
}

/// Attention in several launches: alone, biased and masked, in both dtypes.
fn carried() -> Vec<Case> {
    let sizes = attention::Sizes { groups: 1, queries: 601, keys: 601, heads: 2, head_dim: 64 };
    [DType::F32, DType::F16]
        .into_iter()
        .flat_map(|dtype| {
            [
                attention::fused(sizes, dtype),
                attention::biased(sizes, dtype),
                attention::masked(sizes, Mask::Causal { block: 50 }, dtype),
                attention::masked(sizes, Mask::Window { before: 300, after: 20 }, dtype),
            ]
        })
        .collect()
}

fn note(found: &mut BTreeSet<(&'static str, Variant)>, plan: &Plan) {
    let launches = plan.ops.iter().flat_map(|op| &op.launches);
    found.extend(launches.map(|launch| (launch.kernel.name, launch.variant.clone())));
}

fn kernel(name: &str) -> &'static Kernel {
    shaders::ALL.iter().find(|k| k.name == name).unwrap_or_else(|| panic!("no kernel {name}"))
}

#[test]
fn every_kernel_is_reached_by_a_case() {
    let reached: BTreeSet<&str> = variants(true).into_iter().map(|(name, _)| name).collect();
    let all: BTreeSet<&str> = shaders::ALL.iter().map(|k| k.name).collect();
    assert_eq!(reached, all);
}

#[test]
fn every_variant_keeps_to_the_webgpu_defaults() {
    let mut worst: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, variant) in variants(false) {
        let budget = lint(kernel(name), &variant).unwrap_or_else(|e| panic!("{e}"));
        let bytes = worst.entry(name).or_default();
        *bytes = (*bytes).max(budget.workgroup_bytes);
    }
    assert_eq!(worst.len(), shaders::ALL.len());
}

#[test]
fn every_variant_translates_to_spirv_msl_and_hlsl() {
    let variants = variants(true);
    assert!(!variants.is_empty());
    for (name, variant) in variants {
        let label = format!("{name} [{}]", variant.label());
        let prepared = kernel(name).prepare(&variant).unwrap_or_else(|e| panic!("{e}"));
        let info = prepared.validate().unwrap_or_else(|e| panic!("{e}"));
        let constants = variant.overrides.iter().map(|(n, v)| ((*n).to_owned(), f64::from(*v))).collect();
        let (module, _) = process_overrides(
            &prepared.module,
            &info,
            Some((naga::ShaderStage::Compute, "main")),
            &constants,
        )
        .unwrap_or_else(|e| panic!("{label}: {e}"));
        let module = module.into_owned();
        let info = Validator::new(ValidationFlags::all(), Capabilities::all())
            .validate(&module)
            .unwrap_or_else(|e| panic!("{label}: {e:?}"));
        translate(&label, &module, &info, variant.enables.is_empty());
    }
}

#[test]
fn what_attention_carries_is_among_them_in_every_form() {
    let mut found: BTreeMap<&str, BTreeSet<[u32; 3]>> = BTreeMap::new();
    for (_, variant) in variants(true).into_iter().filter(|(name, _)| *name == "attention") {
        let constants = ["CARRY_IN", "CARRY_OUT", "MASK"].map(|name| variant.consts[name]);
        found.entry(variant.imports["ATTENTION"]).or_default().insert(constants);
    }
    for form in ["attention_register", "attention_shared", "attention_cooperative"] {
        for carry in [[0, 1], [1, 1], [1, 0]] {
            assert!(found[form].contains(&[carry[0], carry[1], 0]), "{form} {carry:?}: {found:?}");
        }
    }
}

#[test]
fn products_and_attention_are_read_in_words_of_64_bits_and_without() {
    let found: BTreeSet<_> =
        variants(false).into_iter().flat_map(|(_, variant)| variant.imports.into_values()).collect();
    for piece in ["x_quads", "x_quads_64", "kv_quads", "kv_quads_64"] {
        assert!(found.contains(piece), "nothing reads by {piece}");
    }
}

#[test]
fn products_convolutions_and_attention_have_forms_on_cooperative_matrices() {
    let imports = variants(true).into_iter().filter_map(|(name, variant)| {
        let fragments = variant.imports.get("FRAGMENTS")?;
        Some((name, *fragments))
    });
    let found: BTreeSet<_> = imports.collect();
    for kernel in ["attention", "causal_conv3d", "matmul"] {
        for fragments in ["fragments_16", "fragments_8", "fragments_emulated"] {
            assert!(found.contains(&(kernel, fragments)), "{kernel} lacks {fragments}: {found:?}");
        }
    }
}

/// To HLSL only what that language has: no adapter of Direct3D reports cooperative matrices.
fn translate(label: &str, module: &naga::Module, info: &ModuleInfo, to_hlsl: bool) {
    let words = spv::write_vec(module, info, &spv::Options::default(), None)
        .unwrap_or_else(|e| panic!("{label}: SPIR-V: {e}"));
    assert_eq!(words[0], 0x0723_0203, "{label}: SPIR-V");
    let options = msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
    let (metal, _) = msl::write_string(module, info, &options, &msl::PipelineOptions::default())
        .unwrap_or_else(|e| panic!("{label}: MSL: {e}"));
    assert!(metal.contains("kernel void"), "{label}: MSL");
    if !to_hlsl {
        return;
    }
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_2,
        fake_missing_bindings: true,
        ..Default::default()
    };
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default())
        .write(module, info, None)
        .unwrap_or_else(|e| panic!("{label}: HLSL: {e}"));
    assert!(text.contains("numthreads"), "{label}: HLSL");
}
