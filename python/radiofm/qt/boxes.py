# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The boxes of a labelled waterfall: where signals are, what classifiers say of them, what is taught."""

import itertools
import threading
from collections import deque
from dataclasses import dataclass, replace

from ..common.messages import Prediction, TileInfo
from .answers import label_of

MOST = 4000  # boxes that are kept
NOT = "not "  # begins the label that is taught for what a label is not
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Box:
    """A signal or a tile. first, last: samples; lower, upper: Hz as the messages have them, around 0 where
    ``centre`` is not known; place: (sample, Hz) in it that a classifier can find it by."""

    number: int  # in the order in which they came
    first: int
    last: int
    lower: float | None
    upper: float | None
    centre: float | None
    place: tuple[int, float | None]
    signal: int | None = None
    label: str = ""  # '' where nothing has decided
    confidence: float | None = None
    unknown: bool = False
    alone: bool = False  # only one label is taught: that it is this one says little
    snr: float | None = None
    model: str = ""
    taught: bool = False  # the label is what somebody has said

    @property
    def stranger(self) -> bool:
        """Is it none of the labels?"""
        return self.unknown or self.label.startswith(NOT)

    @property
    def kind(self) -> str:
        """What it is one of: its label, or what groups the unknown have."""
        return self.label or "signal"

    def chip(self) -> str:
        """What stands at it, in short: '?' for the unknown, '?3' for a group of it."""
        if self.unknown and self.label.startswith(UNKNOWN):
            return "?" + self.label.removeprefix(UNKNOWN).strip()
        return self.text()

    def text(self) -> str:
        """What it is said to be."""
        if not self.label:
            return ""
        if self.taught:
            return f"{self.label} (taught)"
        if self.unknown or self.confidence is None:
            return self.label
        if self.alone:
            return f"{self.label} (too few labels to tell)"
        return f"{self.label} {min(99, int(100 * self.confidence))} %" if self.confidence < 1 else (
            f"{self.label} 99 %")


class Boxes:
    """Those that are kept, the oldest first. Safe to use from several threads."""

    def __init__(self, most: int = MOST):
        self._most, self._lock = most, threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._boxes: dict[int, Box] = {}  # by number
            self._signals: dict[int, int] = {}  # number of the box of each signal
            self._latest_tile: int | None = None
            self._count = itertools.count()
            self.changes = 0  # so many so far

    # -- what comes -----------------------------------------------------------------------------------
    def add_signal(self, info: TileInfo) -> None:
        """A detector has found it, or a part of it."""
        with self._lock:
            box = self._signal_box(info)
            self._put(box if info.signal is None else replace(box, snr=info.signal.snr))

    def add(self, prediction: Prediction) -> None:
        """A classifier has decided."""
        info = prediction.info
        decided = {"label": label_of(prediction), "confidence": prediction.confidence, "model": info.model,
                   "unknown": prediction.unknown, "alone": len(prediction.labels) == 1}
        with self._lock:
            if info.signal is None:
                self._add_tile(info, decided)
                return
            box = self._signal_box(info)
            if box.taught:
                decided = {}
            self._put(replace(box, place=middle_of(info), snr=info.signal.snr, **decided))

    def _signal_box(self, info: TileInfo) -> Box:
        """The box of a signal, with this part of it."""
        number = self._signals.get(info.signal.signal)
        have = None if number is None else self._boxes.get(number)
        if have is None:
            return self._new(info, info.signal.signal)
        edges = {}
        if None not in (have.lower, have.upper, info.freq_lower_edge, info.freq_upper_edge):
            edges = {"lower": min(have.lower, info.freq_lower_edge),
                     "upper": max(have.upper, info.freq_upper_edge)}
        place = middle_of(info) if not have.label else have.place
        return replace(have, first=min(have.first, info.sample_start), place=place,
                       last=max(have.last, info.sample_start + info.sample_count), **edges)

    def _new(self, info: TileInfo, signal: int | None) -> Box:
        return Box(next(self._count), info.sample_start, info.sample_start + info.sample_count,
                   info.freq_lower_edge, info.freq_upper_edge, info.rx_freq, middle_of(info), signal)

    def _add_tile(self, info: TileInfo, decided: dict) -> None:
        """Tiles that follow one another with the same label and band are one box."""
        new = replace(self._new(info, None), **decided)
        have = self._boxes.get(self._latest_tile) if self._latest_tile is not None else None
        if have and have.label == new.label and not have.taught and _joins(have, new):
            weight = (new.last - new.first) / max(1, new.last - have.first)
            both = [have.confidence, new.confidence]
            confidence = None if None in both else both[0] + weight * (both[1] - both[0])
            new = replace(have, last=max(have.last, new.last), confidence=confidence, place=new.place,
                          lower=_least(min, have.lower, new.lower), upper=_least(max, have.upper, new.upper))
        self._latest_tile = new.number
        self._put(new)

    def _put(self, box: Box) -> None:
        self._boxes[box.number] = box
        if box.signal is not None:
            self._signals[box.signal] = box.number
        while len(self._boxes) > self._most:
            self._forget(next(iter(self._boxes)))
        self.changes += 1

    def _forget(self, number: int) -> None:
        gone = self._boxes.pop(number)
        if self._signals.get(gone.signal) == number:
            del self._signals[gone.signal]

    def forget_before(self, sample: int) -> None:
        """The rows there are kept no more."""
        with self._lock:
            for number in list(itertools.takewhile(
                    lambda n: self._boxes[n].last < sample, list(self._boxes))):
                self._forget(number)

    # -- what is done to them -------------------------------------------------------------------------
    def name(self, number: int, label: str) -> None:
        """Somebody has taught what it is."""
        with self._lock:
            if number in self._boxes:
                self._put(replace(self._boxes[number], label=label, unknown=False, taught=True,
                                  confidence=None))

    def rename(self, label: str, new: str) -> None:
        self._relabel(label, label=new)

    def forget_label(self, label: str) -> None:
        """It is not taught any more: what was called so is unknown."""
        self._relabel(label, label=UNKNOWN, unknown=True, taught=False, confidence=None)

    def _relabel(self, old: str, **changes) -> None:
        with self._lock:
            for number, box in self._boxes.items():
                if box.label == old and not box.unknown:
                    self._boxes[number] = replace(box, **changes)
            self.changes += 1

    # -- questions ------------------------------------------------------------------------------------
    def all(self) -> list[Box]:
        with self._lock:
            return list(self._boxes.values())

    def get(self, number: int | None) -> Box | None:
        with self._lock:
            return self._boxes.get(number)

    def next_of_kind(self, box: Box) -> Box | None:
        """The next one with its label, behind the newest the oldest; None if it is the only one."""
        same = sorted((b for b in self.all() if b.kind == box.kind), key=lambda b: (b.first, b.number))
        if len(same) < 2:
            return None
        later = [b for b in same if (b.first, b.number) > (box.first, box.number)]
        return (later or same)[0]


def middle_of(info: TileInfo) -> tuple[int, float | None]:
    """(sample, Hz) that a classifier can find it by; None for Hz where its band is not known."""
    edges = info.freq_lower_edge, info.freq_upper_edge
    return info.sample_start + info.sample_count // 2, None if None in edges else sum(edges) / 2


def _joins(have: Box, new: Box) -> bool:
    if not have.first <= new.first <= have.last or have.centre != new.centre:
        return False
    edges = have.lower, have.upper, new.lower, new.upper
    return edges.count(None) == 4 or (None not in edges and new.lower < have.upper and have.lower < new.upper)


def _least(choose, a: float | None, b: float | None) -> float | None:
    return None if None in (a, b) else choose(a, b)


class Teaching:
    """Commands that were sent and are not answered yet, and what they were for.

    A classifier answers in its own time, and those of several at once; so an answer belongs to the oldest
    command of its name and label.
    """

    def __init__(self, most: int = 256):
        self._waiting: deque[tuple[str, str, dict]] = deque(maxlen=most)  # command, label, about
        self._lock = threading.Lock()

    def sent(self, command: dict, **about) -> None:
        with self._lock:
            label = command.get("new_label", command.get("label", ""))
            self._waiting.append((command["command"], label, {**about, "old": command.get("label", "")}))

    def answered(self, command: str, label: str) -> dict | None:
        """What it was sent for; None if it was another's. A refused rename is answered with the old label."""
        with self._lock:
            for entry in self._waiting:
                if entry[0] == command and label in (entry[1], entry[2]["old"]):
                    self._waiting.remove(entry)
                    return entry[2]
        return None

    def __len__(self) -> int:
        return len(self._waiting)


def enrol(label: str, place: tuple[int, float | None], signal: int | None = None) -> dict:
    """The command that teaches what is at a place."""
    command = {"command": "enroll", "label": label, "source": "at", "shots": 1, "sample_start": place[0]}
    if place[1] is not None:
        command["frequency"] = float(place[1])
    if signal is not None:
        command["signal"] = signal
    return command
