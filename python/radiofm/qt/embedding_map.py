# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A map of embeddings in two dimensions, without its window: what came, its names, what is taught."""

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, replace

import numpy as np

from ..common.messages import TileInfo
from . import words
from .answers import label_of
from .boxes import NOT, Teaching, enrol, middle_of
from .waterfall import Note

MOST = 2000  # embeddings that are kept
_FIRST_FIT = 30  # embeddings after which the map is fitted by itself
_MOST_CUTS, _LONGEST_CUT = 256, 1 << 15  # cut-outs that are kept, samples of each
_PICTURE = 64  # bins and rows of the picture of a signal, at most


@dataclass(frozen=True)
class Dot:
    """An embedding. key: what its prediction and its cut-out are found by; at: where it is on the map; None
    before that is fitted."""

    key: tuple
    info: TileInfo
    vector: np.ndarray
    label: str = ""
    unknown: bool = False
    at: tuple[float, float] | None = None

    @property
    def stranger(self) -> bool:
        return self.unknown or self.label.startswith(NOT)


@dataclass(frozen=True)
class Taught:
    """A prototype, and the shots it was made of, on the map: (n, 2)."""

    label: str
    at: tuple[float, float]
    shots: np.ndarray


class EmbeddingMap:
    """send: function of a command, a dict. Safe to use from several threads; knows no Qt.

    Embeddings and prototypes are set to length 1 and projected onto the two directions in which those that
    came differ most (principal components). The directions stay as they are until ``fit`` is called again, so
    that nothing moves by itself.
    """

    def __init__(self, send, most: int = MOST):
        self._send, self._most, self._lock = send, most, threading.RLock()
        self.teaching, self.notes = Teaching(), deque(maxlen=32)
        self._state: list[tuple[str, np.ndarray, np.ndarray]] = []
        self.clear()

    def clear(self) -> None:
        """A new run; what is taught stays."""
        with self._lock:
            self._dots: OrderedDict[tuple, Dot] = OrderedDict()
            self._early: OrderedDict[tuple, tuple[str, bool]] = OrderedDict()  # decided, not embedded yet
            self._cuts: OrderedDict[tuple, tuple[np.ndarray, float]] = OrderedDict()
            self._axes: tuple[np.ndarray, np.ndarray] | None = None
            self.share = 0.0  # of the differences that the map shows
            self.changes = 0

    # -- what comes -----------------------------------------------------------------------------------
    def add_embedding(self, info: TileInfo, vector: np.ndarray) -> None:
        with self._lock:
            if self._dots and len(vector) != len(next(iter(self._dots.values())).vector):
                self.clear()  # another model's
            unit = _unit(vector[None])[0]
            key = _key(info)
            dot = Dot(key, info, unit, *self._early.pop(key, ("", False)), self._project(unit))
            self._dots[dot.key] = dot
            self._dots.move_to_end(dot.key)
            while len(self._dots) > self._most:
                self._dots.popitem(last=False)
            self.changes += 1
            if self._axes is None and len(self._dots) >= _FIRST_FIT:
                self.fit()

    def add_prediction(self, prediction) -> None:
        with self._lock:
            key, decided = _key(prediction.info), (label_of(prediction), prediction.unknown)
            if key not in self._dots:  # messages of different ports come in any order
                self._early[key] = decided
                while len(self._early) > self._most:
                    self._early.popitem(last=False)
                return
            self._dots[key] = replace(self._dots[key], label=decided[0], unknown=decided[1])
            self.changes += 1

    def add_signal(self, info: TileInfo, samples: np.ndarray) -> None:
        """A cut-out: its picture can be seen."""
        if len(samples):
            with self._lock:
                self._cuts[_key(info)] = samples[:_LONGEST_CUT].copy(), info.signal.rate or 1.0
                while len(self._cuts) > _MOST_CUTS:
                    self._cuts.popitem(last=False)

    def add_state(self, prototypes: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
        """label, vector (D,) and shots (n, D) of each prototype."""
        with self._lock:
            self._state = prototypes
            self.changes += 1

    def answered(self, command: str, ok: bool, reason: str = "", label: str = "", shots: int = 0,
                 rate: float | None = None) -> None:
        about = self.teaching.answered(command, label)
        if about is None:
            return
        if not ok:
            self.notes.append(Note(words.refusal(command, reason, label), False))
        elif command == "enroll":
            self.notes.append(Note(f"'{label}' is taught, with {words.count(shots, 'shot')}"))

    # -- the map --------------------------------------------------------------------------------------
    def fit(self) -> bool:
        """Choose the directions anew; whether there was enough to do so."""
        with self._lock:
            if len(self._dots) < 3:
                self.notes.append(Note("Too few embeddings for a map yet", False))
                return False
            vectors = np.stack([dot.vector for dot in self._dots.values()])
            mean = vectors.mean(axis=0)
            _, spread, directions = np.linalg.svd(vectors - mean, full_matrices=False)
            self._axes = mean, directions[:2].T
            self.share = float((spread[:2] ** 2).sum() / max((spread ** 2).sum(), 1e-30))
            for key, dot in self._dots.items():
                self._dots[key] = replace(dot, at=self._project(dot.vector))
            self.changes += 1
            return True

    def _project(self, unit: np.ndarray) -> tuple[float, float] | None:
        if self._axes is None:
            return None
        x, y = (unit - self._axes[0]) @ self._axes[1]
        return float(x), float(y)

    def dots(self) -> list[Dot]:
        """That are on the map, the oldest first."""
        with self._lock:
            return [dot for dot in self._dots.values() if dot.at is not None]

    def taught(self) -> list[Taught]:
        with self._lock:
            if self._axes is None:
                return []
            mean, directions = self._axes
            return [Taught(label, self._project(_unit(vector[None])[0]), (_unit(shots) - mean) @ directions)
                    for label, vector, shots in self._state if len(vector) == len(mean)]

    def labels(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(label for label, *_ in self._state)

    def nearest(self, x: float, y: float, margin: tuple[float, float]) -> Dot | None:
        """The dot there, within so much to each side."""
        def distance(dot):
            return max(abs(dot.at[0] - x) / margin[0], abs(dot.at[1] - y) / margin[1])
        found = min(self.dots(), key=distance, default=None)
        return found if found is not None and distance(found) <= 1 else None

    def within(self, left: float, right: float, low: float, high: float) -> list[Dot]:
        return [dot for dot in self.dots() if left <= dot.at[0] <= right and low <= dot.at[1] <= high]

    # -- what is done and read ------------------------------------------------------------------------
    def teach(self, label: str, dots: list[Dot]) -> None:
        """One shot of each; the newest 64, since a classifier lets no more wait."""
        for dot in dots[-64:]:
            signal = None if dot.info.signal is None else dot.info.signal.signal
            command = enrol(label, middle_of(dot.info), signal)
            self.teaching.sent(command)
            self._send(command)

    def describe(self, dot: Dot) -> str:
        info, parts = dot.info, [dot.label or "not decided"]
        if info.freq_lower_edge is not None and info.freq_upper_edge is not None:
            wide = info.freq_upper_edge - info.freq_lower_edge
            parts.append(words.frequency((info.freq_lower_edge + info.freq_upper_edge) / 2, wide / 20))
            parts.append(f"{words.frequency(wide)} wide")
        clock = None if info.rx_time is None else sum(info.rx_time)
        if info.sample_rate:
            parts.append(words.moment(info.sample_start / info.sample_rate, clock, 0.01))
            parts.append(words.duration(info.sample_count / info.sample_rate))
        if info.signal is not None and info.signal.snr is not None:
            parts.append(f"SNR {info.signal.snr:.0f} dB")
        return ", ".join(parts)

    def picture(self, dot: Dot) -> np.ndarray | None:
        """uint8 (rows, bins) of its cut-out, time running down; None where that is not kept."""
        with self._lock:
            samples, _ = self._cuts.get(dot.key, (np.zeros(0), 1.0))
        size = min(_PICTURE, len(samples))
        if size < 8:
            return None
        starts = np.linspace(0, len(samples) - size, min(_PICTURE, len(samples) // 8)).astype(int)
        pieces = np.stack([samples[start:start + size] for start in starts]) * np.hanning(size)
        power = np.abs(np.fft.fftshift(np.fft.fft(pieces, axis=1), axes=1)) ** 2
        level = 10 * np.log10(power + 1e-20)
        high = level.max()
        return np.clip(255 * (level - high + 40) / 40, 0, 255).astype(np.uint8)


def _key(info: TileInfo) -> tuple:
    """Of a signal its number and part, of a tile its number."""
    return (info.tile,) if info.signal is None else (info.signal.signal, info.signal.part)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
