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


def threshold(false_boxes: float, cells: float, freedom: float) -> float:
    """Power over the mean that noise's boxes must exceed.

    false_boxes  wanted, per second and MHz
    cells        smoothing cells per second and MHz
    """
    rate = min(false_boxes / cells, 0.1)
    return float(gamma.isf(rate, freedom) / freedom)
