"""Clips out of a model folder, in both modes.

Plain is diffusers' WanPipeline as it stands. Block-causal denoises three latent frames at a time with the clean blocks
before them in view, so a film can go on for as long as one likes and its prompt can change on the way.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from common import device, to_pixels
from latents import statistics
from text_encoder import PROMPT_LENGTH, encode, tokenize
from wan_parallel import forward

#: Clean blocks that a block looks back at.
WINDOW = 2


def load(folder: Path):
    """The pipeline in f32, and the settings that it was made for."""
    from diffusers import WanPipeline

    pipe = WanPipeline.from_pretrained(folder, dtype=torch.float32).to(device())
    pipe.set_progress_bar_config(disable=True)
    return pipe, json.loads((Path(folder) / "generation.json").read_text())


def noise(settings: dict, seeds, channels: int, latent_frames: int) -> torch.Tensor:
    """Standard normal latents, one generator per seed, so that a batch gives what single clips give."""
    shape = (channels, latent_frames, settings["height"] // 8, settings["width"] // 8)
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(int(s))) for s in seeds]).to(device())


def plain_latents(pipe, settings: dict, prompts, seeds, batch: int = 8) -> torch.Tensor:
    """Latents (B, C, t, h, w) of whole clips through WanPipeline."""
    frames = (settings["num_frames"] - 1) // 4 + 1
    rows = []
    for i in range(0, len(prompts), batch):
        few = list(prompts[i : i + batch])
        start = noise(settings, seeds[i : i + batch], pipe.transformer.config.in_channels, frames)
        with torch.autocast(device().type, torch.bfloat16):
            rows.append(pipe(
                prompt=few, negative_prompt=[""] * len(few), height=settings["height"], width=settings["width"],
                num_frames=settings["num_frames"], num_inference_steps=settings["num_inference_steps"],
                guidance_scale=settings["guidance_scale"], max_sequence_length=settings["max_sequence_length"],
                latents=start, output_type="latent").frames.float())
    return torch.cat(rows)


@torch.no_grad()
def causal_latents(pipe, settings: dict, stories, seeds, block: int, batch: int = 8) -> torch.Tensor:
    """Latents of films, one prompt per block: `stories` is a list of equally long lists of prompts.

    Without a cache of keys and values the clean blocks are simply computed again.
    """
    return torch.cat([_films(pipe, settings, stories[i : i + batch], seeds[i : i + batch], block) for i in range(0, len(stories), batch)])


def _films(pipe, settings, stories, seeds, block):
    model, dev, guidance = pipe.transformer, device(), settings["guidance_scale"]
    steps, shift = settings["num_inference_steps"], pipe.scheduler.config.shift
    sigmas = torch.linspace(1, 0, steps + 1)
    sigmas = shift * sigmas / (1 + (shift - 1) * sigmas)
    count, length = len(stories), len(stories[0])
    tokens = settings["height"] * settings["width"] // 256
    fresh = noise(settings, seeds, model.config.in_channels, block * length)

    def read(prompts):
        return encode(pipe.text_encoder, *tokenize(pipe.tokenizer, prompts, dev), PROMPT_LENGTH)

    texts = [read([story[i] for story in stories]) for i in range(length)]
    nothing = read([""] * count)
    film = []
    for now in range(length):
        past = film[-WINDOW:]
        seen = range(now - len(past), now + 1)
        frames = block * len(seen)
        b = torch.arange(frames, device=dev) // block
        mask = (b[:, None] >= b[None]).repeat_interleave(tokens, 0).repeat_interleave(tokens, 1)
        # Every block reads its own prompt: all prompts stand side by side, and the bias picks one per frame.
        states = torch.cat([texts[i][0] for i in seen], 1)
        bias = torch.stack([torch.cat([texts[i][1] if i == j else torch.full_like(texts[i][1], -1e4) for i in seen], 1)
                            for j in seen for _ in range(block)], 1)
        pad = states.shape[1] - nothing[0].shape[1]
        empty = torch.nn.functional.pad(nothing[0], (0, 0, 0, pad))
        empty_bias = torch.nn.functional.pad(nothing[1], (0, pad), value=-1e4)[:, None].expand(-1, frames, -1)
        both, both_bias = torch.cat([states, empty]), torch.cat([bias, empty_bias])
        x = fresh[:, :, now * block : (now + 1) * block]
        for here, there in zip(sigmas[:-1], sigmas[1:]):
            z = torch.cat([*past, x], 2).repeat(2, 1, 1, 1, 1)
            times = torch.cat([torch.zeros(frames - block), torch.full((block,), 1000 * float(here))]).to(dev).expand(2 * count, -1)
            with torch.autocast(dev.type, torch.bfloat16):
                v = forward(model, z, times, torch.arange(frames), both, both_bias, mask)[:, :, frames - block :]
            yes, no = v.chunk(2)
            x = x + (there - here) * (no + guidance * (yes - no))
        film.append(x)
    return torch.cat(film, 2)


@torch.no_grad()
def decode(pipe, latents: torch.Tensor) -> list[np.ndarray]:
    """uint8 clips (T, H, W, 3) of normalised latents, with the pipeline's own autoencoder."""
    from vae_parallel import decode as decode_whole

    mean, std = statistics(pipe.vae, latents.device)
    clips = []
    for z in latents:
        with torch.autocast(latents.device.type, torch.bfloat16):
            clips.append(to_pixels(decode_whole(pipe.vae, z[None] * std + mean).float())[0])
    return clips
