# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a watch is to keep to. Knows no NumPy: the command's options come from here."""

from __future__ import annotations

from dataclasses import dataclass

from radiofm_ml.arguments import is_number, setting


@dataclass(frozen=True)
class Settings:
    """Raises ValueError for what is out of range."""

    false_alarms: float = setting(0.1, "False alarms, at most, in an hour of listening.")
    learn: float = setting(3600.0, "Learn for so many seconds what is normal here.")
    pause: float = setting(0.0, "What is heard again within so many seconds was not away: longer than "
                                "transmissions with their pauses last. 0: a hundredth of the learning.",
                           low=0.0)
    tolerance: float = setting(0.0, "Hz by which a frequency may be off, beyond half of the bandwidth.",
                               low=0.0)

    def __post_init__(self):
        if not is_number(self.false_alarms, 1e-6, 1e3):
            raise ValueError(f"false_alarms must lie in 1e-6..1000 an hour, got {self.false_alarms!r}")
        if not is_number(self.learn, 1e-3, 1e9):
            raise ValueError(f"learn must lie in 0.001..1e9 seconds, got {self.learn!r}")
        for name in ("pause", "tolerance"):
            if not is_number(getattr(self, name), 0.0):
                raise ValueError(f"{name} must be a number from 0 on, got {getattr(self, name)!r}")
        if self.pause > self.learn / 10:
            raise ValueError(f"pause must be at most a tenth of learn, {self.learn / 10:g} s, "
                             f"got {self.pause:g}")
