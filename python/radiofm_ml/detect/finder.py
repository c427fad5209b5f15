# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Detection at several resolutions at once: fast rows for short bursts, fine ones for narrow carriers.

    finder = Finder(formats(sample_rate))      # rows.formats: a fast and a fine one
    for number, rows in ...:                   # rows of format ``number``
        for box in finder.take(number, rows):  # each soon after it ends, a long one in parts
            ...
    finder.flush()

Each format has a ``Detector`` of its own. Boxes of several formats that cover each other are of the same
signals; those of the format that resolves them best, in rows and in bins, are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from radiofm_ml.detect.filled import FilledBand
from radiofm_ml.detect.rows import RowMaker, formats
from radiofm_ml.detect.settings import Settings
from radiofm_ml.detect.stream import Box, Detector, RowFormat

_SAME = 0.3  # of the smaller box: so much in common, and boxes of two formats are of one signal
_INSIDE, _LARGER, _STRONGER_DB = 0.8, 2.0, 6.0  # a box inside a larger one is a piece of it, unless stronger
_SMEARED = 3  # rows or bins
_LONE_ROWS, _LONE_BINS = 2, 2  # of a format: it might not see what is shorter or narrower
_FEW_ROWS, _FILLS = 16, 0.6  # …, and too few rows to tell; of the band
_CERTAIN_DB = 10.0  # what is so strong is there, whatever another format shows


@dataclass(frozen=True)
class Found:
    """A box of format ``number``."""

    number: int
    box: Box


class Finder:
    """Finds the signals in rows of one or more formats of one stream. Raises ValueError for no format, for
    different sample rates and for settings that do not fit."""

    def __init__(self, formats: Sequence[RowFormat], settings: Settings | None = None):
        self.formats = tuple(formats)
        if len({form.sample_rate for form in self.formats}) != 1:
            raise ValueError("formats must be one or more, of one sample rate")
        settings = settings or Settings()
        each = replace(settings, false_boxes=settings.false_boxes / len(self.formats))
        self._detectors = [Detector(form, each) for form in self.formats]
        self._step = max(detector.block * detector.rows.stride for detector in self._detectors)
        self._slack = 8 * max(form.stride for form in self.formats)
        self._waiting = [[np.empty((0, form.fft_size), np.float32)] for form in self.formats]
        self._given = [0] * len(self.formats)  # rows that each detector has
        self._steps = 0
        self._found: list[Found] = []
        self._finest = max(range(len(self.formats)), key=lambda k: self.formats[k].fft_size)
        self._filled_band = FilledBand(self.formats[self._finest], settings.longest)
        self._full: list[Box] = []  # parts of signals that fill the band, the last ones
        self._tracks: list[Box] = []  # last parts of signals that go on
        self._next = 0

    def take(self, number: int, rows: np.ndarray) -> list[Box]:
        """Take rows of format ``number``, float32 (n, fft_size) in dB, DC in the middle, and return the boxes
        that are decided. They do not depend on how rows come. Raises ValueError for another shape."""
        self._waiting[number].append(self.formats[number].checked(rows))
        boxes = []
        while all(self._received(k) * form.stride >= (self._steps + 1) * self._step
                  for k, form in enumerate(self.formats)):
            self._steps += 1
            full = []
            for k, form in enumerate(self.formats):
                full += self._give(k, self._steps * self._step // form.stride)
            boxes += self._settled(full)
        return boxes

    def flush(self) -> list[Box]:
        """The boxes that are left at the end of the stream."""
        full = []
        for k, detector in enumerate(self._detectors):
            full += self._give(k, self._received(k))
            self._found += [Found(k, box) for box in detector.flush()]
        return self._settled(full + self._filled_band.flush())

    def _received(self, number: int) -> int:
        return self._given[number] + sum(map(len, self._waiting[number]))

    def _give(self, number: int, until: int) -> list[Box]:
        """Give a detector its rows up to ``until``. Returns the parts of signals that fill the band."""
        rows, count = np.concatenate(self._waiting[number]), until - self._given[number]
        self._waiting[number], self._given[number] = [rows[count:]], until
        self._found += [Found(number, box) for box in self._detectors[number].feed(rows[:count])]
        return self._filled_band.feed(rows[:count]) if number == self._finest else []

    def _settled(self, full: list[Box]) -> list[Box]:
        """The boxes of the signals that no detector will have more to say of, and those that fill the
        band."""
        waiting, boxes = [], []
        for group in groups(self._found):
            if any(detector.has_more(found.box) for detector in self._detectors for found in group):
                waiting += group
            else:
                boxes += best(group, self.formats, self._given)
        self._found = waiting
        around = boxes + [found.box for found in waiting]
        full = [box for box in full if not any(_common(box, other) > 0.5 * _area(box) for other in around)]
        self._full = self._full[-1:] + full
        boxes = full + [box for box in boxes if not _is_a_piece(box, around + self._full)]
        boxes.sort(key=lambda box: (box.sample_start, box.freq_lower))
        return [self._numbered(box) for box in boxes]

    def _numbered(self, box: Box) -> Box:
        """With the number that the parts of a signal share."""
        before = next((track for track in self._tracks if abs(_end(track) - box.sample_start) <= self._slack
                       and _band(track, box) >= 0.5 * min(_width(track), _width(box))), None)
        if before is None:
            box = replace(box, signal=self._next, part=0)
            self._next += 1
        else:
            box = replace(box, signal=before.signal, part=before.part + 1)
        self._tracks = [track for track in self._tracks
                        if track is not before and _end(track) > box.sample_start - 8 * self._step]
        if not box.ended:
            self._tracks.append(box)
        return box


def find(pieces: Iterable[np.ndarray], sample_rate: float, settings: Settings | None = None,
         forms: Sequence[RowFormat] = ()) -> Iterator[Box]:
    """Boxes of a stream of samples, complex64, that comes in ``pieces``. forms: those of ``rows.formats`` if
    none are given."""
    forms = forms or formats(sample_rate)
    finder, makers = Finder(forms, settings), [RowMaker(form) for form in forms]
    for piece in pieces:
        for number, maker in enumerate(makers):
            for rows in maker.feed(piece):
                yield from finder.take(number, rows)
    yield from finder.flush()


def _end(box: Box) -> int:
    return box.sample_start + box.sample_count


def _width(box: Box) -> float:
    return box.freq_upper - box.freq_lower


def _area(box: Box) -> float:
    return box.sample_count * _width(box)


def _band(a: Box, b: Box) -> float:
    return max(0.0, min(a.freq_upper, b.freq_upper) - max(a.freq_lower, b.freq_lower))


def _common(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    return max(0, min(_end(a), _end(b)) - max(a.sample_start, b.sample_start)) * _band(a, b)


def groups(found: list[Found]) -> list[list[Found]]:
    """Those that are of the same signals, directly or through others."""
    out: list[list[Found]] = []
    for one in found:
        mine = [group for group in out if any(_same(one, other) for other in group)]
        out = [group for group in out if not any(group is other for other in mine)]
        out.append([*(other for group in mine for other in group), one])
    return out


def _same(a: Found, b: Found) -> bool:
    return a.number != b.number and _common(a.box, b.box) >= _SAME * min(_area(a.box), _area(b.box))


def best(group: list[Found], formats: Sequence[RowFormat], rows: Sequence[int]) -> list[Box]:
    """The boxes of the format that resolves a group best.

    A box is known to a row of its duration and a bin of its width; the least sum of both shares wins. What
    only one has found is left out where others should see it, too: of signals that one format alone showed,
    nine in ten were not there.

    rows: how many each format has had; few tell nothing.
    """
    numbers = sorted({found.number for found in group})
    boxes = {number: [found.box for found in group if found.number == number] for number in numbers}
    longest = min(max(map(_end, some)) - min(box.sample_start for box in some) for some in boxes.values())
    widest = min(max(box.freq_upper for box in some) - min(box.freq_lower for box in some)
                 for some in boxes.values())
    cost = {}
    for number in numbers:
        form = formats[number]
        shares = [_share(box.sample_count, form.stride, longest) + _share(_width(box), form.hertz, widest)
                  for box in boxes[number]]
        cost[number] = np.average(shares, weights=[_area(box) for box in boxes[number]])
    number = min(numbers, key=cost.__getitem__)
    if len(numbers) > 1:
        return boxes[number]
    others = [form for k, form in enumerate(formats) if k != number and rows[k] >= _FEW_ROWS]
    return [box for box in boxes[number] if not any(_should_show(box, form) for form in others)]


def _should_show(box: Box, form: RowFormat) -> bool:
    """Would a format see such a signal, and is it so weak that what one alone sees may be noise? What is long
    and wide in its rows and bins, it would, unless it fills the band: only what it does from row to row tells
    of that."""
    if box.snr_db > _CERTAIN_DB:
        return False
    long, wide = box.sample_count > _LONE_ROWS * form.stride, _width(box) > _LONE_BINS * form.hertz
    return long and wide and _width(box) < _FILLS * form.sample_rate


def _share(size: float, cell: float, most: float) -> float:
    """Of a size that is known to a cell. One of few cells is smeared: it is no larger than all that a format
    has found."""
    return cell / (min(size, most) if size <= _SMEARED * cell else size)


def _is_a_piece(box: Box, others: list[Box]) -> bool:
    return any(_common(box, other) > _INSIDE * _area(box) and _area(other) > _LARGER * _area(box)
               and box.snr_db < other.snr_db + _STRONGER_DB for other in others if other is not box)
