//! Keys that a class does not have are ignored as diffusers and transformers ignore them, and named in a notice.

use kinora_model_loader::config::{
    CogVideoXTransformerConfig, CogVideoXVaeConfig, ModelScheduler, T5Config, WanTransformerConfig,
    WanVaeConfig,
};
use kinora_model_loader::{LoadError, ModelFolder};
use serde_json::{Value, json};

use crate::{COGVIDEOX, Copy, WAN, refused};

/// A config of a small model: the model, the file, the class that reads it, and how.
type Config = (&'static str, &'static str, &'static str, fn(&ModelFolder) -> Result<(), LoadError>);

const CONFIGS: &[Config] = &[
    (WAN, "model_index.json", "WanPipeline", |folder| folder.index().map(drop)),
    (WAN, "scheduler/scheduler_config.json", "UniPCMultistepScheduler", scheduler),
    (WAN, "transformer/config.json", "WanTransformer3DModel", |folder| {
        WanTransformerConfig::load(folder, "transformer").map(drop)
    }),
    (WAN, "vae/config.json", "AutoencoderKLWan", |folder| WanVaeConfig::load(folder, "vae").map(drop)),
    (WAN, "text_encoder/config.json", "UMT5Config", |folder| {
        T5Config::load(folder, "text_encoder").map(drop)
    }),
    (COGVIDEOX[0], "model_index.json", "CogVideoXPipeline", |folder| folder.index().map(drop)),
    (COGVIDEOX[0], "scheduler/scheduler_config.json", "CogVideoXDDIMScheduler", scheduler),
    (COGVIDEOX[1], "scheduler/scheduler_config.json", "CogVideoXDPMScheduler", scheduler),
    (COGVIDEOX[0], "transformer/config.json", "CogVideoXTransformer3DModel", |folder| {
        CogVideoXTransformerConfig::load(folder, "transformer").map(drop)
    }),
    (COGVIDEOX[0], "vae/config.json", "AutoencoderKLCogVideoX", |folder| {
        CogVideoXVaeConfig::load(folder, "vae").map(drop)
    }),
    (COGVIDEOX[0], "text_encoder/config.json", "T5Config", |folder| {
        T5Config::load(folder, "text_encoder").map(drop)
    }),
];

fn scheduler(folder: &ModelFolder) -> Result<(), LoadError> {
    let scheduler = ModelScheduler::load(folder, "scheduler")?;
    assert_eq!(scheduler.unsupported, None);
    Ok(())
}

/// The small model with keys set in one file.
fn with(model: &str, file: &str, keys: &[(&str, Value)]) -> ModelFolder {
    let mut json: Value = serde_json::from_slice(&Copy::of(model).0[file]).unwrap();
    for (key, value) in keys {
        json[*key] = value.clone();
    }
    Copy::of(model).with(file, json.to_string()).open()
}

#[test]
fn keys_of_other_classes_are_ignored_with_a_notice() {
    for (model, file, class, load) in CONFIGS {
        let folder = with(model, file, &[("of_another", json!(3.0))]);
        load(&folder).unwrap();
        load(&folder).unwrap();
        let notice = format!("`{file}`: `of_another` is not a key of `{class}` and is ignored");
        assert_eq!(folder.notices(), [notice]);
        let folder = with(model, file, &[("one", json!(true)), ("two", json!([1]))]);
        load(&folder).unwrap();
        let notice = format!("`{file}`: `one`, `two` are not keys of `{class}` and are ignored");
        assert_eq!(folder.clone().notices(), [notice]);
    }
    let names: Vec<String> = (0..30).map(|number| format!("key{number:02}")).collect();
    let keys: Vec<(&str, Value)> = names.iter().map(|name| (&**name, json!(1))).collect();
    let folder = with(WAN, "vae/config.json", &keys);
    WanVaeConfig::load(&folder, "vae").unwrap();
    assert!(folder.notices()[0].contains("`key07`, 22 more are not keys"), "{:?}", folder.notices());
}

#[test]
fn keys_that_change_nothing_need_no_notice() {
    let harmless = [
        ("gradient_checkpointing", json!(true)),
        ("_name_or_path", json!("somewhere/else")),
        ("_diffusers_version", json!("9.0")),
        ("_use_default_values", json!(["a", "b"])),
        ("torch_dtype", json!("bfloat16")),
        ("dtype", json!("float16")),
        ("transformers_version", json!("5.0")),
        ("use_cache", json!(true)),
        ("novelty", Value::Null),
        ("no_novelty", json!(false)),
        ("image_encoder", json!([null, null])),
    ];
    for (model, file, _, load) in CONFIGS {
        let folder = with(model, file, &harmless);
        load(&folder).unwrap();
        assert!(folder.notices().is_empty(), "{:?}", folder.notices());
    }
}

#[test]
fn weights_that_are_not_plain_numbers_are_refused() {
    for (model, file, _, load) in CONFIGS.iter().filter(|(_, file, ..)| file.ends_with("/config.json")) {
        for key in ["quantization_config", "compression_config"] {
            let folder = with(model, file, &[(key, json!({"quant_method": "bitsandbytes"}))]);
            refused(load(&folder), &[file, &format!("`{key}`"), "bitsandbytes", "F32, F16 or BF16"]);
            load(&with(model, file, &[(key, json!({}))])).unwrap();
        }
    }
    let pruned = with(WAN, "text_encoder/config.json", &[("pruned_heads", json!({"0": [1]}))]);
    refused(T5Config::load(&pruned, "text_encoder"), &["`pruned_heads`"]);
}

#[test]
fn a_scheduler_saved_from_another_ones_config_is_read() {
    // UniPC from FlowMatchEuler's config, and the other way round.
    let file = "scheduler/scheduler_config.json";
    let folder = with(WAN, file, &[("shift", json!(5.0)), ("base_shift", json!(0.5))]);
    let unipc = ModelScheduler::load(&folder, "scheduler").unwrap();
    assert_eq!((unipc.config.flow_shift(), unipc.unsupported), (Some(3.0), None));
    assert!(folder.notices()[0].contains("`base_shift`, `shift`"), "{:?}", folder.notices());

    let euler = ("_class_name", json!("FlowMatchEulerDiscreteScheduler"));
    let folder = with(WAN, file, &[euler, ("shift", json!(5.0))]);
    let euler = ModelScheduler::load(&folder, "scheduler").unwrap();
    assert_eq!((euler.config.flow_shift(), euler.unsupported), (Some(5.0), None));
    let notices = folder.notices();
    assert!(notices[0].contains("`model_index.json` names `UniPCMultistepScheduler`"), "{notices:?}");
    assert!(notices[1].contains("`flow_shift`") && notices[1].contains("7 more are not keys"), "{notices:?}");
}
