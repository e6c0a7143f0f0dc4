"""Write the configs of Wan 2.1 1.3B, and of a tiny model of the same make: enough to measure them with random weights.

    python3 benches/real_gpu_models.py FOLDER

makes FOLDER/wan-1.3b and FOLDER/wan-micro. The numbers are those of the published configs.
"""
import argparse
import json
import pathlib

INDEX = {
    "_class_name": "WanPipeline",
    "_diffusers_version": "0.35.0",
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "transformer_2": [None, None],
    "vae": ["diffusers", "AutoencoderKLWan"],
}
SCHEDULER = {
    "_class_name": "UniPCMultistepScheduler",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "disable_corrector": [],
    "final_sigmas_type": "zero",
    "flow_shift": 3.0,
    "lower_order_final": True,
    "num_train_timesteps": 1000,
    "predict_x0": True,
    "prediction_type": "flow_prediction",
    "sample_max_value": 1.0,
    "solver_order": 2,
    "solver_type": "bh2",
    "timestep_spacing": "linspace",
    "use_flow_sigmas": True,
}


def transformer(heads, head_dim, layers, ffn, channels, text, frequencies):
    """The config of a `WanTransformer3DModel`."""
    return {
        "_class_name": "WanTransformer3DModel",
        "added_kv_proj_dim": None,
        "attention_head_dim": head_dim,
        "cross_attn_norm": True,
        "eps": 1e-06,
        "ffn_dim": ffn,
        "freq_dim": frequencies,
        "image_dim": None,
        "in_channels": channels,
        "num_attention_heads": heads,
        "num_layers": layers,
        "out_channels": channels,
        "patch_size": [1, 2, 2],
        "pos_embed_seq_len": None,
        "qk_norm": "rms_norm_across_heads",
        "rope_max_seq_len": 1024,
        "text_dim": text,
    }


def autoencoder(base, multiples, blocks, channels):
    """The config of an `AutoencoderKLWan`."""
    return {
        "_class_name": "AutoencoderKLWan",
        "attn_scales": [],
        "base_dim": base,
        "dim_mult": multiples,
        "dropout": 0.0,
        "latents_mean": [0.0] * channels,
        "latents_std": [1.0] * channels,
        "num_res_blocks": blocks,
        "temperal_downsample": [False, True, True],
        "z_dim": channels,
    }


MODELS = {
    "wan-1.3b": (transformer(12, 128, 30, 8960, 16, 4096, 256), autoencoder(96, [1, 2, 4, 4], 2, 16)),
    "wan-micro": (transformer(4, 32, 2, 256, 16, 64, 64), autoencoder(8, [1, 2, 2, 2], 1, 16)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="where both folders are made")
    folder = parser.parse_args().folder
    for name, (denoiser, decoder) in MODELS.items():
        files = {
            "model_index.json": INDEX,
            "scheduler/scheduler_config.json": SCHEDULER,
            "transformer/config.json": denoiser,
            "vae/config.json": decoder,
        }
        for path, config in files.items():
            file = folder / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
