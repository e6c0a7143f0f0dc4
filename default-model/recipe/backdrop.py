"""The sky and the far layer: mountains, a city, a forest or hills."""

from __future__ import annotations

import numpy as np

from grammar import Scene
from stage import LIGHT, SKY, Stage, cover, f32, hash01, mix, triangle_wave

_FAR_COLOR = {"mountains": (0.46, 0.48, 0.64), "city": (0.42, 0.44, 0.54), "forest": (0.14, 0.40, 0.27), "hills": (0.46, 0.66, 0.34)}


def paint_sky(st: Stage, scene: Scene):
    top, bottom = SKY[scene.time]
    k = np.clip(st.v / st.horizon, 0, 1)[:, None]
    grad = np.asarray(top, f32) * (1 - k) + np.asarray(bottom, f32) * k
    st.img[:] = grad.T[:, None, :, None]
    rng = st.rng
    if scene.time == "night":
        for _ in range(9):
            x, y = rng.uniform(0, st.aspect), rng.uniform(0, 0.5)
            r = rng.uniform(0.011, 0.017)
            i0, i1 = int((y - 0.04) * st.H), int((y + 0.04) * st.H) + 2
            j0, j1 = int((x - 0.04) * st.H), int((x + 0.04) * st.H) + 2
            rows, cols = slice(max(i0, 0), i1), slice(max(j0, 0), j1)
            d = np.hypot(st.v[rows][:, None] - y, st.u[cols][None] - x)
            st.blend((1, 1, 0.88), cover(d - r, st.px)[None], rows, cols)
    # sun or moon
    x = rng.uniform(0.2, 0.8) * st.aspect
    y, r, color, glow = {
        "dawn": (rng.uniform(0.36, 0.46), 0.085, (1.0, 0.90, 0.68), (0.30, 0.22, 0.12)),
        "day": (rng.uniform(0.12, 0.24), 0.085, (1.0, 0.92, 0.45), (0.20, 0.17, 0.08)),
        "sunset": (rng.uniform(0.40, 0.50), 0.120, (1.0, 0.72, 0.26), (0.34, 0.16, 0.04)),
        "night": (rng.uniform(0.12, 0.26), 0.075, (0.96, 0.95, 0.84), (0.10, 0.12, 0.16)),
    }[scene.time]
    st.sun_x = x
    d = np.hypot(st.v[:, None] - y, st.u[None] - x).astype(f32)
    st.add(glow, np.exp(-((d / (2.6 * r)) ** 2))[None])
    disc = cover(d - r, st.px)
    if scene.time == "night":
        bite = np.hypot(st.v[:, None] - y + 0.02, st.u[None] - x - 0.035).astype(f32)
        disc = disc * (1 - cover(bite - r * 0.9, st.px))
    st.blend(color, disc[None])
    # a few paper clouds
    if rng.random() < 0.8:
        base = mix(bottom, (1, 1, 1), 0.55 if scene.time != "night" else 0.10)
        for _ in range(int(rng.integers(1, 4))):
            cx, cy, s = rng.uniform(0, st.aspect), rng.uniform(0.20, 0.36), rng.uniform(0.06, 0.09)
            xs = (st.u - cx).astype(f32)[None, None, :]
            ys = (st.v - cy).astype(f32)[None, :, None]
            lo, hi = int((cy - 0.14) * st.H), int((cy + 0.14) * st.H)
            rows = slice(max(lo, 0), hi)
            ys = ys[:, rows]
            d = np.minimum(np.hypot(xs, ys) - s, np.hypot(xs - 1.2 * s, ys - 0.3 * s) - 0.7 * s)
            d = np.minimum(d, np.hypot(xs + 1.2 * s, ys - 0.25 * s) - 0.75 * s)
            st.blend(base, cover(d, st.px) * f32(0.9), rows)


def _far_height(kind, x, salt):
    """Height of the far silhouette above the horizon at world x."""
    if kind == "mountains":
        a, b = hash01(1, salt), hash01(2, salt)
        return 0.06 + 0.22 * triangle_wave(x * 0.9 + a) * (0.6 + 0.4 * triangle_wave(x * 0.37 + b)) + 0.06 * triangle_wave(x * 2.3 + b)
    if kind == "hills":
        a, b = 6 * hash01(1, salt), 6 * hash01(2, salt)
        return 0.12 + 0.055 * np.sin(x * 3.0 + a) + 0.03 * np.sin(x * 5.7 + b)
    cells = x * (5.0 if kind == "forest" else 5.5)
    i = np.floor(cells)
    r = hash01(i, salt)
    if kind == "forest":
        return 0.07 + (0.09 + 0.10 * r) * (1 - np.abs(2 * (cells - i) - 1))
    gap = np.where((cells - i) > 0.88, 0.35, 1.0)
    return (0.08 + 0.27 * r) * gap


def paint_far(st: Stage, scene: Scene):
    light = np.asarray(LIGHT[scene.time], f32)
    haze = np.asarray(SKY[scene.time][1], f32)
    base = np.asarray(_FAR_COLOR[scene.far], f32) * light
    salt = st.rng.uniform(0, 9)
    rows = slice(0, int(st.horizon * st.H) + 4)
    for depth, tone, lift, extra in ((0.25, 0.55, 0.07, 3.0), (0.45, 0.12, 0.0, 0.0)):
        x, y, z = st.world(depth)
        h = _far_height(scene.far, x, salt + extra) + lift
        top = st.horizon - h
        yy = y[:, rows, None]
        alpha = cover(top[:, None, :] - yy, st.px / z[:, None, None])
        color = mix(base, haze, tone)
        st.blend(color, alpha, rows)
        if scene.far == "mountains" and extra == 0:  # snow caps
            cap = cover(np.maximum(top[:, None] - yy, yy - (st.horizon - 0.235)), st.px)
            st.blend(mix((0.97, 0.97, 1.0) * light, haze, 0.15), cap, rows)
        if scene.far == "city" and extra == 0:  # windows
            lit = scene.time in ("night", "sunset")
            cells = x * 5.5
            cu = (cells - np.floor(cells)) * 2.0
            cv = yy * 11.0
            inside = (np.abs(cu - np.floor(cu) - 0.5) < 0.27)[:, None, :] & (np.abs(cv - np.floor(cv) - 0.5) < 0.25)
            keep = hash01(np.floor(x * 5.5 * 2.0)[:, None, :] * 7 + np.floor(cv), salt) < (0.55 if lit else 0.8)
            wall = (cells - np.floor(cells) < 0.86)[:, None, :]
            a = (alpha > 0.9) & inside & keep & wall & (yy > top[:, None] + 0.02)
            st.blend((1.0, 0.85, 0.45) if lit else mix(color, (1, 1, 1), 0.35), a.astype(f32) * f32(0.9), rows)
