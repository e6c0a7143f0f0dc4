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
    p.put(p.dark, np.maximum(np.abs(p.dx - 0.012 * np.sin(p.dy * 40 + p.t * 3)) - 0.008, np.abs(p.dy - 0.20) - 0.075))
    p.put(p.color, p.ellipse(0, 0, 0.125, 0.145))
    p.put(p.shade, p.triangle(-0.025, 0.165, 0.025, 0.165, 0, 0.13))
    p.put(p.pale(0.55), p.ellipse(-0.045 * p.facing, -0.055, 0.026, 0.038))


def _boat(p: Paper):
    p.put((0.40, 0.24, 0.14) * p.light, np.maximum(np.maximum(-p.dy, p.dy - 0.075), np.abs(p.dx) + p.dy * 0.9 - 0.175))
    p.put(p.dark, p.box(-0.01, -0.13, 0.009, 0.14))
    p.put(p.color, p.triangle(0.005, -0.27, 0.005, -0.025, 0.155, -0.025))
    p.put(p.pale(0.25), p.triangle(-0.025, -0.22, -0.025, -0.025, -0.125, -0.025))


def _bird(p: Paper):
    flap, span = 0.12 * np.sin(p.t * 4 * np.pi), np.abs(p.dx)
    for side in (-1, 1):
        wing = -flap * span / 0.17 + 0.35 * np.maximum(span - 0.10, 0)
        p.put(p.shade if side < 0 else p.color,
              np.maximum(np.abs(p.dy - wing) - 0.040 * (1.15 - span / 0.19), np.maximum(-side * p.dx, span - 0.19)))
    p.put(p.color, p.ellipse(0.01, 0.01, 0.085, 0.048))
    p.put(p.color, p.circle(0.085, -0.012, 0.036))
    p.put((0.98, 0.65, 0.15), p.triangle(0.112, -0.022, 0.112, 0.008, 0.155, -0.002))
    p.put(p.dark, p.circle(0.094, -0.02, 0.010))


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
    p.put(p.color, p.box(0, -0.085, 0.225, 0.115, 0.02))
    for k in range(4):
        p.put(LAMPLIGHT if p.time == "night" else (0.82, 0.93, 0.98), p.box(-0.155 + 0.10 * k, -0.125, 0.038, 0.038, 0.006))
    p.put(p.pale(0.45), p.box(0, -0.045, 0.225, 0.010))
    _wheels(p, (-0.13, 0.13), 0.040)
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
    across = p.dx / (0.75 + 0.25 * np.sin(p.t * 4 * np.pi))
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
    p.put(p.dark, p.box(0, 0.055, 0.009, 0.12))
    p.put(p.dark, np.maximum(np.abs(np.hypot(p.dx - 0.03, p.dy - 0.17) - 0.030) - 0.009, -(p.dy - 0.17)))
    bays = np.minimum(np.minimum(p.circle(-0.123, 0.012, 0.058), p.circle(0, 0.012, 0.058)), p.circle(0.123, 0.012, 0.058))
    canopy = np.maximum(np.maximum(p.circle(0, 0.02, 0.185), p.dy), -bays)
    p.put(p.color, canopy)
    p.put(p.shade, np.maximum(canopy, np.abs(np.abs(p.dx) - 0.062 * (1 + 0.9 * (p.dy + 0.16) / 0.16)) - 0.008))


_PAINTERS = {
    "balloon": _balloon, "boat": _boat, "bird": _bird, "car": _car, "train": _train, "fish": _fish, "ball": _ball,
    "butterfly": _butterfly, "lantern": _lantern, "umbrella": _umbrella, "bus": _bus,
}
