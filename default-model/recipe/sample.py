"""Make the samples of the model card, or one clip of one's own.

    python sample.py                                   # contact sheets and three animated pictures
    python sample.py --prompt "a red balloon rising over the sea"
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from common import set_threads
from contact_sheet import contact_sheet
from presets import WEIGHTS, preset
from sampler import causal_latents, decode, load, plain_latents

PROMPTS = [
    "a red balloon rising over the sea at sunset, light rain",
    "a yellow bus at a bus shelter on a rainy street at night",
    "a white sail boat sails right on the sea at dawn, mountains in the distance",
    "a blue bird flying in circles over a green meadow on a sunny day, with rolling hills",
    "at night, a pink lantern rising over a snow field, snow falling, in front of a forest",
    "a green train rides left across the desert in daylight, mountains in the background",
    "a purple umbrella falling in a meadow in the evening, autumn leaves falling, a forest behind",
    "an orange butterfly fluttering right over the fields at night, fireflies glowing, slow zoom in",
]
ANIMATED = {"balloon": 0, "bus": 1, "boat": 2}
STORY = ("a yellow bus driving right on a wet street by day, with a city skyline",
         "a yellow bus driving right on a wet street at night, rain, with a city skyline")
STORY_BLOCKS = 20


def animate(clip: np.ndarray, path: Path, fps: int, every: int = 2) -> None:
    """An animated PNG of every second frame, in 128 colours, shown twice as large."""
    frames = [Image.fromarray(f).resize((2 * f.shape[1], 2 * f.shape[0]), Image.NEAREST) for f in clip[::every]]
    palette = Image.fromarray(np.concatenate(clip[:: 4 * every])).quantize(128)
    frames = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=1000 * every // fps, loop=0, optimize=True)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--preset", default="cpu")
    args.add_argument("--weights", type=Path, default=WEIGHTS)
    args.add_argument("--out", type=Path, default=WEIGHTS.parent / "samples")
    args.add_argument("--prompt")
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    set_threads()
    cfg = preset(args.preset)
    pipe, settings = load(args.weights)
    args.out.mkdir(parents=True, exist_ok=True)
    prompts = [args.prompt] if args.prompt else PROMPTS
    clips = decode(pipe, plain_latents(pipe, settings, prompts, [args.seed + i for i in range(len(prompts))]))
    if args.prompt:
        contact_sheet(clips, args.out / "prompt.png", labels=prompts)
        return
    contact_sheet(clips, args.out / "plain.png", labels=PROMPTS)
    for name, i in ANIMATED.items():
        animate(clips[i], args.out / f"{name}.png", cfg["fps"])
    story = [STORY[0]] * (STORY_BLOCKS // 2) + [STORY[1]] * (STORY_BLOCKS // 2)
    film = decode(pipe, causal_latents(pipe, settings, [story], [args.seed], cfg["block"]))[0]
    rows = np.array_split(film, 4)
    contact_sheet(rows, args.out / "causal.png", labels=[f"frames {i * len(film) // 4} to {(i + 1) * len(film) // 4}: {STORY[i // 2]}" for i in range(4)])


if __name__ == "__main__":
    main()
