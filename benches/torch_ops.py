"""PyTorch's time for some of the cases that `kinora bench` measures, to set beside it in the same hour.

    python benches/torch_ops.py [--threads 2] [--device cpu|cuda] [--dtype float32|float16|bfloat16]

Prints the median of the runs and the rate for matrix products, attention, a 3x3x3 convolution and a group norm.
"""
import argparse
import statistics
import time

import torch
import torch.nn.functional as F


def cases(device, dtype):
    """Name, operations, and a function to time."""
    def rand(*shape):
        return torch.randn(*shape, device=device, dtype=dtype)

    x, w, b = rand(1024, 1024), rand(1024, 1024), rand(1024)
    yield "matmul/square 1024x1024x1024", 2 * 1024**3, lambda: F.linear(x, w, b)
    x2, w2, b2 = rand(1560, 1536), rand(4608, 1536), rand(4608)
    yield "matmul/1.3B qkv of one frame 1560x4608x1536", 2 * 1560 * 4608 * 1536, lambda: F.linear(x2, w2, b2)
    q, k, v = (rand(1, 2, 1024, 64) for _ in range(3))
    flops = 4 * 2 * 1024 * 1024 * 64
    yield "attention/square 1024x1024, 2 x 64", flops, lambda: F.scaled_dot_product_attention(q, k, v)
    maps, kernel, bias = rand(1, 128, 7, 62, 92), rand(128, 128, 3, 3, 3), rand(128)
    flops = 2 * 5 * 60 * 90 * 128 * 128 * 27
    # The same sums as [5, 60, 90, 128] with the padding of a causal convolution, put there beforehand.
    yield "causal_conv3d/128 channels [5, 60, 90, 128] to 128", flops, lambda: F.conv3d(maps, kernel, bias)
    volume, scale, shift = rand(1, 128, 9, 240, 360), rand(128), rand(128)
    yield "group_norm/[9, 240, 360, 128] in 32 groups", 0, lambda: F.group_norm(volume, 32, scale, shift, 1e-6)


def seconds(run, device, count):
    """The median of `count` runs, after two to warm up."""
    times = []
    for index in range(count + 2):
        start = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        if index >= 2:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.device}, {args.dtype}, {torch.get_num_threads()} threads")
    with torch.inference_mode():
        for name, flops, run in cases(args.device, getattr(torch, args.dtype)):
            taken = seconds(run, args.device, args.runs)
            print(f"{name:<56} {1e3 * taken:10.3f} ms  {flops / taken / 1e12:.4f} TFLOP/s")


if __name__ == "__main__":
    main()
