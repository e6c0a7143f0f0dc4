"""Where the actors go: the middle of the stage halfway through the clip, one way or another."""

from __future__ import annotations

import numpy as np

from grammar import Actor, Scene
from stage import Stage, f32

#: Actors are large, so that a small model sees what they are.
SCALE = {"balloon": 1.55, "boat": 1.5, "bird": 1.75, "car": 1.65, "train": 1.2, "fish": 1.6, "ball": 1.6, "butterfly": 1.75,
          "lantern": 1.65, "umbrella": 1.45, "bus": 1.5}


def path(st: Stage, scene: Scene, actor: Actor, rng, slot: int):
    """Centre of an actor per frame, its facing (+1 right, -1 left), and its scale."""
    grounded = actor.kind in ("boat", "car", "train", "fish", "ball", "bus")
    scale = SCALE[actor.kind]
    mid = st.t - st.seconds / 2
    xc = st.aspect * float(rng.uniform(0.45, 0.55))
    if slot == 1:
        xc = st.aspect * float(rng.choice((0.25, 0.75)))
    if grounded:
        low = {"boat": 0.06, "fish": 0.14, "ball": 0.16, "car": 0.19, "train": 0.16, "bus": 0.20}[actor.kind]
        yc = st.horizon + low + 0.05 * slot
    else:
        yc = 0.42 - 0.10 * slot
    x = np.full(st.T, xc, f32)
    y = np.full(st.T, yc, f32)
    facing = 1.0 if rng.random() < 0.5 else -1.0
    speed = 0.44
    if actor.motion in ("left", "right"):
        facing = 1.0 if actor.motion == "right" else -1.0
        x = xc + facing * speed * mid
        if scene.endless:
            span = st.aspect + 1.0
            x = (facing * speed * st.t + rng.uniform(0, span)) % span - 0.5
        if not grounded:
            y = y + 0.02 * np.sin(st.t * np.pi)
        elif actor.kind == "boat":
            y = y + 0.012 * np.sin(st.t * 4)
    elif actor.motion in ("up", "down"):
        sign = -1.0 if actor.motion == "up" else 1.0
        speed *= 0.58
        y = 0.42 + sign * speed * mid
        if scene.endless:
            y = (sign * speed * st.t + rng.uniform(0, 1.4)) % 1.4 - 0.25
        x = x + 0.03 * np.sin(st.t * np.pi)
    elif actor.motion == "bounce":
        height = 0.40 if actor.kind == "ball" else 0.30
        y = yc - height * np.abs(np.sin(np.pi * st.t))
    elif actor.motion == "circle":
        a = 2 * np.pi * (st.t * 0.5 + 0.25) * facing
        x, y = xc + 0.30 * np.cos(a), yc + 0.04 + 0.17 * np.sin(a)
    # The camera moves actors a little, never enough to hide their own motion.
    z = 1.0 + (st.zoom - 1.0) * 0.6
    x = x - 0.35 * st.pan
    x = (x - st.pivot[0]) * z + st.pivot[0]
    y = (y - st.pivot[1]) * z + st.pivot[1]
    return x.astype(f32), y.astype(f32), facing, (scale * z).astype(f32)
