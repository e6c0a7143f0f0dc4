"""Measure how well generated clips follow their prompts.

    python evaluate.py [--preset cpu] [--clips 200] [--mode both] [--weights ../weights]

Prompts are full captions of random scenes with one actor; scenes, prompts and noise have fixed seeds. The watcher (see
watcher.py) names what it sees in the decoded clips. Prints a table with 95 % intervals, and the bars of the project
beside the score as a share of the watcher's ceiling; appends everything to scores.jsonl in the work folder.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np

from captions import caption
from common import set_threads
from contact_sheet import contact_sheet
from presets import WEIGHTS, WORK, latent_frames, preset
from sampler import causal_latents, decode, load, plain_latents
from watcher import HEADS, guesses, labels, look, one_actor
from watcher import load as load_watcher

#: Least score as a share of the ceiling, plain mode; the causal mode may lie CAUSAL_SLACK lower.
BARS = {"time": 0.97, "far": 0.9, "ground": 0.9, "weather": 0.85, "camera": 0.7, "kind": 0.8, "color": 0.8, "motion": 0.8}
CAUSAL_SLACK = 0.1


def interval(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    p, d = right / n, 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (p + z * z / (2 * n) - half) / d, (p + z * z / (2 * n) + half) / d


def questions(count: int):
    """Scenes and prompts, the same in every run; the first n of a larger count are those of n."""
    rng = np.random.default_rng(2024)
    scenes, prompts = [], []
    for _ in range(count):
        scenes.append(one_actor(rng))
        prompts.append(caption(scenes[-1], rng, full=True))
    return scenes, prompts


def table(mode: str, right: np.ndarray, ceiling: dict) -> str:
    n = len(right)
    rows = [f"| {mode}, {n} clips | right | 95 % interval | ceiling | of the ceiling | bar |", "| --- | --- | --- | --- | --- | --- |"]
    for name, count in zip(HEADS, right.sum(0)):
        low, high = interval(int(count), n)
        bar = BARS[name] - (CAUSAL_SLACK if mode == "causal" else 0)
        share = count / n / ceiling[name]
        rows.append(f"| {name} | {count / n:.2f} | {low:.2f} to {high:.2f} | {ceiling[name]:.2f} | {share:.2f} | {bar:.2f} {'met' if share >= bar else 'missed'} |")
    return "\n".join(rows)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--preset", default="cpu")
    args.add_argument("--weights", type=Path, default=WEIGHTS)
    args.add_argument("--clips", type=int, default=200)
    args.add_argument("--mode", choices=("plain", "causal", "both"), default="both")
    args.add_argument("--steps", type=int, help="instead of generation.json's")
    args.add_argument("--guidance", type=float, help="instead of generation.json's")
    args.add_argument("--shift", type=float, help="instead of the scheduler's")
    args.add_argument("--sheet", type=Path, help="write the first clips as a picture")
    args = args.parse_args()
    set_threads()
    cfg = preset(args.preset)
    root = WORK / cfg["name"]
    watcher, ceiling = load_watcher(root)
    pipe, settings = load(args.weights)
    settings["num_inference_steps"] = args.steps or settings["num_inference_steps"]
    settings["guidance_scale"] = args.guidance or settings["guidance_scale"]
    if args.shift:
        pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, shift=args.shift)
    scenes, prompts = questions(args.clips)
    seeds, want = [100 + i for i in range(args.clips)], np.array([labels(s) for s in scenes])
    for mode in ("plain", "causal") if args.mode == "both" else (args.mode,):
        start = time.time()
        if mode == "plain":
            z = plain_latents(pipe, settings, prompts, seeds)
        else:
            z = causal_latents(pipe, settings, [[p] * (latent_frames(cfg) // cfg["block"]) for p in prompts], seeds, cfg["block"])
        seconds = (time.time() - start) / args.clips
        clips = decode(pipe, z)
        right = guesses(watcher, look(clips)) == want
        print(table(mode, right, ceiling), f"\n\n{seconds:.2f} s per clip without decoding", flush=True)
        result = {"mode": mode, "clips": args.clips, "steps": settings["num_inference_steps"], "guidance": settings["guidance_scale"],
                  "shift": pipe.scheduler.config.shift, "right": dict(zip(HEADS, right.mean(0).round(4).tolist())), "ceiling": ceiling}
        with open(root / "scores.jsonl", "a") as file:
            file.write(json.dumps(result) + "\n")
        if args.sheet:
            contact_sheet(clips[:12], args.sheet.with_stem(f"{args.sheet.stem}_{mode}"), labels=prompts[:12])


if __name__ == "__main__":
    main()
