"""The ground: a sea of paper waves, meadow, desert, snow, or a wet street with its lamps and the bus shelter."""

from __future__ import annotations

import numpy as np

from grammar import Scene
from stage import LIGHT, SKY, Stage, cover, f32, hash01, mix, triangle_wave

_GROUND_COLOR = {  # near the horizon, near the viewer
    "sea": ((0.30, 0.66, 0.80), (0.08, 0.34, 0.62)),
    "meadow": ((0.50, 0.76, 0.32), (0.26, 0.56, 0.22)),
    "desert": ((0.95, 0.80, 0.52), (0.84, 0.62, 0.34)),
    "snow": ((0.93, 0.96, 1.00), (0.76, 0.84, 0.95)),
    "street": ((0.36, 0.37, 0.42), (0.20, 0.21, 0.26)),
}


def paint_ground(st: Stage, scene: Scene):
    light = np.asarray(LIGHT[scene.time], f32)
    x, y, z = st.world(1.0)
    hz = (st.horizon - st.pivot[1]) * z + st.pivot[1]  # horizon on screen, (T,)
    st.screen_horizon = hz
    lo = max(int(hz.min() * st.H) - 2, 0)
    rows = slice(lo, st.H)
    near, far = np.asarray(_GROUND_COLOR[scene.ground][1], f32), np.asarray(_GROUND_COLOR[scene.ground][0], f32)
    yy = y[:, rows, None]
    xx = x[:, None, :]
    edge = st.horizon
    salt = st.rng.uniform(0, 9)
    if scene.ground == "meadow":
        edge = st.horizon - 0.018 * np.sin(xx * 4 + salt) - 0.012 * triangle_wave(xx * 14)
    elif scene.ground in ("desert", "snow"):
        edge = st.horizon - 0.030 * np.sin(xx * 2.6 + salt) - 0.012 * np.sin(xx * 5.1)
    alpha = cover(edge - yy, st.px)
    depth = np.clip((yy - st.horizon) / (1 - st.horizon), 0, 1)
    if scene.ground == "sea":  # let the sky colour into the water
        far = mix(far * mix(light, (1, 1, 1), 0.25), SKY[scene.time][1], 0.30)
        near = near * mix(light, (1, 1, 1), 0.25)
    elif scene.ground == "snow":
        far, near = far * mix(light, (1, 1, 1), 0.15), near * mix(light, (1, 1, 1), 0.15)
    else:
        far, near = far * light, near * light
    st.blend(far * (1 - depth[..., None]) + near * depth[..., None], alpha, rows)

    if scene.ground == "sea":
        _waves(st, scene, xx, yy, rows, far, near)
        glit = np.exp(-(((st.u - st.sun_x) / 0.10) ** 2))[None, None] * (0.5 + 0.5 * np.sin(yy * 40 + st.t[:, None, None] * 2 * np.pi))
        tint = {"dawn": (0.30, 0.22, 0.14), "day": (0.20, 0.20, 0.14), "sunset": (0.42, 0.22, 0.06), "night": (0.14, 0.15, 0.16)}[scene.time]
        st.add(tint, (glit * alpha).astype(f32), rows)
    elif scene.ground == "meadow":
        cx, cy = xx * 5.0, yy * 8.0
        i, j = np.floor(cx), np.floor(cy)
        n = i * 13 + j * 7
        r = hash01(n, salt)
        d = np.hypot(cx - i - 0.3 - 0.4 * hash01(n, salt + 1), (cy - j - 0.5) * 0.65)
        dot = ((d < 0.20) & (r < 0.3) & (yy > st.horizon + 0.06)).astype(f32)
        petal = np.where((r < 0.12)[..., None], np.asarray((1.0, 0.90, 0.55), f32), np.asarray((1.0, 0.66, 0.78), f32)) * light
        st.blend(petal, dot * alpha, rows)
    elif scene.ground == "desert":
        dune = st.horizon + 0.12 + 0.04 * np.sin(xx * 2.1 + salt * 2)
        st.blend(near * 0.92, cover(dune - yy, st.px) * f32(0.55), rows)
    elif scene.ground == "snow":
        drift = st.horizon + 0.13 + 0.035 * np.sin(xx * 1.8 + salt * 2)
        st.blend(mix(far, (1, 1, 1), 0.4 if scene.time != "night" else 0.05), cover(drift - yy, st.px) * f32(0.6), rows)
    elif scene.ground == "street":
        kerb = cover(np.abs(yy - st.horizon - 0.025) - 0.022, st.px)
        st.blend(np.asarray((0.55, 0.55, 0.58), f32) * light, kerb, rows)
        _lamps(st, scene, x, y, z, salt)
        if scene.shelter:
            _shelter(st, scene, z)
        _wet(st, scene, rows, alpha)
        dash = cover(np.abs(yy - (st.horizon + 0.31)) - 0.012, st.px) * ((xx * 1.6 - np.floor(xx * 1.6)) < 0.5)
        st.blend(np.asarray((0.85, 0.83, 0.75), f32) * mix(light, (1, 1, 1), 0.3), dash * f32(0.85), rows)


def _waves(st, scene, xx, yy, rows, far, near):
    """Rows of scalloped paper waves with pale crests; every other row drifts the other way."""
    foam = mix(near, (1, 1, 1), 0.62 if scene.time != "night" else 0.34)
    for k in range(4):
        along = np.pi * (xx * (3.6 - 0.5 * k) + (1, -1)[k % 2] * 0.5 * st.t[:, None, None] + 0.37 * k)
        top = st.horizon + 0.045 + 0.090 * k - (0.016 + 0.006 * k) * np.abs(np.sin(along))
        st.blend(mix(far, near, 0.30 + 0.23 * k), cover(top - yy, st.px), rows)
        st.blend(foam, cover(np.abs(yy - top - 0.010) - 0.010, st.px) * f32(0.85), rows)


def _lamps(st, scene, x, y, z, salt):
    """Street lamps every 1.1 heights, glowing when it is dark."""
    on = scene.time in ("night", "sunset")
    cell = x / 1.1 + salt
    dx = ((cell - np.floor(cell)) - 0.5) * 1.1  # (T, W)
    dx = dx[:, None, :]
    yy = y[:, :, None]
    top = st.horizon - 0.36
    post = cover(np.maximum(np.abs(dx) - 0.012, np.maximum(top - yy, yy - st.horizon - 0.02)), st.px)
    st.blend(np.asarray((0.16, 0.17, 0.20), f32), post)
    d = np.hypot(dx, yy - top)
    if on:
        st.add((0.75, 0.55, 0.25), np.exp(-((d / 0.10) ** 2)).astype(f32))
    st.blend((1.0, 0.93, 0.65) if on else (0.85, 0.85, 0.82), cover(d - 0.030, st.px))


def _shelter(st, scene, z):
    """The bus shelter of the rainy street: roof, glass, bench and sign, left or right of the middle."""
    cx = (st.aspect * 0.5 + float(st.rng.choice((-0.40, 0.40))) - st.pivot[0]) * z + st.pivot[0]
    cx = cx - st.pan * z
    base = (st.horizon - st.pivot[1]) * z + st.pivot[1]
    dx = ((st.u[None] - cx[:, None]) / z[:, None])[:, None, :]
    dy = ((st.v[None] - base[:, None]) / z[:, None])[:, :, None]
    lit = scene.time == "night"

    def box(x0, x1, y0, y1):
        return cover(np.maximum(np.abs(dx - (x0 + x1) / 2) - (x1 - x0) / 2, np.abs(dy - (y0 + y1) / 2) - (y1 - y0) / 2), st.px)

    frame = (0.16, 0.20, 0.27)
    st.blend((0.52, 0.76, 0.88) if lit else (0.74, 0.89, 0.95), box(-0.29, 0.29, -0.34, 0.0) * f32(0.88))
    st.blend((0.13, 0.34, 0.62), box(-0.34, 0.34, -0.40, -0.335))
    for post in (-0.29, 0.0, 0.29):
        st.blend(frame, box(post - 0.014, post + 0.014, -0.34, 0.04))
    st.blend((0.50, 0.29, 0.15), box(-0.24, 0.24, -0.11, -0.07))
    st.blend(frame, box(0.44, 0.462, -0.36, 0.04))
    st.blend((0.13, 0.34, 0.62), box(0.385, 0.515, -0.44, -0.31))
    st.blend((0.96, 0.97, 0.98), box(0.415, 0.485, -0.41, -0.34))


def _wet(st, scene, rows, alpha):
    """Mirror what stands above the street in its wet surface."""
    lo = rows.start
    for k in range(st.T):
        h = st.screen_horizon[k] * st.H + 0.045 * st.H
        target = np.arange(max(int(h), lo), st.H)
        if len(target) == 0:
            continue
        source = np.clip((2 * h - target) - 0.5, 0, st.H - 1).astype(int)
        ripple = np.round(0.012 * st.H * np.sin(target * 72.0 / st.H)).astype(int)
        mirrored = st.img[:, k, source]
        shift = (np.arange(st.W)[None] + ripple[:, None]) % st.W
        mirrored = np.take_along_axis(mirrored, shift[None], axis=2)
        st.img[:, k, target] += f32(0.30) * (mirrored - st.img[:, k, target])
