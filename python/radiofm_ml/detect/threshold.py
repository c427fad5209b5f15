# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How high the map must rise somewhere in a box, so that noise makes boxes at a stated rate.

The map is noise power over its mean, averaged over ``looks`` periodograms, rows and bins, which follow a
gamma distribution. Neighbours are not independent, since windows overlap in time and in frequency; how many
independent ones there are follows from the window's autocorrelation (P. D. Welch, "The use of fast Fourier
transform for the estimation of power spectra", IEEE Trans. Audio and Electroacoustics 15(2), 1967).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import gamma


def independent(count: int, correlation: Callable[[int], float]) -> float:
    """How many independent values ``count`` neighbours are worth. correlation: function of their distance."""
    others = sum((1 - k / count) * correlation(k) for k in range(1, count))
    return count / (1 + 2 * others)


def independent_rows(window: np.ndarray, hop: int, count: int) -> float:
    """Of ``count`` periodograms ``hop`` samples apart."""
    energy = np.sum(window**2)

    def correlation(k: int) -> float:
        shift = k * hop
        return 0.0 if shift >= len(window) else float(np.sum(window[shift:] * window[:-shift]) / energy) ** 2

    return independent(count, correlation)


def independent_bins(window: np.ndarray, count: int) -> float:
    """Of ``count`` neighbouring bins of one periodogram."""
    spectrum = np.fft.fft(window**2)
    return independent(count, lambda k: float(abs(spectrum[k]) / abs(spectrum[0])) ** 2)


# A map's highest points are correlated over more than a cell, boxes that are too small are left out, and the
# floor is an estimate. Measured in simulated noise behind a receiver's filter, 24 to 60 s MHz of each
# averaging: one box comes to so many cells, and the tail is that of so large a share of the values, for rates
# up to 1 and of 10 per second and MHz, by the looks of a row. ``bench/false_boxes.py`` measures
# what comes of it.
_CELLS = 0.15
_LOOKS = (1.0, 1.95, 3.84, 7.63, 15.2)
_SHARE = (0.56, 0.642, 0.642, 0.674, 0.769), (0.49, 0.579, 0.591, 0.9, 1.45)


def threshold(false_boxes: float, cells: float, freedom: float, looks: float) -> float:
    """Power over the mean that noise's boxes must exceed.

    false_boxes  wanted, per second and MHz
    cells        smoothing cells per second and MHz
    freedom      independent values in a cell
    looks        independent periodograms in a row
    """
    usual, many = (np.interp(np.log(looks), np.log(_LOOKS), share) for share in _SHARE)
    share = np.interp(np.log10(false_boxes), (0, 1), (usual, many))
    rate = min(false_boxes / (_CELLS * cells), 0.1)
    return float(gamma.isf(rate, freedom * share) / (freedom * share))
