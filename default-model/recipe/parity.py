"""Hold the engine against diffusers: ten prompts, the same weights and initial latents, PSNR of the pixels.

    cargo build --release --locked -p kinora
    python parity.py [--kinora ../../target/release/kinora] [--weights ../weights] [--device cpu]

Exits with 1 if a clip stays below 45 dB.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from common import set_threads
from presets import WEIGHTS
from sample import PROMPTS
from sampler import load, noise

LEAST_DB = 45.0
MORE = ["a green ball bouncing in the desert at noon, camera pans right", "a white bird flies left over the sea at dawn, snow falling"]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--kinora", type=Path, default=WEIGHTS.parents[1] / "target" / "release" / "kinora")
    args.add_argument("--weights", type=Path, default=WEIGHTS)
    args.add_argument("--device", default="cpu")
    args = args.parse_args()
    set_threads()
    pipe, settings = load(args.weights)
    frames = (settings["num_frames"] - 1) // 4 + 1
    scores = []
    for i, prompt in enumerate(PROMPTS + MORE):
        start = noise(settings, [i], pipe.transformer.config.in_channels, frames)
        with torch.no_grad():
            want = pipe(prompt=prompt, negative_prompt="", height=settings["height"], width=settings["width"],
                        num_frames=settings["num_frames"], num_inference_steps=settings["num_inference_steps"],
                        guidance_scale=settings["guidance_scale"], max_sequence_length=settings["max_sequence_length"],
                        latents=start, output_type="np").frames[0]
        with tempfile.TemporaryDirectory() as folder:
            given, dump = Path(folder) / "initial.safetensors", Path(folder) / "dump.safetensors"
            save_file({"latents.init": start.cpu().numpy()}, given)
            subprocess.run([args.kinora, "generate", prompt, "--model", args.weights, "--device", args.device, "--initial-latents", given,
                            "--dump", dump, "-o", Path(folder) / "clip.y4m"], check=True, capture_output=True)
            have = load_file(dump)["video.u8"].reshape(want.shape)
        error = np.mean((np.round(want * 255) - have.astype(np.float64)) ** 2)
        scores.append(10 * math.log10(255**2 / error) if error > 0 else math.inf)
        print(f"{scores[-1]:6.1f} dB  {prompt}", flush=True)
    print(f"least {min(scores):.1f} dB of {len(scores)} clips")
    # Written so that NaN fails.
    sys.exit(0 if all(score >= LEAST_DB for score in scores) else 1)


if __name__ == "__main__":
    main()
