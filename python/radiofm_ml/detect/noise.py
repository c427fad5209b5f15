# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What noise looks like in rows in dB: every tolerance of the floor comes from here, none from a row format.

The mean of ``looks`` independent periodograms of noise follows a gamma distribution of that shape.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
from scipy.special import digamma, polygamma
from scipy.stats import gamma, norm

_DB = 10 / np.log(10)
_WIDTH = 2.1  # neighbouring bins that are worth one independent value, under Hann's window
_USUAL = 1.70  # dB: the spread of seven looks, for which tolerances are stated


class Noise:
    """The distribution of a bin of a row, in dB above its mean power."""

    def __init__(self, looks: float):
        self.looks = float(looks)

    def quantile(self, share: tuple[float, ...]) -> np.ndarray:
        return _quantile(self.looks, share)

    @cached_property
    def mean(self) -> float:
        """Of the values in dB; below 0."""
        return float(_DB * (digamma(self.looks) - np.log(self.looks)))

    @cached_property
    def spread(self) -> float:
        """Standard deviation in dB."""
        return float(_DB * np.sqrt(polygamma(1, self.looks)))

    def tolerance(self, usual_db: float) -> float:
        """What ``usual_db`` of seven looks is for these."""
        return usual_db * self.spread / _USUAL

    @staticmethod
    def independent_bins(bins: int) -> float:
        """Neighbouring ``bins`` are worth so many."""
        return max(1.0, bins / _WIDTH)

    def least_mean(self, size: tuple[int, int], rows: int) -> float:
        """By how much the least mean in dB, over ``size`` rows and bins, of ``rows`` rows lies below the mean
        power."""
        independent = size[0] * self.independent_bins(size[1])
        lowest = _normal_quantile(1 / (rows / size[0] + 1))
        return float(-self.mean - self.spread / np.sqrt(independent) * lowest)


@lru_cache(maxsize=64)  # SciPy takes longer for one than detection for some rows
def _quantile(looks: float, share: tuple[float, ...]) -> np.ndarray:
    return _DB * np.log(gamma.ppf(share, looks) / looks)


@lru_cache(maxsize=64)
def _normal_quantile(share: float) -> float:
    return float(norm.ppf(share))
