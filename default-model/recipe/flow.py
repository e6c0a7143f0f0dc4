"""Flow matching in two modes: x_s = (1 - s) x_0 + s e, and the network predicts e - x_0 at time 1000 s.

Plain: one noise level per clip, every frame sees every frame (whole clips, and stills). Block-causal: a clean copy of
the clip is followed by a noisy one; noisy block i sees the clean blocks before it and itself, and some clips change
their prompt at a block boundary. Cells that actors cover weigh more.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from captions import caption
from hints import UNKNOWN, Hints, named
from text_encoder import PADDED_LENGTHS, encode, tokenize
from wan_parallel import causal_mask, forward

NO_TEXT = 0.1  # share of examples without a prompt, for guidance
FULL_CAPTIONS = 0.6  # share of captions that leave nothing out
HIDE_FIRST = 0.4  # share of causal steps whose history begins in the middle of a film


def draw_sigma(shape, shift, generator):
    """Logit-normal noise levels (one in ten uniform), moved towards noise by `shift`."""
    u = torch.sigmoid(torch.randn(shape, generator=generator))
    flat = torch.rand(shape, generator=generator)
    u = torch.where(torch.rand(shape, generator=generator) < 0.1, flat, u)
    return shift * u / (1 + (shift - 1) * u)


class Flow:
    """The losses of one model on cached latents."""

    def __init__(self, cfg, model, encoder, tokenizer, dev, run_block):
        self.cfg, self.model, self.encoder, self.tokenizer, self.dev, self.run_block = cfg, model, encoder, tokenizer, dev, run_block
        tokens = cfg["height"] * cfg["width"] // 256
        self.frames = (cfg["frames"] - 1) // 4 + 1
        self.hints = Hints(model.config.num_attention_heads * model.config.attention_head_dim).to(dev)
        self.tap = len(model.blocks) // 2 + 1
        self.masks = [causal_mask(self.frames, cfg["block"], tokens, dev, hide) for hide in (False, True)]

    def words(self, scenes, drop, rng):
        lines = ["" if d else caption(s, rng, bool(rng.random() < FULL_CAPTIONS)) for s, d in zip(scenes, drop)]
        return tokenize(self.tokenizer, lines, self.dev)

    def states(self, ids, mask, rng):
        length = 512 if rng.random() < self.cfg["dit"]["long_padding"] else int(rng.choice(PADDED_LENGTHS))
        return encode(self.encoder, ids, mask, length)

    def plain(self, data, batch: int, shift: float, rng, gen):
        """Every frame sees every frame, one noise level per clip."""
        pick = rng.choice(data.plain, batch)
        scenes, drop = [data.records[i][0] for i in pick], rng.random(batch) < NO_TEXT
        ids, mask = self.words(scenes, drop, rng)
        states, bias = self.states(ids, mask, rng)
        x0 = data.z[pick].to(self.dev).float()
        sigma = draw_sigma((batch, 1), shift, gen).to(self.dev).expand(batch, x0.shape[2])
        wanted = self.wanted(scenes, drop)[:, None].expand(-1, x0.shape[2], -1)
        return self.loss(x0, x0, data.cast[pick], wanted, sigma, torch.arange(x0.shape[2]), states, bias[:, None], None, 0, gen)

    def causal(self, data, batch: int, shift: float, rng, gen):
        """Clean blocks, then noisy blocks that look back at them."""
        frames, block = self.frames, self.cfg["block"]
        share = min(self.cfg["switch_share"] * 1.4, 0.5) if len(data.switched) else 0.0
        pick = np.where(rng.random(batch) < share, rng.choice(data.switched, batch), rng.choice(data.plain, batch))
        chosen = [data.records[i] for i in pick]
        drop = rng.random(batch) < NO_TEXT
        ids, mask = self.words([r[0] for r in chosen], drop, rng)
        two, two_mask = ids.clone(), mask.clone()
        changed = np.flatnonzero([r[1] is not None for r in chosen])
        if len(changed):
            rows = torch.as_tensor(changed, device=self.dev)
            two[rows], two_mask[rows] = self.words([chosen[i][1] for i in changed], drop[changed], rng)
        states, bias = self.states(torch.cat([ids, two]), torch.cat([mask, two_mask]), rng)
        states = torch.cat(states.chunk(2), 1)  # both prompts side by side; the bias picks one per frame
        at = torch.tensor([r[2] * block if r[1] is not None else frames for r in chosen], device=self.dev)
        late = torch.arange(frames, device=self.dev)[None] >= at[:, None]  # (B, F)
        one, two = (b[:, None].expand(-1, frames, -1) for b in bias.chunk(2))
        off = torch.full_like(one, -1e4)
        pair = torch.cat([torch.where(late[..., None], off, one), torch.where(late[..., None], two, off)], -1)
        first, second = self.wanted([r[0] for r in chosen], drop), self.wanted([r[1] or r[0] for r in chosen], drop)
        wanted = torch.where(late[..., None], second[:, None], first[:, None])
        x0 = data.z[pick].to(self.dev).float()
        sigma = draw_sigma((batch, frames // block), shift, gen).to(self.dev).repeat_interleave(block, 1)
        # A trace of noise on half of the histories: the sampler's own history is never perfect.
        level = (batch, 1, 1, 1, 1)
        dirt = (0.08 * torch.rand(level, generator=gen) * (torch.rand(level, generator=gen) < 0.5)).to(self.dev)
        clean = (1 - dirt) * x0 + dirt * torch.randn(x0.shape, generator=gen).to(self.dev)
        hide = self.masks[int(rng.random() < HIDE_FIRST)]
        return self.loss(x0, clean, data.cast[pick], wanted, sigma, torch.arange(frames).repeat(2), states, pair.repeat(1, 2, 1), hide, frames, gen)

    def wanted(self, scenes, drop) -> torch.Tensor:
        """Class numbers (B, attributes) for the hints; nothing is known of a scene without its prompt."""
        rows = torch.tensor([named(scene) for scene in scenes], device=self.dev)
        return rows.masked_fill(torch.as_tensor(drop, device=self.dev)[:, None], UNKNOWN)

    def loss(self, x0, clean, cast, wanted, sigma, positions, states, bias, mask, history, gen) -> tuple[torch.Tensor, dict]:
        """Weighted velocity error of the noisy frames, with the hints; `history` clean frames go before them.

        Beside the loss come its plain parts: the velocity's error and the share of right hints per attribute.
        """
        noise = torch.randn(x0.shape, generator=gen).to(self.dev)
        s = sigma[:, None, :, None, None]
        x, times = (1 - s) * x0 + s * noise, sigma * 1000
        if history:
            x, times = torch.cat([clean, x], 2), torch.cat([torch.zeros_like(times), times], 1)
        with torch.autocast(self.dev.type, torch.bfloat16):
            v, hidden = forward(self.model, x, times, positions, states, bias, mask, self.run_block, self.tap)
        cover = cast.to(self.dev).float() / 255
        weight = 1 + self.cfg["dit"]["actor_weight"] * cover[:, None]
        error = (v[:, :, history:] - (noise - x0)).pow(2)
        hint, right = self.hints(hidden[:, history:], wanted, F.avg_pool2d(cover, 2).flatten(2))
        loss = (error * weight).mean() / weight.mean() + self.cfg["dit"]["hint_weight"] * hint
        return loss, {"error": error.mean().item(), "right": right.cpu().numpy()}
