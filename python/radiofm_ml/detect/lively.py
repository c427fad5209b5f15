# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Is what is always on noise? The power of noise changes from row to row by as much as chance wants, whatever
the receiver's filter makes of its spectrum; that of symbols, pulses, frames and keyed carriers by more.

So the shape of a receiver is told from a signal that fills it, where shape alone cannot (the radiometer's
statistics; H. Urkowitz, "Energy detection of unknown deterministic signals", Proc. IEEE 55(4), 1967).
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.detect.kernels import column_ranks, row_quantiles
from radiofm_ml.detect.noise import Noise

_LEAST_ROWS = 10
_ENOUGH = 96  # rows for what is usual of a bin
_MIDDLE = 0.8  # of the band: its edges are the receiver's
MEDIAN = 1.25  # spread of the median of many values, over that of their mean
_FLUTTER = 1.6  # times what noise has (0.5 to 0.8 of it was seen in simulated noise) …
_FLUTTER_ROWS = 1.0  # … and so much over the root of the rows more, where few tell
_APART = 3  # bins that are independent
_FEW_ROWS = 64
_ROUGH_DB, _ROUGH = 3.0, 1.6  # the bend of the mean spectrum over so many bins; times what noise has
_KEYED, _KEYED_DB = 3.0, 1.0  # how far a line falls at times: in what a constant one does, and in dB
_LOPSIDED = 2.5  # times as far as it rises


def fills_the_band(rows: np.ndarray, noise: Noise) -> bool:
    """Does most of the band flutter together, or change from bin to bin, more than noise behind a receiver's
    filter does? rows: float32 (n, bins) in dB, of one gain."""
    n, bins = rows.shape
    if n < _LEAST_ROWS:
        return False
    edge = round((1 - _MIDDLE) / 2 * bins)
    inside = slice(edge, bins - edge)
    return _flutters(rows, inside, noise) or len(rows) <= _FEW_ROWS and is_rough(rows[:, inside], noise)


def usual_spread(values: np.ndarray) -> float:
    """Their standard deviation, without what is rare."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _flutters(rows: np.ndarray, inside: slice, noise: Noise) -> bool:
    """Steps of the gain are rare and its drift is slow: the usual difference of two rows tells of neither."""
    some = rows[::max(1, len(rows) // _ENOUGH)]
    usual = column_ranks(some, (len(some) // 2,))[0]
    columns = np.zeros(rows.shape[1], bool)
    columns[inside] = True
    together = row_quantiles(rows, 0.5, usual, columns)
    expected = noise.spread * MEDIAN / np.sqrt(noise.independent_bins(inside.stop - inside.start))
    most = expected * (_FLUTTER + _FLUTTER_ROWS / np.sqrt(len(rows)))
    return usual_spread(np.diff(together)) / np.sqrt(2) > most


def is_rough(rows: np.ndarray, noise: Noise) -> bool:
    """A filter's response bends little over a few bins; that of few symbols on many carriers does. Of many
    rows the carriers average out, and a ripple of the receiver counts more."""
    mean = rows.mean(axis=0)
    bend = mean[:-2 * _APART] - 2 * mean[_APART:-_APART] + mean[2 * _APART:]
    rough = max(_ROUGH_DB, _ROUGH * noise.spread * np.sqrt(6 / len(rows)))
    return usual_spread(bend) > rough


def is_keyed(rows: np.ndarray, line: slice, floor: np.ndarray, noise: Noise) -> bool:
    """Does a line that is always on change its level? rows: float32 (n, bins) in dB, without what the gain
    does; floor: (bins,) in dB, of the noise under the line."""
    if len(rows) < 2 * _LEAST_ROWS:
        return False
    level = rows[:, line].max(axis=1)
    above = 10 ** ((np.median(level) - floor[line].min()) / 10)
    expected = noise.spread * np.sqrt(2 * above + 1) / (above + 1)  # of a constant line in noise
    low, middle, high = np.quantile(level, (0.05, 0.5, 0.95))
    # A receiver's own line may be as noisy as noise, which falls hardly farther than it rises.
    falls = middle - low > max(_KEYED_DB, _KEYED * 1.645 * expected)
    return bool(falls and middle - low > _LOPSIDED * (high - middle))
