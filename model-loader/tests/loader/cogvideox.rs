//! CogVideoX folders: the index, the transformer's and the text encoder's configs; what is refused.

use kinora_model_loader::ModelFolder;
use kinora_model_loader::config::{CogVideoXTransformerConfig, T5Config};
use serde_json::{Value, json};

use crate::{COGVIDEOX, Copy, refused};

type Config = CogVideoXTransformerConfig;

#[test]
fn the_small_models_are_read() {
    let configs = COGVIDEOX.map(|model| {
        let folder = ModelFolder::open(model).unwrap();
        let index = folder.index().unwrap();
        assert_eq!(index.pipeline, "CogVideoXPipeline");
        assert_eq!(index.class("transformer"), Some("CogVideoXTransformer3DModel"));
        assert_eq!(index.class("vae"), Some("AutoencoderKLCogVideoX"));
        assert!(T5Config::load(&folder, "text_encoder").unwrap().shared_position_bias);
        let config = Config::load(&folder, "transformer").unwrap();
        assert_eq!((config.condition_channels(), config.ofs_embed_dim), (0, None));
        config
    });
    let [two, five, later] = &configs;
    assert_eq!((two.inner_dim(), two.in_channels, two.time_embed_dim, two.text_embed_dim), (48, 8, 32, 40));
    assert_eq!((two.patch(), two.max_text_seq_length, two.norm_eps), ([1, 2, 2], 176, 1e-5));
    assert_eq!((two.spatial_interpolation_scale, two.temporal_interpolation_scale), (1.875, 1.0));
    assert!(!two.use_rotary_positional_embeddings && !two.use_learned_positional_embeddings);
    assert!(five.use_rotary_positional_embeddings && five.patch_bias);
    assert_eq!((five.sample_width, five.sample_height, five.sample_frames), (12, 8, 49));
    assert_eq!((later.patch(), later.patch_size_t, later.patch_bias), ([2, 2, 2], Some(2), false));
}

#[test]
fn absent_keys_have_the_defaults_of_diffusers() {
    let config = Config::from_json("f.json", b"{}").unwrap();
    assert_eq!((config.inner_dim(), config.in_channels, config.out_channels), (1920, 16, 16));
    assert_eq!((config.num_layers, config.time_embed_dim, config.text_embed_dim), (30, 512, 4096));
    assert_eq!((config.sample_width, config.sample_height, config.sample_frames), (90, 60, 49));
    assert_eq!((config.patch(), config.max_text_seq_length), ([1, 2, 2], 226));
    assert!(config.attention_bias && config.norm_elementwise_affine && config.patch_bias);
}

#[test]
fn image_to_video_configs_are_read() {
    let learned = json!({"in_channels": 32, "num_attention_heads": 48, "num_layers": 42, "ofs_embed_dim": null,
        "use_learned_positional_embeddings": true, "use_rotary_positional_embeddings": true, "dropout": 0.0});
    let config = Config::from_json("f.json", learned.to_string().as_bytes()).unwrap();
    assert_eq!((config.condition_channels(), config.use_learned_positional_embeddings), (16, true));
    let later = json!({"in_channels": 32, "num_attention_heads": 48, "ofs_embed_dim": 512, "patch_size_t": 2,
        "sample_height": 300, "sample_width": 300, "sample_frames": 81, "patch_bias": false,
        "use_rotary_positional_embeddings": true});
    let config = Config::from_json("f.json", later.to_string().as_bytes()).unwrap();
    assert_eq!((config.ofs_embed_dim, config.patch()), (Some(512), [2, 2, 2]));
    let mut index: Value = serde_json::from_slice(&Copy::of(COGVIDEOX[0]).0["model_index.json"]).unwrap();
    index["_class_name"] = json!("CogVideoXImageToVideoPipeline");
    let folder = Copy::of(COGVIDEOX[0]).with("model_index.json", index.to_string()).open();
    assert_eq!(folder.index().unwrap().pipeline, "CogVideoXImageToVideoPipeline");
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    let cases: &[(Value, &[&str])] = &[
        (json!({"_class_name": "WanTransformer3DModel"}), &["`_class_name`", "WanTransformer3DModel"]),
        (json!({"activation_fn": "gelu"}), &["`activation_fn`", "\"gelu\"", "gelu-approximate"]),
        (json!({"timestep_activation_fn": "relu"}), &["`timestep_activation_fn`", "silu"]),
        (json!({"flip_sin_to_cos": false}), &["`flip_sin_to_cos`", "false"]),
        (json!({"freq_shift": 1}), &["`freq_shift`", "1"]),
        (json!({"in_channels": 33}), &["`in_channels`", "33", "image-to-video"]),
        (json!({"out_channels": null}), &["`out_channels`", "null"]),
        (json!({"ofs_embed_dim": 256}), &["`ofs_embed_dim`", "256", "512"]),
        (
            json!({"attention_head_dim": 24, "use_rotary_positional_embeddings": true}),
            &["`attention_head_dim`", "24", "16"],
        ),
        (json!({"attention_head_dim": 66}), &["`attention_head_dim`", "66", "multiple of 4"]),
        (json!({"attention_head_dim": 4, "num_attention_heads": 3}), &["`num_attention_heads`", "3", "16"]),
        (
            json!({"attention_head_dim": 4096, "num_attention_heads": 4096}),
            &["`num_attention_heads`", "4096"],
        ),
        (json!({"use_learned_positional_embeddings": true}), &["`use_learned_positional_embeddings`"]),
        (json!({"patch_size_t": 2}), &["`patch_size_t`", "2"]),
        (json!({"patch_size": 0}), &["`patch_size`", "0"]),
        (json!({"sample_width": 1}), &["`sample_width`", "1", "patch_size 2"]),
        (json!({"spatial_interpolation_scale": 0.0}), &["`spatial_interpolation_scale`", "0"]),
        (json!({"norm_eps": -1.0}), &["`norm_eps`", "-1"]),
        (json!({"num_layers": "30"}), &["`num_layers`", "\"30\""]),
        (json!({"quantization_config": {"bits": 8}}), &["quantization_config", "bits"]),
    ];
    for (json, things) in cases {
        refused(Config::from_json("f.json", json.to_string().as_bytes()), &[&["f.json"], *things].concat());
    }
    let index = |name: &str, class: &str| {
        let mut index: Value = serde_json::from_slice(&Copy::of(COGVIDEOX[0]).0["model_index.json"]).unwrap();
        index[name] = json!(["diffusers", class]);
        Copy::of(COGVIDEOX[0]).with("model_index.json", index.to_string()).open().index()
    };
    refused(index("transformer", "WanTransformer3DModel"), &["`transformer`", "CogVideoXTransformer3DModel"]);
    refused(index("vae", "AutoencoderKLWan"), &["`vae`", "AutoencoderKLWan", "AutoencoderKLCogVideoX"]);
}
