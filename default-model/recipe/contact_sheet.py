"""Clips as one picture: a row of evenly spaced frames each."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw


def contact_sheet(clips, path, columns: int = 6, scale: int = 1, labels=None) -> None:
    """Write clips (T, H, W, 3) uint8 as rows of evenly spaced frames in one PNG."""
    rows = []
    for clip in clips:
        picks = np.linspace(0, len(clip) - 1, columns).round().astype(int)
        rows.append(np.concatenate([clip[i] for i in picks], axis=1))
    height = rows[0].shape[0] * scale
    band = 12 if labels else 0
    sheet = Image.new("RGB", (rows[0].shape[1] * scale, (height + band) * len(rows)), (20, 20, 20))
    pen = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        picture = Image.fromarray(row)
        if scale != 1:
            picture = picture.resize((row.shape[1] * scale, height), Image.NEAREST)
        sheet.paste(picture, (0, i * (height + band) + band))
        if labels:
            pen.text((2, i * (height + band)), labels[i], fill=(240, 240, 240))
    sheet.save(path)
