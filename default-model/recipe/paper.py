"""A piece of coloured paper on its way across the stage: the shapes that actors are cut into, as signed distances."""

from __future__ import annotations

import numpy as np

from grammar import COLORS, Actor, Scene
from paths import path
from stage import ACTOR_LIGHT, Stage, cover, f32, mix


class Paper:
    """One actor's part of the canvas, with coordinates around its centre: `dx` forwards, `dy` down, in its own size."""

    def __init__(self, st: Stage, scene: Scene, actor: Actor, slot: int):
        rng = np.random.default_rng((scene.seed + 977 * (slot + 1)) & 0x7FFFFFFF)
        x, y, self.facing, s = path(st, scene, actor, rng, slot)
        reach = {"train": 0.48, "bus": 0.34}.get(actor.kind, 0.30) * float(s.max())
        r0, r1 = max(int((y.min() - reach) * st.H), 0), min(int((y.max() + reach) * st.H) + 1, st.H)
        c0, c1 = max(int((x.min() - reach) * st.H), 0), min(int((x.max() + reach) * st.H) + 1, st.W)
        self.stage, self.rows, self.cols = st, slice(r0, r1), slice(c0, c1)
        self.seen = r1 > r0 and c1 > c0
        inv = (1.0 / s)[:, None, None]
        self.x = x[:, None, None]
        self.dx = (st.u[self.cols][None, None] - self.x) * inv * f32(self.facing)
        self.dy = (st.v[self.rows][None, :, None] - y[:, None, None]) * inv
        self.px = st.px * inv
        self.t = st.t[:, None, None]
        self.time = scene.time
        self.light = np.asarray(ACTOR_LIGHT[scene.time], f32)
        self.color = np.asarray(COLORS[actor.color], f32) * self.light
        self.shade = self.color * 0.78
        self.dark = np.asarray((0.17, 0.15, 0.20), f32)

    def pale(self, k: float):
        """The actor's colour, mixed with white."""
        return mix(self.color, (1, 1, 1), k)

    def put(self, color, distance) -> None:
        """Glue on a shape."""
        alpha = cover(distance, self.px)
        self.stage.blend(color, alpha, self.rows, self.cols)
        cast = self.stage.cast[:, self.rows, self.cols]
        np.maximum(cast, alpha, out=cast)

    def veil(self, color, distance, strength) -> None:
        """Lay a translucent shape over it, which is no part of the actor."""
        self.stage.blend(color, cover(distance, self.px) * strength, self.rows, self.cols)

    def glow(self, color, distance, width: float) -> None:
        """Light around it."""
        self.stage.add(color, np.exp(-((distance / width) ** 2)).astype(f32), self.rows, self.cols)

    def circle(self, cx, cy, r):
        return np.hypot(self.dx - cx, self.dy - cy) - r

    def ellipse(self, cx, cy, a, b):
        return (np.hypot((self.dx - cx) / a, (self.dy - cy) / b) - 1) * min(a, b)

    def box(self, cx, cy, hx, hy, r=0.0):
        """Half sides hx and hy, corners of radius r."""
        qx, qy = np.abs(self.dx - cx) - hx + r, np.abs(self.dy - cy) - hy + r
        return np.minimum(np.maximum(qx, qy), 0) + np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) - r

    def triangle(self, ax, ay, bx, by, cx, cy):
        if (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < 0:  # the other way round
            bx, by, cx, cy = cx, cy, bx, by
        out = None
        for (x0, y0), (x1, y1) in (((ax, ay), (bx, by)), ((bx, by), (cx, cy)), ((cx, cy), (ax, ay))):
            ex, ey = x1 - x0, y1 - y0
            d = ((self.dx - x0) * ey - (self.dy - y0) * ex) / float(np.hypot(ex, ey))
            out = d if out is None else np.maximum(out, d)
        return out
