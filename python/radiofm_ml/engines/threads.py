# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How many threads torch takes for a pass."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_threads_lock = threading.Lock()
_threads_depth = 0
_threads_before = 1


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Run torch with ``n`` threads in the calling thread, and leave no trace.

    torch keeps a number for every thread and one that new threads begin with; setting it sets both. So the
    number from before the first of several overlapping uses is what each of them puts back.
    """
    global _threads_depth, _threads_before
    with _threads_lock:
        if _threads_depth == 0:
            _threads_before = torch.get_num_threads()
        _threads_depth += 1
    try:
        torch.set_num_threads(n)
        yield
    finally:
        with _threads_lock:
            torch.set_num_threads(_threads_before)
            _threads_depth -= 1
