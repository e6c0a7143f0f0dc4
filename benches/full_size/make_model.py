#!/usr/bin/env python3
"""Writes a Wan 2.1 T2V 1.3B folder of full size with random weights: UMT5-XXL in bfloat16, the transformer and the autoencoder.

    python3 make_model.py FOLDER [--only text_encoder,transformer,vae] [--tokenizer FOLDER]

14.7 GB in one pass; no weights are downloaded. The numbers are small and of either sign, so that nothing overflows; what they say is
noise. The tokenizer is copied from a folder that has one (a fixture of the tests, whose vocabulary is small: its ids are within
UMT5's). Needs numpy.
"""
import argparse
import json
import shutil
import struct
from pathlib import Path

import numpy as np

FIXTURE = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "wan"
BLOCK = 1 << 24  # numbers that are drawn once and used again


def text_encoder():
    dim, inner, ff, heads, layers = 4096, 4096, 10240, 64, 24
    yield "shared.weight", (256384, dim)
    for n in range(layers):
        a, d = f"encoder.block.{n}.layer.0", f"encoder.block.{n}.layer.1"
        for m in "qkv":
            yield f"{a}.SelfAttention.{m}.weight", (inner, dim)
        yield f"{a}.SelfAttention.o.weight", (dim, inner)
        yield f"{a}.SelfAttention.relative_attention_bias.weight", (32, heads)
        yield f"{a}.layer_norm.weight", (dim,)
        yield f"{d}.DenseReluDense.wi_0.weight", (ff, dim)
        yield f"{d}.DenseReluDense.wi_1.weight", (ff, dim)
        yield f"{d}.DenseReluDense.wo.weight", (dim, ff)
        yield f"{d}.layer_norm.weight", (dim,)
    yield "encoder.final_layer_norm.weight", (dim,)


def transformer():
    dim, ff, layers, text, freq, channels = 1536, 8960, 30, 4096, 256, 16

    def linear(name, out, inp):
        yield f"{name}.weight", (out, inp)
        yield f"{name}.bias", (out,)

    yield "patch_embedding.weight", (dim, channels, 1, 2, 2)
    yield "patch_embedding.bias", (dim,)
    c = "condition_embedder"
    yield from linear(f"{c}.text_embedder.linear_1", dim, text)
    yield from linear(f"{c}.text_embedder.linear_2", dim, dim)
    yield from linear(f"{c}.time_embedder.linear_1", dim, freq)
    yield from linear(f"{c}.time_embedder.linear_2", dim, dim)
    yield from linear(f"{c}.time_proj", 6 * dim, dim)
    for n in range(layers):
        b = f"blocks.{n}"
        yield f"{b}.scale_shift_table", (1, 6, dim)
        for a in ("attn1", "attn2"):
            for m in ("to_q", "to_k", "to_v", "to_out.0"):
                yield from linear(f"{b}.{a}.{m}", dim, dim)
            for m in ("norm_q", "norm_k"):
                yield f"{b}.{a}.{m}.weight", (dim,)
        yield from linear(f"{b}.norm2", dim, 1)
        yield from linear(f"{b}.ffn.net.0.proj", ff, dim)
        yield from linear(f"{b}.ffn.net.2", dim, ff)
    yield "scale_shift_table", (1, 2, dim)
    yield from linear("proj_out", 4 * channels, dim)


def vae():
    base, z, mult, res = 96, 16, (1, 2, 4, 4), 2

    def conv(name, out, inp, *taps):
        yield f"{name}.weight", (out, inp, *taps)
        yield f"{name}.bias", (out,)

    def resnet(name, inp, out):
        yield f"{name}.norm1.gamma", (inp, 1, 1, 1)
        yield from conv(f"{name}.conv1", out, inp, 3, 3, 3)
        yield f"{name}.norm2.gamma", (out, 1, 1, 1)
        yield from conv(f"{name}.conv2", out, out, 3, 3, 3)
        if inp != out:
            yield from conv(f"{name}.conv_shortcut", out, inp, 1, 1, 1)

    def middle(side, dim):
        yield from resnet(f"{side}.mid_block.resnets.0", dim, dim)
        yield f"{side}.mid_block.attentions.0.norm.gamma", (dim, 1, 1)
        yield from conv(f"{side}.mid_block.attentions.0.to_qkv", 3 * dim, dim, 1, 1)
        yield from conv(f"{side}.mid_block.attentions.0.proj", dim, dim, 1, 1)
        yield from resnet(f"{side}.mid_block.resnets.1", dim, dim)

    yield from conv("encoder.conv_in", base, 3, 3, 3, 3)
    dims, at = [base] + [base * m for m in mult], 0
    for level, (inp, out) in enumerate(zip(dims, dims[1:])):
        for _ in range(res):
            yield from resnet(f"encoder.down_blocks.{at}", inp, out)
            inp, at = out, at + 1
        if level < len(mult) - 1:
            yield from conv(f"encoder.down_blocks.{at}.resample.1", out, out, 3, 3)
            if level > 0:
                yield from conv(f"encoder.down_blocks.{at}.time_conv", out, out, 3, 1, 1)
            at += 1
    yield from middle("encoder", dims[-1])
    yield "encoder.norm_out.gamma", (dims[-1], 1, 1, 1)
    yield from conv("encoder.conv_out", 2 * z, dims[-1], 3, 3, 3)
    yield from conv("quant_conv", 2 * z, 2 * z, 1, 1, 1)
    yield from conv("post_quant_conv", z, z, 1, 1, 1)
    dims = [base * m for m in (mult[-1], *reversed(mult))]
    yield from conv("decoder.conv_in", dims[0], z, 3, 3, 3)
    yield from middle("decoder", dims[0])
    for level, (inp, out) in enumerate(zip(dims, dims[1:])):
        inp = inp // 2 if level > 0 else inp
        for r in range(res + 1):
            yield from resnet(f"decoder.up_blocks.{level}.resnets.{r}", inp, out)
            inp = out
        if level < len(mult) - 1:
            up = f"decoder.up_blocks.{level}.upsamplers.0"
            yield from conv(f"{up}.resample.1", out // 2, out, 3, 3)
            if level < 2:
                yield from conv(f"{up}.time_conv", 2 * out, out, 3, 1, 1)
    yield "decoder.norm_out.gamma", (dims[-1], 1, 1, 1)
    yield from conv("decoder.conv_out", 3, dims[-1], 3, 3, 3)


def is_norm(name, shape):
    return "norm" in name and len(shape) == 1 or name.endswith("gamma")


def numbers(rng):
    """Bit patterns of bfloat16 between 2^-7 and 2^-5, of either sign."""
    raw = rng.integers(0, 1 << 16, BLOCK, dtype=np.uint16)
    return (raw & 0x80FF) | (120 << 7)


def write(path, tensors, dtype, rng):
    tensors = [(n, (s[0],) if n.endswith("norm2.weight") and len(s) == 2 and s[1] == 1 else s) for n, s in tensors]
    size = {"BF16": 2, "F32": 4}[dtype]
    head, at = {}, 0
    for name, shape in tensors:
        count = int(np.prod(shape))
        head[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size * count]}
        at += size * count
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    block = numbers(rng)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors:
            left, fan = int(np.prod(shape)), int(np.prod(shape[1:])) or 1
            # Products keep their size: numbers of about 0.02 suit rows of some thousand values.
            shift = np.uint16(max(0, int(np.log2(max(1.0, 3000 / fan))) // 2) << 7)
            while left > 0:
                part = block[: min(left, BLOCK)] + shift
                if is_norm(name, shape):
                    part = np.full(len(part), 0x3F80, dtype=np.uint16)
                if dtype == "F32":
                    part = (part.astype(np.uint32) << 16)
                f.write(part.tobytes())
                left -= len(part)
    print(f"{path}: {at / 1e9:.2f} GB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="text_encoder,transformer,vae")
    parser.add_argument("--tokenizer", type=Path, default=FIXTURE / "tokenizer")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    configs = {
        "text_encoder": {"model_type": "umt5", "architectures": ["UMT5EncoderModel"], "vocab_size": 256384, "d_model": 4096,
                         "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "feed_forward_proj": "gated-gelu"},
        "transformer": {"_class_name": "WanTransformer3DModel", "num_attention_heads": 12, "attention_head_dim": 128,
                        "in_channels": 16, "out_channels": 16, "text_dim": 4096, "freq_dim": 256, "ffn_dim": 8960,
                        "num_layers": 30, "patch_size": [1, 2, 2], "cross_attn_norm": True,
                        "qk_norm": "rms_norm_across_heads", "eps": 1e-6},
        "vae": {"_class_name": "AutoencoderKLWan"},
    }
    files = {"text_encoder": ("model.safetensors", text_encoder, "BF16"),
             "transformer": ("diffusion_pytorch_model.safetensors", transformer, "BF16"),
             "vae": ("diffusion_pytorch_model.safetensors", vae, "F32")}
    for part in ("model_index.json", "scheduler"):
        source = FIXTURE / part
        args.folder.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, args.folder / part, dirs_exist_ok=True)
        else:
            shutil.copy(source, args.folder / part)
    shutil.copytree(args.tokenizer, args.folder / "tokenizer", dirs_exist_ok=True)
    for part, config in configs.items():
        folder = args.folder / part
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=1))
        name, tensors, dtype = files[part]
        if part in args.only.split(","):
            write(folder / name, list(tensors()), dtype, rng)


if __name__ == "__main__":
    main()
