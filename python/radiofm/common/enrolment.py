# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Enrolments: which tiles or signals a label is taught with."""

from dataclasses import dataclass

import numpy as np

from .messages import MessageError, TileInfo


def anew(info: TileInfo, before: TileInfo) -> bool:
    """Is it of another stream than the one before, or of the same one from its beginning?"""
    if info.signal is None or before.signal is None:
        return info.sample_start <= before.sample_start
    return info.run != before.run


@dataclass(frozen=True)
class Wanted:
    """What ``enroll`` with source 'at' asks for: the sample that it holds, the frequency in its band, and the
    number of the signal; None where that does not matter."""

    sample: int | None
    frequency: float | None
    signal: int | None

    def at(self, info: TileInfo, span: int) -> bool:
        """Is it there? span: samples from its first one that are its own."""
        if self.signal is not None and (info.signal is None or info.signal.signal != self.signal):
            return False
        if self.sample is not None and not info.sample_start <= self.sample < info.sample_start + span:
            return False
        lower, upper = info.freq_lower_edge, info.freq_upper_edge
        return self.frequency is None or None in (lower, upper) or lower <= self.frequency <= upper


class Enrolment:
    """An ``enroll`` that waits for tiles or signals: the next ones, or those ``wanted``.

    Of tiles, it takes those from the wanted one on. Signals come in the order of their ends: all that are
    wanted are taken, and it is too late when ``patience`` have come that begin behind what is wanted.
    """

    def __init__(self, label: str, shots: int, wanted: Wanted | None = None, patience: int | None = None):
        self.label, self.shots, self.wanted = label, shots, wanted
        self.taken: list[tuple[TileInfo, np.ndarray]] = []
        self._late, self._patience = 0, patience or 1

    def offer(self, info: TileInfo, vector: np.ndarray, span: int) -> bool:
        """Take it if it is wanted; True when there are enough. MessageError if the first was missed."""
        if self.wanted is not None and (info.signal is not None or not self.taken):
            if not self.wanted.at(info, span):
                self._miss(info)
                return False
        self.taken.append((info, vector))
        return len(self.taken) == self.shots

    def _miss(self, info: TileInfo) -> None:
        sample = self.wanted.sample
        if sample is None or self.taken or info.sample_start <= sample:
            return
        self._late += 1
        if info.signal is None or self._late >= self._patience:
            what = "embedding" if info.signal is None else "signal"
            raise MessageError(f"no {what} holds sample {sample}: dropped, or no longer kept")
