//! Every kernel is reached by a case, and every variant that any target gets, by heuristic or by tuning, is valid everywhere.
use kinora_tests::variants::{self, kernel};
use naga::{
    back::{hlsl, msl, spv},
    valid::ModuleInfo,
};
use shaders::lint;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn every_kernel_is_reached_by_a_case() {
    let reached: BTreeSet<&str> = variants::of_all_cases(true).into_iter().map(|(name, _)| name).collect();
    let all: BTreeSet<&str> = shaders::ALL.iter().map(|k| k.name).collect();
    assert_eq!(reached, all);
}

#[test]
fn every_variant_keeps_to_the_webgpu_defaults() {
    let mut worst: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, variant) in variants::of_all_cases(false) {
        let budget = lint(kernel(name), &variant).unwrap_or_else(|e| panic!("{e}"));
        let bytes = worst.entry(name).or_default();
        *bytes = (*bytes).max(budget.workgroup_bytes);
    }
    assert_eq!(worst.len(), shaders::ALL.len());
}

#[test]
fn every_variant_translates_to_spirv_msl_and_hlsl() {
    let variants = variants::of_all_cases(true);
    assert!(!variants.is_empty());
    for (name, variant) in variants {
        let label = format!("{name} [{}]", variant.label());
        let prepared = kernel(name).prepare(&variant).unwrap_or_else(|e| panic!("{e}"));
        let (module, info) = prepared.settled(&variant).unwrap_or_else(|e| panic!("{e}"));
        translate(&label, &module, &info, variant.enables.is_empty());
    }
}

#[test]
fn what_attention_carries_is_among_them_in_every_form() {
    let mut found: BTreeMap<&str, BTreeSet<[u32; 3]>> = BTreeMap::new();
    for (_, variant) in variants::of_all_cases(true).into_iter().filter(|(name, _)| *name == "attention") {
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
    let found: BTreeSet<_> = variants::of_all_cases(false)
        .into_iter()
        .flat_map(|(_, variant)| variant.imports.into_values())
        .collect();
    for piece in ["x_quads", "x_quads_64", "kv_quads", "kv_quads_64"] {
        assert!(found.contains(piece), "nothing reads by {piece}");
    }
}

#[test]
fn products_convolutions_and_attention_have_forms_on_cooperative_matrices() {
    let imports = variants::of_all_cases(true).into_iter().filter_map(|(name, variant)| {
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
