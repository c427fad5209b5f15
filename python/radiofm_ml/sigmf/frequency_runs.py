# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Stretches of a recording in which the centre frequency stays what it is."""

from __future__ import annotations

import bisect

from radiofm_ml.sigmf.recording import Capture


class FrequencyRuns:
    """starts: first sample of each; sample_rate: of the recording, None where it is not known."""

    def __init__(self, captures: list[Capture], sample_rate: float | None):
        self.sample_rate = sample_rate
        self.set_captures(captures)

    def set_captures(self, captures: list[Capture]) -> None:
        """The capture segments are these."""
        runs = [captures[0] if captures else Capture(0)]
        for capture in captures[1:]:
            if capture.frequency != runs[-1].frequency:
                runs.append(capture)
        self.starts = [0, *(c.sample_start for c in runs[1:])]
        self._frequencies = [c.frequency for c in runs]

    def at(self, sample: int) -> int:
        """Number of the one that a sample lies in."""
        return max(0, bisect.bisect_right(self.starts, sample) - 1)

    def cut(self, start: int, end: int, lower: float | None, upper: float | None) -> list[tuple]:
        """(start, end, run, lower, upper) of every piece at one centre frequency."""
        if end <= start:
            return []
        first, last = map(self.at, (start, end - 1))
        reference = self._frequencies[last]
        pieces = []
        for run in range(first, last + 1):
            frequency = self._frequencies[run]
            stop = self.starts[run + 1] if run < last else end
            if lower is None or (run != last and None in (reference, frequency)):
                edges = self._whole_band(frequency)
            elif run == last:
                edges = float(lower), float(upper)
            else:
                edges = lower + frequency - reference, upper + frequency - reference
            pieces.append((max(start, self.starts[run]), stop, run, *edges))
        return pieces

    def _whole_band(self, frequency: float | None) -> tuple[float | None, float | None]:
        if self.sample_rate is None:
            return None, None
        centre = frequency or 0.0  # by the standard: relative to baseband where the centre is not known
        return centre - self.sample_rate / 2, centre + self.sample_rate / 2
