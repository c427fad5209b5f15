# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The last rows of a stream, in memory that is used again."""

from __future__ import annotations

import numpy as np


class RowHistory:
    """Rows [start, stop) of a stream, float32 (n, bins), as one array."""

    def __init__(self, bins: int):
        self._memory = np.empty((0, bins), np.float32)
        self._first = 0  # row of the memory that holds row number ``start``
        self.start = self.stop = 0

    def __len__(self) -> int:
        return self.stop - self.start

    def append(self, count: int) -> np.ndarray:
        """Room for ``count`` more rows, (count, bins), to be filled by the caller."""
        kept, used = len(self), self._first + len(self)
        if used + count > len(self._memory):
            memory = self._memory
            if 2 * (kept + count) > len(memory):
                memory = np.empty((3 * (kept + count), memory.shape[1]), np.float32)
            # not onto itself: as much is free as is kept
            memory[:kept] = self._memory[self._first:used]
            self._memory, self._first, used = memory, 0, kept
        self.stop += count
        return self._memory[used:used + count]

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Those of rows [start, stop) that are kept, float32 (n, bins); good until the next ``append``."""
        start, stop = max(start, self.start), min(stop, self.stop)
        at = self._first - self.start
        return self._memory[at + start:at + max(start, stop)]

    def forget(self, before: int) -> None:
        """Rows before this one are not needed any more."""
        gone = min(max(before - self.start, 0), len(self))
        self._first += gone
        self.start += gone
