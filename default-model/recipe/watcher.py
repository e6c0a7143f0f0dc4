"""The probe of the evaluation: a small network that looks at a clip and names what it sees.

    python watcher.py [--preset cpu]

It sees pixels alone, five frames of 64x40, so it depends on no autoencoder and judges every model alike. It is trained
on scenes rendered at that size, softened, dimmed and grained at random; its accuracy on full-size clips of scenes it has
not seen is the ceiling of the evaluation.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from common import device, ramp, save_atomic, set_threads
from grammar import ACTORS, CAMERAS, COLORS, FARS, GROUNDS, MOTIONS, TIMES, WEATHERS, Scene, sample_scene
from presets import WORK, preset
from scenes import paint, render

HEADS = {"time": TIMES, "far": FARS, "ground": GROUNDS, "weather": WEATHERS, "camera": CAMERAS,
         "kind": tuple(ACTORS), "color": tuple(COLORS), "motion": MOTIONS}
WIDTH, HEIGHT, FRAMES = 64, 40, 5
PER_SHARD, HELD_OUT = 1024, 300


def labels(scene: Scene) -> list[int]:
    """Class number per head, of a scene with one actor."""
    actor = scene.actors[0]
    return [options.index(getattr(actor if name in ("kind", "color", "motion") else scene, name)) for name, options in HEADS.items()]


def one_actor(rng: np.random.Generator) -> Scene:
    """A scene with exactly one actor, so that every head has one right answer."""
    while len((scene := sample_scene(rng)).actors) != 1:
        pass
    return scene


def moments(frames: int) -> np.ndarray:
    return np.linspace(0, frames - 1, FRAMES).round().astype(int)


def look(clips: list[np.ndarray] | np.ndarray) -> torch.Tensor:
    """What the watcher sees of full-size clips: (B, 3, FRAMES, HEIGHT, WIDTH) in [-1, 1]."""
    x = torch.from_numpy(np.stack([clip[moments(len(clip))] for clip in clips])).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    return F.adaptive_avg_pool3d(x, (FRAMES, HEIGHT, WIDTH))


class Watcher(nn.Module):
    def __init__(self, width: int = 48):
        super().__init__()
        wide = 2 * width
        self.frame = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=4), nn.GroupNorm(8, width), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU(),
            nn.Conv2d(width, wide, 3, padding=1, stride=2), nn.GroupNorm(8, wide), nn.SiLU())
        self.film = nn.Sequential(
            nn.Conv3d(wide, wide, 3, padding=1), nn.GroupNorm(8, wide), nn.SiLU(),
            nn.Conv3d(wide, width, (3, 1, 1)), nn.GroupNorm(8, width), nn.SiLU())
        self.drop = nn.Dropout(0.2)
        size = width * (FRAMES - 2) * (HEIGHT // 8) * (WIDTH // 8)
        self.heads = nn.ModuleList(nn.Linear(size, len(options)) for options in HEADS.values())

    def forward(self, x):
        b, t = x.shape[0], x.shape[2]
        y = self.frame(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (b, t)).transpose(1, 2)
        y = self.drop(self.film(y).flatten(1))
        return [head(y) for head in self.heads]


def small_shard(job) -> None:
    """Render one shard of small clips with their labels."""
    index, cfg, path = job
    if path.exists():
        return
    rng = np.random.default_rng([61, index])
    clips, wanted = [], []
    for _ in range(PER_SHARD):
        scene = one_actor(rng)
        picture, _ = paint(scene, cfg["frames"], WIDTH, HEIGHT, cfg["fps"], moments(cfg["frames"]))
        clips.append((picture * 255 + 0.5).astype(np.uint8))
        wanted.append(labels(scene))
    part = path.with_name("part_" + path.name)
    np.savez(part, clips=np.stack(clips), wanted=np.array(wanted))
    part.rename(path)


def worn(x: torch.Tensor) -> torch.Tensor:
    """Clips as a model might make them: softened, a little off in colour, grained."""
    b = x.shape[0]
    soft = F.avg_pool3d(x, (1, 3, 3), 1, (0, 1, 1), count_include_pad=False)
    x = torch.lerp(x, soft, torch.rand(b, 1, 1, 1, 1))
    x = x * (0.9 + 0.2 * torch.rand(b, 3, 1, 1, 1)) + 0.1 * torch.randn(b, 3, 1, 1, 1)
    return x + 0.1 * torch.rand(b, 1, 1, 1, 1) * torch.randn_like(x)


@torch.no_grad()
def guesses(watcher: Watcher, seen: torch.Tensor) -> np.ndarray:
    """Class numbers (B, heads)."""
    watcher.eval()
    return torch.cat([torch.stack([head.argmax(1) for head in watcher(part)], 1) for part in seen.split(64)]).numpy()


def held_out(cfg: dict):
    """What the watcher sees of full-size clips of scenes it was not trained on, and their labels."""
    rng = np.random.default_rng(987)
    scenes = [one_actor(rng) for _ in range(HELD_OUT)]
    size = (cfg["frames"], cfg["width"], cfg["height"], cfg["fps"])
    return torch.cat([look([render(s, *size)]) for s in scenes]), np.array([labels(s) for s in scenes])


def load(root: Path) -> tuple[Watcher, dict]:
    """The trained watcher and its ceiling per head."""
    watcher = Watcher()
    watcher.load_state_dict(torch.load(root / "watcher.pt", map_location="cpu")["watcher"])
    watcher.eval()
    return watcher, json.loads((root / "ceiling.json").read_text())


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--preset", default="cpu")
    args.add_argument("--workers", type=int, default=os.cpu_count())
    args = args.parse_args()
    cfg = preset(args.preset)
    set_threads()
    root = WORK / cfg["name"]
    (root / "watched").mkdir(parents=True, exist_ok=True)
    jobs = [(i, cfg, root / "watched" / f"shard_{i:03d}.npz") for i in range(cfg["watcher"]["shards"])]
    with ProcessPoolExecutor(args.workers) as pool:
        list(pool.map(small_shard, jobs))
    parts = [np.load(path) for _, _, path in jobs]
    clips = np.concatenate([p["clips"] for p in parts])
    wanted = torch.from_numpy(np.concatenate([p["wanted"] for p in parts]))

    torch.manual_seed(0)
    watcher, rng, step, path = Watcher(), np.random.default_rng(71), 0, root / "watcher.pt"
    opt = torch.optim.AdamW(watcher.parameters(), 3e-3, weight_decay=0.02)
    if path.exists():
        state = torch.load(path)
        watcher.load_state_dict(state["watcher"])
        opt.load_state_dict(state["opt"])
        step = state["step"]
    steps, shown, right = cfg["watcher"]["steps"], time.time(), []
    while step < steps:
        for group in opt.param_groups:
            group["lr"] = 3e-3 * ramp(step, steps, 50, 1.0)
        pick = rng.integers(len(clips), size=64)
        x = worn(torch.from_numpy(clips[np.sort(pick)]).permute(0, 4, 1, 2, 3).float() / 127.5 - 1)
        want = wanted[np.sort(pick)]
        watcher.train()
        with torch.autocast("cpu", torch.bfloat16):
            out = watcher(x)
        loss = sum(F.cross_entropy(o.float(), want[:, i], label_smoothing=0.02) for i, o in enumerate(out))
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        step += 1
        right.append([(o.argmax(1) == want[:, i]).float().mean().item() for i, o in enumerate(out)])
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.3f} right {dict(zip(HEADS, np.mean(right[-100:], 0).round(2).tolist()))} {(time.time() - shown) / 100:.2f}s/step", flush=True)
            shown = time.time()
            save_atomic({"watcher": watcher.state_dict(), "opt": opt.state_dict(), "step": step}, path)
    save_atomic({"watcher": watcher.state_dict(), "opt": opt.state_dict(), "step": step}, path)
    seen, want = held_out(cfg)
    ceiling = dict(zip(HEADS, (guesses(watcher, seen) == want).mean(0).round(4).tolist()))
    (root / "ceiling.json").write_text(json.dumps(ceiling) + "\n")
    print("ceiling on", HELD_OUT, "clips:", ceiling)


if __name__ == "__main__":
    main()
