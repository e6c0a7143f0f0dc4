"""The sizes of real_gpu.sh in PyTorch on CUDA, in bfloat16: one JSON object on the standard output.

    python3 benches/real_gpu_torch.py [--small]

Matrix products and attention of Wan 2.1 1.3B, a convolution of its decoder and, where diffusers is installed, one evaluation of its
`WanTransformer3DModel` with random weights at 480x832x81 and 256x448x33. `--small` takes tiny sizes, on the CPU where there is no CUDA.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F


def kernels(rand, small):
    """Name, operations, and a function to time."""
    rows = 64 if small else 4680
    for name, cols, k in [("qkv", 4608, 1536), ("out", 1536, 1536), ("up", 8960, 1536), ("down", 1536, 8960)]:
        if small:
            cols, k = cols // 32, k // 32
        x, w, b = rand(rows, k), rand(cols, k), rand(cols)
        yield f"matmul/1.3B {name} {rows}x{cols}x{k}", 2 * rows * cols * k, lambda x=x, w=w, b=b: F.linear(x, w, b)
    for name, queries, keys, heads, dim in [
        ("text", 4680, 512, 12, 128),
        ("heads of 64", 4096, 4096, 24, 64),
        ("self", 4680, 32760, 12, 128),
    ]:
        if small:
            queries, keys = queries // 64, keys // 64
        q, k, v = (rand(1, heads, n, dim) for n in (queries, keys, keys))
        flops = 4 * heads * queries * keys * dim
        yield (
            f"attention/{name} {queries}x{keys}, {heads} x {dim}",
            flops,
            lambda q=q, k=k, v=v: F.scaled_dot_product_attention(q, k, v),
        )
    height, width, channels = (8, 8, 16) if small else (240, 416, 192)
    maps, w, b = rand(1, channels, 6, height + 2, width + 2), rand(channels, channels, 3, 3, 3), rand(channels)
    flops = 2 * 4 * height * width * channels * channels * 27
    yield (
        f"causal_conv3d/[4, {height}, {width}, {channels}] to {channels}",
        flops,
        lambda: F.conv3d(maps, w, b),
    )


def transformer(device, dtype, small):
    """Wan's transformer with random weights: 1.3B, or a tiny one."""
    from diffusers import WanTransformer3DModel

    sizes = dict(num_attention_heads=12, attention_head_dim=128, num_layers=30, ffn_dim=8960, text_dim=4096, freq_dim=256)
    if small:
        sizes = dict(num_attention_heads=4, attention_head_dim=32, num_layers=2, ffn_dim=256, text_dim=64, freq_dim=64)
    with torch.device(device):
        model = WanTransformer3DModel(in_channels=16, out_channels=16, **sizes)
    return model.to(dtype).eval(), sizes["text_dim"]


def seconds(run, device, count):
    """The median of `count` runs, after one to warm up."""
    times = []
    for index in range(count + 1):
        start = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        if index > 0:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def steps(device, dtype, small):
    """One evaluation of the transformer at each size; a step with guidance takes two."""
    model, text = transformer(device, dtype, small)
    for width, height, frames in [(64, 32, 5)] if small else [(832, 480, 81), (448, 256, 33)]:
        latents = torch.randn(1, 16, (frames - 1) // 4 + 1, height // 8, width // 8, device=device, dtype=dtype)
        prompt = torch.randn(1, 512, text, device=device, dtype=dtype)
        at = torch.tensor([500], device=device)
        run = lambda: model(hidden_states=latents, timestep=at, encoder_hidden_states=prompt)  # noqa: E731
        yield f"an evaluation of WanTransformer3DModel at {width}x{height}x{frames}", seconds(run, device, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    small = parser.parse_args().small
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not small:
        parser.error("PyTorch has no CUDA here")
    dtype = torch.bfloat16
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    report = {"torch": torch.__version__, "device": name, "dtype": str(dtype), "kernels": [], "steps": []}
    rand = lambda *shape: torch.randn(*shape, device=device, dtype=dtype)  # noqa: E731
    with torch.inference_mode():
        for case, flops, run in kernels(rand, small):
            taken = seconds(run, device, 7)
            report["kernels"].append({"name": case, "ms": 1e3 * taken, "tflops_per_second": flops / taken / 1e12})
        try:
            for case, taken in steps(device, dtype, small):
                report["steps"].append({"name": case, "ms": 1e3 * taken})
        except ImportError as error:
            report["steps_missing"] = str(error)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
