# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a labelled waterfall shows and does, without its window: rows, boxes, and the commands that teach."""

import time
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from . import words
from .boxes import NOT, Box, Boxes, Teaching, enrol
from .rows import RowRing

_MOST_TOGETHER = 64  # enrolments that a classifier lets wait


class Area(NamedTuple):
    """A rectangle: seconds of the stream and Hz."""

    first: float
    last: float
    lower: float
    upper: float

    def share_in(self, other: "Area") -> float:
        """How much of it lies in another one."""
        def part(a, b, c, d):
            return max(0.0, min(b, d) - max(a, c)) / max(b - a, 1e-12)
        return (part(self.first, self.last, other.first, other.last)
                * part(self.lower, self.upper, other.lower, other.upper))

    def holds(self, seconds: float, frequency: float, margin: tuple[float, float] = (0.0, 0.0)) -> bool:
        return (self.first - margin[0] <= seconds <= self.last + margin[0]
                and self.lower - margin[1] <= frequency <= self.upper + margin[1])


@dataclass(frozen=True)
class Note:
    """Something to say once. good: as it should be."""

    text: str
    good: bool = True


Said = tuple[float, Note]  # when, and what


def said_now(before: Said | None, notes: deque[Note], seconds: float) -> Said | None:
    """The next of the notes; else what was said before, until it has stood for so long."""
    if notes:
        return time.monotonic(), notes.popleft()
    return before if before and time.monotonic() - before[0] <= seconds else None


class Waterfall:
    """Rows, boxes and what is asked of the classifier. Safe to use from several threads; knows no Qt.

    rows  a RowRing
    send  function of a command, a dict
    """

    def __init__(self, rows: RowRing, send):
        self.rows, self.boxes, self._send = rows, Boxes(), send
        self.teaching = Teaching()
        self.notes: deque[Note] = deque(maxlen=32)
        self.labels: tuple[str, ...] = ()  # that are taught, as the newest prediction has them
        self.step = 1  # of so many rows one is looked at

    def clear(self) -> None:
        """A new run."""
        self.rows.clear()
        self.boxes.clear()

    # -- what comes -----------------------------------------------------------------------------------
    def add_signal(self, info) -> None:
        self.boxes.add_signal(info)

    def add_prediction(self, prediction) -> None:
        if prediction.labels:
            self.labels = prediction.labels
        self.boxes.add(prediction)

    def answered(self, command: str, ok: bool, reason: str = "", label: str = "", shots: int = 0,
                 rate: float | None = None) -> None:
        """An answer of the classifier's, to a command of ours or of another's."""
        about = self.teaching.answered(command, label)
        if not ok:
            if command == "drift":
                self.notes.append(Note("The signals look unlike what was taught (another antenna or gain?): "
                                       "teach a few again", False))
            elif about is not None or command not in ("enroll", "remove", "rename"):
                self.notes.append(Note(words.refusal(command, reason, label), False))
            return
        if command == "enroll":
            if about and about.get("box") is not None:
                self.boxes.name(about["box"], label)
            self.notes.append(Note(f"'{label}' is taught, with {words.count(shots, 'shot')}"))
        elif command == "rename" and about:
            self.boxes.rename(about["old"], label)
            self.notes.append(Note(f"'{about['old']}' is '{label}' now"))
        elif command == "remove":
            self.boxes.forget_label(label)
            self.notes.append(Note(f"'{label}' is forgotten"))

    # -- where boxes are ------------------------------------------------------------------------------
    def area(self, box: Box) -> Area | None:
        """Where it is seen; None before the first row."""
        stretch = self.rows.at_sample(box.first)
        if stretch is None:
            return None
        lower, upper = box.lower, box.upper
        if lower is None or upper is None:
            lower, upper = stretch.band
        else:
            shift = (stretch.centre or 0.0) - (box.centre or 0.0)
            lower, upper = lower + shift, upper + shift
        return Area(stretch.seconds_of(box.first), stretch.seconds_of(box.last), lower, upper)

    def seen(self, area: Area) -> list[tuple[Box, Area]]:
        """Boxes that lie in it, at least in part, the oldest first."""
        begin, end = self.rows.at_seconds(area.first), self.rows.at_seconds(area.last)
        if begin is None or end is None:
            return []
        begin, end = begin.sample_of(area.first), end.sample_of(area.last)
        found = []
        for box in self.boxes.all():
            there = self.area(box) if box.last >= begin and box.first <= end else None
            if (there and there.first < area.last and area.first < there.last
                    and there.lower < area.upper and area.lower < there.upper):
                found.append((box, there))
        return found

    def at(self, seconds: float, frequency: float, margin: tuple[float, float] = (0.0, 0.0)) -> Box | None:
        """The box there, the smallest if there are several."""
        def size(entry):
            return (entry[1].last - entry[1].first) * (entry[1].upper - entry[1].lower)
        near = Area(seconds - margin[0], seconds + margin[0], frequency - margin[1], frequency + margin[1])
        found = [entry for entry in self.seen(Area(*_grown(near)))
                 if entry[1].holds(seconds, frequency, margin)]
        return min(found, key=size)[0] if found else None

    def chosen(self, area: Area) -> list[Box]:
        """The boxes that a drawn rectangle means: those that lie in it for the better part, else the one
        around its middle."""
        found = [box for box, there in self.seen(area) if there.share_in(area) >= 0.5]
        if found:
            return found[-_MOST_TOGETHER:]
        middle = self.at((area.first + area.last) / 2, (area.lower + area.upper) / 2)
        return [middle] if middle else []

    # -- what is asked of the classifier --------------------------------------------------------------
    def teach(self, label: str, boxes: list[Box]) -> None:
        """One shot of each."""
        for box in boxes:
            self._ask(enrol(label, box.place, box.signal), box=box.number)

    def teach_place(self, label: str, area: Area) -> None:
        """What is in the middle of an area without a box."""
        seconds, frequency = (area.first + area.last) / 2, (area.lower + area.upper) / 2
        stretch = self.rows.at_seconds(seconds)
        if stretch is None:
            self.notes.append(Note("There is nothing to teach yet", False))
            return
        self._ask(enrol(label, (stretch.sample_of(seconds), frequency - stretch.shift)))
        self.notes.append(Note(f"'{label}': waiting until a signal is found there"))

    def not_this(self, box: Box) -> None:
        """It is not what it is called. What is like it will be called so, and be drawn as a stranger."""
        self.teach(NOT + box.label, [box])

    def rename(self, label: str, new: str) -> None:
        self._ask({"command": "rename", "label": label, "new_label": new})

    def forget(self, label: str) -> None:
        self._ask({"command": "remove", "label": label})

    def undo(self) -> None:
        self._ask({"command": "undo"})

    def _ask(self, command: dict, **about) -> None:
        self.teaching.sent(command, **about)
        self._send(command)

    # -- what is read ---------------------------------------------------------------------------------
    def reading(self, seconds: float, frequency: float, step: float, hertz: float) -> str:
        """Time, frequency and level at the cursor. step, hertz: what a pixel is."""
        level = self.rows.level(seconds, frequency)
        parts = [words.moment(seconds, self.rows.clock_of(seconds), step), words.frequency(frequency, hertz)]
        return "   ".join([*parts, "" if level is None else f"{level:.1f} dB"]).rstrip()

    def describe(self, box: Box) -> str:
        """What is known of a box, in a line."""
        there = self.area(box)
        parts = [box.text() or box.kind]
        if there is not None:
            parts.append(words.frequency((there.lower + there.upper) / 2, (there.upper - there.lower) / 20))
            parts.append(f"{words.frequency(there.upper - there.lower)} wide".replace(".000", ""))
            parts.append(words.duration(there.last - there.first))
        if box.snr is not None:
            parts.append(f"SNR {box.snr:.0f} dB")
        return ", ".join(parts)

    def density(self) -> str:
        """How rows become lines, and what is left out."""
        stretch = self.rows.latest
        if stretch is None:
            return "no rows yet"
        parts = []
        if stretch.hold > 1:
            parts.append(f"line: strongest of {stretch.hold} rows")
        if self.step > 1:
            parts.append(f"1 row of {self.step} is looked at")
        return ", ".join(parts) or "every row is a line"


def _grown(area: Area) -> Area:
    """With some extent, as ``Waterfall.seen`` needs it."""
    return Area(area.first - 1e-9, area.last + 1e-9, area.lower - 1e-6, area.upper + 1e-6)
