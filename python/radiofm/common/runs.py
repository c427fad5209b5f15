# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Which run of a flowgraph a message comes from. Knows no GNU Radio.

What waits in front of a block when a flowgraph stops, or is changed by lock and unlock, is still there when
it starts again, and would be taken for the new run's. So PDUs carry the number of the run that they were
made in. GNU Radio stops all blocks before it starts any again.
"""

import secrets
import threading

_process = secrets.randbits(29) << 32  # numbers of other processes, as come over a network, are others
_lock = threading.Lock()
_given = 0  # runs so far
_open: set[int] = set()


def begin() -> int:
    """Number of a new run, for a block that makes PDUs. It goes on until ``end``."""
    global _given
    with _lock:
        _given += 1
        _open.add(_process + _given)
        return _process + _given


def end(run: int) -> None:
    with _lock:
        _open.discard(run)


class Runs:
    """The runs that a reader of PDUs has met."""

    def __init__(self):
        self._met: set[int] = set()  # while the reader ran
        self._over: set[int] = set()  # of them, those that had ended when it started again
        self._first = 0

    def start(self) -> None:
        with _lock:
            self._over = self._met - _open
            self._met |= _open
            self._first = _given

    def stop(self) -> None:
        with _lock:
            self._met |= {_process + number for number in range(self._first + 1, _given + 1)}

    def is_over(self, run: int | None) -> bool:
        """Does ``run`` belong to the time before the reader started again? Not known (None) is no."""
        return run in self._over
