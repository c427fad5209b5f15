# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The noise floor of every bin, from spectrogram rows that also hold signals.

Three things make it, in this order:

1. *Gain*: what all bins do together from row to row, as an automatic gain control makes it, is taken off;
   where nearly all bins step at once, the receiver has changed its gain, and the floor is learnt anew from
   there.
2. *Time*: signals only add power, so a low quantile of a bin over time is noise as long as the bin is free
   for some of the time (the idea of minimum statistics: R. Martin, "Noise power spectral density estimation
   based on optimal smoothing and minimum statistics", IEEE Trans. Speech and Audio Processing 9(5), 2001).
   The quantile is put right to the mean by the distribution of averaged power, a gamma distribution.
3. *Frequency*: what stays on all the time stands in the quantile, too. It is told from the shape of the
   receiver by its flanks: a receiver's filter changes slowly from bin to bin or falls towards one side; a
   signal rises steeply on the left and falls steeply on the right. What lies between two such flanks is
   bridged. A line of a few bins at the middle of the band is the receiver's own (DC) and stays.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from scipy import ndimage

from radiofm_ml.detect.kernels import column_ranks, common_steps, least_means, row_quantiles, whiten
from radiofm_ml.detect.lively import fills_the_band, is_keyed
from radiofm_ml.detect.noise import Noise
from radiofm_ml.detect.plateau import without_plateau

QUANTILE = 0.12  # of a bin over time: it is right as long as the bin is free for that share of the time
_GAIN_QUANTILE = 0.12  # of the bins of a row
_STEP_DB, _STEP_SHARE = 1.0, 0.85  # a gain step: so far, and so many of the bins …
_STEP_FARTHER = 0.9  # … or 0.6 of them, and of all so many as far or farther: signals begin or end with it
_STEP_SLACK = 3.0  # dB, around the step of the middle
_STEP_LEAST = 128  # rows, of which a signal that fills the band makes no step
_STEP_ROWS = 5  # compared on either side of a step
_LEAST_ROWS = 16  # between two steps, for a floor of one's own
_FLANK_DB = 2.5  # by which what is always on stands above both sides
_WIDEST = 0.45  # of the band, that may be always on
_EDGE = 0.02  # of the band, on either side: there the receiver's filter falls
_DC_BINS = 7
_KNEE_DB = 6.0  # by which a receiver's shape bends within a short mean, at most
_ALONE = 0.8  # of a block, without a step of the gain
_MEMORY = 8  # blocks
_EMPTY_DB = 50.0  # below the rest of the block: samples are lost, a row holds no receiver's noise
_ZONE = 0.08  # of the band on either side: the edges of the receiver's filter
_ENOUGH = 96  # rows for a quantile
_SOME_BINS = 4  # every fourth tells whether a row is empty
_SHORT = (4, 7)  # rows and bins of a short mean
_UPPER = 0.9  # the quantile of a bin that tells whether it is busy …
_BUSY_DB = 0.9  # … by so much more spread than noise has
_TOO_BUSY = 0.85  # of the bins: then the few that are left tell no gain


class FloorTracker:
    """The floor of successive blocks of rows.

    looks  independent periodograms that a row averages, about
    slope  dB from a bin to the next that a receiver's shape may have
    """

    def __init__(self, looks: float, slope: float):
        self._noise, self._slope = Noise(looks), slope
        self._history: deque[np.ndarray] = deque(maxlen=_MEMORY)
        self.levels: list[tuple[int, np.ndarray]] = []  # of the last block: up to which row, (bins,) in dB

    def floor(self, rows: np.ndarray) -> np.ndarray:
        """The mean noise level of every bin, float32 (n, bins) in dB, of a block of rows float32 (n, bins) in
        dB. Blocks follow one another. Rows that are nearly empty, where samples are lost or the receiver is
        cut off, are their own floor."""
        out = rows.copy()
        full = self._full(rows)
        if full.any():
            heard = rows[full]
            floors = []
            for place, gain, shape in self._heard(heard):
                low, constant = self._behind_the_gain(heard[place], gain, shape)
                floors.append(gain.added_to(shape))
                floors[-1][:, low] = np.maximum(floors[-1][:, low], constant)
            out[full] = np.concatenate(floors)
        return out

    def whiten(self, rows: np.ndarray, out: np.ndarray) -> None:
        """The rows' power over that floor into ``out``, float32 (n, bins)."""
        full = self._full(rows)
        if full.all():
            for place, gain, shape in self._heard(rows):
                self._whiten(rows[place], gain, shape, out[place])
            return
        out[:], self.levels = 1, []
        if full.any():
            heard = rows[full]
            power = np.empty_like(heard)
            for place, gain, shape in self._heard(heard):
                self._whiten(heard[place], gain, shape, power[place])
            out[full] = power
            place = np.flatnonzero(full) + 1
            self.levels = [(int(place[stop - 1]), level) for stop, level in self.levels]

    def _whiten(self, rows: np.ndarray, gain: _Gain, shape: np.ndarray, out: np.ndarray) -> None:
        gain.whiten(rows, shape, out)
        low, constant = self._behind_the_gain(rows, gain, shape)
        if len(low):
            out[:, low] = np.minimum(out[:, low], 10 ** ((rows[:, low] - constant) / 10))

    def _behind_the_gain(self, rows: np.ndarray, gain: _Gain, shape: np.ndarray) -> tuple[np.ndarray, float]:
        """Bins whose floor would fall under the converter's noise, and that noise in dB."""
        constant = _constant(rows, self._noise)
        least = shape + gain.amounts.min(0) @ gain.weights
        return np.flatnonzero(least < constant - self._noise.tolerance(1.0)), constant

    @staticmethod
    def _full(rows: np.ndarray) -> np.ndarray:
        """Which rows are not nearly empty, bool (n,)."""
        level = row_quantiles(rows[:, ::_SOME_BINS], 0.5)
        return level >= np.median(level) - _EMPTY_DB

    def _heard(self, rows: np.ndarray) -> list[tuple[slice, _Gain, np.ndarray]]:
        """The floor of rows that hold a receiver's noise: of each stretch between steps of the gain, in turn,
        what the gain does in its rows, and its shape (bins,) in dB."""
        out = []
        edges = [0, *_gain_steps(rows, self._noise), len(rows)]
        for begin, end in zip(edges, edges[1:], strict=False):
            before = None
            if begin:
                before = bridge(_low(self._history), self._slope)
                self._history.clear()
            part = rows[begin:end]
            quantile, gain = _split(part, self._noise)
            if before is not None:
                quantile = _as_before(quantile, before)
            # Too few rows tell little of a bin: before the first step the older floors say more.
            if end - begin >= _LEAST_ROWS or not self._history:
                self._history.append(quantile)
            base = _low(self._history)
            shift = np.median(quantile - base)
            shape = bridge(base, self._slope)
            alone = len(part) > _ALONE * len(rows)  # or steps of the gain would mislead
            if alone:
                shape = without_plateau(shape, part, self._noise)
            line = _middle_line(len(shape))
            under = _without_line(shape, line)
            stands = (shape - under)[line].max() > _FLANK_DB
            if stands and is_keyed(gain.taken_off(part, bins=line), slice(None), under[line], self._noise):
                shape = np.minimum(shape, under)
            out.append((slice(begin, end), gain, shape + shift))
        self.levels = [(place.stop, gain.mean(shape)) for place, gain, shape in out]
        return out


def _as_before(floor: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The floor behind a gain step; where a stretch of it has risen by more than all the rest, a signal goes
    on through the step, and the floor of before, moved as the rest was, is right."""
    moved = before + np.median(floor - before)
    rising, _ = ndimage.label(ndimage.uniform_filter1d(floor - moved, 5, mode="nearest") > 1.5)
    out = floor.copy()
    for (place,) in ndimage.find_objects(rising):
        inside = min(place.start, len(floor) - place.stop) > _EDGE * len(floor)
        if inside and place.stop - place.start < _WIDEST * len(floor):
            out[place] = np.minimum(floor[place], moved[place])
    return out


def _low(history) -> np.ndarray:
    """A low quantile over the last blocks: a bin that was free in a quarter of them is right."""
    stack = np.stack(history)
    middle = row_quantiles(stack, 0.5)[:, None]
    level = np.sort(stack - middle, axis=0)[(len(stack) - 1) // 4]
    return level + middle[-1]


def _constant(rows: np.ndarray, noise: Noise) -> float:
    """The least level of any bin, in dB: where the gain varies, a converter's noise behind it does not, and
    shows at the edges of the band, under which no floor falls."""
    some = rows[::max(1, len(rows) // _ENOUGH)]
    low = _quantiles(some)[0] - noise.quantile((QUANTILE,))[0]
    return float(ndimage.uniform_filter1d(low, 5, mode="nearest").min())


def _split(rows: np.ndarray, noise: Noise) -> tuple[np.ndarray, _Gain]:
    """The floor of each bin (bins,) and the common gain of each row, in dB; their sum is the noise's mean.

    Bins whose power changes more than noise does hold signals that come and go. They do not tell the gain;
    and where they are free for a shorter time than the quantile asks for, the least of short means does
    instead.
    """
    lowest, highest = noise.quantile((QUANTILE, _UPPER))
    wide = highest - lowest + noise.tolerance(_BUSY_DB)
    some = slice(None, None, max(1, len(rows) // _ENOUGH))
    level = rows[some]
    for _ in range(2):
        low, high = _quantiles(level)
        busy = ndimage.uniform_filter1d(high - low, 9, mode="nearest") > wide
        gain = _gains(rows, low, busy)
        level = gain.taken_off(rows, some)
    low, line = _quantiles(level)[0], _middle_line(rows.shape[1])  # the line is the receiver's own
    floor = ndimage.uniform_filter1d(low, 3, mode="nearest") - lowest
    floor = np.maximum(floor, low - lowest - noise.tolerance(1.0))  # where a filter falls within few bins
    floor[line] = np.maximum(floor, low - lowest)[line]
    if len(rows) >= 4 * _SHORT[0]:
        least = least_means(rows, _SHORT, gain.amounts, gain.weights) + noise.least_mean(_SHORT, len(rows))
        # A mean over bins is too low where a filter begins to fall.
        least += np.clip(floor - ndimage.uniform_filter1d(floor, _SHORT[1], mode="nearest"), 0, _KNEE_DB)
        short = floor - least > noise.tolerance(1.0) * np.where(busy, 1.0, 1.6)
        short[line] = False
        floor = np.where(short, least, floor)
    return floor, gain


class _Gain:
    """What all bins do together from row to row, in dB: ``amounts`` float32 (n, 3), of the middle of the band
    and by how much more of its lower and its upper edge, times the ``weights`` (3, bins) of these."""

    def __init__(self, amounts: np.ndarray, weights: np.ndarray):
        self.amounts, self.weights = amounts, weights

    def taken_off(self, rows: np.ndarray, some: slice = slice(None), bins: slice = slice(None)) -> np.ndarray:
        """``some`` of the rows and bins, float32, without it."""
        out = rows[some, bins].copy()
        for amount, weight in zip(self.amounts.T, self.weights[:, bins], strict=True):
            if weight.any():
                out -= amount[some, None] * weight
        return out

    def added_to(self, shape: np.ndarray) -> np.ndarray:
        """Rows float32 (n, bins) of one ``shape`` (bins,) with it."""
        amounts, weights = self._with(shape)
        return np.einsum("nk,kf->nf", amounts, weights)

    def mean(self, shape: np.ndarray) -> np.ndarray:
        """``shape`` (bins,) with what it is on the whole."""
        return self.amounts.mean(axis=0) @ self.weights + shape

    def whiten(self, rows: np.ndarray, shape: np.ndarray, out: np.ndarray) -> None:
        """The power of rows over a floor of one ``shape`` with it, into ``out``."""
        whiten(rows, *self._with(shape), out)

    def _with(self, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ones = np.ones((len(self.amounts), 1), np.float32)
        return np.hstack([self.amounts, ones]), np.vstack([self.weights, shape]).astype(np.float32)


def _gains(rows: np.ndarray, low: np.ndarray, busy: np.ndarray) -> _Gain:
    """What the bins of a row that hold no signals do together; the two edges of the band have a gain of their
    own. low: (bins,) dB of the noise, about."""
    bins = rows.shape[1]
    edge = round(_ZONE * bins)

    def smoothed(gain: np.ndarray, rows: int) -> np.ndarray:
        gain = ndimage.median_filter(gain - np.median(gain), 5, mode="nearest")
        return ndimage.uniform_filter1d(gain, rows, mode="nearest")

    def together(zone: slice, over: int) -> np.ndarray | None:
        free = np.zeros(bins, bool)
        free[zone] = ~busy[zone]
        if free.sum() < max(1, (1 - _TOO_BUSY) * (zone.stop - zone.start)):
            return None
        return smoothed(row_quantiles(rows, 0.5, low, free), over)

    middle = together(slice(0, bins), 3)
    if middle is None:  # few bins are free: the lowest tell
        middle = smoothed(row_quantiles(rows, _GAIN_QUANTILE, low), 3)
    amounts, weights = np.zeros((len(rows), 3), np.float32), np.zeros((3, bins), np.float32)
    amounts[:, 0], weights[0] = middle, 1
    # 1 over the zone, then down to 0 in as much again
    fade = np.clip(2 - np.arange(2 * edge) / edge, 0, 1)
    weights[1, :2 * edge], weights[2, bins - 2 * edge:] = fade, fade[::-1]
    for number, zone in ((1, slice(0, edge)), (2, slice(bins - edge, bins))):
        own = together(zone, 15)
        if own is not None:
            amounts[:, number] = own - middle
    return _Gain(amounts, weights)


def _quantiles(level: np.ndarray) -> np.ndarray:
    """The lower and the upper quantile of each column."""
    return column_ranks(level, tuple(round(share * (len(level) - 1)) for share in (QUANTILE, _UPPER)))


def _gain_steps(rows: np.ndarray, noise: Noise) -> list[int]:
    """Rows at which nearly all bins change together by much the same."""
    n, h = len(rows), _STEP_ROWS
    if n < 2 * h:
        return []
    # A signal that fills the band rises by more here than there; a gain moves all alike.
    wanted = common_steps(rows, h, noise.tolerance(_STEP_DB), noise.tolerance(_STEP_SLACK), _STEP_SHARE,
                          _STEP_FARTHER)
    if n < _STEP_LEAST and wanted.any() and fills_the_band(rows, noise):  # by what a signal does all the time
        return []
    steps = []
    while wanted.any():
        best = int(wanted.argmax())
        steps.append(best + h)
        wanted[max(0, best - 2 * h):best + 2 * h] = 0.0
    return sorted(steps)


def envelope(level: np.ndarray, slope: float) -> np.ndarray:
    """The highest curve under ``level`` that changes by at most ``slope`` from a bin to the next."""
    ramp = slope * np.arange(len(level))
    right = np.minimum.accumulate(level - ramp) + ramp
    left = (np.minimum.accumulate(right[::-1] - ramp) + ramp)[::-1]
    return np.minimum(left, level)


def bridge(level: np.ndarray, slope: float) -> np.ndarray:
    """``level`` (bins,) in dB without what is always on."""
    bins = len(level)
    under = envelope(level, slope)
    above, _ = ndimage.label(level - under > 2.0)
    flanks = [_Flank.of(level, under, part[0].start, part[0].stop) for part in ndimage.find_objects(above)]
    smooth = ndimage.uniform_filter1d(level, 3)
    out = level.copy()
    for i, flank in enumerate(flanks):
        if flank.rises and flank.falls:
            stretch = (flank.start, flank.stop, flank.left, flank.right) if flank.stands_out else None
        elif flank.rises:
            stretch = _closed(flank, flanks[i + 1:], smooth, bins)
        else:
            stretch = None
        if stretch is None:
            continue
        start, stop, left, right = stretch
        if stop - start <= _DC_BINS and start <= bins // 2 < stop:
            continue
        out[start:stop] = np.minimum(out[start:stop], np.linspace(left, right, stop - start))
    return out


def _middle_line(bins: int) -> slice:
    return slice(bins // 2 - _DC_BINS // 2, bins // 2 + _DC_BINS // 2 + 1)


def _without_line(level: np.ndarray, line: slice) -> np.ndarray:
    """``level`` with what is beside a line drawn through under it."""
    out, wide = level.copy(), 2 * _DC_BINS
    sides = [np.median(level[line.start - wide:line.start]), np.median(level[line.stop:line.stop + wide])]
    out[line] = np.linspace(*sides, line.stop - line.start)
    return out


class _Flank:
    """Neighbouring bins that rise out of the envelope, and the levels beside them."""

    def __init__(self, start, stop, top, left, right, ripple):
        self.start, self.stop, self.left, self.right, self.top = start, stop, left, right, top
        enough = max(_FLANK_DB, 0.4 * (top - min(left, right)))  # less is a ripple on a plateau
        self.rises, self.falls = top - left > enough, top - right > enough
        self.stands_out = top - max(left, right) > 2 * ripple + _FLANK_DB

    @classmethod
    def of(cls, level, under, start: int, stop: int) -> _Flank:
        reach, wide = 8, 40
        left, right = level[max(start - reach, 0):start], level[stop:stop + reach]
        top = level[start:stop].max()
        beside = [slice(max(start - wide, 0), max(start - 2, 0)), slice(stop + 2, stop + wide)]
        above = np.concatenate([level[side] - under[side] for side in beside])
        return cls(start, stop, top, _quantile(left, 0.5, top), _quantile(right, 0.5, top),
                   _quantile(above, 0.95, 0.0))


def _quantile(values: np.ndarray, share: float, default: float) -> float:
    """Of a few values, for which NumPy's takes long; the default if there is none."""
    return float(row_quantiles(values[None], share)[0]) if len(values) else float(default)


def _closed(flank: _Flank, later: list[_Flank], smooth: np.ndarray, bins: int):
    """The stretch from a rising flank to the falling one that belongs to it, or None."""
    for other in later:
        if other.rises and other.left < flank.left + _FLANK_DB:
            return None  # another signal begins beside this one
        if not other.falls or other.right > flank.left + max(_FLANK_DB, 0.5 * (flank.top - flank.left)):
            continue  # a dent
        inside = smooth[flank.start + 2:other.stop - 2]
        if other.stop - flank.start > _WIDEST * bins or not len(inside):
            return None
        high = np.quantile(inside, 0.1) > max(flank.left, other.right) + 2.0
        return (flank.start, other.stop, flank.left, other.right) if high else None
    return None
