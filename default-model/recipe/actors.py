"""The actors: where they go, and how each is cut out of paper."""

from __future__ import annotations

import numpy as np

from grammar import COLORS, Actor, Scene
from stage import ACTOR_LIGHT, Stage, cover, f32, mix

_SCALE = {"balloon": 1.55, "boat": 1.5, "bird": 1.75, "car": 1.65, "train": 1.2, "fish": 1.6, "ball": 1.6, "butterfly": 1.75,
          "lantern": 1.65, "umbrella": 1.45, "bus": 1.3}


def _path(st: Stage, scene: Scene, actor: Actor, rng, slot: int):
    """Centre of an actor per frame, its facing (+1 right, -1 left), and its scale."""
    grounded = actor.kind in ("boat", "car", "train", "fish", "ball", "bus")
    scale = _SCALE[actor.kind] * float(rng.uniform(0.95, 1.07))
    mid = st.t - st.seconds / 2
    xc = st.aspect * float(rng.uniform(0.42, 0.58))
    if slot == 1:
        xc = st.aspect * float(rng.choice((0.25, 0.75)))
    if grounded:
        low = {"boat": 0.02, "fish": 0.12, "ball": 0.10, "car": 0.11, "train": 0.10, "bus": 0.10}[actor.kind]
        yc = st.horizon + low + 0.05 * slot
    else:
        yc = float(rng.uniform(0.40, 0.46)) - 0.10 * slot
    x = np.full(st.T, xc, f32)
    y = np.full(st.T, yc, f32)
    facing = 1.0 if rng.random() < 0.5 else -1.0
    speed = float(rng.uniform(0.40, 0.48))
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
        x, y = xc + 0.30 * np.cos(a), yc - 0.02 + 0.17 * np.sin(a)
    # The camera moves actors a little, never enough to hide their own motion.
    z = 1.0 + (st.zoom - 1.0) * 0.6
    x = x - 0.35 * st.pan
    x = (x - st.pivot[0]) * z + st.pivot[0]
    y = (y - st.pivot[1]) * z + st.pivot[1]
    return x.astype(f32), y.astype(f32), facing, (scale * z).astype(f32)


def paint_actor(st: Stage, scene: Scene, actor: Actor, slot: int):
    rng = np.random.default_rng((scene.seed + 977 * (slot + 1)) & 0x7FFFFFFF)
    x, y, facing, s = _path(st, scene, actor, rng, slot)
    reach = {"train": 0.48, "bus": 0.34}.get(actor.kind, 0.30) * float(s.max())
    r0, r1 = max(int((y.min() - reach) * st.H), 0), min(int((y.max() + reach) * st.H) + 1, st.H)
    c0, c1 = max(int((x.min() - reach) * st.H), 0), min(int((x.max() + reach) * st.H) + 1, st.W)
    if r1 <= r0 or c1 <= c0:
        return
    rows, cols = slice(r0, r1), slice(c0, c1)
    inv = (1.0 / s)[:, None, None]
    dx = (st.u[cols][None, None] - x[:, None, None]) * inv * f32(facing)
    dy = (st.v[rows][None, :, None] - y[:, None, None]) * inv
    light = np.asarray(ACTOR_LIGHT[scene.time], f32)
    color = np.asarray(COLORS[actor.color], f32) * light
    dark, px = np.asarray((0.17, 0.15, 0.20), f32), st.px * inv
    t = st.t[:, None, None]

    def circle(cx, cy, r):
        return np.hypot(dx - cx, dy - cy) - r

    def ellipse(cx, cy, a, b):
        return (np.hypot((dx - cx) / a, (dy - cy) / b) - 1) * min(a, b)

    def box(cx, cy, hx, hy, r=0.0):
        qx, qy = np.abs(dx - cx) - hx + r, np.abs(dy - cy) - hy + r
        return np.minimum(np.maximum(qx, qy), 0) + np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) - r

    def triangle(ax, ay, bx, by, cx, cy):
        out = None
        for (px0, py0), (px1, py1) in (((ax, ay), (bx, by)), ((bx, by), (cx, cy)), ((cx, cy), (ax, ay))):
            ex, ey = px1 - px0, py1 - py0
            n = float(np.hypot(ex, ey))
            d = ((dx - px0) * ey - (dy - py0) * ex) / n
            out = d if out is None else np.maximum(out, d)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area < 0:  # orient the half planes
            return triangle(ax, ay, cx, cy, bx, by)
        return out

    def put(c, d):
        alpha = cover(d, px)
        st.blend(c, alpha, rows, cols)
        np.maximum(st.cast[:, rows, cols], alpha, out=st.cast[:, rows, cols])

    kind = actor.kind
    shade = color * 0.78
    if kind == "balloon":
        put(dark, np.maximum(np.abs(dx - 0.012 * np.sin(dy * 40 + t * 3)) - 0.008, np.abs(dy - 0.20) - 0.075))
        put(color, ellipse(0, 0, 0.125, 0.145))
        put(shade, triangle(-0.025, 0.165, 0.025, 0.165, 0, 0.13))
        put(mix(color, (1, 1, 1), 0.55), ellipse(-0.045 * facing, -0.055, 0.026, 0.038))
    elif kind == "boat":
        put((0.40, 0.24, 0.14) * light, np.maximum(np.maximum(-dy - 0.0, dy - 0.075), np.abs(dx) + dy * 0.9 - 0.175))
        put(dark, box(-0.01, -0.13, 0.009, 0.14))
        put(color, triangle(0.005, -0.27, 0.005, -0.025, 0.155, -0.025))
        put(mix(color, (1, 1, 1), 0.25), triangle(-0.025, -0.22, -0.025, -0.025, -0.125, -0.025))
    elif kind == "bird":
        flap = 0.12 * np.sin(t * 4 * np.pi)
        for side in (-1, 1):
            span = np.abs(dx) * 1.0
            wing_y = -flap * span / 0.17 + 0.35 * np.maximum(span - 0.10, 0)
            w = np.maximum(np.abs(dy - wing_y) - 0.040 * (1.15 - span / 0.19), np.maximum(-side * dx, span - 0.19))
            put(shade if side < 0 else color, w)
        put(color, ellipse(0.01, 0.01, 0.085, 0.048))
        put(color, circle(0.085, -0.012, 0.036))
        put((0.98, 0.65, 0.15), triangle(0.112, -0.022, 0.112, 0.008, 0.155, -0.002))
        put(dark, circle(0.094, -0.02, 0.010))
    elif kind in ("car", "bus", "train"):
        if kind == "car":
            put(color, box(-0.01, -0.085, 0.085, 0.055, 0.03))
            put(color, box(0, -0.03, 0.165, 0.045, 0.025))
            put((0.80, 0.92, 0.98) * light, box(-0.012, -0.085, 0.060, 0.030, 0.012))
            wheels = (-0.09, 0.09)
            wr = 0.036
        elif kind == "bus":
            put(color, box(0, -0.085, 0.225, 0.115, 0.02))
            lit = (1.0, 0.93, 0.62) if scene.time == "night" else (0.82, 0.93, 0.98)
            for k in range(4):
                put(lit, box(-0.155 + 0.10 * k, -0.125, 0.038, 0.038, 0.006))
            put(mix(color, (1, 1, 1), 0.45), box(0, -0.045, 0.225, 0.010))
            wheels = (-0.13, 0.13)
            wr = 0.040
        else:
            put(color, box(0.20, -0.065, 0.12, 0.062, 0.012))
            put(shade, box(0.115, -0.105, 0.055, 0.10, 0.008))
            put((0.85, 0.93, 0.98) * light, box(0.115, -0.14, 0.032, 0.030))
            put(dark, box(0.275, -0.155, 0.020, 0.038))
            for k, cx in enumerate((-0.07, -0.275)):
                put(color if k == 0 else mix(color, (1, 1, 1), 0.25), box(cx, -0.065, 0.092, 0.070, 0.01))
                put((1.0, 0.93, 0.62) if scene.time == "night" else (0.85, 0.93, 0.98) * light, box(cx, -0.085, 0.062, 0.026))
            for k in range(3):
                age = np.mod(t * 0.9 + k / 3, 1.0)
                puff = np.hypot(dx - 0.275 + 0.28 * age, dy + 0.21 + 0.10 * age) - (0.022 + 0.040 * age)
                st.blend((0.90, 0.90, 0.92) * light, cover(puff, px) * (0.85 * (1 - age)).astype(f32), rows, cols)
            wheels = (-0.33, -0.22, -0.12, -0.02, 0.13, 0.27)
            wr = 0.030
        for w in wheels:
            put(dark, circle(w, 0.018, wr))
            put((0.75, 0.75, 0.76), circle(w, 0.018, wr * 0.42))
        if scene.time == "night" and kind != "train":
            front = 0.165 if kind == "car" else 0.225
            beam = np.exp(-((np.hypot(dx - front - 0.04, (dy + 0.02) * 1.6) / 0.07) ** 2)).astype(f32)
            st.add((0.5, 0.45, 0.25), beam, rows, cols)
    elif kind == "fish":
        wag = 0.02 * np.sin(t * 10)
        put(shade, triangle(-0.10, 0.0, -0.19, -0.075, -0.19, 0.075))
        put(color, ellipse(0, wag, 0.135, 0.072))
        put(mix(color, (1, 1, 1), 0.5), ellipse(0.0, wag + 0.032, 0.085, 0.024))
        put(shade, triangle(-0.02, -0.06, -0.07, -0.115, 0.04, -0.055))
        put((1, 1, 1), circle(0.075, -0.015, 0.020))
        put(dark, circle(0.080, -0.015, 0.011))
    elif kind == "ball":
        turn = x[:, None, None] / (0.11 * _SCALE["ball"]) * facing
        put(color, circle(0, -0.02, 0.115))
        a = np.arctan2(dy + 0.02, dx) - turn
        stripe = np.maximum(circle(0, -0.02, 0.115), 0.35 * (np.abs(np.mod(a, 2.0944) - 1.0472) - 0.42) * np.hypot(dx, dy + 0.02))
        put(mix(color, (1, 1, 1), 0.62), np.maximum(stripe, circle(0, -0.02, 0.115)))
        put(color, circle(0, -0.02, 0.035))
    elif kind == "butterfly":
        open_ = 0.75 + 0.25 * np.sin(t * 4 * np.pi)
        keep_dx = dx
        dx = keep_dx / open_
        for side in (-1, 1):
            put(color, np.hypot((dx - side * 0.085), (dy + 0.045)) - 0.082)
            put(shade, np.hypot((dx - side * 0.065), (dy - 0.060)) - 0.058)
            put(mix(color, (1, 1, 1), 0.6), np.hypot((dx - side * 0.090), (dy + 0.05)) - 0.030)
        dx = keep_dx
        put(dark, ellipse(0, 0, 0.016, 0.085))
    elif kind == "lantern":
        glow = np.exp(-((np.hypot(dx, dy) / 0.19) ** 2)).astype(f32)
        st.add(mix((0.45, 0.32, 0.12), color * 0.5, 0.5) * (1.0 if scene.time in ("night", "sunset") else 0.4), glow, rows, cols)
        put(color, box(0, 0, 0.092, 0.115, 0.045))
        st.blend(mix(color, (1.0, 0.95, 0.6), 0.65), cover(ellipse(0, 0.02, 0.05, 0.07), px) * f32(0.85), rows, cols)
        put(dark, box(0, -0.118, 0.050, 0.014))
        put(dark, box(0, 0.118, 0.042, 0.012))
        put(dark, box(0, 0.155, 0.006, 0.030))
    elif kind == "umbrella":
        put(dark, box(0, 0.055, 0.009, 0.12))
        put(dark, np.maximum(np.abs(np.hypot(dx - 0.03, dy - 0.17) - 0.030) - 0.009, -(dy - 0.17)))
        dome = np.maximum(circle(0, 0.02, 0.185), dy - 0.0)
        scallop = np.minimum(np.minimum(np.hypot(dx + 0.123, dy - 0.012), np.hypot(dx, dy - 0.012)), np.hypot(dx - 0.123, dy - 0.012)) - 0.058
        put(color, np.maximum(dome, -scallop))
        put(shade, np.maximum(np.maximum(dome, -scallop), np.abs(np.abs(dx) - 0.062 * (1 + 0.9 * (dy + 0.16) / 0.16)) - 0.008))
