"""The rendered data as latents: encoded once, kept in memory for training.

    python latents.py [--preset cpu] [--compile]

Resumable, shard by shard; run it again after more data have been rendered. The encoder must not change any more.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from common import device, records, set_threads, shards, to_video
from presets import WORK, preset
from vae_parallel import encode_moments

#: How many clips, or stills, are encoded at once.
BATCH = {"clips": 4, "stills": 64}


def statistics(vae, dev) -> tuple[torch.Tensor, torch.Tensor]:
    """The latents' mean and standard deviation per channel, shaped for (B, C, t, h, w)."""
    return tuple(torch.tensor(v, device=dev).view(1, -1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))


@torch.no_grad()
def encode(vae, pictures: np.ndarray, dev, run=encode_moments) -> torch.Tensor:
    """Normalised latents (B, C, t, h, w) of uint8 clips (B, T, H, W, 3), through the means."""
    mean, std = statistics(vae, dev)
    with torch.autocast(dev.type, torch.bfloat16):
        z = run(vae, to_video(pictures, dev)).chunk(2, 1)[0]
    return (z.float() - mean) / std


def cache(cfg: dict, compile_: bool) -> None:
    from diffusers import AutoencoderKLWan

    dev, root = device(), WORK / cfg["name"]
    vae = AutoencoderKLWan.from_pretrained(root / "vae").to(dev).eval()
    run = torch.compile(encode_moments, dynamic=False) if compile_ else encode_moments
    start = time.time()
    for kind, batch in BATCH.items():
        out = root / "latents" / kind
        out.mkdir(parents=True, exist_ok=True)
        for path in shards(root / kind):
            target = out / path.name
            if target.exists():
                continue
            pictures = np.load(path, mmap_mode="r")
            rows = [encode(vae, pictures[i : i + batch], dev, run).half().cpu().numpy() for i in range(0, len(pictures), batch)]
            part = target.with_name("part_" + path.name)
            np.save(part, np.concatenate(rows))
            part.rename(target)
            print(kind, path.name, f"{time.time() - start:.0f} s", flush=True)


class Latents:
    """Cached latents of one kind, what their actors cover, and the scenes they show."""

    def __init__(self, root: Path, kind: str):
        z, cast, self.records = [], [], []
        for path in shards(root / "latents" / kind):
            source = root / kind / path.name
            z.append(torch.from_numpy(np.load(path)))
            cast.append(torch.from_numpy(np.load(source.with_suffix(".cast.npy"))))
            self.records.extend(records(source))
        self.z, self.cast = torch.cat(z), torch.cat(cast)
        self.plain = np.array([i for i, r in enumerate(self.records) if r[1] is None])
        self.switched = np.array([i for i, r in enumerate(self.records) if r[1] is not None])


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--preset", default="cpu")
    args.add_argument("--compile", action="store_true")
    args = args.parse_args()
    set_threads()
    cache(preset(args.preset), args.compile)


if __name__ == "__main__":
    main()
