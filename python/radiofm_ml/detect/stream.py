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

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from radiofm_ml.arguments import is_number, whole
from radiofm_ml.detect import threshold
from radiofm_ml.detect.boxes import Cuts, Joins, Region, cut, join, measured, occupied
from radiofm_ml.detect.floor import FloorTracker
from radiofm_ml.detect.settings import Settings

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
    """

    signal: int
    part: int
    ended: bool
    sample_start: int
    sample_count: int
    freq_lower: float
    freq_upper: float
    snr_db: float

    def join(self, following: Box) -> Box:
        """This part of a signal and the one that follows it."""
        end = max(part.sample_start + part.sample_count for part in (self, following))
        start = min(self.sample_start, following.sample_start)
        return replace(following, part=self.part, sample_start=start, sample_count=end - start,
                       freq_lower=min(self.freq_lower, following.freq_lower),
                       freq_upper=max(self.freq_upper, following.freq_upper),
                       snr_db=max(self.snr_db, following.snr_db))


@dataclass
class _Open:
    """A region that the newest row belongs to: pieces of its mask with their first pixels; whether it is high
    enough somewhere."""

    pieces: list[tuple[int, int, np.ndarray]]
    high: bool = False

    @property
    def start(self) -> int:
        return self.pieces[0][0]

    def band(self) -> tuple[int, int]:
        return min(f for _, f, _ in self.pieces), max(f + m.shape[1] for _, f, m in self.pieces)

    def mask(self) -> tuple[np.ndarray, int, int]:
        t0 = min(t for t, _, _ in self.pieces)
        t1 = max(t + m.shape[0] for t, _, m in self.pieces)
        f0, f1 = self.band()
        out = np.zeros((t1 - t0, f1 - f0), bool)
        for t, f, m in self.pieces:
            out[t - t0:t - t0 + m.shape[0], f - f0:f - f0 + m.shape[1]] |= m
        return out, t0, f0


@dataclass
class _Track:
    """A signal that went on when its last part was sent: its number, its next part, its band in bins, and
    the row at which it was cut."""

    signal: int
    part: int
    f0: int
    f1: int
    row: int


def _closed(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Morphological closing of a uint8 mask by a rectangle; what is outside is empty."""
    for axis, length in enumerate(size):
        mask = ndimage.maximum_filter1d(mask, length, axis=axis, mode="constant")
    for axis, length in enumerate(size):
        mask = ndimage.minimum_filter1d(mask, length, axis=axis, mode="constant", cval=1)
    return mask


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
        self._high = max(threshold.threshold(settings.false_boxes, cells, freedom),
                         10 ** (settings.min_level_db / 10))
        self._low = max(1 + 0.45 * (self._high - 1), 1 + 2.5 / np.sqrt(freedom))
        self._floor = FloorTracker(looks, 0.3 * 1024 / rows.fft_size)
        self.block = int(np.clip(round(0.1 / rows.seconds), 128, 512))
        self._longest = max(2 * self.block, round(settings.longest / rows.seconds))
        pause = round(settings.pause / rows.seconds) if settings.pause else 6
        self._cuts = Cuts(rows=max(3, 2 * self._cell[0]), bins=max(6, 4 * self._cell[1]),
                          least=max(4, self._cell[0] * self._cell[1] + 3))
        self._joins = Joins(pause=pause)
        self._closing = 3, 2 * self._cell[1] + 1
        self._least = (max(1, round(settings.least_seconds / rows.seconds)),
                       max(1, round(settings.least_hertz / rows.hertz)))
        self._pending: list[np.ndarray] = []
        self._power: deque[np.ndarray] = deque()  # of whitened rows, block by block
        self._power_start = 0  # row of the first of them
        self._received = 0  # rows in self._power's end
        self._decided = 0  # rows whose mask is known
        self._open: dict[int, _Open] = {}
        self._border = np.zeros(rows.fft_size, np.int64)  # open region of each bin of the last decided row
        self._next_open, self._next_signal = 1, 0
        self._waiting: list[Region] = []
        self._tracks: list[_Track] = []
        self._flushed = False

    # -- use --------------------------------------------------------------------------------------------
    def feed(self, rows: np.ndarray) -> list[Box]:
        """Take rows, float32 (n, fft_size) in dB, DC in the middle, and return the boxes that have ended.
        What is not finite counts as silence. Raises ValueError for another shape."""
        self._pending.append(self.rows.checked(rows))
        self._flushed = False
        found = []
        while sum(map(len, self._pending)) >= self.block:
            waiting = np.concatenate(self._pending)
            self._pending = [waiting[self.block:]]
            found += self._take(waiting[:self.block])
        return found

    def flush(self) -> list[Box]:
        """The boxes that are left at the end of the stream. Rows that follow begin a new one."""
        rest = np.concatenate([np.empty((0, self.rows.fft_size), np.float32), *self._pending])
        self._pending = []
        found = self._take(rest, last=True)
        self._tracks, self._flushed = [], True
        return found

    def has_more(self, box: Box) -> bool:
        """May a box that is yet to come touch this one?"""
        end, rows = box.sample_start + box.sample_count, self.rows
        if rows.sample(self._decided) < end and not self._flushed:
            return True
        regions = [(region.start, *region.band()) for region in self._open.values()]
        regions += [(region.t0, region.f0, region.f1) for region in self._waiting]
        return any(rows.sample(t0) < end and rows.frequency(f0) < box.freq_upper
                   and rows.frequency(f1) > box.freq_lower for t0, f0, f1 in regions)

    # -- a block ----------------------------------------------------------------------------------------
    def _take(self, rows: np.ndarray, last: bool = False) -> list[Box]:
        if len(rows):
            rows = np.nan_to_num(rows, nan=-200.0, posinf=-200.0, neginf=-200.0)
            floor = self._floor.floor(rows)
            self._power.append(np.exp((rows - floor) * np.float32(np.log(10) / 10)))
            self._received += len(rows)
        end = self._received if last else max(self._decided, self._received - _LAG)
        closed = self._label(end) if end > self._decided else []
        if last:
            closed += [(region, True) for region in self._open.values()]
            self._open.clear()
            self._border[:] = 0
        else:
            closed += self._too_long()
        for region, ended in closed:
            self._finish(region, ended)
        found = self._emit(last)
        self._forget()
        return found

    def _rows_of_power(self, start: int, stop: int) -> np.ndarray:
        """Whitened rows [start, stop), those that are kept."""
        parts, at = [], self._power_start
        for block in self._power:
            low, high = max(start - at, 0), min(stop - at, len(block))
            if low < high:
                parts.append(block[low:high])
            at += len(block)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _label(self, end: int) -> list[tuple[_Open, bool]]:
        """Find the regions of rows [decided, end); those that have ended."""
        begin = self._decided
        context = max(begin - _LAG, self._power_start)
        power = self._rows_of_power(context, self._received)
        smooth = ndimage.uniform_filter(power, self._cell, mode="nearest")
        mask = _closed((smooth > self._low).view(np.uint8), self._closing)
        mask, smooth = mask[begin - context:end - context], smooth[begin - context:end - context]
        labels, count = ndimage.label(mask)
        high = np.zeros(count + 1, bool)
        high[labels[smooth > self._high]] = True
        names = self._names(labels, count)
        for number, place in enumerate(ndimage.find_objects(labels), 1):
            piece = begin + place[0].start, place[1].start, labels[place] == number
            region = self._open.setdefault(names[number], _Open([]))
            region.pieces.append(piece)
            region.high |= bool(high[number])
        self._border = names[labels[-1]]
        self._decided = end
        alive = set(np.unique(self._border).tolist())
        return [(self._open.pop(name), True) for name in list(self._open) if name not in alive]

    def _names(self, labels: np.ndarray, count: int) -> np.ndarray:
        """Names of a block's labels, int64 (count + 1,); regions that touch those of the row before are the
        same ones, and several of them that meet become one."""
        names = np.zeros(count + 1, np.int64)
        touching = (labels[0] > 0) & (self._border > 0)
        for label, before in {*zip(labels[0][touching].tolist(), self._border[touching].tolist(),
        strict=True)}:
            if names[label] in (0, before):
                names[label] = before
                continue
            kept = names[label]
            other = self._open.pop(before)
            self._open[kept].pieces += other.pieces
            self._open[kept].high |= other.high
            self._border[self._border == before] = kept
            names[names == before] = kept
            # what else touched the one that is gone
            return self._names(labels, count)
        fresh = np.flatnonzero(names[1:] == 0) + 1
        names[fresh] = self._next_open + np.arange(len(fresh))
        self._next_open += len(fresh)
        return names

    def _too_long(self) -> list[tuple[_Open, bool]]:
        """Regions that have lasted as long as a part may; they go on under another name."""
        long = [name for name, region in self._open.items() if self._decided - region.start >= self._longest]
        cut_off = []
        for name in long:
            cut_off.append((self._open.pop(name), False))
            here = self._border == name
            self._border[here] = 0
        return cut_off

    # -- regions to boxes -------------------------------------------------------------------------------
    def _finish(self, region: _Open, ended: bool) -> None:
        """Put the boxes of a region among those that wait to be joined."""
        if not region.high:
            return
        mask, t0, f0 = region.mask()
        kept_from = max(t0, self._power_start)
        begin = max(kept_from - _LAG, self._power_start)
        power = self._rows_of_power(begin, t0 + len(mask) + _LAG)
        for box in cut(mask[kept_from - t0:], kept_from - begin, f0, self._cuts):
            box, contrast = measured(box, power, 10 * np.log10(self._low))
            if contrast < self.settings.min_level_db or box.level < self.settings.min_level_db:
                continue
            if box.rows < self._least[0] or box.bins < self._least[1]:
                continue
            box = occupied(box, power)
            self._waiting.append(replace(box, t0=box.t0 + begin, t1=box.t1 + begin))

    def _emit(self, last: bool) -> list[Box]:
        """Boxes that nothing can be joined to any more."""
        self._waiting = join(self._waiting, self._joins)
        ready, still = [], []
        for box in sorted(self._waiting, key=lambda b: (b.t0, b.f0)):
            wait = max(self._joins.pause, self._joins.tolerance * box.rows, self._joins.tolerance_rows) + 1
            followed = any(self._may_follow(box, region) for region in self._open.values())
            long = box.rows >= self._longest
            if last or long or (self._decided - box.t1 > wait and not followed):
                ready.append(box)
            else:
                still.append(box)
        self._waiting = still
        ready = [box for box in ready if not self._is_image(box, [*ready, *still])]
        return [self._sent(box, last) for box in ready]

    def _may_follow(self, box: Region, region: _Open) -> bool:
        f0, f1 = region.band()
        beside = max(box.f0, f0) - min(box.f1, f1) <= self._joins.gap * max(box.bins, f1 - f0)
        return beside and region.start - box.t1 <= self._joins.pause

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
        return Box(signal, part, not goes_on, start, stop - start, rows.frequency(box.f0),
                   rows.frequency(box.f1), float(10 * np.log10(noise_free)))

    def _forget(self) -> None:
        """Drop the whitened rows that nobody asks for any more."""
        needed = min([self._decided - _LAG, *(region.start - _LAG for region in self._open.values())])
        while self._power and self._power_start + len(self._power[0]) <= needed:
            self._power_start += len(self._power.popleft())
        horizon = self._decided - 2 * self._longest
        self._tracks = [track for track in self._tracks if track.row >= horizon]
