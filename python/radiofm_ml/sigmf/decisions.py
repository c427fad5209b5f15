# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""One decision about a stretch of a recording, and how decisions that follow one another become one."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from radiofm_ml.arguments import is_number

MAX_HZ = 1e12  # the schema's bound on frequencies and rates
MORE = ("signal", "snr_db", "bandwidth")  # what annotations of signals say besides
_MAX_TEXT = 1024  # characters of a label, or of the name of a model or task
_ROUNDING = 1e-6  # a sum of probabilities in float32 is not quite 1


@dataclass
class Decision:
    """An annotation of ours, growing while equal decisions follow one another."""

    start: int
    count: int
    label: str
    unknown: bool
    nearest: str
    model: str
    task: str
    comment: str
    run: int  # which stretch of constant centre frequency it lies in
    lower: float | None
    upper: float | None
    weight: int = 0  # samples that ``confidence`` is the mean over
    confidence: float = 0.0
    decisions: int = 1
    cell: int = 0  # of an unknown signal, see ``fewshot.groups``; 0: not known, or several
    line: str = ""  # its JSON, until it changes
    more: dict = field(default_factory=dict)  # further fields of ours, of what is one decision

    def same_kind(self, other: Decision) -> bool:
        same = (self.label, self.unknown, self.model, self.task, self.comment, self.run) == \
            (other.label, other.unknown, other.model, other.task, other.comment, other.run)
        if None in (self.lower, other.lower):
            return same and self.lower is other.lower and self.more == other.more
        return same and self.overlaps(other) and self.more == other.more

    def overlaps(self, other: Decision) -> bool:
        """In frequency, or touching; a band that is not known overlaps any."""
        return None in (self.lower, other.lower) or (
            self.lower <= other.upper and other.lower <= self.upper)

    def absorb(self, other: Decision) -> None:
        self._cover(other)
        if other.weight:
            self.weight += other.weight
            self.confidence += (other.confidence - self.confidence) * other.weight / self.weight
        if self.nearest != other.nearest:
            self.nearest = ""
        if self.cell != other.cell:
            self.cell = 0

    def go_on(self, part: Decision) -> None:
        """A further part of the same signal: what is said of it knows of those before, and holds for all."""
        self._cover(part)
        for name in ("label", "unknown", "nearest", "weight", "confidence", "cell"):
            setattr(self, name, getattr(part, name))

    def _cover(self, other: Decision) -> None:
        start, stop = min(self.start, other.start), max(self.start + self.count, other.start + other.count)
        self.start, self.count = start, stop - start
        if None not in (self.lower, other.lower):
            self.lower, self.upper = min(self.lower, other.lower), max(self.upper, other.upper)
        self.decisions += other.decisions
        self.line = ""


class Signals:
    """Decisions on signals of which more parts may come, by signal; of those kept too long the oldest go."""

    _MOST = 4096

    def __init__(self):
        self._open: dict[tuple, Decision] = {}

    def add(self, key: tuple, part: Decision, ended: bool) -> bool:
        """Whether the part begins a signal; else it went into one."""
        whole = self._open.pop(key, None)
        if whole is not None:
            whole.go_on(part)
        if not ended:
            self._open[key] = whole or part
            if len(self._open) > self._MOST:
                self._open.pop(next(iter(self._open)))
        return whole is None

    def forget(self) -> None:
        self._open.clear()


def check_decision(start: int, count: int, label: str, lower: float | None = None, upper: float | None = None,
                   confidence: float | None = None, *texts: str) -> None:
    """Raises ValueError for what ``AnnotationWriter.add`` refuses. texts: model, task, comment."""
    if start < 0 or count < 1 or start + count > 2**63 - 1:
        raise ValueError(f"samples {start} + {count} are no stretch of a recording")
    if not isinstance(label, str):
        raise ValueError(f"a label is text, got {label!r}")
    for text in (label, *texts):
        check_text(text)
    if (lower is None) != (upper is None):
        raise ValueError("give both frequency edges or neither")
    if lower is not None and not (-MAX_HZ <= lower <= upper <= MAX_HZ):
        raise ValueError(f"frequency edges must be finite and ascending, got {lower} and {upper}")
    if confidence is not None and not -_ROUNDING <= confidence <= 1 + _ROUNDING:
        raise ValueError(f"confidence must lie in 0..1, got {confidence}")


def check_more(more: dict) -> dict:
    """Further fields of an annotation, by their name without ``radiofm:``: finite numbers. Raises
    ValueError."""
    for name, value in more.items():
        if name not in MORE or not is_number(value):
            raise ValueError(f"a further field is one of {', '.join(MORE)}, a finite number; got {name} = "
                             f"{value!r}")
    return dict(more)


def check_text(text: str) -> None:
    """Raises ValueError for what is no label or name."""
    if len(text) > _MAX_TEXT:
        raise ValueError(f"a label or name must have at most {_MAX_TEXT} characters, got {len(text)}")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError(f"a label or name must not hold control characters or halves of one, got {text!r}")
