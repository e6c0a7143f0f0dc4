"""Teach the text encoder the words before the transformer listens to it.

    python train_text.py [--preset cpu]

The encoder learns to say, through small attention readouts that are thrown away afterwards, every attribute of the scene
that a caption describes. It takes minutes, and cross-attention then finds separable words from its first step on.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from captions import caption
from common import device, ramp, save_atomic, set_threads
from grammar import sample_scene
from hints import ACTOR, SCENE
from presets import WORK, preset
from text_encoder import make_text_encoder, tokenize
from tokenizer import load_tokenizer, train_tokenizer

#: What may be said of an actor, or that there is none.
CAST = {name: (*options, None) for name, options in ACTOR.items()}


def targets(scene) -> list[int]:
    """Class numbers of the scene's attributes, then of the first and the second actor's (or of their absence)."""
    out = [options.index(getattr(scene, name)) for name, options in SCENE.items()]
    for slot in range(2):
        actor = scene.actors[slot] if slot < len(scene.actors) else None
        out += [options.index(actor and getattr(actor, name)) for name, options in CAST.items()]
    return out


class Readouts(nn.Module):
    """One attention query and one linear layer per attribute."""

    def __init__(self, width: int):
        super().__init__()
        self.sizes = [len(o) for o in SCENE.values()] + 2 * [len(o) for o in CAST.values()]
        self.names = [*SCENE, *(f"{n} {k}" for k in (1, 2) for n in ACTOR)]
        self.queries = nn.Parameter(torch.randn(len(self.sizes), width) / width**0.5)
        self.heads = nn.ModuleList(nn.Linear(width, n) for n in self.sizes)

    def forward(self, states, mask):
        weights = (self.queries @ states.mT).masked_fill(mask[:, None] == 0, -1e4).softmax(-1)
        return [head(x) for head, x in zip(self.heads, (weights @ states).unbind(1))]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--preset", default="cpu")
    args = args.parse_args()
    cfg = preset(args.preset)
    set_threads()
    dev, root = device(), WORK / cfg["name"]
    if not (root / "tokenizer" / "tokenizer.json").exists():
        train_tokenizer(cfg, root / "tokenizer")
    tokenizer = load_tokenizer(root / "tokenizer")
    torch.manual_seed(0)
    encoder = make_text_encoder(cfg, len(tokenizer)).to(dev)
    readouts = Readouts(cfg["text"]["d_model"]).to(dev)
    opt = torch.optim.AdamW([*encoder.parameters(), *readouts.parameters()], 2e-3, betas=(0.9, 0.98), weight_decay=0.01)
    rng, steps, right = np.random.default_rng(41), cfg["text"]["steps"], []
    for step in range(steps):
        for group in opt.param_groups:
            group["lr"] = 2e-3 * ramp(step, steps, 50, 0.7)
        scenes = [sample_scene(rng) for _ in range(64)]
        ids, mask = tokenize(tokenizer, [caption(s, rng, full=True) for s in scenes], dev)
        wanted = torch.tensor([targets(s) for s in scenes], device=dev)
        with torch.autocast(dev.type, torch.bfloat16):
            out = readouts(encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
        loss = sum(F.cross_entropy(o.float(), wanted[:, i]) for i, o in enumerate(out))
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        opt.step()
        right.append([(o.argmax(1) == wanted[:, i]).float().mean().item() for i, o in enumerate(out)])
        if (step + 1) % 100 == 0:
            share = dict(zip(readouts.names, np.mean(right[-50:], 0).round(2).tolist()))
            print(f"step {step + 1} loss {loss.item():.3f} right {share}", flush=True)
    save_atomic(encoder.state_dict(), root / "text.pt")


if __name__ == "__main__":
    main()
