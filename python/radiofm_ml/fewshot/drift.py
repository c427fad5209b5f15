# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Has the receiver, the antenna or the channel changed since the labels were taught? A test at a stated rate.

It sees the p-values of ``fewshot`` only, no labels: of a known signal they are uniform or larger (Vovk et
al., 2005), and once something has changed all of them fall. Three things must not set it off:

    unknown signals   have small p-values too: up to a share UNKNOWN_SHARE of the tiles may be of such.
    dependence        neighbouring tiles are alike: what happens within a block of BLOCK tiles is one
                      observation, whatever their dependence.
    patience          it looks again after every block, for ever: the rate is one of false alarms per tile.

For a level t, the share Q of a block's p-values that are <= t has a mean of at most q = UNKNOWN_SHARE +
(1 - UNKNOWN_SHARE) t. So e = 1 + s (Q - q) / q with 0 < s < 1 is never negative and has a mean of at most 1:
an e-value, and M = max(M, 1) e an e-detector (Shin, Ramdas, Rinaldo, arXiv 2203.03532), a CUSUM of bets.
The average M of detectors at several levels and stakes is one as well. If it raises the alarm at M >= c, the
mean number of blocks to a false alarm is at least c, for every distribution within these assumptions.

What is assumed: means hold given all earlier blocks, so a signal that is unknown, or was taught badly, counts
as drift if it alone fills block after block (9 or so). And the test can see no change that leaves more than
1 - UNKNOWN_SHARE of the p-values as they were.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.arguments import is_number

DRIFT_RATE = 1e-6  # false alarms per tile
MIN_DRIFT_RATE, MAX_DRIFT_RATE = 1e-9, 1e-3


class DriftMonitor:
    """Watches the p-values of a stream; see the module.

    rate: at most so many false alarms per tile, MIN_DRIFT_RATE to MAX_DRIFT_RATE. Raises ValueError.
    """

    BLOCK = 32
    UNKNOWN_SHARE = 0.25
    LEVELS = np.array([0.02, 0.1, 0.3])
    STAKES = np.array([0.4, 0.9])
    CLEAR = 8  # blocks that must look as they should on average, for the warning to go

    def __init__(self, rate: float = DRIFT_RATE):
        self.set_rate(rate)
        self.reset()

    @property
    def rate(self) -> float:
        return self._rate

    def set_rate(self, rate: float) -> None:
        if not is_number(rate, MIN_DRIFT_RATE, MAX_DRIFT_RATE):
            raise ValueError(f"drift_rate must lie in {MIN_DRIFT_RATE:g}..{MAX_DRIFT_RATE:g} "
                             f"(false alarms per embedding), got {rate!r}")
        self._rate = float(rate)

    def reset(self) -> None:
        """Begin anew: after something else was taught."""
        self._waiting: list[float] = []
        self._evidence = np.zeros((len(self.LEVELS), len(self.STAKES)))  # log M of each detector
        self._shares: deque[np.ndarray] = deque(maxlen=self.CLEAR)
        self._drifting = False

    @property
    def drifting(self) -> bool:
        """Whether the stream has ceased to look like what was taught, and has not begun to again."""
        return self._drifting

    @property
    def statistic(self) -> float:
        """Evidence for drift, from 0 (none) to 1 (that of an alarm) and on: log M / log c."""
        return max(0.0, float(np.logaddexp.reduce(self._evidence, axis=None) - math.log(self._evidence.size))
                   ) / -math.log(self._rate * self.BLOCK)

    def update(self, p_value: ArrayLike) -> None:
        """Take note of p-values of tiles in a row, (n,) or one."""
        self._waiting.extend(np.atleast_1d(p_value).tolist())
        while len(self._waiting) >= self.BLOCK:
            self._block(np.array(self._waiting[:self.BLOCK]))
            del self._waiting[:self.BLOCK]

    def _block(self, p: np.ndarray) -> None:
        shares = (p[:, None] <= self.LEVELS).mean(0)
        most = self.UNKNOWN_SHARE + (1.0 - self.UNKNOWN_SHARE) * self.LEVELS
        self._shares.append(shares)
        if self._drifting:
            clear = len(self._shares) == self.CLEAR and (np.mean(self._shares, 0) <= most).all()
            if clear:
                self._drifting = False
                self._evidence[:] = 0.0
            return
        bets = np.log1p(((shares - most) / most)[:, None] * self.STAKES)
        self._evidence = np.maximum(self._evidence, 0.0) + bets
        if self.statistic >= 1.0:
            self._drifting = True
            self._shares.clear()
