# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Rows in, boxes out, as a stream and in constant memory.

    detector = Detector(RowFormat(sample_rate=10e6, fft_size=1024, hop=512, averaging=8, window=taps))
    for rows in ...:                      # float32 (n, fft_size) in dB, DC in the middle
        for box in detector.feed(rows):   # each as it ends, a long one in parts
            ...
    detector.flush()
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from radiofm_ml.arguments import is_number, whole
from radiofm_ml.detect import threshold
from radiofm_ml.detect.boxes import Cuts, Joins, Region, cut, join, measured, occupied
from radiofm_ml.detect.floor import FloorTracker
from radiofm_ml.detect.history import RowHistory
from radiofm_ml.detect.kernels import Blob, Blobs, SignalMap
from radiofm_ml.detect.settings import Settings

_STOP_BAND_DB = 40.0  # below the noise of the most of the band: a receiver hears nothing there
_HEARD = 0.75  # the quantile of the bins that says what that is
_VALUES = 1 << 19  # of a block of short rows, at most
_LAG = 12  # rows of a block that wait for the next one, so that no smoothing meets a border


@dataclass(frozen=True)
class RowFormat:
    """How rows are made. sample_rate in samples/s; a row averages ``averaging`` periodograms of ``fft_size``
    samples, ``hop`` apart, under ``window`` (taps). Raises ValueError."""

    sample_rate: float
    fft_size: int
    hop: int
    averaging: int
    window: np.ndarray

    def __post_init__(self):
        if not is_number(self.sample_rate) or self.sample_rate <= 0:
            raise ValueError(f"sample_rate must be above 0 samples/s, got {self.sample_rate!r}")
        whole("fft_size", self.fft_size, 64, 1 << 20)
        whole("hop", self.hop, 1)
        whole("averaging", self.averaging, 1)
        if np.shape(self.window) != (self.fft_size,):
            raise ValueError(f"window must be the {self.fft_size} taps, got {np.shape(self.window)}")

    @property
    def stride(self) -> int:
        """Samples from a row to the next."""
        return self.hop * self.averaging

    @property
    def seconds(self) -> float:
        """From a row to the next."""
        return self.stride / self.sample_rate

    @property
    def hertz(self) -> float:
        """From a bin to the next."""
        return self.sample_rate / self.fft_size

    @property
    def noise_bandwidth(self) -> float:
        """Hz, of whose noise a bin holds the power: the window gathers that of more than a bin."""
        return self.sample_rate * float(np.sum(self.window**2) / np.sum(self.window) ** 2)

    def checked(self, rows: np.ndarray) -> np.ndarray:
        """``rows`` as float32 (n, fft_size). Raises ValueError for another shape."""
        rows = np.asarray(rows, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.fft_size:
            raise ValueError(f"rows must be (n, {self.fft_size}), got {rows.shape}")
        return rows

    def sample(self, row: int) -> int:
        """First sample that is more a row's own than of the row before."""
        return row * self.stride + (self.fft_size - self.hop) // 2

    def frequency(self, edge: int) -> float:
        """Hz from the centre of the lower edge of bin number ``edge``."""
        return (edge - self.fft_size // 2 - 0.5) * self.hertz


@dataclass(frozen=True)
class Box:
    """A signal, or a part of a long one.

    signal        number of the signal, from 0; parts share it
    part          0, 1, 2 ...; ended: this is the last one
    sample_start, sample_count  in the stream
    freq_lower, freq_upper      Hz from the centre frequency
    snr_db        signal over noise in the box
    noise_db      of the noise in a hertz there, in dB of full scale
    """

    signal: int
    part: int
    ended: bool
    sample_start: int
    sample_count: int
    freq_lower: float
    freq_upper: float
    snr_db: float
    noise_db: float = 0.0

    @property
    def energy(self) -> float:
        """Power, of full scale, times samples. It is that of the signal, however little noise is beside it:
        a click in a receiver's stop band stands far above nothing."""
        density = 10 ** ((self.snr_db + self.noise_db) / 10)
        return density * self.sample_count * (self.freq_upper - self.freq_lower)

    def join(self, following: Box) -> Box:
        """This part of a signal and the one that follows it."""
        end = max(part.sample_start + part.sample_count for part in (self, following))
        start = min(self.sample_start, following.sample_start)
        return replace(following, part=self.part, sample_start=start, sample_count=end - start,
                       freq_lower=min(self.freq_lower, following.freq_lower),
                       freq_upper=max(self.freq_upper, following.freq_upper),
                       snr_db=max(self.snr_db, following.snr_db))


def joined(parts: Iterable[Any], box: Callable[[Any], Box] = lambda part: part) -> Iterator[Any]:
    """Signals, the parts of each put together by their ``join``, in the order of their ends. box: of a
    part."""
    going_on: dict[int, Any] = {}
    for part in parts:
        before = going_on.pop(box(part).signal, None)
        signal = part if before is None else before.join(part)
        if box(signal).ended:
            yield signal
        else:
            going_on[box(signal).signal] = signal
    yield from going_on.values()  # whose end was not told apart from what followed


def together(parts: Iterable[tuple[Hashable, Any]], join: Callable[[Any, Any], Any]) -> dict[Hashable, Any]:
    """Signals, the parts of each put together, whether one says that it is the last or not: for parts that
    were chosen from all. parts: which signal each is of, and the part. join: of a part and the next."""
    found: dict[Hashable, Any] = {}
    for signal, part in parts:
        found[signal] = join(found[signal], part) if signal in found else part
    return found


@dataclass
class _Track:
    """A signal that went on when its last part was sent: its number, its next part, its band in bins, and
    the row at which it was cut."""

    signal: int
    part: int
    f0: int
    f1: int
    row: int


class Detector:
    """Finds the signals in rows of a spectrogram. Raises ValueError for settings that do not fit the rows."""

    def __init__(self, rows: RowFormat, settings: Settings | None = None):
        settings = settings or Settings()
        self.rows, self.settings = rows, settings
        t = max(1, round(settings.cell_seconds / rows.seconds)) if settings.cell_seconds else 3
        f = max(1, round(settings.cell_hertz / rows.hertz)) if settings.cell_hertz else 3
        self._cell = min(t | 1, _LAG - 1), min(f | 1, rows.fft_size // 8 | 1)
        looks = threshold.independent_rows(rows.window, rows.hop, rows.averaging)
        freedom = (threshold.independent_rows(rows.window, rows.hop, rows.averaging * self._cell[0])
                   * threshold.independent_bins(rows.window, self._cell[1]))
        cells = 1e6 / (rows.seconds * self._cell[0] * rows.hertz * self._cell[1])
        self._high = max(threshold.threshold(settings.false_boxes, cells, freedom, looks),
                         10 ** (settings.min_level_db / 10))
        self._low = max(1 + 0.45 * (self._high - 1), 1 + 2.5 / np.sqrt(freedom))
        self._floor = FloorTracker(looks, 0.3 * 1024 / rows.fft_size)
        self.block = int(np.clip(round(0.1 / rows.seconds), 128, max(512, _VALUES // rows.fft_size)))
        self._longest = max(2 * self.block, round(settings.longest / rows.seconds))
        pause = round(settings.pause / rows.seconds) if settings.pause else 6
        self._cuts = Cuts(rows=max(3, 2 * self._cell[0]), bins=max(6, 4 * self._cell[1]),
                          least=max(4, self._cell[0] * self._cell[1] + 3))
        self._joins = Joins(pause=pause)
        self._least = (max(1, round(settings.least_seconds / rows.seconds)),
                       max(1, round(settings.least_hertz / rows.hertz)))
        self._pending = np.empty((self.block, rows.fft_size), np.float32)
        self._filled = 0  # rows of it that have come
        self._power = RowHistory(rows.fft_size)  # over the floor
        self._levels: list[tuple[int, np.ndarray]] = []  # of the floor: up to which row, (bins,) in dB
        self._map = SignalMap(self._cell, self._low, self._high, (3, 2 * self._cell[1] + 1))
        self._blobs = Blobs(rows.fft_size)
        self._next_signal = 0
        self._waiting: list[Region] = []  # none of which belongs to another
        self._tracks: list[_Track] = []
        self._flushed = False

    # -- use --------------------------------------------------------------------------------------------
    def feed(self, rows: np.ndarray) -> list[Box]:
        """Take rows, float32 (n, fft_size) in dB, DC in the middle, and return the boxes that have ended.
        What is not finite counts as silence. Raises ValueError for another shape."""
        rows = self.rows.checked(rows)
        self._flushed = False
        found = []
        while len(rows):
            taken = rows[:self.block - self._filled]
            self._pending[self._filled:self._filled + len(taken)] = taken
            self._filled += len(taken)
            rows = rows[len(taken):]
            if self._filled == self.block:
                self._filled = 0
                found += self._take(self._pending)
        return found

    def flush(self) -> list[Box]:
        """The boxes that are left at the end of the stream. Rows that follow begin a new one."""
        rest, self._filled = self._pending[:self._filled], 0
        found = self._take(rest, last=True)
        self._tracks, self._flushed = [], True
        return found

    def has_more(self, box: Box) -> bool:
        """May a box that is yet to come touch this one?"""
        end, rows = box.sample_start + box.sample_count, self.rows
        if rows.sample(self._decided) < end and not self._flushed:
            return True
        regions = [(t0, f0, f1) for t0, _, f0, f1 in self._blobs.open().tolist()]
        regions += [(region.t0, region.f0, region.f1) for region in self._waiting]
        return any(rows.sample(t0) < end and rows.frequency(f0) < box.freq_upper
                   and rows.frequency(f1) > box.freq_lower for t0, f0, f1 in regions)

    # -- a block ----------------------------------------------------------------------------------------
    def _take(self, rows: np.ndarray, last: bool = False) -> list[Box]:
        if len(rows):
            silent = ~np.isfinite(rows)
            if silent.any():
                rows[silent] = -200.0
            begin = self._power.stop
            self._floor.whiten(rows, self._power.append(len(rows)))
            self._levels += [(begin + stop, level) for stop, level in self._floor.levels]
        end = self._power.stop if last else max(self._decided, self._power.stop - _LAG)
        closed = self._label(end) if end > self._decided else []
        # Those that have lasted as long as a part may go on under another name.
        closed += self._blobs.end_before(self._decided - (0 if last else self._longest))
        settled = len(self._waiting)
        for blob in closed:
            self._finish(blob)
        found = self._emit(last, settled)
        self._forget()
        return found

    @property
    def _decided(self) -> int:
        """Rows whose map is known."""
        return self._blobs.rows

    def _label(self, end: int) -> list[Blob]:
        """Find the blobs of rows [decided, end); those that have ended."""
        power = self._power.rows(self._decided - _LAG, self._power.stop)
        context = self._power.stop - len(power)
        return self._blobs.take(self._map(power, self._decided - context, end - context))

    # -- blobs to boxes ---------------------------------------------------------------------------------
    def _finish(self, blob: Blob) -> None:
        """Put the boxes of a blob among those that wait to be joined."""
        begin = max(blob.t0 - _LAG, self._power.start)
        power = self._power.rows(begin, blob.t1 + _LAG)
        for box in cut(blob.mask(), blob.t0 - begin, blob.f0, self._cuts):
            box, contrast = measured(box, power, 10 * np.log10(self._low))
            if contrast < self.settings.min_level_db or box.level < self.settings.min_level_db:
                continue
            if box.rows < self._least[0] or box.bins < self._least[1]:
                continue
            box = occupied(box, power)
            self._waiting.append(replace(box, t0=box.t0 + begin, t1=box.t1 + begin))

    def _emit(self, last: bool, settled: int) -> list[Box]:
        """Boxes that nothing can be joined to any more. settled: the first of those that wait do not belong
        together."""
        self._waiting = join(self._waiting, self._joins, settled)
        ready, still, growing = [], [], self._blobs.open()
        for box in sorted(self._waiting, key=lambda b: (b.t0, b.f0)):
            wait = max(self._joins.pause, self._joins.tolerance * box.rows, self._joins.tolerance_rows) + 1
            followed = self._may_follow(box, growing)
            long = box.rows >= self._longest
            if last or long or (self._decided - box.t1 > wait and not followed):
                ready.append(box)
            else:
                still.append(box)
        self._waiting = still
        ready = [box for box in ready if self._is_heard(box) and not self._is_image(box, [*ready, *still])]
        return [self._sent(box, last) for box in ready]

    def _may_follow(self, box: Region, growing: np.ndarray) -> bool:
        """Might one of the blobs that go on, int64 (n, 4), become a box that is joined to this one?"""
        t0, _, f0, f1 = growing.T
        apart = np.maximum(f0, box.f0) - np.minimum(f1, box.f1)
        beside = apart <= self._joins.gap * np.maximum(f1 - f0, box.bins)
        return bool(np.any(beside & (t0 - box.t1 <= self._joins.pause)))

    def _level(self, box: Region) -> np.ndarray:
        """Of the floor when the middle of a box was received, (bins,) in dB."""
        middle = (box.t0 + box.t1) // 2
        return next((level for stop, level in self._levels if middle < stop), self._levels[-1][1])

    def _is_heard(self, box: Region) -> bool:
        """Not in the receiver's stop band, where clicks and what is out of scale stand above nothing?"""
        level = self._level(box)
        return level[box.f0:box.f1].mean() > np.quantile(level, _HEARD) - _STOP_BAND_DB

    def _is_image(self, box: Region, others: list[Region]) -> bool:
        """Is it the mirror image that a receiver's unbalanced I and Q make of a much stronger signal?"""
        bins = self.rows.fft_size // 2 * 2
        f0, f1 = bins - box.f1 + 1, bins - box.f0 + 1
        return any(other.level - box.level > 12 and abs(other.t0 - box.t0) <= 3 and abs(other.t1 - box.t1) <=
        3
                   and min(other.f1, f1) - max(other.f0, f0) >= 0.5 * box.bins for other in others)

    def _sent(self, box: Region, last: bool) -> Box:
        goes_on = not last and box.t1 >= self._decided - 1
        track = next((t for t in self._tracks if abs(t.row - box.t0) <= max(3, self._joins.pause)
                      and min(t.f1, box.f1) - max(t.f0, box.f0) >= 0.5 * min(t.f1 - t.f0, box.bins)), None)
        if track:
            self._tracks.remove(track)
            signal, part = track.signal, track.part
        else:
            signal, part = self._next_signal, 0
            self._next_signal += 1
        if goes_on:
            self._tracks.append(_Track(signal, part + 1, box.f0, box.f1, box.t1))
        rows = self.rows
        start, stop = max(0, rows.sample(box.t0) if box.t0 else 0), rows.sample(box.t1)
        noise_free = max(10 ** (box.level / 10) - 1, 1e-3)
        noise = self._level(box)[box.f0:box.f1].mean() - 10 * np.log10(rows.noise_bandwidth)
        return Box(signal, part, not goes_on, start, stop - start, rows.frequency(box.f0),
                   rows.frequency(box.f1), float(10 * np.log10(noise_free)), float(noise))

    def _forget(self) -> None:
        """Drop the whitened rows that nobody asks for any more."""
        first = min([self._decided, *self._blobs.open()[:, 0].tolist()])
        self._power.forget(first - _LAG)
        oldest = min([first, *(box.t0 for box in self._waiting)])
        self._levels = [one for one in self._levels if one[0] > oldest] or self._levels[-1:]
        horizon = self._decided - 2 * self._longest
        self._tracks = [track for track in self._tracks if track.row >= horizon]
