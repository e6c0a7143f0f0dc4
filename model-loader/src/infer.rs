//! Configs of components that came without one: read off the shapes of their tensors, as far as those tell.

use serde_json::{Map, Value, json};

use crate::Checkpoint;

mod t5;
mod tiny_vae;
mod wan_transformer;
mod wan_vae;

pub(crate) use t5::gguf_tokenizer;

/// A config as its JSON file would say it.
pub(crate) type Config = Map<String, Value>;

/// The config of a component whose tensors have the names of diffusers or transformers, if its shapes tell it.
pub(crate) fn config(component: &str, weights: &Checkpoint) -> Option<Config> {
    match component {
        "transformer" if weights.contains("condition_embedder.time_proj.weight") => {
            wan_transformer::config(weights)
        }
        "vae" if weights.contains("decoder.mid_block.resnets.0.norm1.gamma") => wan_vae::config(weights),
        "text_encoder" => t5::config(weights),
        "tiny_vae" => tiny_vae::config(weights),
        _ => None,
    }
}

/// Whether a config says of the component what its shapes say: all that both name, but for how a width is cut into heads.
pub(crate) fn agrees(config: &Config, inferred: &Config) -> bool {
    const CUT: [&str; 4] = ["num_attention_heads", "attention_head_dim", "num_heads", "d_kv"];
    let width = |config: &Config, keys: [&str; 2]| {
        let [heads, width] = keys.map(|key| config.get(key).and_then(Value::as_u64));
        heads?.checked_mul(width?)
    };
    let same_width = |keys: [&str; 2]| match (width(config, keys), width(inferred, keys)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    same_width([CUT[0], CUT[1]])
        && same_width([CUT[2], CUT[3]])
        && inferred.iter().all(|(key, value)| {
            CUT.contains(&key.as_str()) || config.get(key).is_none_or(|other| same(other, value))
        })
}

/// 1 and 1.0 are the same, and numbers that are stated with other precision.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * a.abs().max(b.abs()),
        _ => a == b || a.is_null() || b.is_null() || a.is_array(),
    }
}

/// How many blocks there are, whose names begin with `front` and a number.
fn blocks(weights: &Checkpoint, front: &str) -> usize {
    let index = |name: &str| name.strip_prefix(front)?.split('.').next()?.parse::<usize>().ok();
    weights.names().filter_map(index).max().map_or(0, |last| last + 1)
}

/// The extent `axis` of a tensor.
fn extent(weights: &Checkpoint, name: &str, axis: usize) -> Option<usize> {
    weights.shape(name)?.get(axis).copied()
}

/// The pairs of an object.
fn object(value: Value) -> Config {
    match value {
        Value::Object(map) => map,
        _ => Config::new(),
    }
}

/// What a model folder of a family says beside its components: the index and the scheduler that the models are published with.
pub(crate) fn index_of(family: crate::Family) -> (Value, Value) {
    match family {
        crate::Family::Wan => (
            json!({
                "_class_name": "WanPipeline",
                "scheduler": ["diffusers", "UniPCMultistepScheduler"],
                "text_encoder": ["transformers", "UMT5EncoderModel"],
                "tokenizer": ["transformers", "T5TokenizerFast"],
                "transformer": ["diffusers", "WanTransformer3DModel"],
                "vae": ["diffusers", "AutoencoderKLWan"],
            }),
            json!({
                "_class_name": "UniPCMultistepScheduler",
                "prediction_type": "flow_prediction",
                "use_flow_sigmas": true,
                "flow_shift": 3.0,
                "num_train_timesteps": 1000,
                "solver_order": 2,
                "solver_type": "bh2",
            }),
        ),
        crate::Family::CogVideoX => (
            json!({
                "_class_name": "CogVideoXPipeline",
                "scheduler": ["diffusers", "CogVideoXDPMScheduler"],
                "text_encoder": ["transformers", "T5EncoderModel"],
                "tokenizer": ["transformers", "T5Tokenizer"],
                "transformer": ["diffusers", "CogVideoXTransformer3DModel"],
                "vae": ["diffusers", "AutoencoderKLCogVideoX"],
            }),
            json!({
                "_class_name": "CogVideoXDPMScheduler",
                "beta_end": 0.012,
                "beta_schedule": "scaled_linear",
                "beta_start": 0.00085,
                "prediction_type": "v_prediction",
                "rescale_betas_zero_snr": true,
                "snr_shift_scale": 1.0,
                "timestep_spacing": "trailing",
            }),
        ),
    }
}
