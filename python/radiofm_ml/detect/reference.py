# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The inner loops of detection in NumPy: what the C++ in ``lib/detect_*`` computes, where that is not built.

Spectrograms are float32 (rows, bins).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


def whiten(level: np.ndarray, amounts: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Power over the floor into ``out``, float32 (rows, bins), of a level in dB (rows, bins) and a floor that
    is ``amounts`` (rows, k) times ``weights`` (k, bins). It stays within 1e-38 and 1e38."""
    above = level - np.einsum("nk,kf->nf", amounts, weights)
    np.exp(np.clip(above, -376, 382) * np.float32(np.log(10) / 10), out=out)


def row_quantiles(rows: np.ndarray, share: float, offset: np.ndarray | None = None,
                  columns: np.ndarray | None = None) -> np.ndarray:
    """Of each row the quantile ``share`` (0..1), interpolated, float32 (rows,), of its values less ``offset``
    (bins,) in the ``columns``, bool (bins,), that are meant; at least one is."""
    rows = rows if offset is None else rows - offset
    rows = rows if columns is None else rows[:, columns]
    return np.quantile(rows, share, axis=1).astype(np.float32)


def column_ranks(rows: np.ndarray, ranks: tuple[int, ...]) -> np.ndarray:
    """The values of each column that stand at ``ranks`` of its order, float32 (ranks, bins)."""
    return np.partition(rows, sorted({*ranks}), axis=0)[list(ranks)]


def common_steps(rows: np.ndarray, reach: int, least_db: float, slack_db: float, most: float,
                 farther: float) -> np.ndarray:
    """How far all bins change together at each of the rows [reach, rows - reach], in dB and without a sign.

    It is the median over the bins (averaged over 5) of the mean of ``reach`` rows from there on less that of
    as many before, where it is more than ``least_db`` and more than a share of ``most`` of the bins change by
    what is less than ``slack_db`` and a tenth of it apart from it, or 0.6 of them do and more than a share of
    ``farther`` of all change as far or farther; 0 elsewhere."""
    total = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0, dtype=np.float64)])
    after, before = total[2 * reach:] - total[reach:-reach], total[reach:-reach] - total[:-2 * reach]
    change = ndimage.uniform_filter1d((after - before) / reach, 5, axis=1, mode="nearest").astype(np.float32)
    middle = np.median(change, axis=1)
    size = np.abs(middle)
    slack = slack_db + np.float32(0.1) * size
    alike = np.mean(np.abs(change - middle[:, None]) < slack[:, None], axis=1)
    as_far = np.mean(change * np.where(middle < 0, -1, 1)[:, None] > (size - slack)[:, None], axis=1)
    common = (alike > most) | (alike > 0.6) & (as_far > farther)
    return np.where((size > least_db) & common, size, np.float32(0))


def least_means(rows: np.ndarray, cell: tuple[int, int], amounts: np.ndarray,
                weights: np.ndarray) -> np.ndarray:
    """Of each bin the least mean over a cell of rows and bins around it that lies wholly in ``rows``, float32
    (bins,), less ``amounts`` (rows, k) times ``weights`` (k, bins). The outermost bins count on beyond the
    edges."""
    before, behind = cell[0] // 2, cell[0] - 1 - cell[0] // 2
    level = rows - np.einsum("nk,kf->nf", amounts, weights)
    return ndimage.uniform_filter(level, cell, mode="nearest")[before:len(rows) - behind].min(0)


class SignalMap:
    """Where averages over a ``cell`` (rows, bins) of power stand above thresholds.

    Bit 0 of what it returns, uint8 (end - begin, bins): above ``low``, closed (as in morphology) by a
    rectangle of the odd size ``closing``; bit 1: above ``high``. All rows of power are looked at, edges count
    on; rows [begin, end) are returned."""

    def __init__(self, cell: tuple[int, int], low: float, high: float, closing: tuple[int, int]):
        self._cell, self._low, self._high, self._closing = cell, low, high, closing

    def __call__(self, power: np.ndarray, begin: int, end: int) -> np.ndarray:
        smooth = ndimage.uniform_filter(power, self._cell, mode="nearest")
        mask = (smooth > self._low).view(np.uint8)
        for axis, length in enumerate(self._closing):
            mask = ndimage.maximum_filter1d(mask, length, axis=axis, mode="constant")
        for axis, length in enumerate(self._closing):
            mask = ndimage.minimum_filter1d(mask, length, axis=axis, mode="constant", cval=1)
        return mask[begin:end] | (smooth[begin:end] > self._high).view(np.uint8) << 1


@dataclass
class Blob:
    """Pixels of a map that touch along edges, in rows [t0, t1) and bins [f0, f1).

    pieces: (row, bin, mask) of parts of it; first: bin of the first pixel of its first row."""

    t0: int
    t1: int
    f0: int
    f1: int
    first: int
    high: bool
    pieces: list[tuple[int, int, np.ndarray]]

    def mask(self) -> np.ndarray:
        """uint8 (t1 - t0, f1 - f0)."""
        out = np.zeros((self.t1 - self.t0, self.f1 - self.f0), np.uint8)
        for t, f, piece in self.pieces:
            out[t - self.t0:t - self.t0 + piece.shape[0], f - self.f0:f - self.f0 + piece.shape[1]] |= piece
        return out

    @property
    def order(self) -> tuple[int, int]:
        return self.t0, self.first

    def absorb(self, other: Blob) -> None:
        if other.order < self.order:
            self.t0, self.first = other.order
        self.t1, self.f0 = max(self.t1, other.t1), min(self.f0, other.f0)
        self.f1, self.high = max(self.f1, other.f1), self.high or other.high
        self.pieces += other.pieces


class Blobs:
    """Connected pixels of a map of ``bins`` that comes in blocks of rows, as ``SignalMap`` makes it."""

    def __init__(self, bins: int):
        self.rows = 0  # taken so far
        self._open: dict[int, Blob] = {}
        self._border = np.zeros(bins, np.int64)  # open blob of each bin of the last row
        self._next = 1

    def take(self, map: np.ndarray) -> list[Blob]:
        """Take rows. Returns the blobs that do not reach the last of them and have a pixel above the upper
        threshold, in the order of their first pixels."""
        if not len(map):
            return []
        labels, count = ndimage.label(map & 1)
        high = np.zeros(count + 1, bool)
        high[labels[map == 3]] = True
        names = self._names(labels, count)
        for number, place in enumerate(ndimage.find_objects(labels), 1):
            t0, f0 = self.rows + place[0].start, place[1].start
            piece = (labels[place] == number).view(np.uint8)
            blob = Blob(t0, self.rows + place[0].stop, f0, place[1].stop, f0 + int(piece[0].argmax()),
                        bool(high[number]), [(t0, f0, piece)])
            if names[number] in self._open:
                self._open[names[number]].absorb(blob)
            else:
                self._open[names[number]] = blob
        self._border = names[labels[-1]]
        self.rows += len(map)
        alive = set(np.unique(self._border).tolist())
        return self._ended([name for name in self._open if name not in alive])

    def end_before(self, row: int) -> list[Blob]:
        """End those that began at ``row`` or before; what of them follows is another one."""
        names = [name for name, blob in self._open.items() if blob.t0 <= row]
        self._border[np.isin(self._border, names)] = 0
        return self._ended(names)

    def open(self) -> np.ndarray:
        """t0, t1, f0, f1 of those that reach the last row, int64 (n, 4)."""
        return np.array([(b.t0, b.t1, b.f0, b.f1) for b in self._open.values()], np.int64).reshape(-1, 4)

    def _ended(self, names: list[int]) -> list[Blob]:
        ended = [self._open.pop(name) for name in names]
        return sorted((blob for blob in ended if blob.high), key=lambda blob: blob.order)

    def _names(self, labels: np.ndarray, count: int) -> np.ndarray:
        """Names of a block's labels, int64 (count + 1,); those that touch blobs of the row before are the
        same ones, and several of them that meet become one."""
        names = np.zeros(count + 1, np.int64)
        touching = (labels[0] > 0) & (self._border > 0)
        for label, before in {*zip(labels[0][touching].tolist(), self._border[touching].tolist(),
                                   strict=True)}:
            if names[label] in (0, before):
                names[label] = before
                continue
            kept = names[label]
            self._open[kept].absorb(self._open.pop(before))
            self._border[self._border == before] = kept
            # what else touched the one that is gone
            return self._names(labels, count)
        fresh = np.flatnonzero(names[1:] == 0) + 1
        names[fresh] = self._next + np.arange(len(fresh))
        self._next += len(fresh)
        return names


def mean(power: np.ndarray, t0: int, t1: int, f0: int, f1: int) -> float:
    """Of rows [t0, t1) and bins [f0, f1); 0 if that is nothing."""
    place = power[t0:t1, f0:f1]
    return float(place.mean(dtype=np.float64)) if place.size else 0.0


def cut(mask: np.ndarray, least: int, rows: int, bins: int, difference: float, edge_share: float,
        solid: float, deepest: int) -> list[tuple[int, int, int, int]]:
    """Boxes (t0, t1, f0, f1) of a region, uint8 (rows, bins) of 0 and 1, by cuts along rows and columns.

    least: pixels of a box; rows, bins: how far beside a cut is looked; difference: how much of what is there
    must differ, 0..1; edge_share: of the fullest row or column, less is fringe; solid: of its box that a
    region fills, to be one; deepest: cuts of cuts."""
    def part(mask: np.ndarray, t0: int, f0: int, depth: int) -> list[tuple[int, int, int, int]]:
        ends = [_inside(mask.sum(axis), edge_share) for axis in (1, 0)]
        if None in ends:
            return []
        (a, b), (c, d) = ends
        return aside(mask, t0, f0, depth, ends) + inner(mask[a:b, c:d], t0 + a, f0 + c, depth)

    def aside(mask: np.ndarray, t0: int, f0: int, depth: int, ends: list) -> list[tuple[int, int, int, int]]:
        """What lies beside the fullest rows and columns and is no fringe: another signal that crosses. It
        reaches as far as is looked beside a cut, and lasts twice as long."""
        (a, b), (c, d) = ends
        h, w = mask.shape
        strips = [(0, a, 0, w), (b, h, 0, w), (a, b, 0, c), (a, b, d, w)]
        long = [a >= rows, h - b >= rows, c >= bins, w - d >= bins]
        return [box for (r, s, p, q), enough in zip(strips, long, strict=True) if enough and depth < deepest
                for box in part(mask[r:s, p:q], t0 + r, f0 + p, depth + 1) if box[1] - box[0] >= 2 * rows]

    def inner(mask: np.ndarray, t0: int, f0: int, depth: int) -> list[tuple[int, int, int, int]]:
        pixels, (h, w) = int(mask.sum()), mask.shape
        if pixels < least:
            return []
        if depth < deepest and pixels / (h * w) < solid:
            in_time, row = _best_cut(mask, rows)
            in_band, column = _best_cut(mask.T, bins)
            if max(in_time, in_band) > difference:
                if in_time >= in_band:
                    parts = (mask[:row], t0, f0), (mask[row:], t0 + row, f0)
                else:
                    parts = (mask[:, :column], t0, f0), (mask[:, column:], t0, f0 + column)
                return [box for one in parts for box in part(*one, depth + 1)]
        return [(t0, t0 + h, f0, f0 + w)]

    return part(mask, 0, 0, 0)


def _inside(filled: np.ndarray, edge_share: float) -> tuple[int, int] | None:
    """From the first to behind the last that is no fringe."""
    if not filled.any():
        return None
    inside = np.flatnonzero(filled >= edge_share * float(filled.max()))
    return int(inside[0]), int(inside[-1]) + 1


def _best_cut(mask: np.ndarray, reach: int) -> tuple[float, int]:
    """(difference 0..1, row) of the cut whose two sides differ most in which columns they fill."""
    h = len(mask)
    if h < 6:
        return 0.0, 0
    total = np.concatenate([np.zeros((1, mask.shape[1]), np.int64), np.cumsum(mask, 0, dtype=np.int64)])
    at = np.arange(2, h - 1)
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach, h)
    # in whole numbers, so that equal cuts are equal: both sides times (at - low) (high - at)
    before = (total[at] - total[low]) * (high - at)[:, None]
    after = (total[high] - total[at]) * (at - low)[:, None]
    most = np.maximum(np.maximum(before, after).sum(1), (at - low) * (high - at))
    difference = np.abs(before - after).sum(1) / most
    best = int(difference.argmax())
    return float(difference[best]), int(at[best])
