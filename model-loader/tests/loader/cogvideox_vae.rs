//! The autoencoder config of CogVideoX.

use kinora_model_loader::config::CogVideoXVaeConfig;
use kinora_model_loader::{LoadError, ModelFolder};
use serde_json::{Value, json};

use crate::refused;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/");

fn parse(json: &Value) -> Result<CogVideoXVaeConfig, LoadError> {
    CogVideoXVaeConfig::from_json("f.json", json.to_string().as_bytes())
}

#[test]
fn the_small_models_are_read() {
    let load = |name: &str| {
        CogVideoXVaeConfig::load(&ModelFolder::open(format!("{FIXTURES}{name}")).unwrap(), "vae").unwrap()
    };
    let vae = load("cogvideox");
    assert_eq!((&*vae.block_out_channels, vae.latent_channels), (&[8, 12, 12, 16][..], 8));
    assert_eq!((vae.layers_per_block, vae.norm_num_groups, vae.norm_eps), (1, 4, 1e-6));
    assert_eq!((vae.temporal_compression_ratio, vae.temporal_stages()), (4, 2));
    assert_eq!((vae.spatial_compression_ratio(), vae.sample_height, vae.sample_width), (8, 32, 48));
    assert_eq!((vae.scaling_factor, vae.invert_scale_latents), (1.152_584_26, false));
    let vae = load("cogvideox-1.5");
    assert_eq!((vae.scaling_factor, vae.invert_scale_latents), (0.7, true));
    assert_eq!(load("cogvideox-5b").latent_channels, 6);
}

#[test]
fn absent_keys_have_the_defaults_of_the_library() {
    let vae = parse(&json!({})).unwrap();
    assert_eq!(vae.block_out_channels, [128, 256, 256, 512]);
    assert_eq!((vae.latent_channels, vae.layers_per_block, vae.norm_num_groups), (16, 3, 32));
    assert_eq!((vae.sample_height, vae.sample_width, vae.temporal_compression_ratio), (480, 720, 4));
}

#[test]
fn what_cannot_be_run_is_refused() {
    let cases: &[(&str, Value, &[&str])] = &[
        ("_class_name", json!("AutoencoderKLWan"), &["AutoencoderKLWan", "AutoencoderKLCogVideoX"]),
        ("act_fn", json!("gelu"), &["\"gelu\"", "silu"]),
        ("in_channels", json!(4), &["4", "supported: 3"]),
        ("out_channels", json!(12), &["12", "supported: 3"]),
        ("shift_factor", json!(0.1), &["0.1", "null"]),
        ("latents_mean", json!([0.0, 1.0]), &["[0.0,1.0]", "null"]),
        ("latents_std", json!([1.0]), &["[1.0]"]),
        ("use_quant_conv", json!(true), &["true"]),
        ("use_post_quant_conv", json!(true), &["true"]),
        ("block_out_channels", json!([]), &["[]", "one to eight"]),
        ("block_out_channels", json!([32, 0, 32, 32]), &["[32,0,32,32]"]),
        ("block_out_channels", json!([32, 64, 64]), &["down_block_types"]),
        ("block_out_channels", json!([32, 64, 100, 128]), &["norm_num_groups", "32", "divisor"]),
        ("down_block_types", json!(vec!["CogVideoXDownBlock3D"; 3]), &["CogVideoXDownBlock3D"]),
        ("up_block_types", json!(vec!["UpDecoderBlock2D"; 4]), &["UpDecoderBlock2D", "CogVideoXUpBlock3D"]),
        ("latent_channels", json!(0), &["0", "1 to"]),
        ("layers_per_block", json!(u64::MAX), &["18446744073709551615"]),
        ("norm_num_groups", json!(3), &["3", "divisor"]),
        ("norm_eps", json!(0.0), &["between 0 and 1"]),
        ("temporal_compression_ratio", json!(3), &["3", "power of two"]),
        ("temporal_compression_ratio", json!(16), &["16", "1 to 8"]),
        ("temporal_compression_ratio", json!(0.5), &["0.5"]),
        ("scaling_factor", json!(0.0), &["0.0", "greater than 0"]),
        ("scaling_factor", json!("0.7"), &["\"0.7\"", "a number"]),
        ("invert_scale_latents", json!(1), &["1", "true or false"]),
        ("sample_height", json!(0), &["0"]),
        ("quantization_config", json!({"bits": 4}), &["bits"]),
    ];
    for (key, value, things) in cases {
        refused(parse(&json!({ *key: value })), &[&["f.json"], *things].concat());
    }
    for harmless in
        [json!({"force_upcast": true}), json!({"temporal_compression_ratio": 8.0}), json!({"novelty": null})]
    {
        assert!(parse(&harmless).is_ok(), "{harmless}");
    }
}

#[test]
fn a_damaged_config_is_refused() {
    let whole = std::fs::read(format!("{FIXTURES}cogvideox/vae/config.json")).unwrap();
    for cut in 0..whole.len() - 2 {
        refused(CogVideoXVaeConfig::from_json("f.json", &whole[..cut]), &["f.json"]);
    }
}
