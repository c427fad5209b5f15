# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A signal that fills the received band leaves no noise beside it, and its own level is taken for the floor:
an LTE carrier of 20 MHz in a receiver of 2 MHz. What tells it from noise is that it flutters, with its frames
and resource blocks, by far more than the power of noise does, in all parts of the band.

So do narrow signals that come and go, by their skirts and by the receiver's automatic gain. Rows in which
something narrow stands out are therefore left aside.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import ndimage

from radiofm_ml.detect.kernels import column_ranks, row_quantiles
from radiofm_ml.detect.lively import MEDIAN, usual_spread
from radiofm_ml.detect.noise import Noise
from radiofm_ml.detect.stream import Box, RowFormat
from radiofm_ml.detect.threshold import independent_rows

_SECONDS, _ROWS = 0.25, (64, 512)  # looked at together
_EDGE = 0.1  # of the band, on either side, is the receiver's
_PARTS = 8  # of the band
_LOW, _ENOUGH = 0.12, 96  # the quantile of a bin that things stand out of; rows for it
_STANDS_OUT_DB, _SMOOTH = 12.0, 7  # over as many bins
_LEAST_ROWS, _LEAST_SHARE = 20, 0.5  # without anything narrow: fewer tell nothing …
_GOES_ON = 0.25  # … but that it goes on
_FLUTTER = 3.0  # times that of noise, which has 0.8 to 1.1; of signals beside noise up to 2.4 was seen
_WEAK_DB = 10.0  # below the middle of the band: the receiver's filter


class FilledBand:
    """Finds stretches in which a signal fills the band. rows: their format. longest: seconds of a part."""

    def __init__(self, rows: RowFormat, longest: float):
        self._rows, self._longest = rows, round(longest * rows.sample_rate)
        self._noise = Noise(independent_rows(rows.window, rows.hop, rows.averaging))
        self.block = int(np.clip(round(_SECONDS / rows.seconds), *_ROWS))
        self._pending = np.empty((0, rows.fft_size), np.float32)
        self._taken = 0  # rows that were looked at
        self._open: Box | None = None  # up to the last block

    def feed(self, rows: np.ndarray) -> list[Box]:
        """Take rows, float32 (n, fft_size) in dB, and return the parts of signals that are decided."""
        self._pending = np.concatenate([self._pending, rows])
        found = []
        while len(self._pending) >= self.block:
            found += self._step(self._pending[:self.block])
            self._pending = self._pending[self.block:]
        return found

    def flush(self) -> list[Box]:
        """What is left at the end of the stream."""
        found = self._step(self._pending) + self._step(self._pending[:0])
        self._pending = self._pending[:0]
        return found

    def _step(self, rows: np.ndarray) -> list[Box]:
        box = self._look(rows) if len(rows) >= _LEAST_ROWS else None
        self._taken += len(rows)
        before, self._open = self._open, box
        if before is None:
            return []
        if box is None:
            return [replace(before, ended=True)]
        if before.sample_count + box.sample_count > self._longest:
            return [before]
        self._open = before.join(box)
        return []

    def _look(self, rows: np.ndarray) -> Box | None:
        rows = np.where(np.isfinite(rows), rows, np.float32(-200))
        edge = round(_EDGE * rows.shape[1])
        calm = self._calm(rows, edge)
        share = _GOES_ON if self._open else _LEAST_SHARE
        if calm.sum() < max(_LEAST_ROWS, share * len(rows)):
            return None
        level = rows[calm]
        middle = column_ranks(level, (len(level) // 2,))[0]
        if self._flutter(level, middle, np.diff(np.flatnonzero(calm)) == 1, edge) < _FLUTTER:
            return None
        there = np.flatnonzero(ndimage.median_filter(middle, _SMOOTH) > np.median(middle) - _WEAK_DB)
        form, start = self._rows, self._rows.sample(self._taken) if self._taken else 0
        low, high = np.quantile(row_quantiles(level, 0.5, middle), (0.05, 0.95))
        snr = 10 * math.log10(10 ** ((high - low) / 10) - 1)
        # What is received is nearly all the signal.
        density = 10 * math.log10(np.mean(10 ** (middle / 10)) / form.noise_bandwidth)
        return Box(0, 0, False, start, form.sample(self._taken + len(rows)) - start,
                   form.frequency(int(there[0])), form.frequency(int(there[-1]) + 1), snr, density - snr)

    @staticmethod
    def _calm(rows: np.ndarray, edge: int) -> np.ndarray:
        """Rows in which nothing narrow stands out, bool (n,)."""
        some = rows[::max(1, len(rows) // _ENOUGH)]
        low = column_ranks(some, (int(_LOW * len(some)),))[0]
        above = ndimage.uniform_filter1d(rows - low, _SMOOTH, axis=1)
        return above[:, edge:-edge].max(1) < _STANDS_OUT_DB

    def _flutter(self, rows: np.ndarray, middle: np.ndarray, following: np.ndarray, edge: int) -> float:
        """By how much more than noise the parts of the band change from row to row. following: which rows
        follow the one before."""
        if following.sum() < _LEAST_ROWS / 2:
            return 0.0
        wide = (rows.shape[1] - 2 * edge) // _PARTS
        expected = self._noise.spread * MEDIAN / np.sqrt(self._noise.independent_bins(wide))
        found = []
        for part in range(_PARTS):
            bins = np.zeros(rows.shape[1], bool)
            bins[edge + part * wide:edge + (part + 1) * wide] = True
            found.append(usual_spread(np.diff(row_quantiles(rows, 0.5, middle, bins))[following]))
        return float(np.median(found) / np.sqrt(2) / expected)
