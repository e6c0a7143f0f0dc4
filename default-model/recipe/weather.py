"""The weather: rain, snow, leaves and fireflies before everything else, and the cloud bank of rain and snow."""

from __future__ import annotations

import numpy as np

from grammar import Scene
from stage import LIGHT, Stage, cover, f32, hash01, mix


def paint_weather(st: Stage, scene: Scene):
    """Particles in front of everything; all repeat within one or two seconds. Rain and snow also hang a cloud bank."""
    if scene.weather == "none":
        return
    u, v, t = st.u[None, None], st.v[None, :, None], st.t[:, None, None]
    salt = st.rng.uniform(0, 9)
    dim = 0.72 if scene.time == "night" else 1.0
    if scene.weather in ("rain", "snow"):
        tone = np.asarray((0.50, 0.54, 0.62) if scene.weather == "rain" else (0.86, 0.88, 0.93), f32)
        tone = tone * mix(LIGHT[scene.time], (1, 1, 1), 0.25)
        for lift, shade in ((0.0, 0.86), (-0.055, 1.0)):
            puff = np.abs(np.sin(np.pi * (st.u * 2.2 + salt + lift * 9)))
            edge = 0.115 + lift + 0.055 * np.sqrt(puff)
            st.blend(tone * f32(shade), cover(st.v[None, :, None] - edge[None, None], st.px))
    if scene.weather == "rain":
        # A column of streaks falls by its own spacing in a quarter of a second, the time that one latent frame covers.
        cx = (u + 0.14 * v) * 5.0 + salt
        i = np.floor(cx)
        fall = (v - 0.10) / 0.40 - t * 4.0 + hash01(i, 2.0)
        f = (fall - np.floor(fall) - 0.5) * 0.40
        ox = 0.3 + 0.4 * hash01(i, 4.0)
        d = np.maximum(np.abs(cx - i - ox) / 5.0 - 0.010, np.abs(f) - 0.080)
        st.blend((0.80 * dim, 0.87 * dim, 0.98 * dim), cover(d, st.px) * f32(0.75) * (v > 0.12))
        return
    density, speed, radius = {"snow": (4.0, 0.25, 0.024), "leaves": (2.6, 0.3846, 0.062), "fireflies": (2.6, 0.0, 0.026)}[scene.weather]
    cy = (v - t * speed) * density
    j = np.floor(cy)
    row = np.mod(j, 5)
    sway = np.sin(t * 2 * np.pi + row * 1.7) * (0.12 if scene.weather == "snow" else 0.2)
    cx = u * density + sway
    i = np.floor(cx)
    n = i * 17 + row * 29
    r = hash01(n, salt)
    ox, oy = 0.3 + 0.4 * hash01(n, salt + 3), 0.3 + 0.4 * hash01(n, salt + 5)
    ddx, ddy = (cx - i - ox) / density, (cy - j - oy) / density
    if scene.weather == "snow":
        st.blend((0.97, 0.98, 1.0), cover(np.hypot(ddx, ddy) - radius, st.px) * (r < 0.8))
    elif scene.weather == "leaves":
        a = np.pi * t + r * 6
        c, s = np.cos(a), np.sin(a)
        d = np.hypot(ddx * c + ddy * s, (ddy * c - ddx * s) / 0.55) - radius
        tone = np.where((r < 0.35)[..., None], np.asarray((0.80, 0.27, 0.08), f32), np.asarray((0.85, 0.50, 0.12), f32))
        st.blend(tone * f32(dim), cover(d, st.px) * (r < 0.75))
    else:
        wob = np.hypot(ddx + 0.03 * np.sin(t * np.pi + r * 20), ddy + 0.03 * np.cos(t * np.pi + r * 30))
        pulse = (0.75 + 0.25 * np.sin(t * 2 * np.pi + r * 40)) * (r < 0.85)
        st.add((0.55, 0.52, 0.10), (np.exp(-((wob / 0.065) ** 2)) * pulse).astype(f32))
        st.blend((1.0, 0.98, 0.45), cover(wob - radius, st.px) * pulse.astype(f32))
