"""The canvas of one clip: its camera, its light, and the blending helpers.

Lengths are measured in frame heights, so the same scene can be painted at any size; edges are anti-aliased from
signed distances.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grammar import Scene

SKY = {  # top, bottom
    "dawn": ((0.50, 0.60, 0.86), (1.00, 0.78, 0.76)),
    "day": ((0.22, 0.56, 0.95), (0.74, 0.90, 1.00)),
    "sunset": ((0.42, 0.20, 0.46), (1.00, 0.52, 0.16)),
    "night": ((0.02, 0.04, 0.14), (0.09, 0.13, 0.33)),
}
LIGHT = {
    "dawn": (0.96, 0.86, 0.92), "day": (1.0, 1.0, 1.0), "sunset": (0.95, 0.68, 0.58), "night": (0.34, 0.38, 0.58),
}
ACTOR_LIGHT = {
    "dawn": (1.0, 0.97, 0.98), "day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.92, 0.88), "night": (0.84, 0.84, 0.90),
}

f32 = np.float32
#: The theatre owns this many painted sets: a seed picks one, which fixes silhouettes, clouds and sun.
BACKDROPS = 4


def hash01(n, salt=0.0):
    """A cheap repeatable hash of (arrays of) integers to [0, 1)."""
    x = np.sin(np.asarray(n, np.float64) * 127.1 + salt * 311.7 + 0.5) * 43758.5453
    return (x - np.floor(x)).astype(f32)


def triangle_wave(x):
    """Triangle wave in [0, 1] of period 1."""
    return np.abs(2.0 * (x - np.floor(x)) - 1.0)


class Stage:
    """The canvas of one clip, its camera, and the blending helpers."""

    def __init__(self, scene: Scene, frames: int, width: int, height: int, fps: float, at: Sequence[int] | None = None):
        self.rng = np.random.default_rng([31, scene.seed % BACKDROPS])
        self.seconds = seconds = frames / fps
        moments = np.arange(frames) if at is None else np.asarray(at)
        self.T, self.W, self.H = len(moments), width, height
        self.aspect = width / height
        self.px = f32(1.0 / height)
        self.t = (moments / fps).astype(f32)  # seconds
        self.v = ((np.arange(height) + 0.5) / height).astype(f32)
        self.u = ((np.arange(width) + 0.5) / height).astype(f32)
        self.img = np.empty((3, self.T, height, width), f32)  # planes: numpy is three times faster on them
        self.cast = np.zeros((self.T, height, width), f32)  # what the actors cover
        pan = 0.30 * {"left": -1.0, "right": 1.0}.get(scene.camera, 0.0)
        self.pan = (pan * (self.t - seconds / 2)).astype(f32)  # how far the camera has gone from its middle
        self.cam_x = (self.pan + float(self.rng.uniform(0, 40))).astype(f32)
        rate = 0.20 * {"in": 1.0, "out": -1.0}.get(scene.camera, 0.0)
        self.zoom = np.exp(rate * (self.t - (0 if rate >= 0 else seconds))).astype(f32)
        self.horizon = f32(self.rng.uniform(0.56, 0.60))
        self.pivot = (f32(self.aspect / 2), f32(0.55))

    def world(self, depth):
        """World x (T, W) and y (T, H) seen at each pixel by a layer of this parallax."""
        z = 1.0 + (self.zoom - 1.0) * f32(depth)
        x = (self.u[None] - self.pivot[0]) / z[:, None] + self.pivot[0] + (self.cam_x * f32(depth))[:, None]
        y = (self.v[None] - self.pivot[1]) / z[:, None] + self.pivot[1]
        return x.astype(f32), y.astype(f32), z.astype(f32)

    def blend(self, color, alpha, rows=slice(None), cols=slice(None)):
        """Lay a colour over part of the canvas with coverage alpha (broadcast to (T, h, w))."""
        color = np.asarray(color, f32)
        for plane, tone in zip(self.img, np.moveaxis(color, -1, 0)):
            part = plane[:, rows, cols]
            part += alpha * (tone - part)

    def add(self, color, alpha, rows=slice(None), cols=slice(None)):
        """Add light."""
        for plane, tone in zip(self.img, np.moveaxis(np.asarray(color, f32), -1, 0)):
            plane[:, rows, cols] += alpha * tone


def cover(distance, px):
    """Coverage of a shape from its signed distance (negative inside)."""
    return np.clip(0.5 - distance / px, 0.0, 1.0).astype(f32)


def mix(a, b, k):
    return np.asarray(a, f32) * (1 - k) + np.asarray(b, f32) * k
