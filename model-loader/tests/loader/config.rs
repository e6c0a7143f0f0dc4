//! Configs: published ones are read, defaults are the library's, what cannot be honoured is refused by name.

use kinora_model_loader::config::{
    GenerationConfig, ModelScheduler, SchedulerConfig, T5Config, TokenizerConfig, WanTransformerConfig,
    WanVaeConfig,
};
use kinora_model_loader::{LoadError, ModelFolder};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Copy, WAN, refused};

const EULER: &str = "FlowMatchEulerDiscreteScheduler";
const UNIPC: &str = "UniPCMultistepScheduler";

/// `fixture` with one key changed, as text.
fn with(fixture: &str, key: &str, value: &Value) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(&Copy::wan().0[fixture]).unwrap();
    json[key] = value.clone();
    json.to_string().into_bytes()
}

type Case<'a> = (&'a str, Value, &'a [&'a str]);
type Parser = fn(&[u8]) -> Result<(), LoadError>;

#[track_caller]
fn all_refused<T>(fixture: &str, parse: impl Fn(&[u8]) -> Result<T, LoadError>, cases: &[Case<'_>]) {
    for (key, value, things) in cases {
        refused(parse(&with(fixture, key, value)), &[&["f.json", key], *things].concat());
    }
}

#[test]
fn the_small_model_is_read() {
    let folder = ModelFolder::open(WAN).unwrap();
    let transformer = WanTransformerConfig::load(&folder, "transformer").unwrap();
    assert_eq!(transformer.patch_size, [1, 2, 2]);
    assert_eq!((transformer.num_attention_heads, transformer.attention_head_dim), (3, 16));
    assert_eq!(transformer.inner_dim(), 48);
    assert_eq!((transformer.in_channels, transformer.out_channels), (6, 6));
    assert_eq!((transformer.text_dim, transformer.freq_dim, transformer.ffn_dim), (32, 40, 112));
    assert_eq!((transformer.num_layers, transformer.rope_max_seq_len), (2, 64));
    assert!(transformer.cross_attn_norm);
    assert_eq!(transformer.eps, 1e-6);

    let vae = WanVaeConfig::load(&folder, "vae").unwrap();
    assert_eq!((vae.base_dim, vae.decoder_base_dim, vae.z_dim), (6, None, 6));
    assert_eq!((&*vae.dim_mult, vae.num_res_blocks), (&[1, 2, 2, 2][..], 1));
    assert_eq!(vae.temperal_downsample, [false, true, true]);
    assert_eq!(vae.latents_mean[0], 0.1679);
    assert_eq!(vae.latents_std[5], 1.7481);
    assert_eq!((vae.scale_factor_temporal, vae.scale_factor_spatial, vae.patch_size), (4, 8, None));

    let text = T5Config::load(&folder, "text_encoder").unwrap();
    assert_eq!((text.vocab_size, text.d_model, text.d_kv, text.d_ff), (960, 32, 8, 72));
    assert_eq!((text.num_layers, text.num_heads, text.inner_dim()), (3, 4, 32));
    assert_eq!((text.relative_attention_num_buckets, text.relative_attention_max_distance), (32, 128));

    let scheduler = ModelScheduler::load(&folder, "scheduler").unwrap();
    assert_eq!(scheduler.unsupported, None);
    let scheduler = scheduler.config;
    let SchedulerConfig::UniPc(unipc) = &scheduler else { panic!("{scheduler:?}") };
    assert_eq!((unipc.num_train_timesteps, unipc.solver_order, unipc.flow_shift), (1000, 2, 3.0));
    assert!(unipc.lower_order_final && unipc.disable_corrector.is_empty());
    assert_eq!((scheduler.flow_shift(), scheduler.num_train_timesteps()), (Some(3.0), 1000));

    assert_eq!(TokenizerConfig::load(&folder, "tokenizer").unwrap().model_max_length, Some(512));
    assert_eq!(GenerationConfig::load(&folder).unwrap(), GenerationConfig::default());
}

#[test]
fn absent_keys_have_the_defaults_of_the_libraries() {
    let transformer = WanTransformerConfig::from_json("f.json", b"{}").unwrap();
    assert_eq!((transformer.num_attention_heads, transformer.attention_head_dim), (40, 128));
    assert_eq!((transformer.in_channels, transformer.out_channels, transformer.text_dim), (16, 16, 4096));
    assert_eq!((transformer.freq_dim, transformer.ffn_dim, transformer.num_layers), (256, 13824, 40));
    assert_eq!((transformer.patch_size, transformer.rope_max_seq_len), ([1, 2, 2], 1024));

    let vae = WanVaeConfig::from_json("f.json", b"{}").unwrap();
    assert_eq!((vae.base_dim, vae.z_dim, &*vae.dim_mult), (96, 16, &[1, 2, 4, 4][..]));
    assert_eq!((vae.latents_mean[15], vae.latents_std[0]), (-0.2921, 2.8184));

    let text = T5Config::from_json("f.json", br#"{"model_type": "umt5"}"#).unwrap();
    assert_eq!((text.vocab_size, text.d_model, text.num_layers, text.num_heads), (250_112, 512, 8, 6));
    let json = br#"{"model_type": "t5", "feed_forward_proj": "gated-gelu"}"#;
    let text = T5Config::from_json("f.json", json).unwrap();
    assert_eq!((text.vocab_size, text.d_ff, text.num_layers, text.num_heads), (32_128, 2048, 6, 8));
    // T5's own default is not the gated layer of T5 v1.1.
    let first = br#"{"model_type": "t5"}"#;
    refused(T5Config::from_json("f.json", first), &["`feed_forward_proj`", "relu", "gated-gelu"]);
    refused(T5Config::from_json("f.json", b"{}"), &["`model_type`"]);

    let euler = SchedulerConfig::from_json("f.json", json!({"_class_name": EULER}).to_string().as_bytes());
    assert_eq!(
        (euler.as_ref().unwrap().flow_shift(), euler.unwrap().num_train_timesteps()),
        (Some(1.0), 1000)
    );
    // UniPC's own default predicts noise, which is not what a flow model does.
    let unipc = json!({"_class_name": UNIPC}).to_string();
    refused(SchedulerConfig::from_json("f.json", unipc.as_bytes()), &["`prediction_type`", "\"epsilon\""]);
    let tokenizer = TokenizerConfig::from_json("f.json", b"{}").unwrap();
    assert_eq!(tokenizer, TokenizerConfig::default());
}

#[test]
fn the_published_text_encoder_config_is_read() {
    let json = br#"{"architectures": ["UMT5EncoderModel"], "classifier_dropout": 0.0, "d_ff": 10240, "d_kv": 64,
        "d_model": 4096, "decoder_start_token_id": 0, "dense_act_fn": "gelu_new", "dropout_rate": 0.1,
        "eos_token_id": 1, "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0,
        "is_encoder_decoder": true, "is_gated_act": true, "layer_norm_epsilon": 1e-06, "model_type": "umt5",
        "num_decoder_layers": 24, "num_heads": 64, "num_layers": 24, "output_past": true, "pad_token_id": 0,
        "relative_attention_max_distance": 128, "relative_attention_num_buckets": 32,
        "scalable_attention": true, "tie_word_embeddings": false, "tokenizer_class": "T5Tokenizer",
        "torch_dtype": "bfloat16", "transformers_version": "4.45.2", "use_cache": true, "vocab_size": 256384}"#;
    let text = T5Config::from_json("f.json", json).unwrap();
    assert_eq!((text.vocab_size, text.inner_dim(), text.shared_position_bias), (256_384, 4096, false));
}

#[test]
fn the_second_generation_autoencoder_is_read() {
    let numbers = vec![0.5; 48];
    let json = json!({"_class_name": "AutoencoderKLWan", "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48,
        "in_channels": 12, "out_channels": 12, "is_residual": true, "patch_size": 2, "scale_factor_spatial": 16,
        "scale_factor_temporal": 4, "clip_output": false, "dropout": 0.0, "attn_scales": [],
        "dim_mult": [1, 2, 4, 4], "temperal_downsample": [false, true, true],
        "latents_mean": numbers, "latents_std": numbers});
    let vae = WanVaeConfig::from_json("f.json", json.to_string().as_bytes()).unwrap();
    assert_eq!((vae.decoder_base_dim, vae.patch_size, vae.is_residual), (Some(256), Some(2), true));
}

#[test]
fn transformers_that_cannot_be_run_are_refused() {
    let huge = json!(u64::MAX);
    all_refused(
        "transformer/config.json",
        |json| WanTransformerConfig::from_json("f.json", json),
        &[
            (
                "_class_name",
                json!("FluxTransformer2DModel"),
                &["FluxTransformer2DModel", "WanTransformer3DModel"],
            ),
            ("qk_norm", json!("layer_norm"), &["\"layer_norm\"", "rms_norm_across_heads"]),
            ("qk_norm", Value::Null, &["null"]),
            ("image_dim", json!(1280), &["1280", "image-to-video"]),
            ("added_kv_proj_dim", json!(5120), &["5120", "image-to-video"]),
            ("pos_embed_seq_len", json!(514), &["514"]),
            ("out_channels", json!(16), &["16", "supported: 6"]),
            ("attention_head_dim", json!(15), &["15", "even"]),
            ("attention_head_dim", json!(4), &["4", "at least 6"]),
            ("attention_head_dim", json!(0), &["0", "1 to"]),
            ("freq_dim", json!(41), &["41", "even"]),
            ("num_layers", json!(0), &["0", "1 to"]),
            ("num_layers", json!(1e9), &["a whole number"]),
            ("num_layers", json!(-1), &["-1", "a whole number"]),
            ("num_layers", json!("2"), &["\"2\"", "a whole number"]),
            ("num_layers", json!(2.5), &["2.5", "a whole number"]),
            ("num_layers", Value::Null, &["null", "a whole number"]),
            ("ffn_dim", huge.clone(), &["18446744073709551615"]),
            ("num_attention_heads", huge, &["18446744073709551615"]),
            ("patch_size", json!([1, 2]), &["[1,2]", "three"]),
            ("patch_size", json!([1, 0, 2]), &["[1,0,2]"]),
            ("patch_size", json!(2), &["2", "three"]),
            ("eps", json!(0.0), &["0.0", "between 0 and 1"]),
            ("eps", json!(1e-60), &["between 0 and 1"]),
            ("eps", json!(-1e-6), &["between 0 and 1"]),
            ("eps", json!(1e300), &["range of f32"]),
            ("cross_attn_norm", json!("yes"), &["\"yes\"", "true or false"]),
            ("quantization_config", json!({"bits": 4}), &["bits"]),
        ],
    );
    let wide = json!({"num_attention_heads": 4096, "attention_head_dim": 4096}).to_string();
    refused(WanTransformerConfig::from_json("f.json", wide.as_bytes()), &["`num_attention_heads`", "4096"]);
}

#[test]
fn autoencoders_that_cannot_be_run_are_refused() {
    all_refused(
        "vae/config.json",
        |json| WanVaeConfig::from_json("f.json", json),
        &[
            ("_class_name", json!("AutoencoderKL"), &["AutoencoderKL"]),
            ("attn_scales", json!([0.5]), &["[0.5]", "supported: []"]),
            ("latents_mean", json!([0.0]), &["6 numbers"]),
            ("latents_std", json!([1, 1, 1, 1, 1, 0]), &["greater than 0"]),
            ("latents_std", json!([1, 1, 1, 1, 1, 1e300]), &["range of f32"]),
            ("latents_mean", json!(["x"]), &["a list of numbers"]),
            ("latents_mean", Value::Null, &["null", "a list of numbers"]),
            ("dim_mult", json!([]), &["[]"]),
            ("dim_mult", json!([1, 0, 2, 2]), &["[1,0,2,2]"]),
            ("dim_mult", json!([1, 2, 2, 1_000_000]), &["factors"]),
            ("temperal_downsample", json!([true, true]), &["3 values"]),
            ("temperal_downsample", json!([1, 0, 1]), &["a list of true and false"]),
            ("scale_factor_spatial", json!(16), &["16", "expected 8"]),
            ("scale_factor_temporal", json!(8), &["8", "expected 4"]),
            ("in_channels", json!(4), &["4", "supported: 3"]),
            ("out_channels", json!(12), &["12", "supported: 3"]),
            ("patch_size", json!(0), &["0"]),
            ("base_dim", json!(0), &["0"]),
            ("num_res_blocks", json!(u64::MAX), &["18446744073709551615"]),
            ("is_residual", json!(1), &["1", "true or false"]),
        ],
    );
    let odd = json!({"base_dim": 5, "dim_mult": [1, 3, 3, 3]}).to_string();
    refused(WanVaeConfig::from_json("f.json", odd.as_bytes()), &["`base_dim`", "5", "even"]);
}

#[test]
fn text_encoders_that_cannot_be_run_are_refused() {
    all_refused(
        "text_encoder/config.json",
        |json| T5Config::from_json("f.json", json),
        &[
            ("model_type", json!("mt5"), &["\"mt5\"", "t5, umt5"]),
            ("feed_forward_proj", json!("relu"), &["\"relu\"", "gated-gelu"]),
            ("dense_act_fn", json!("gelu"), &["\"gelu\"", "gelu_new"]),
            ("is_gated_act", json!(false), &["false"]),
            ("is_decoder", json!(true), &["true"]),
            ("relative_attention_num_buckets", json!(30), &["30", "multiple of 4"]),
            ("relative_attention_max_distance", json!(8), &["8", "more than 8"]),
            ("layer_norm_epsilon", json!("1e-6"), &["\"1e-6\"", "a number"]),
            ("vocab_size", json!(0), &["0"]),
            ("eos_token_id", json!(960), &["960", "vocab_size"]),
            ("quantization_config", json!({"quant_method": "fp8"}), &["fp8"]),
        ],
    );
    let wide = json!({"model_type": "umt5", "num_heads": 4096, "d_kv": 4096}).to_string();
    refused(T5Config::from_json("f.json", wide.as_bytes()), &["`num_heads`", "4096"]);
}

#[test]
fn schedulers_that_cannot_be_run_are_refused() {
    all_refused(
        "scheduler/scheduler_config.json",
        |json| SchedulerConfig::from_json("f.json", json),
        &[
            ("_class_name", json!("DDIMScheduler"), &["DDIMScheduler", EULER, UNIPC]),
            ("prediction_type", json!("v_prediction"), &["\"v_prediction\"", "flow_prediction"]),
            ("use_flow_sigmas", json!(false), &["false"]),
            ("use_karras_sigmas", json!(true), &["true"]),
            ("use_exponential_sigmas", json!(true), &["true"]),
            ("use_beta_sigmas", json!(true), &["true"]),
            ("use_dynamic_shifting", json!(true), &["true"]),
            ("thresholding", json!(true), &["true"]),
            ("predict_x0", json!(false), &["false"]),
            ("solver_type", json!("bh1"), &["\"bh1\"", "bh2"]),
            ("solver_order", json!(4), &["4", "1, 2, 3"]),
            ("solver_order", json!(0), &["0", "1, 2, 3"]),
            ("final_sigmas_type", json!("sigma_min"), &["\"sigma_min\"", "zero"]),
            ("timestep_spacing", json!("trailing"), &["\"trailing\"", "linspace"]),
            ("trained_betas", json!([0.1]), &["[0.1]"]),
            ("sigma_max", json!(80.0), &["80.0"]),
            ("shift_terminal", json!(0.1), &["0.1"]),
            ("flow_shift", json!(0), &["0", "greater than 0"]),
            ("flow_shift", json!(-3.0), &["-3.0"]),
            ("flow_shift", json!("3"), &["\"3\"", "a number"]),
            ("num_train_timesteps", json!(0), &["0"]),
            ("disable_corrector", json!([-1]), &["[-1]"]),
        ],
    );
    for (key, value) in [
        ("use_dynamic_shifting", json!(true)),
        ("use_karras_sigmas", json!(true)),
        ("invert_sigmas", json!(true)),
        ("stochastic_sampling", json!(true)),
        ("shift_terminal", json!(0.1)),
        ("shift", json!(0.0)),
    ] {
        let json = json!({"_class_name": EULER, key: value}).to_string();
        refused(SchedulerConfig::from_json("f.json", json.as_bytes()), &["f.json", key]);
    }
    let euler =
        json!({"_class_name": EULER, "shift": 5, "base_shift": 0.5, "time_shift_type": "exponential"});
    let euler = SchedulerConfig::from_json("f.json", euler.to_string().as_bytes()).unwrap();
    assert_eq!(euler.flow_shift(), Some(5.0));
    refused(SchedulerConfig::from_json("f.json", b"{}"), &["f.json", "`_class_name`"]);
}

#[test]
fn generation_settings_are_all_optional() {
    let json = br#"{"height": 64, "width": 96, "num_frames": 33, "fps": 16, "num_inference_steps": 24,
        "guidance_scale": 4.0, "dynamic_guidance": true, "max_sequence_length": 48, "negative_prompt": "blurry",
        "flow_shift": 3}"#;
    let settings = GenerationConfig::from_json("f.json", json).unwrap();
    assert_eq!((settings.height, settings.width, settings.num_frames), (Some(64), Some(96), Some(33)));
    assert_eq!(
        (settings.fps, settings.guidance_scale, settings.flow_shift),
        (Some(16.0), Some(4.0), Some(3.0))
    );
    assert_eq!((settings.num_inference_steps, settings.max_sequence_length), (Some(24), Some(48)));
    assert_eq!(
        (settings.negative_prompt.as_deref(), settings.dynamic_guidance),
        (Some("blurry"), Some(true))
    );
    for (json, key) in [
        (r#"{"height": 0}"#, "height"),
        (r#"{"width": 1e40}"#, "width"),
        (r#"{"fps": 0}"#, "fps"),
        (r#"{"guidance_scale": -1}"#, "guidance_scale"),
        (r#"{"flow_shift": -1}"#, "flow_shift"),
        (r#"{"num_frames": "33"}"#, "num_frames"),
        (r#"{"frames": 33}"#, "frames"),
    ] {
        refused(GenerationConfig::from_json("f.json", json.as_bytes()), &["f.json", key]);
    }
    let folder = Copy::wan().with("generation.json", "{").open();
    refused(GenerationConfig::load(&folder), &["generation.json"]);
}

#[test]
fn an_absurd_tokenizer_limit_is_no_limit() {
    let limit = |value: &str| {
        let json = format!(r#"{{"model_max_length": {value}}}"#);
        TokenizerConfig::from_json("f.json", json.as_bytes()).map(|config| config.model_max_length)
    };
    assert_eq!(limit("48").unwrap(), Some(48));
    assert_eq!(limit("512.0").unwrap(), Some(512));
    for none in ["null", "1e30", "1000000000000000019884624838656", "18446744073709551615"] {
        assert_eq!(limit(none).unwrap(), None, "{none}");
    }
    for bad in ["0", "-5", "0.5", "\"512\"", "true"] {
        refused(limit(bad), &["f.json", "`model_max_length`"]);
    }
    let tokens = br#"{"pad_token": {"content": "[PAD]", "lstrip": false}, "eos_token": null}"#;
    let config = TokenizerConfig::from_json("f.json", tokens).unwrap();
    assert_eq!((&*config.pad_token, &*config.eos_token), ("[PAD]", "</s>"));
    refused(TokenizerConfig::from_json("f.json", br#"{"eos_token": 1}"#), &["`eos_token`"]);
}

#[test]
fn damaged_configs_are_refused() {
    let parsers: [(&str, Parser); 4] = [
        ("transformer/config.json", |json| WanTransformerConfig::from_json("f.json", json).map(drop)),
        ("vae/config.json", |json| WanVaeConfig::from_json("f.json", json).map(drop)),
        ("text_encoder/config.json", |json| T5Config::from_json("f.json", json).map(drop)),
        ("scheduler/scheduler_config.json", |json| SchedulerConfig::from_json("f.json", json).map(drop)),
    ];
    for (fixture, parse) in parsers {
        let whole = Copy::wan().0[fixture].clone();
        assert!(parse(&whole).is_ok());
        for cut in 0..whole.len() - 2 {
            refused(parse(&whole[..cut]), &["f.json"]);
        }
        for text in ["null", "[]", "7", "\u{FEFF}", "{\"a\":NaN}", &"{\"a\":".repeat(100_000)] {
            refused(parse(text.as_bytes()), &["f.json"]);
        }
    }
    refused(WanVaeConfig::load(&Copy::wan().without("vae/config.json").open(), "vae"), &["vae/config.json"]);
}

proptest! {
    /// Whatever stands at a key: it is refused or read, never a panic.
    #[test]
    fn no_value_panics(index in 0usize..200, value in prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "\\PC{0,120}".prop_map(Value::from),
        proptest::collection::vec(any::<u32>(), 0..5).prop_map(Value::from),
        Just(Value::Null),
    ]) {
        for fixture in ["transformer", "vae", "text_encoder", "scheduler", "tokenizer"] {
            let file = match fixture {
                "scheduler" => "scheduler/scheduler_config.json".to_owned(),
                "tokenizer" => "tokenizer/tokenizer_config.json".to_owned(),
                _ => format!("{fixture}/config.json"),
            };
            let mut json: Value = serde_json::from_slice(&std::fs::read(format!("{WAN}/{file}")).unwrap()).unwrap();
            let object = json.as_object_mut().unwrap();
            let key = object.keys().nth(index % object.len()).unwrap().clone();
            object.insert(key, value.clone());
            let json = json.to_string();
            let _ = WanTransformerConfig::from_json("f.json", json.as_bytes());
            let _ = WanVaeConfig::from_json("f.json", json.as_bytes());
            let _ = T5Config::from_json("f.json", json.as_bytes());
            let _ = SchedulerConfig::from_json("f.json", json.as_bytes());
            let _ = TokenizerConfig::from_json("f.json", json.as_bytes());
        }
    }
}
