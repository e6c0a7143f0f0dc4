//! A model in the diffusers layout, a few bytes of everything, among files that nobody needs.

const INDEX: &str = r#"{
  "_class_name": "WanPipeline",
  "_diffusers_version": "0.35.0",
  "boundary_ratio": null,
  "expand_timesteps": false,
  "image_encoder": [null, null],
  "scheduler": ["diffusers", "UniPCMultistepScheduler"],
  "text_encoder": ["transformers", "UMT5EncoderModel"],
  "tokenizer": ["transformers", "T5TokenizerFast"],
  "transformer": ["diffusers", "WanTransformer3DModel"],
  "vae": ["diffusers", "AutoencoderKLWan"]
}"#;

const SHARDS: &str = r#"{"metadata": {}, "weight_map": {
  "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors",
  "c": "model-00001-of-00002.safetensors"}}"#;

/// Bytes that differ from place to place, and from one seed to another.
pub(crate) fn weights(count: usize, seed: u8) -> Vec<u8> {
    (0..count).map(|i| (i.wrapping_mul(31) >> 3).to_le_bytes()[0] ^ seed).collect()
}

/// All files of the repository.
pub(crate) fn files_of_model() -> Vec<(String, Vec<u8>)> {
    let texts = [
        ("README.md", "# Tiny"),
        (".gitattributes", "*.safetensors filter=lfs"),
        ("model_index.json", INDEX),
        ("generation.json", "{}"),
        ("scheduler/scheduler_config.json", r#"{"flow_shift": 3.0}"#),
        ("text_encoder/config.json", r#"{"d_model": 8}"#),
        ("text_encoder/generation_config.json", "{}"),
        ("text_encoder/model.safetensors.index.json", SHARDS),
        ("tokenizer/special_tokens_map.json", "{ }"),
        ("tokenizer/tokenizer.json", r#"{"version": "1.0"}"#),
        ("tokenizer/tokenizer_config.json", "{  }"),
        ("transformer/config.json", r#"{"num_layers": 1}"#),
        ("vae/config.json", r#"{"z_dim": 4}"#),
    ];
    let large: [(&str, usize); 11] = [
        ("assets/logo.bin", 500),
        ("text_encoder/model-00001-of-00002.safetensors", 3000),
        ("text_encoder/model-00002-of-00002.safetensors", 2000),
        ("text_encoder/pytorch_model.bin", 5000),
        ("tokenizer/spiece.model", 300),
        ("transformer/diffusion_pytorch_model.bin", 4000),
        ("transformer/diffusion_pytorch_model.fp16.safetensors", 2000),
        ("transformer/diffusion_pytorch_model.safetensors", 4000),
        ("transformer/deep/extra.safetensors", 10),
        ("vae/diffusion_pytorch_model.safetensors", 1000),
        ("vae/flax_model.msgpack", 1000),
    ];
    let texts = texts.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    let seeds = 1..;
    let large =
        large.into_iter().zip(seeds).map(|((name, count), seed)| (name.to_owned(), weights(count, seed)));
    texts.into_iter().chain(large).collect()
}
