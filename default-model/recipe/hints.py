"""Hints: while the transformer learns, a layer in its middle must name what each cell shows.

The error of a velocity is mostly noise and says little about which word matters where. Naming the scene's attributes out of
the hidden states says it at once, so cross-attention finds the words within hundreds of steps. The layer that names them is
thrown away afterwards.
"""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F

from grammar import ACTORS, CAMERAS, COLORS, FARS, GROUNDS, MOTIONS, TIMES, WEATHERS, Scene

SCENE = {"time": TIMES, "far": FARS, "ground": GROUNDS, "weather": WEATHERS, "camera": CAMERAS, "shelter": (False, True)}
ACTOR = {"kind": tuple(ACTORS), "color": tuple(COLORS), "motion": MOTIONS}
#: What only cells that the actor covers can tell.
LOCAL = ("kind", "color")
NAMES = (*SCENE, *ACTOR)
#: Covered share from which on a token belongs to the actor.
COVERED = 0.25
#: `cross_entropy` passes over this class.
UNKNOWN = -100


def named(scene: Scene) -> list[int]:
    """Class number per attribute; those of actors are known where there is exactly one."""
    of_scene = [options.index(getattr(scene, name)) for name, options in SCENE.items()]
    if len(scene.actors) != 1:
        return of_scene + [UNKNOWN] * len(ACTOR)
    return of_scene + [options.index(getattr(scene.actors[0], name)) for name, options in ACTOR.items()]


class Hints(nn.Module):
    """A normed linear layer from hidden states to the classes of all attributes."""

    def __init__(self, width: int):
        super().__init__()
        self.sizes = [len(options) for options in (*SCENE.values(), *ACTOR.values())]
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, sum(self.sizes))

    def forward(self, hidden: torch.Tensor, wanted: torch.Tensor, cast: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy over attributes, and the share of right answers per attribute.

        hidden: (B, F, P, width); wanted: class numbers (B, F, attributes); cast: covered share of each token (B, F, P).
        """
        rows = self.head(self.norm(hidden.float())).split(self.sizes, -1)
        losses, right = [], []
        for i, (name, row) in enumerate(zip(NAMES, rows)):
            want = wanted[..., i, None].expand(cast.shape)
            if name in LOCAL:
                want = want.masked_fill(cast < COVERED, UNKNOWN)
            known = want != UNKNOWN
            total = known.sum().clamp(min=1)
            losses.append(F.cross_entropy(row.flatten(0, 2), want.flatten(), ignore_index=UNKNOWN, reduction="sum") / total)
            right.append(((row.argmax(-1) == want) & known).sum() / total)
        return torch.stack(losses).mean(), torch.stack(right).detach()
