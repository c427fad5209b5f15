# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What counts as a signal. Knows no NumPy: the command's options come from here."""

from __future__ import annotations

from dataclasses import dataclass

from radiofm_ml.arguments import is_number, setting


@dataclass(frozen=True)
class Settings:
    """What counts as a signal; lengths in seconds and hertz, 0 for what the rows suggest.

    cell_seconds, cell_hertz: over which the map of power over the floor is smoothed, so what can be told
    apart. Raises ValueError.
    """

    false_boxes: float = setting(0.01, "False boxes that noise may make, per second and MHz.")
    min_level_db: float = setting(3.0, "Mean power of a signal over the noise, signal and noise together.",
                                  low=0.0)
    least_seconds: float = setting(0.0, "Leave out what is shorter.", low=0.0)
    least_hertz: float = setting(0.0, "Leave out what is narrower.", low=0.0)
    pause: float = setting(0.0, "Seconds between bursts of one signal, at most; 0: six rows.", low=0.0)
    longest: float = setting(1.0, "Seconds after which a signal that goes on is a part.", low=0.0)
    cell_seconds: float = setting(0.0, "Smooth over so long; 0: three rows.", low=0.0)
    cell_hertz: float = setting(0.0, "Smooth over so much; 0: three bins.", low=0.0)

    def __post_init__(self):
        for name in ("least_seconds", "least_hertz", "pause", "cell_seconds", "cell_hertz", "min_level_db"):
            if not is_number(getattr(self, name), 0.0):
                raise ValueError(f"{name} must be a number from 0 on, got {getattr(self, name)!r}")
        if not is_number(self.false_boxes, 1e-9, 1e3):
            raise ValueError("false_boxes must lie in 1e-9..1000 per second and MHz, got "
                             f"{self.false_boxes!r}")
        if not is_number(self.longest) or self.longest <= 0:
            raise ValueError(f"longest must be above 0 seconds, got {self.longest!r}")
