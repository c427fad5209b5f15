# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""From a map of what lies above the noise to boxes, in rows and bins.

A connected region is cut where what is beside the cut differs in time or in frequency (signals of different
start, end or band that touch); boxes that begin and end together, or follow each other in one band, are one
signal (side lobes, tones, keyed bursts). The recursive cut along rows and columns is that of page analysis
(G. Nagy and S. Seth, "Hierarchical representation of optically scanned documents", ICPR 1984).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from radiofm_ml.detect import kernels

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
    difference: float = 0.55


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


def cut(mask: np.ndarray, t0: int, f0: int, cuts: Cuts) -> list[Region]:
    """Boxes of a region. mask: uint8 (rows, bins) of 0 and 1, whose first pixel is (t0, f0)."""
    found = kernels.cut(mask, cuts.least, cuts.rows, cuts.bins, cuts.difference, _EDGE_SHARE, _SOLID,
                        _DEEPEST)
    return [Region(t0 + a, t0 + b, f0 + c, f0 + d) for a, b, c, d in found]


@dataclass(frozen=True)
class Joins:
    """What belongs together. tolerance_rows and tolerance: by how much starts and stops may differ, in rows
    and as a share of the longer one; gap: bins between them, as a share of the wider; pause: rows between
    parts that follow each other in one band; level_db: by how much those may differ."""

    tolerance_rows: int = 2
    tolerance: float = 0.1
    gap: float = 0.5
    pause: int = 6
    level_db: float = 8.0

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


def join(boxes: list[Region], joins: Joins, settled: int = 0) -> list[Region]:
    """Boxes with those made one that belong together. The first ``settled`` are known not to."""
    boxes, i = list(boxes), settled
    while i < len(boxes):
        other = next((j for j in range(i) if joins.together(boxes[j], boxes[i])), None)
        if other is None:
            i += 1
        else:  # what has grown is compared anew with all before it
            i -= 1
            boxes[i] = boxes.pop(other).join(boxes[i])
    return boxes


def level_db(power: np.ndarray, t0: int, t1: int, f0: int, f1: int) -> float:
    """The mean of rows [t0, t1) and bins [f0, f1), where they are inside, in dB; -90 if nothing is."""
    rows, bins = power.shape
    t0, t1, f0, f1 = max(t0, 0), max(min(t1, rows), 0), max(f0, 0), max(min(f1, bins), 0)
    return 10 * math.log10(max(kernels.mean(power, t0, t1, f0, f1), 1e-9))


def measured(box: Region, power: np.ndarray, quiet_db: float) -> tuple[Region, float]:
    """The box with its level, and by how much it stands above the louder of its two sides in frequency, in
    dB; a short one also above what is before and behind it, or it is a line that flickers. A side above
    ``quiet_db`` holds another signal, and counts as ``quiet_db``.

    power: float32 (rows, bins) over the floor, of which the box's indices count."""
    # the smoothed map is wider than the signal
    time, band = (1 if size >= 6 else 0 for size in (box.rows, box.bins))
    level = level_db(power, box.t0 + time, box.t1 - time, box.f0 + band, box.f1 - band)
    whole = level_db(power, box.t0, box.t1, box.f0, box.f1)
    wide = max(2, min(8, box.bins // 2 + 1))
    sides = [level_db(power, box.t0, box.t1, *side) for side in _sides(box.f0, box.f1, wide)]
    if box.rows < _SHORT:
        sides += [level_db(power, *side, box.f0, box.f1) for side in _sides(box.t0, box.t1, _SHORT)]
    return replace(box, level=level), whole - min(max(sides), quiet_db)


def occupied(box: Region, power: np.ndarray, skirt_db: float = 32.0, faint: float = 0.05) -> Region:
    """The box cut back to the band from the first to the last bin that lies at most ``skirt_db`` under the
    signal's own level, and to the rows from the first to the last that have ``faint`` of its median row's
    power: how far a signal's skirts stand above the noise depends on how strong it is, this does not.

    power: float32 (rows, bins) over the floor, of which the box's indices count."""
    inside = power[box.t0:box.t1, box.f0:box.f1] - 1
    level = inside.sum(1, dtype=np.float64)  # a signal in a converter's silence is 1e38 times the noise
    if not (level > 0).any():
        return box
    t0, t1 = _ends(level > faint * np.median(level[level > 0]))
    density = np.maximum(inside[t0:t1].mean(0, dtype=np.float64), 1e-6)
    density /= density.max()
    f0, f1 = _ends(density > 10 ** (-skirt_db / 10) * (density**2).sum() / density.sum())
    return replace(box, t0=box.t0 + t0, t1=box.t0 + t1, f0=box.f0 + f0, f1=box.f0 + f1)


def _ends(wanted: np.ndarray) -> tuple[int, int]:
    """First and one past the last that is true; all where none is."""
    places = np.flatnonzero(wanted)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, len(wanted))


def _sides(start: int, stop: int, wide: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """What lies beside [start, stop) on both sides, two away and ``wide`` wide."""
    return (start - wide - 2, start - 2), (stop + 2, stop + 2 + wide)
