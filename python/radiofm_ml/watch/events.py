# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a watch is told, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

from radiofm_ml.arguments import is_number

KINDS = NEW, MOVED, SILENT = "new", "moved", "silent"


@dataclass(frozen=True)
class Event:
    """A signal, or a part of one that goes on: from ``start`` to ``stop`` in seconds of the stream, between
    two frequencies in Hz, with the label that it was given; a group of the unknown counts as a label. Raises
    ValueError."""

    start: float
    stop: float
    label: str
    freq_lower: float
    freq_upper: float

    def __post_init__(self):
        values = (self.start, self.stop, self.freq_lower, self.freq_upper)
        if not all(map(is_number, values)) or self.stop < self.start or self.freq_upper < self.freq_lower:
            raise ValueError(f"an event's times and frequencies must be finite and ascend, got {values}")
        if not isinstance(self.label, str) or not self.label:
            raise ValueError(f"an event's label must be a name, got {self.label!r}")


@dataclass(frozen=True)
class Alarm:
    """What is new, said once.

    kind    'new' | 'moved' | 'silent'
    time    when it became certain enough, in seconds of the stream
    since   when the first of the visits began that made it certain; of a silence, when it was heard last
    label, freq_lower, freq_upper   what and where, in Hz
    reason  a sentence
    """

    kind: str
    time: float
    since: float
    label: str
    freq_lower: float
    freq_upper: float
    reason: str
