# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""From a map of what lies above the noise to boxes, in rows and bins.

A connected region is cut where what is beside the cut differs in time or in frequency (signals of different
start, end or band that touch); boxes that begin and end together, or follow each other in one band, are one
signal (side lobes, tones, keyed bursts). The recursive cut along rows and columns is that of page analysis
(G. Nagy and S. Seth, "Hierarchical representation of optically scanned documents", ICPR 1984).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

_DEEPEST = 8
_SOLID = 0.9  # of a region's box: it is one
_SHORT = 16  # rows: so much is looked at before and behind a box that is shorter
_EDGE_SHARE = 0.15  # of the fullest row or column: less is fringe


@dataclass(frozen=True)
class Cuts:
    """In rows and bins: least pixels of a box; how far beside a cut is looked, in time and frequency; how
    much of what is there must differ (0..1)."""

    least: int = 12
    rows: int = 6
    bins: int = 12
    difference: float = 0.45


@dataclass(frozen=True)
class Region:
    """Rows [t0, t1) and bins [f0, f1), and its mean power over the floor in dB."""

    t0: int
    t1: int
    f0: int
    f1: int
    level: float = 0.0

    @property
    def rows(self) -> int:
        return self.t1 - self.t0

    @property
    def bins(self) -> int:
        return self.f1 - self.f0

    def join(self, other: Region) -> Region:
        return Region(min(self.t0, other.t0), max(self.t1, other.t1), min(self.f0, other.f0),
                      max(self.f1, other.f1), max(self.level, other.level))


def cut(mask: np.ndarray, t0: int, f0: int, cuts: Cuts, depth: int = 0) -> list[Region]:
    """Boxes of a region. mask: bool (rows, bins), whose first pixel is (t0, f0)."""
    trimmed = _trim(mask)
    if trimmed is None:
        return []
    (a, b), (c, d) = trimmed
    mask, t0, f0 = mask[a:b, c:d], t0 + a, f0 + c
    if mask.sum() < cuts.least:
        return []
    h, w = mask.shape
    if depth < _DEEPEST and mask.mean() < _SOLID:
        in_time, row = _best_cut(mask, cuts.rows)
        in_band, column = _best_cut(mask.T, cuts.bins)
        if max(in_time, in_band) > cuts.difference:
            if in_time >= in_band:
                parts = (mask[:row], t0, f0), (mask[row:], t0 + row, f0)
            else:
                parts = (mask[:, :column], t0, f0), (mask[:, column:], t0, f0 + column)
            return [box for part in parts for box in cut(*part, cuts, depth + 1)]
    return [Region(t0, t0 + h, f0, f0 + w)]


def _trim(mask: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Rows and columns without the fringe."""
    ends = []
    for axis in (1, 0):
        filled = mask.sum(axis)
        if not filled.any():
            return None
        inside = np.flatnonzero(filled >= _EDGE_SHARE * filled.max())
        ends.append((int(inside[0]), int(inside[-1]) + 1))
    return ends[0], ends[1]


def _best_cut(mask: np.ndarray, reach: int) -> tuple[float, int]:
    """(difference 0..1, row) of the cut whose two sides differ most in which columns they fill."""
    h = len(mask)
    if h < 6:
        return 0.0, 0
    total = np.concatenate([np.zeros((1, mask.shape[1]), np.float32), np.cumsum(mask, 0, dtype=np.float32)])
    at = np.arange(2, h - 1)
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach, h)
    before = (total[at] - total[low]) / (at - low)[:, None]
    after = (total[high] - total[at]) / (high - at)[:, None]
    most = np.maximum(before, after).sum(1)
    difference = np.abs(before - after).sum(1) / np.maximum(most, 1.0)
    best = int(difference.argmax())
    return float(difference[best]), int(at[best])


@dataclass(frozen=True)
class Joins:
    """What belongs together. tolerance_rows and tolerance: by how much starts and stops may differ, in rows
    and as a share of the longer one; gap: bins between them, as a share of the wider; pause: rows between
    parts that follow each other in one band; level_db: by how much those may differ."""

    tolerance_rows: int = 2
    tolerance: float = 0.1
    gap: float = 0.5
    pause: int = 6
    level_db: float = 4.0

    def together(self, a: Region, b: Region) -> bool:
        return self._side_by_side(a, b) or self._in_turn(a, b)

    def _side_by_side(self, a: Region, b: Region) -> bool:
        slack = max(self.tolerance_rows, self.tolerance * max(a.rows, b.rows))
        if abs(a.t0 - b.t0) > slack or abs(a.t1 - b.t1) > slack:
            return False
        return max(a.f0, b.f0) - min(a.f1, b.f1) <= self.gap * max(a.bins, b.bins)

    def _in_turn(self, a: Region, b: Region) -> bool:
        slack = max(2.0, 0.15 * max(a.bins, b.bins))
        if abs(a.f0 - b.f0) > slack or abs(a.f1 - b.f1) > slack:
            return False
        return max(a.t0, b.t0) - min(a.t1, b.t1) <= self.pause and abs(a.level - b.level) < self.level_db


def join(boxes: list[Region], joins: Joins) -> list[Region]:
    """Boxes with those made one that belong together."""
    boxes, merged = list(boxes), True
    while merged:
        merged = False
        for i in range(len(boxes)):
            for j in range(i + 1, len(boxes)):
                if joins.together(boxes[i], boxes[j]):
                    boxes[i] = boxes[i].join(boxes.pop(j))
                    merged = True
                    break
            if merged:
                break
    return boxes


def level_db(power: np.ndarray) -> float:
    return float(10 * np.log10(max(float(power.mean()), 1e-9))) if power.size else -90.0


def measured(box: Region, power: np.ndarray, quiet_db: float) -> tuple[Region, float]:
    """The box with its level, and by how much it stands above the louder of its two sides in frequency, in
    dB; a short one also above what is before and behind it, or it is a line that flickers. A side above
    ``quiet_db`` holds another signal, and counts as ``quiet_db``.

    power: float32 (rows, bins) over the floor, of which the box's indices count."""
    # the smoothed map is wider than the signal
    time, band = (1 if size >= 6 else 0 for size in (box.rows, box.bins))
    level = level_db(power[box.t0 + time:box.t1 - time, box.f0 + band:box.f1 - band])
    whole = level_db(power[box.t0:box.t1, box.f0:box.f1])
    wide = max(2, min(8, box.bins // 2 + 1))
    sides = _sides(power[box.t0:box.t1], box.f0, box.f1, wide)
    if box.rows < _SHORT:
        sides += _sides(power[:, box.f0:box.f1].T, box.t0, box.t1, _SHORT)
    return replace(box, level=level), whole - min(max(sides), quiet_db)


def occupied(box: Region, power: np.ndarray, skirt_db: float = 28.0, faint: float = 0.05) -> Region:
    """The box cut back to the band from the first to the last bin that lies at most ``skirt_db`` under the
    signal's own level, and to the rows from the first to the last that have ``faint`` of its median row's
    power: how far a signal's skirts stand above the noise depends on how strong it is, this does not.

    power: float32 (rows, bins) over the floor, of which the box's indices count."""
    inside = power[box.t0:box.t1, box.f0:box.f1] - 1
    level = inside.sum(1)
    if not (level > 0).any():
        return box
    t0, t1 = _ends(level > faint * np.median(level[level > 0]))
    density = np.maximum(inside[t0:t1].mean(0), 1e-6)
    f0, f1 = _ends(density > 10 ** (-skirt_db / 10) * (density**2).sum() / density.sum())
    return replace(box, t0=box.t0 + t0, t1=box.t0 + t1, f0=box.f0 + f0, f1=box.f0 + f1)


def _ends(wanted: np.ndarray) -> tuple[int, int]:
    """First and one past the last that is true; all where none is."""
    places = np.flatnonzero(wanted)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, len(wanted))


def _sides(power: np.ndarray, start: int, stop: int, wide: int) -> list[float]:
    """Levels beside columns [start, stop) of ``power``, two columns away and ``wide`` wide."""
    return [level_db(side) for side in (power[:, max(start - wide - 2, 0):max(start - 2, 0)],
                                        power[:, stop + 2:stop + 2 + wide])]
