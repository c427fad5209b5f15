# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Detection at several resolutions at once: fast rows for short bursts, fine ones for narrow carriers.

    finder = Finder(formats(sample_rate))      # rows.formats: a fast, a main and a fine one
    for number, rows in ...:                   # rows of format ``number``
        for box in finder.take(number, rows):  # each soon after it ends, a long one in parts
            ...
    finder.flush()

Each format has a ``Detector`` of its own. The main one decides; the others add what it cannot resolve: faster
ones bursts of few of its rows, finer ones carriers of few of its bins.
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
_SHORT_ROWS = 3.0  # of the main format: what is shorter, a faster one resolves
_HOLDS = 0.7  # of the energy of the main format's boxes in short ones: the rest of them is empty
_CERTAIN_DB, _BAND = 10.0, 0.9  # what a faster one alone sees: so strong, no click over so much of the band
_NARROW_BINS, _LONG_ROWS, _LEAST_DB = 2.5, 8, 1.0  # of the main format: what a finer one alone sees
_FEW_ROWS, _SURE_DB = 16, 3.0  # of the main format: too few to tell; what the fastest one says then


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
        self.main = main_format(self.formats)
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
    return a.number != b.number and _overlap(a.box, b.box)


def main_format(formats: Sequence[RowFormat]) -> int:
    """The number of the one whose rows are neither the shortest nor the longest; of two, the longer."""
    return sorted(range(len(formats)), key=lambda number: formats[number].stride)[len(formats) // 2]


def best(group: list[Found], formats: Sequence[RowFormat], rows: Sequence[int]) -> list[Box]:
    """The boxes that describe a group's signals best.

    Those of the main format, unless shorter ones of a faster format hold nearly all of their energy: then
    they were mostly pause. What a faster format alone has found is left out unless it is short and strong,
    what a finer one alone has, unless it is narrow and long: of the rest nine in ten were not there.

    rows: how many each format has had; few tell nothing.
    """
    main = main_format(formats)
    if rows[main] < _FEW_ROWS:
        fast = min(range(len(formats)), key=lambda number: formats[number].stride)
        widest = _BAND * formats[fast].sample_rate
        sure = [found for found in group if found.box.snr_db > _SURE_DB or _width(found.box) > widest]
        short = [found.box for found in sure if found.number == fast]
        return short + [found.box for found in sure if found.number == main
                        and not any(_overlap(found.box, other) for other in short)]
    form = formats[main]
    mine = [found.box for found in group if found.number == main]
    short = [found.box for found in group if formats[found.number].stride < form.stride
             and found.box.sample_count <= _SHORT_ROWS * form.stride]
    if short and mine and sum(map(_energy, short)) >= _HOLDS * sum(map(_energy, mine)):
        mine = short
    elif short and not mine:
        mine = [box for box in short if box.snr_db > _CERTAIN_DB and _width(box) < _BAND * form.sample_rate]
    narrow = [found.box for found in group if formats[found.number].stride > form.stride
              and _width(found.box) <= _NARROW_BINS * form.hertz and found.box.snr_db >= _LEAST_DB
              and found.box.sample_count >= _LONG_ROWS * form.stride]
    return mine + [box for box in narrow if not any(_overlap(box, other) for other in mine)]


def _energy(box: Box) -> float:
    """Relative to the noise."""
    return 10 ** (box.snr_db / 10) * _area(box)


def _overlap(a: Box, b: Box) -> bool:
    return _common(a, b) >= _SAME * min(_area(a), _area(b))


def _is_a_piece(box: Box, others: list[Box]) -> bool:
    return any(_common(box, other) > _INSIDE * _area(box) and _area(other) > _LARGER * _area(box)
               and box.snr_db < other.snr_db + _STRONGER_DB for other in others if other is not box)
