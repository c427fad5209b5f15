# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Descriptors of a tile: what its texture is like, wherever in the tile it lies.

Numbers that need no label and that hardly change when the picture is moved in time or frequency: how levels
are spread over rows, bins and pixels, how fast they come and go (modulation spectra along time, frequency
and both), and how the middle of the energy moves. An encoder that can predict them from a part of the tile
has seen bursts, keying, carriers and hopping. The idea is that of masked feature prediction (MaskFeat,
2112.09133), with features of the whole tile.
"""

from __future__ import annotations

import numpy as np

_LEVELS = np.linspace(0.02, 0.98, 16)
_PIXEL_LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
_FLOOR = 0.1  # added to spectra before the logarithm


def count(rows: int, cols: int) -> int:
    """How many descriptors a tile has."""
    return describe(np.zeros((1, rows, cols), np.float32)).shape[1]


def describe(tiles: np.ndarray) -> np.ndarray:
    """Descriptors, float32 (N, K), of model-ready tiles of the default scale, float32 (N, rows, cols)."""
    x = np.asarray(tiles, np.float32)
    power = 10.0**x
    rows, cols = np.log10(power.mean(2) + 1e-6), np.log10(power.mean(1) + 1e-6)
    bins = np.linspace(-1, 1, x.shape[2], dtype=np.float32)
    middle = (power * bins).sum(2) / power.sum(2)  # of the energy in each row
    series = (rows, cols, x.max(2), x.max(1), 2 * x.std(2), 2 * x.std(1), middle)
    parts = [_quantiles(v, _LEVELS) for v in series]
    pixels = x.reshape(len(x), -1)[:, :: max(1, x[0].size // 8192)]
    parts.append(_quantiles(pixels, _PIXEL_LEVELS))
    parts += [_spectrum(v) for v in (rows, cols, 4 * middle)]
    parts.append(_spectrum_2d(x))
    return np.concatenate(parts, 1).astype(np.float32)


def _quantiles(values: np.ndarray, levels) -> np.ndarray:
    """(N, n) -> (N, len(levels)), the nearest of the sorted values."""
    at = np.round(np.asarray(levels) * (values.shape[1] - 1)).astype(int)
    return np.sort(values, 1)[:, at]


def _bands(n: int, count: int) -> np.ndarray:
    """Edges of bands that widen geometrically, from 1 to n."""
    return np.unique(np.round(np.geomspace(1, n, count)).astype(int))


def _spectrum(series: np.ndarray) -> np.ndarray:
    """Logarithm of the power of a series (N, n) in bands of its frequency: (N, bands)."""
    n = series.shape[1]
    centred = (series - series.mean(1, keepdims=True)) * np.hanning(n).astype(np.float32)
    power = np.abs(np.fft.rfft(centred, axis=1)) ** 2
    edges = _bands(power.shape[1], 15)
    pooled = np.add.reduceat(power, edges[:-1], 1)[:, : len(edges) - 1] / np.diff(edges)
    return np.log10(pooled + _FLOOR)


def _spectrum_2d(x: np.ndarray) -> np.ndarray:
    """Logarithm of the power in bands of both modulation frequencies, their signs set aside: (N, bands)."""
    n, height, width = x.shape
    power = np.abs(np.fft.rfft2(x - x.mean((1, 2), keepdims=True))) ** 2  # (N, height, width/2 + 1)
    half = height // 2
    folded = power[:, :half].copy()
    folded[:, 1:] += power[:, : half : -1]
    down = np.r_[0, 2 ** np.arange(int(np.log2(half)) + 1)]
    across = np.r_[0, 2 ** np.arange(int(np.log2(width // 2)) + 1)]
    pooled = np.add.reduceat(np.add.reduceat(folded, down[:-1], 1), across[:-1], 2)
    area = np.diff(down)[:, None] * np.diff(np.r_[across[:-1], power.shape[2]])
    return 0.5 * np.log10(pooled / area + 1).reshape(n, -1)
