# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A signal that is on all the time and takes much of the band looks like the shape of a receiver. What it
does from row to row, or from bin to bin, tells the two apart (``lively``); under a signal the floor is a
straight line between the edges of the band."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from radiofm_ml.detect.lively import fills_the_band, is_rough
from radiofm_ml.detect.noise import Noise

_EDGE = 0.02  # of the band, on either side: there the receiver's filter falls
_PLATEAU_DB = 12.0  # above both edges of the band
_HUMP, _WIDE_BINS = (0.1, 0.7), 9  # least and most of the band; bins of a median
_BESIDE_DB = 5.0  # above the line between the edges


def without_plateau(level: np.ndarray, rows: np.ndarray, noise: Noise) -> np.ndarray:
    """The floor ``level`` (bins,) in dB without a signal that fills the band, or stands in the midst of it.
    rows: float32 (n, bins) in dB, of one gain."""
    if np.quantile(level, 0.25) - max(_edges(level)) >= _PLATEAU_DB and fills_the_band(rows, noise):
        return np.minimum(level, _line(level))
    hump = _hump(level)
    if hump is not None and is_rough(rows[:, hump], noise):
        return np.minimum(level, _line(level))
    return level


def _edges(level: np.ndarray) -> tuple[float, float]:
    edge = max(2, round(_EDGE * len(level)))
    return float(np.median(level[:edge])), float(np.median(level[-edge:]))


def _line(level: np.ndarray) -> np.ndarray:
    return np.linspace(*_edges(level), len(level), dtype=level.dtype)


def _hump(level: np.ndarray) -> np.ndarray | None:
    """Which bins stand well above the line between the edges, bool (bins,); None unless they are some, and
    the others lie near the line."""
    above = ndimage.median_filter(level, _WIDE_BINS, mode="nearest") - _line(level)
    hump = above > _PLATEAU_DB
    if not _HUMP[0] < hump.mean() < _HUMP[1] or np.median(above[~hump]) > _BESIDE_DB:
        return None
    return hump
