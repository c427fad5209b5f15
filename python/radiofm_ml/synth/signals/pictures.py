# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Stand-ins for what cameras see: smooth texture at several scales, with edges of a few plain shapes."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import zoom

Rng = np.random.Generator


def picture(rng: Rng, height: int, width: int) -> np.ndarray:
    """A grey picture: float32 (height, width), 0 black to 1 white."""
    out = np.zeros((height, width), np.float32)
    for cells in (3, 9, 27, 81):
        rows, columns = min(cells, height), min(cells, width)
        knots = rng.standard_normal((rows + 1, columns + 1)).astype(np.float32)
        scale = (height + 1) / (rows + 1), (width + 1) / (columns + 1)
        out += zoom(knots, scale, order=1)[:height, :width] / cells**0.6
    y, x = np.mgrid[:height, :width] / np.array([[[height]], [[width]]])
    for _ in range(int(rng.integers(1, 6))):
        cy, cx, ry, rx = rng.uniform([0, 0, 0.03, 0.03], [1, 1, 0.3, 0.3])
        round_one = rng.random() < 0.5
        a, b = np.abs(y - cy) / ry, np.abs(x - cx) / rx
        inside = a**2 + b**2 < 1 if round_one else np.maximum(a, b) < 1
        out[inside] = 0.3 * out[inside] + rng.normal(0, 1)
    low, high = np.percentile(out, [1, 99])
    return np.clip((out - low) / max(high - low, 1e-6), 0, 1)


def colour_picture(rng: Rng, height: int, width: int) -> np.ndarray:
    """float32 (height, width, 3): red, green, blue, 0 to 1; with most shapes in common."""
    grey = picture(rng, height, width)
    warm = 0.7 * (picture(rng, height, width) - 0.5)
    return np.clip(np.stack([grey + warm, grey, grey - warm], axis=-1), 0, 1)
