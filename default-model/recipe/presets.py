"""Presets, sizes and folders: what every stage needs and none of it needs torch."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: Where the stages keep what they make; `DM_WORK` moves it.
WORK = Path(os.environ.get("DM_WORK", HERE / "work"))
WEIGHTS = HERE.parent / "weights"


def preset(name: str) -> dict:
    """One preset of presets.toml as nested dicts, with its own name added."""
    with open(HERE / "presets.toml", "rb") as file:
        return {**tomllib.load(file)[name], "name": name}


def latent_frames(cfg: dict) -> int:
    """The autoencoder keeps the first frame and then one latent frame per four."""
    return (cfg["frames"] - 1) // 4 + 1
