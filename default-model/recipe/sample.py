"""Sample the default model, and look.

    python recipe/sample.py            # contact sheets
    python recipe/sample.py --prompt "a red balloon rising over the sea"

Mode (a) is diffusers.WanPipeline as it stands. Mode (b) is a block-causal
sampler: three latent frames at a time, each block denoised with the clean
blocks before it in view, so a film can go on for as long as one likes and its
prompt can change on the way.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import text as text_side
from common import HERE, device, preset, set_threads
from scenes import contact_sheet
from wan_parallel import forward

PROMPTS = [
    "a red balloon rising over the sea at sunset, light rain, the camera pans left",
    "a rainy city street at night, a yellow bus driving right at a bus shelter, with a city skyline",
    "a white sail boat sails right on the sea at dawn, mountains in the distance",
    "a blue bird flying in circles over a green meadow on a sunny day, with rolling hills",
    "at night, a pink lantern rising over a snow field, snow falling, in front of a forest",
    "a green train rides left across the desert in daylight, mountains in the background",
    "a purple umbrella falling in a meadow in the evening, autumn leaves falling, a forest behind",
    "an orange butterfly fluttering right over the fields at night, fireflies glowing, slow zoom in",
]
STORY = (
    "a yellow bus driving right on a wet street by day, with a city skyline",
    "a yellow bus driving right on a wet street at night, rain, with a city skyline",
)


def load(folder, dtype=torch.float32):
    from diffusers import WanPipeline

    pipe = WanPipeline.from_pretrained(folder, torch_dtype=dtype).to(device())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate(pipe, prompts, seeds, cfg, steps=24, guidance=4.0, frames=None, max_length=48, output="np", batch=1):
    """Mode (a): one clip (T, H, W, 3) uint8 per prompt (or its latents), through WanPipeline."""
    clips = []
    for i in range(0, len(prompts), batch):
        few = list(prompts[i : i + batch])
        out = pipe(prompt=few, negative_prompt=[""] * len(few), height=cfg["height"], width=cfg["width"],
                   num_frames=frames or cfg["frames"], num_inference_steps=steps, guidance_scale=guidance,
                   max_sequence_length=max_length, output_type=output,
                   generator=[torch.Generator("cpu").manual_seed(s) for s in seeds[i : i + batch]]).frames
        clips.extend(out if output == "latent" else [(np.asarray(x) * 255).round().astype(np.uint8) for x in out])
    return clips


@torch.no_grad()
def causal_latents(pipe, prompts, seed, cfg, steps=12, guidance=4.0, window=2):
    """Mode (b): one prompt per block; returns normalised latents (1, C, F, h, w).

    Each block sees the last `window` clean blocks (and the text of its own
    prompt). Without a KV cache the clean part is simply recomputed.
    """
    model, dev, block = pipe.transformer, device(), cfg["block"]
    h, w, C = cfg["height"] // 8, cfg["width"] // 8, model.config.in_channels
    gen = torch.Generator().manual_seed(seed)
    sigmas = torch.linspace(1, 0, steps + 1)
    shift = pipe.scheduler.config.shift
    sigmas = shift * sigmas / (1 + (shift - 1) * sigmas)
    tokens = h * w // 4
    film, used = [], []

    def context(prompt):
        ids, mask = text_side.tokenize(pipe.tokenizer, [prompt, ""], dev)
        return text_side.encode(pipe.text_encoder, ids, mask, 48)

    texts = {p: context(p) for p in set(prompts)}
    for prompt in prompts:
        past, past_prompts = film[-window:], used[-window:]
        n = len(past)
        x = torch.randn((1, C, block, h, w), generator=gen).to(dev)
        b = torch.arange((n + 1) * block, device=dev) // block
        mask = (b[:, None] >= b[None]).repeat_interleave(tokens, 0).repeat_interleave(tokens, 1)
        # every block reads its own prompt: all prompts side by side, one per frame picked by the bias
        frame_prompts = [p for p in past_prompts + [prompt] for _ in range(block)]
        names = list(dict.fromkeys(frame_prompts))
        states = torch.cat([texts[p][0] for p in names], 1)
        bias = torch.stack([torch.cat([texts[p][1] if p == q else torch.full_like(texts[p][1], -1e4) for p in names], 1)
                            for q in frame_prompts], 1)
        for s0, s1 in zip(sigmas[:-1], sigmas[1:]):
            z = torch.cat(past + [x], 2).expand(2, -1, -1, -1, -1)
            t = torch.cat([torch.zeros(n * block), torch.full((block,), 1000 * float(s0))]).to(dev).expand(2, -1)
            v = forward(model, z.contiguous(), t, torch.arange((n + 1) * block), states, bias, mask)[:, :, n * block :]
            v = v[1:] + guidance * (v[:1] - v[1:])
            x = x + (s1 - s0) * v
        film.append(x)
        used.append(prompt)
    return torch.cat(film, 2)


@torch.no_grad()
def decode(pipe, latents):
    """Latents to a clip (T, H, W, 3) uint8 with the pipeline's own VAE."""
    c = pipe.vae.config
    mean, std = (torch.tensor(v, device=latents.device).view(1, -1, 1, 1, 1) for v in (c.latents_mean, c.latents_std))
    video = pipe.vae.decode((latents * std + mean).to(pipe.vae.dtype)).sample[0].float()
    return ((video.permute(1, 2, 3, 0).cpu().numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--preset", default="cpu")
    args.add_argument("--weights", type=Path, default=HERE.parent / "weights")
    args.add_argument("--out", type=Path, default=HERE.parent / "samples")
    args.add_argument("--prompt")
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--steps", type=int, default=24)
    args.add_argument("--guidance", type=float, default=4.0)
    args.add_argument("--only", choices=("plain", "causal"))
    args = args.parse_args()
    set_threads()
    cfg, pipe = preset(args.preset), load(args.weights)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.prompt:
        start = time.time()
        clips = generate(pipe, [args.prompt], [args.seed], cfg, args.steps, args.guidance)
        print(f"{time.time() - start:.2f}s")
        contact_sheet(clips, args.out / "prompt.png", labels=[args.prompt])
        return
    if args.only != "causal":
        start = time.time()
        clips = generate(pipe, PROMPTS, [args.seed + i for i in range(len(PROMPTS))], cfg, args.steps, args.guidance)
        print(f"plain: {(time.time() - start) / len(PROMPTS):.2f}s per clip of {cfg['frames']} frames, {args.steps} steps")
        contact_sheet(clips, args.out / "plain.png", labels=PROMPTS)
    if args.only != "plain":
        films, labels = [], []
        start = time.time()
        for i, story in enumerate(((STORY[0],) * 5 + (STORY[1],) * 5, (PROMPTS[2],) * 5 + ("a white sail boat sails right on the sea at night, fireflies, mountains in the distance",) * 5)):
            films.append(decode(pipe, causal_latents(pipe, list(story), args.seed + i, cfg)))
            labels.append(story[0] + "  >>>  " + story[-1])
        print(f"causal: {(time.time() - start) / len(films):.2f}s per film of {len(films[0])} frames")
        contact_sheet(films, args.out / "causal.png", columns=10, labels=labels)


if __name__ == "__main__":
    main()
