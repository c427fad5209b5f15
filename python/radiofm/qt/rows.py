# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Rows of a spectrogram, kept for some minutes in bounded memory: the strongest of several make a line."""

import math
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

MOST_COLUMNS = 2048  # of a line; of more bins the strongest of some is kept
_MOST_VALUES = 1 << 27  # that are kept, of 2 bytes
_STEP = 0.01  # dB
_DRIFT = 0.05  # seconds by which clock and samples may differ
_LOWEST = -200.0  # dB; for what is no number, too
_EVERY = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.float32)  # int16, as read as uint16


@dataclass(frozen=True)
class Stretch:
    """A stretch of the stream at one rate and frequency.

    start: its first sample; seconds: when it begins, from the first sample of all on; rate: samples/s;
    centre: Hz, None if not known; told: what messages about it have as ``rx_freq``, None if they have none;
    clock: time of its first sample in seconds since 1970, None if not known; line: number of its first line;
    hold: rows in a line
    """

    start: int
    seconds: float
    rate: float
    centre: float | None
    told: float | None
    clock: float | None
    line: int
    hold: int
    line_samples: int

    @property
    def shift(self) -> float:
        """Hz to add to what messages have as a frequency."""
        return (self.centre or 0.0) - (self.told or 0.0)

    @property
    def band(self) -> tuple[float, float]:
        """Its edges in Hz, around 0 where the centre is not known."""
        centre = self.centre or 0.0
        return centre - self.rate / 2, centre + self.rate / 2

    def goes_on(self, sample: int, rate: float, centre: float | None, told: float | None,
                clock: float | None) -> bool:
        """Is what begins at a sample, with these, of this stretch? Clocks may drift a little."""
        if (rate, centre, told, clock is None) != (self.rate, self.centre, self.told, self.clock is None):
            return False
        return clock is None or abs(clock - self.clock - (sample - self.start) / rate) < _DRIFT

    def seconds_of(self, sample: float) -> float:
        return self.seconds + (sample - self.start) / self.rate

    def sample_of(self, seconds: float) -> int:
        return max(0, round(self.start + (seconds - self.seconds) * self.rate))


@dataclass(frozen=True)
class Picture:
    """A part of a stretch: dB values (lines, columns), the oldest line first, and where it lies."""

    values: np.ndarray  # int16, in hundredths of a dB
    first: float  # seconds
    last: float
    lower: float  # Hz
    upper: float


class RowRing:
    """What is kept of the stream. Safe to use from several threads.

    bins     of a row, DC in the middle
    stride   samples from row to row
    seconds  that are kept, about; less where that would be more than 256 MB
    lines    a second, at most: of the rows in each the strongest value of every bin is kept
    """

    def __init__(self, bins: int, stride: int, seconds: float, lines: float):
        self.bins, self.stride = bins, stride
        self._seconds, self._rate = seconds, lines
        self._group = -(-bins // MOST_COLUMNS)  # bins in a column
        self.columns = -(-bins // self._group)
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """As if no row had come."""
        with self._lock:
            self._lines = np.empty((0, self.columns), np.int16)
            self._written = 0  # lines so far
            self._stretches: deque[Stretch] = deque()
            self._held, self._count = None, 0  # rows in the line that is being made

    # -- what comes -----------------------------------------------------------------------------------
    def begin(self, sample: int, rate: float, centre: float | None = None, told: float | None = None,
              clock: float | None = None) -> None:
        """What is put from now on lies from ``sample`` on: a stretch begins, if anything is new."""
        with self._lock:
            if self._stretches and self._stretches[-1].goes_on(sample, rate, centre, told, clock):
                return
            self._end_line()
            seconds = self._stretches[-1].seconds_of(sample) if self._stretches else 0.0
            hold = max(1, math.ceil(rate / self.stride / self._rate))
            self._make_room(rate / self.stride / hold)
            self._stretches.append(Stretch(sample, seconds, rate, centre, told, clock, self._written, hold,
                                           hold * self.stride))

    def _make_room(self, lines_per_second: float) -> None:
        """Room for the lines that are to be kept; it grows if they come faster than before."""
        wanted = min(max(64, math.ceil(self._seconds * lines_per_second)), _MOST_VALUES // self.columns)
        have = len(self._lines)
        if wanted <= have:
            return
        lines = np.empty((wanted, self.columns), np.int16)
        for number in range(max(0, self._written - have), self._written):
            lines[number % wanted] = self._lines[number % have]
        self._lines = lines

    def put(self, rows: np.ndarray, step: int = 1) -> None:
        """Rows that follow, float32 (n, bins) in dB. step: look at every so many of them only."""
        with self._lock:
            if not self._stretches:
                return
            hold, at = self._stretches[-1].hold, 0
            if self._count:
                at = min(len(rows), hold - self._count)
                self._take(rows[:at:step], at)
            whole = (len(rows) - at) // hold
            if whole:
                many = rows[at:at + whole * hold].reshape(whole, hold, self.bins)
                self._write(many[:, ::step].max(axis=1) if hold > 1 else many[:, 0])
            self._take(rows[at + whole * hold::step], len(rows) - at - whole * hold)

    def _take(self, rows: np.ndarray, count: int) -> None:
        if not count:
            return
        strongest = rows.max(axis=0)
        self._held = strongest if self._held is None else np.maximum(self._held, strongest)
        self._count += count
        if self._count >= self._stretches[-1].hold:
            self._end_line()

    def _end_line(self) -> None:
        if self._held is not None:
            self._write(self._held[None])
        self._held, self._count = None, 0

    def _write(self, lines: np.ndarray) -> None:
        if self._group > 1:
            lines = np.maximum.reduceat(lines, np.arange(0, self.bins, self._group), axis=1)
        lines = np.nan_to_num(lines, nan=_LOWEST, posinf=-_LOWEST, neginf=_LOWEST)
        scaled = np.clip(lines * (1 / _STEP), -32000, 32000).astype(np.int16)
        room = len(self._lines)
        self._written += max(0, len(scaled) - room)
        scaled = scaled[-room:]
        at = self._written % room
        first = min(len(scaled), room - at)
        self._lines[at:at + first] = scaled[:first]
        self._lines[:len(scaled) - first] = scaled[first:]
        self._written += len(scaled)
        oldest = self._written - room
        while len(self._stretches) > 1 and self._stretches[1].line <= oldest:
            self._stretches.popleft()

    # -- where it lies --------------------------------------------------------------------------------
    @property
    def latest(self) -> Stretch | None:
        """The stretch that is going on; None before the first row."""
        with self._lock:
            return self._stretches[-1] if self._stretches else None

    def span(self) -> tuple[float, float]:
        """Seconds of the oldest line that is kept, and of the end of the newest."""
        with self._lock:
            if not self._stretches:
                return 0.0, 0.0
            oldest, latest = self._stretches[0], self._stretches[-1]
            first = max(oldest.line, self._written - len(self._lines))
            return self._line_begins(oldest, first), self._line_begins(latest, self._written)

    @staticmethod
    def _line_begins(stretch: Stretch, line: int) -> float:
        return stretch.seconds + (line - stretch.line) * stretch.line_samples / stretch.rate

    def band(self) -> tuple[float, float]:
        """Lowest and highest frequency of all that is kept, in Hz."""
        with self._lock:
            bands = [stretch.band for stretch in self._stretches]
        return (min(b[0] for b in bands), max(b[1] for b in bands)) if bands else (0.0, 0.0)

    def at_sample(self, sample: float) -> Stretch | None:
        """The stretch that a sample lies in, the nearest where there is none."""
        with self._lock:
            later = [s for s in self._stretches if s.start <= sample]
            return later[-1] if later else (self._stretches[0] if self._stretches else None)

    def at_seconds(self, seconds: float) -> Stretch | None:
        with self._lock:
            later = [s for s in self._stretches if s.seconds <= seconds]
            return later[-1] if later else (self._stretches[0] if self._stretches else None)

    def clock_of(self, seconds: float) -> float | None:
        """Seconds since 1970, where the stream tells."""
        stretch = self.at_seconds(seconds)
        return None if stretch is None or stretch.clock is None else stretch.clock + seconds - stretch.seconds

    # -- what is seen ---------------------------------------------------------------------------------
    def pictures(self, first: float, last: float, most: int) -> list[Picture]:
        """What lies between two times, in at most about ``most`` lines: the strongest of several where there
        are more."""
        with self._lock:
            found = []
            ends = [*(s.line for s in list(self._stretches)[1:]), self._written]
            total = 0
            parts = []
            for stretch, end in zip(self._stretches, ends, strict=True):
                begin = max(stretch.line, self._written - len(self._lines))
                per_second = stretch.rate / stretch.line_samples
                a = max(begin, stretch.line + math.floor((first - stretch.seconds) * per_second))
                b = min(end, stretch.line + math.ceil((last - stretch.seconds) * per_second))
                if b > a:
                    parts.append((stretch, a, b))
                    total += b - a
            together = max(1, -(-total // max(1, most)))
            for stretch, a, b in parts:
                found.append(self._picture(stretch, a, b, together))
            return found

    def _picture(self, stretch: Stretch, a: int, b: int, together: int) -> Picture:
        """Groups of lines begin at multiples of ``together``, so that they stay the same as time goes on."""
        if together > 1:
            a = max(stretch.line, self._written - len(self._lines), a - a % together)
        lines = self._between(a, b)
        cuts = np.array([0])
        if together > 1:
            cuts = np.unique(np.r_[0, np.arange(-a % together, b - a, together)])
            lines = np.maximum.reduceat(lines, cuts, axis=0)
        # an image has lines of one height: the first and the last group may be shorter
        begin = a if together == 1 else a - a % together
        lower, width = self._first_edge(stretch), stretch.rate * self._group / self.bins
        return Picture(lines, self._line_begins(stretch, begin),
                       self._line_begins(stretch, begin + len(lines) * together), lower,
                       lower + width * self.columns)

    def _first_edge(self, stretch: Stretch) -> float:
        """Hz of the lower edge of the first bin: half a bin below its middle."""
        return stretch.band[0] - stretch.rate / self.bins / 2

    def _between(self, a: int, b: int) -> np.ndarray:
        room = len(self._lines)
        i, count = a % room, b - a
        first = self._lines[i:i + count]
        rest = count - len(first)
        return np.concatenate([first, self._lines[:rest]]) if rest else first.copy()

    def level(self, seconds: float, frequency: float) -> float | None:
        """dB at a time and frequency; None where nothing is kept."""
        found = self.pictures(seconds, seconds, 1) or self.pictures(seconds, seconds + 1e-9, 1)
        stretch = self.at_seconds(seconds)
        if not found or stretch is None:
            return None
        column = math.floor((frequency - self._first_edge(stretch)) / stretch.rate * self.bins) // self._group
        return float(found[-1].values[-1, column]) * _STEP if 0 <= column < self.columns else None

    def range(self, low: float = 0.2, high: float = 0.999) -> tuple[float, float] | None:
        """dB below which these shares of the newest lines' values lie; None before there are any."""
        with self._lock:
            have = min(self._written, len(self._lines), 200)
            if not have:
                return None
            lines = self._between(self._written - have, self._written)
        values = lines[::max(1, have // 50), ::max(1, self.columns // 512)].ravel()
        found = np.partition(values, [int(low * (len(values) - 1)), int(high * (len(values) - 1))])
        return found[int(low * (len(values) - 1))] * _STEP, found[int(high * (len(values) - 1))] * _STEP


def to_colours(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Hundredths of a dB as uint8: 0 for ``low`` dB and less, 255 for ``high`` and more."""
    scale = 255 * _STEP / max(high - low, 0.1)
    table = np.clip((_EVERY - low / _STEP) * scale, 0, 255).astype(np.uint8)
    return table.take(values.view(np.uint16))
