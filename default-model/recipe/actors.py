"""The actors, and how each is cut out of paper. A painter gets its piece of paper and glues on shape after shape."""

from __future__ import annotations

import numpy as np

from grammar import Actor, Scene
from paper import Paper
from paths import SCALE
from stage import Stage, f32, mix

GLASS, LAMPLIGHT = (0.85, 0.93, 0.98), (1.0, 0.93, 0.62)


def paint_actor(st: Stage, scene: Scene, actor: Actor, slot: int) -> None:
    paper = Paper(st, scene, actor, slot)
    if paper.seen:
        _PAINTERS[actor.kind](paper)


def _balloon(p: Paper):
    p.put(p.dark, np.maximum(np.abs(p.dx - 0.014 * np.sin(p.dy * 40)) - 0.010, np.abs(p.dy - 0.20) - 0.075))
    p.put(p.color, p.ellipse(0, 0, 0.125, 0.145))
    p.put(p.shade, p.triangle(-0.032, 0.172, 0.032, 0.172, 0, 0.13))
    p.put(p.pale(0.60), p.ellipse(-0.048 * p.facing, -0.055, 0.028, 0.042))


def _boat(p: Paper):
    p.put((0.40, 0.24, 0.14) * p.light, np.maximum(np.maximum(-p.dy, p.dy - 0.075), np.abs(p.dx) + p.dy * 0.9 - 0.175))
    p.put(p.dark, p.box(-0.01, -0.13, 0.013, 0.14))
    p.put(p.color, p.triangle(0.005, -0.27, 0.005, -0.025, 0.155, -0.025))
    p.put(p.pale(0.25), p.triangle(-0.025, -0.22, -0.025, -0.025, -0.125, -0.025))


def _wing(p: Paper, back: float, front: float, tip: float, height):
    """A triangle on the bird's back, whose tip stands `height` over it, or hangs below."""
    up = -p.dy * np.sign(height)
    span = np.abs(height) + 0.02
    rest = 1 - up / span
    return np.maximum(np.maximum(-up, up - span), np.maximum(p.dx - tip - (front - tip) * rest, tip - (tip - back) * rest - p.dx))


def _bird(p: Paper):
    height = 0.20 * np.cos(p.t * 2 * np.pi)  # the wings beat once a second
    p.put(p.shade, _wing(p, -0.03, 0.08, 0.0, 0.85 * height))
    p.put(p.shade, p.triangle(-0.06, 0.0, -0.19, -0.055, -0.17, 0.045))
    p.put(p.color, p.ellipse(0, 0.01, 0.105, 0.056))
    p.put(p.color, p.circle(0.095, -0.022, 0.046))
    p.put(p.pale(0.35), _wing(p, -0.08, 0.05, -0.065, height))
    p.put((0.98, 0.65, 0.15), p.triangle(0.128, -0.040, 0.128, 0.0, 0.185, -0.016))
    p.put(p.dark, p.circle(0.108, -0.032, 0.014))


def _wheels(p: Paper, at, radius: float):
    for x in at:
        p.put(p.dark, p.circle(x, 0.018, radius))
        p.put((0.75, 0.75, 0.76), p.circle(x, 0.018, radius * 0.42))


def _headlight(p: Paper, front: float):
    if p.time == "night":
        p.glow((0.5, 0.45, 0.25), np.hypot(p.dx - front - 0.04, (p.dy + 0.02) * 1.6), 0.07)


def _car(p: Paper):
    p.put(p.color, p.box(-0.01, -0.085, 0.085, 0.055, 0.03))
    p.put(p.color, p.box(0, -0.03, 0.165, 0.045, 0.025))
    p.put((0.80, 0.92, 0.98) * p.light, p.box(-0.012, -0.085, 0.060, 0.030, 0.012))
    _wheels(p, (-0.09, 0.09), 0.036)
    _headlight(p, 0.165)


def _bus(p: Paper):
    pane = mix((0.20, 0.27, 0.38), GLASS, 0.25 if p.time in ("dawn", "day") else 0.05)
    p.put(p.color, p.box(0, -0.090, 0.230, 0.115, 0.025))
    p.put(p.pale(0.55), p.box(0, -0.188, 0.205, 0.012, 0.006))
    for k in range(4):
        p.put(pane, p.box(-0.165 + 0.087 * k, -0.125, 0.035, 0.036, 0.006))
    p.put(pane, p.box(0.192, -0.112, 0.024, 0.050, 0.006))
    p.put(p.pale(0.55), p.box(0, -0.055, 0.230, 0.009))
    p.put((0.98, 0.96, 0.80), p.circle(0.212, -0.010, 0.016))
    _wheels(p, (-0.130, 0.125), 0.052)
    _headlight(p, 0.225)


def _train(p: Paper):
    p.put(p.color, p.box(0.20, -0.065, 0.12, 0.062, 0.012))
    p.put(p.shade, p.box(0.115, -0.105, 0.055, 0.10, 0.008))
    p.put(GLASS * p.light, p.box(0.115, -0.14, 0.032, 0.030))
    p.put(p.dark, p.box(0.275, -0.155, 0.020, 0.038))
    for k, x in enumerate((-0.07, -0.275)):
        p.put(p.color if k == 0 else p.pale(0.25), p.box(x, -0.065, 0.092, 0.070, 0.01))
        p.put(LAMPLIGHT if p.time == "night" else GLASS * p.light, p.box(x, -0.085, 0.062, 0.026))
    for k in range(3):
        age = np.mod(p.t * 0.9 + k / 3, 1.0)
        puff = np.hypot(p.dx - 0.275 + 0.28 * age, p.dy + 0.21 + 0.10 * age) - (0.022 + 0.040 * age)
        p.veil((0.90, 0.90, 0.92) * p.light, puff, (0.85 * (1 - age)).astype(f32))
    _wheels(p, (-0.33, -0.22, -0.12, -0.02, 0.13, 0.27), 0.030)


def _fish(p: Paper):
    wag = 0.02 * np.sin(p.t * 10)
    p.put(p.shade, p.triangle(-0.10, 0.0, -0.19, -0.075, -0.19, 0.075))
    p.put(p.color, p.ellipse(0, wag, 0.135, 0.072))
    p.put(p.pale(0.5), p.ellipse(0.0, wag + 0.032, 0.085, 0.024))
    p.put(p.shade, p.triangle(-0.02, -0.06, -0.07, -0.115, 0.04, -0.055))
    p.put((1, 1, 1), p.circle(0.075, -0.015, 0.020))
    p.put(p.dark, p.circle(0.080, -0.015, 0.011))


def _ball(p: Paper):
    disc = p.circle(0, -0.02, 0.115)
    p.put(p.color, disc)
    angle = np.arctan2(p.dy + 0.02, p.dx) - p.x / (0.11 * SCALE["ball"]) * p.facing  # it rolls
    stripe = 0.35 * (np.abs(np.mod(angle, 2.0944) - 1.0472) - 0.42) * np.hypot(p.dx, p.dy + 0.02)
    p.put(p.pale(0.62), np.maximum(stripe, disc))
    p.put(p.color, p.circle(0, -0.02, 0.035))


def _butterfly(p: Paper):
    across = p.dx / (0.78 + 0.22 * np.sin(p.t * 2 * np.pi))
    for side in (-1, 1):
        p.put(p.color, np.hypot((across - side * 0.085), (p.dy + 0.045)) - 0.082)
        p.put(p.shade, np.hypot((across - side * 0.065), (p.dy - 0.060)) - 0.058)
        p.put(p.pale(0.6), np.hypot((across - side * 0.090), (p.dy + 0.05)) - 0.030)
    p.put(p.dark, p.ellipse(0, 0, 0.016, 0.085))


def _lantern(p: Paper):
    bright = 1.0 if p.time in ("night", "sunset") else 0.4
    p.glow(mix((0.45, 0.32, 0.12), p.color * 0.5, 0.5) * bright, np.hypot(p.dx, p.dy), 0.19)
    p.put(p.color, p.box(0, 0, 0.092, 0.115, 0.045))
    p.veil(mix(p.color, (1.0, 0.95, 0.6), 0.65), p.ellipse(0, 0.02, 0.05, 0.07), f32(0.85))
    p.put(p.dark, p.box(0, -0.118, 0.050, 0.014))
    p.put(p.dark, p.box(0, 0.118, 0.042, 0.012))
    p.put(p.dark, p.box(0, 0.155, 0.006, 0.030))


def _umbrella(p: Paper):
    p.put(p.dark, p.box(0, 0.055, 0.013, 0.12))
    p.put(p.dark, np.maximum(np.abs(np.hypot(p.dx - 0.035, p.dy - 0.17) - 0.035) - 0.013, -(p.dy - 0.17)))
    bays = np.minimum(np.minimum(p.circle(-0.123, 0.012, 0.058), p.circle(0, 0.012, 0.058)), p.circle(0.123, 0.012, 0.058))
    canopy = np.maximum(np.maximum(p.circle(0, 0.02, 0.185), p.dy), -bays)
    p.put(p.color, canopy)
    p.put(p.shade, np.maximum(canopy, np.abs(np.abs(p.dx) - 0.062 * (1 + 0.9 * (p.dy + 0.16) / 0.16)) - 0.008))


_PAINTERS = {
    "balloon": _balloon, "boat": _boat, "bird": _bird, "car": _car, "train": _train, "fish": _fish, "ball": _ball,
    "butterfly": _butterfly, "lantern": _lantern, "umbrella": _umbrella, "bus": _bus,
}
