"""Measure how well generated clips follow their prompts.

    python recipe/evaluate.py --clips 40 [--mode plain|causal]

Two instruments:

* a probe, a small 3-D convolutional classifier of every attribute, trained on
  the latents of rendered clips. Its accuracy on rendered clips it has not seen
  is the ceiling; its accuracy on generated clips is the score.
* two direct checks on pixels: the nearest of the four mean sky colours, and the
  direction in which the patch of the named colour moves.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from common import HERE, WORK, preset, device, set_threads
from sample import causal_latents, decode, generate, load
from scenes import ACTORS, CAMERAS, COLORS, FARS, GROUNDS, TIMES, WEATHERS, caption, contact_sheet, render, sample_scene

MOTIONS = ("left", "right", "up", "down", "bounce", "circle")
HEADS = {"time": TIMES, "far": FARS, "ground": GROUNDS, "weather": WEATHERS, "camera": CAMERAS,
         "kind": tuple(ACTORS), "color": tuple(COLORS), "motion": MOTIONS}


def labels(scene):
    """Class index per head; -1 where the scene does not say (no actor, or two)."""
    out = {n: HEADS[n].index(getattr(scene, n)) for n in ("time", "far", "ground", "weather", "camera")}
    one = scene.actors[0] if len(scene.actors) == 1 else None
    for n in ("kind", "color", "motion"):
        out[n] = HEADS[n].index(getattr(one, n)) if one else -1
    return out


class Probe(nn.Module):
    def __init__(self, channels, frames, h, w, width=64):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(channels, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU(),
            nn.Conv3d(width, width, 3, padding=1, stride=(1, 2, 2)), nn.GroupNorm(8, width), nn.SiLU(),
            nn.Conv3d(width, width, 3, padding=1, stride=(2, 1, 1)), nn.GroupNorm(8, width), nn.SiLU())
        with torch.no_grad():
            size = self.body(torch.zeros(1, channels, frames, h, w)).numel()
        self.drop = nn.Dropout(0.2)
        self.heads = nn.ModuleDict({n: nn.Linear(size, len(c)) for n, c in HEADS.items()})

    def forward(self, z):
        x = self.drop(self.body(z).flatten(1))
        return {n: head(x) for n, head in self.heads.items()}


def accuracy(probe, z, wanted, batch=64):
    """Share right per head, and the guesses."""
    probe.eval()
    with torch.no_grad():
        parts = [probe(z[i : i + batch].float()) for i in range(0, len(z), batch)]
    guess = {n: torch.cat([p[n] for p in parts]).argmax(1).cpu().numpy() for n in HEADS}
    score = {}
    for n in HEADS:
        want = np.array([w[n] for w in wanted])
        known = want >= 0
        score[n] = float((guess[n][known] == want[known]).mean())
    return score, guess


def train_probe(cfg, minutes):
    """Train the probe on cached latents (kept beside them) and return it with its ceiling."""
    from train_dit import Latents

    root, dev = WORK / cfg["name"], device()
    data = Latents(root)
    keep = data.plain
    z, wanted = data.z[keep], [labels(data.records[i][0]) for i in keep]
    probe = Probe(*data.z.shape[1:]).to(dev)
    hold = max(len(keep) // 10, 1)
    path = root / "probe.pt"
    if path.exists():
        probe.load_state_dict(torch.load(path, map_location=dev))
        return probe, accuracy(probe, z[:hold].to(dev), wanted[:hold])[0]
    target = {n: torch.tensor([w[n] for w in wanted]) for n in HEADS}
    torch.manual_seed(0)
    opt = torch.optim.AdamW(probe.parameters(), 2e-3, weight_decay=0.02)
    start, step = time.time(), 0
    while (share := (time.time() - start) / (60 * minutes)) < 1:
        for g in opt.param_groups:
            g["lr"] = 2e-3 * min(1, (step + 1) / 30) * (1 - share) + 1e-5
        pick = torch.randint(hold, len(keep), (48,))
        x = z[pick].to(dev).float()
        x = x + 0.15 * torch.rand(len(pick), 1, 1, 1, 1, device=dev) * torch.randn_like(x)
        probe.train()
        with torch.autocast(dev.type, torch.bfloat16):
            out = probe(x)
        loss = sum(F.cross_entropy(out[n].float(), target[n][pick].to(dev), ignore_index=-1) for n in HEADS)
        opt.zero_grad()
        loss.backward()
        opt.step()
        step += 1
    ceiling = accuracy(probe, z[:hold].to(dev), wanted[:hold])[0]
    print(f"probe: {step} steps, loss {loss.item():.3f}", flush=True)
    torch.save(probe.state_dict(), path)
    return probe, ceiling


def sky_colors(cfg, per=6):
    """Mean colour of the upper sky of each time of day, over rendered scenes."""
    rng, out = np.random.default_rng(77), []
    for name in TIMES:
        scenes = []
        while len(scenes) < per:
            s = sample_scene(rng)
            if s.time == name:
                scenes.append(render(s, 5, cfg["width"], cfg["height"])[:, : cfg["height"] // 4].mean((0, 1, 2)))
        out.append(np.mean(scenes, 0))
    return np.stack(out)


def movement(clip, color, night):
    """Displacement (x, y), in frame heights, of the pixels closest to a named colour."""
    rgb = clip.astype(np.float32) / 255
    target = np.asarray(COLORS[color], np.float32) * (0.84 if night else 1.0)
    weight = np.exp(-(((rgb - target) ** 2).sum(-1)) / 0.02)
    weight = np.maximum(weight - np.median(weight, axis=0, keepdims=True), 0)  # forget what stands still
    ys, xs = np.mgrid[: clip.shape[1], : clip.shape[2]]
    mass = weight.sum((1, 2)) + 1e-6
    x, y = (weight * xs).sum((1, 2)) / mass, (weight * ys).sum((1, 2)) / mass
    third = len(clip) // 3
    a, b = slice(0, third), slice(-third, None)
    return np.array([np.average(v[b], weights=mass[b]) - np.average(v[a], weights=mass[a]) for v in (x, y)]) / clip.shape[1]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--preset", default="cpu")
    args.add_argument("--weights", type=Path, default=HERE.parent / "weights")
    args.add_argument("--clips", type=int, default=40)
    args.add_argument("--steps", type=int, default=20)
    args.add_argument("--guidance", type=float, default=4.0)
    args.add_argument("--mode", choices=("plain", "causal"), default="plain")
    args.add_argument("--probe-minutes", type=float, default=2.0)
    args.add_argument("--sheet", type=Path)
    args = args.parse_args()
    set_threads()
    cfg = preset(args.preset)
    probe, ceiling = train_probe(cfg, args.probe_minutes)
    print("ceiling on rendered clips", {k: round(v, 2) for k, v in ceiling.items()}, flush=True)
    pipe = load(args.weights)
    rng = np.random.default_rng(2024)
    scenes = []
    while len(scenes) < args.clips:
        s = sample_scene(rng)
        if len(s.actors) == 1:
            scenes.append(s)
    prompts = [caption(s, rng, full=True) for s in scenes]
    start = time.time()
    with torch.autocast(device().type, torch.bfloat16):
        if args.mode == "plain":
            latents = generate(pipe, prompts, [100 + i for i in range(len(prompts))], cfg, args.steps, args.guidance,
                               output="latent", batch=8)
            latents = [torch.as_tensor(x).float()[None] for x in latents]
        else:
            blocks = ((cfg["frames"] - 1) // 4 + 1) // cfg["block"]
            latents = [causal_latents(pipe, [p] * blocks, 100 + i, cfg, args.steps, args.guidance) for i, p in enumerate(prompts)]
    print(f"{(time.time() - start) / len(prompts):.2f}s per clip without decoding", flush=True)
    z = torch.cat(latents)
    score, guess = accuracy(probe, z, [labels(s) for s in scenes])
    clips = [decode(pipe, x[None]) for x in z]
    skies = sky_colors(cfg)
    sky = np.mean([np.argmin(((skies - c[:, : cfg["height"] // 4].mean((0, 1, 2))) ** 2).sum(1)) == TIMES.index(s.time)
                   for c, s in zip(clips, scenes)])
    moved = []
    for c, s in zip(clips, scenes):
        axis = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}.get(s.actors[0].motion)
        if axis:
            moved.append(movement(c, s.actors[0].color, s.time == "night")[axis[0]] * axis[1] > 0.03)
    result = {"mode": args.mode, "clips": args.clips, "steps": args.steps, "guidance": args.guidance,
              "probe": {k: round(v, 3) for k, v in score.items()}, "ceiling": {k: round(v, 3) for k, v in ceiling.items()},
              "chance": {k: round(1 / len(v), 3) for k, v in HEADS.items()},
              "sky_color": round(float(sky), 3), "direction": round(float(np.mean(moved)), 3), "direction_clips": len(moved)}
    print(json.dumps(result), flush=True)
    with open(WORK / cfg["name"] / "scores.jsonl", "a") as f:
        f.write(json.dumps(result) + "\n")
    if args.sheet:
        contact_sheet(clips[:12], args.sheet, labels=prompts[:12])


if __name__ == "__main__":
    main()
