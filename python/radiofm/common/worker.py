# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A thread behind a bounded queue, for work that is too slow for a block's own thread. Knows no GNU Radio."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from .arguments import whole

OVERLOADS = ("drop", "block")

_log = logging.getLogger(__name__)


class BatchWorker:
    """Hands items in batches, in order, to ``process`` on a thread of its own.

    process      called with a list of 1 to max_batch items; what it raises is logged once and counted. It may
                 return how many of them it has done: the rest count as dropped
    max_batch    items in a batch, at most
    max_latency  seconds that an item waits for its batch to fill
    capacity     items that may wait
    overload     what ``put`` does when so many wait: 'drop' the oldest, or 'block': take no more
    on_error     told the first exception of ``process`` after each ``start``
    on_drop      called at the first item after each ``start`` that is dropped because too many wait

    Settings may be changed while it runs, from any thread. Raises ValueError for what is out of range.
    """

    def __init__(self, process: Callable[[list], int | None], *, max_batch: int, max_latency: float,
                 capacity: int, overload: str, on_error: Callable[[Exception], None] | None = None,
                 on_drop: Callable[[], None] | None = None, name: str = "worker"):
        self._process, self._name, self._on_drop = process, name, on_drop
        self._on_error = on_error or (lambda error: _log.error("%s: %s", name, error))
        self._change = threading.Condition()
        self._waiting: deque = deque()  # (time of arrival, item)
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._in_work = 0
        self._counts = dict.fromkeys(("dropped", "late", "processed", "failed", "batches"), 0)
        self.set_max_batch(max_batch)
        self.set_capacity(capacity)
        self.set_max_latency(max_latency)
        self.set_overload(overload)

    # -- settings -------------------------------------------------------------------------------------
    def set_max_batch(self, max_batch: int) -> None:
        with self._change:
            self._max_batch = whole("max_batch", max_batch, 1, 4096)
            self._change.notify_all()

    def set_capacity(self, capacity: int) -> None:
        with self._change:
            self._capacity = whole("max_queue", capacity, 1, 4096)
            self._change.notify_all()

    def set_max_latency(self, max_latency: float) -> None:
        if not 0 <= max_latency <= 60:
            raise ValueError(f"max_latency must lie in 0 to 60 seconds, got {max_latency!r}")
        with self._change:
            self._max_latency = float(max_latency)
            self._change.notify_all()

    def set_overload(self, overload: str) -> None:
        if overload not in OVERLOADS:
            raise ValueError(f"overload must be one of {', '.join(OVERLOADS)}, got {overload!r}")
        with self._change:
            self._overload = overload
            self._change.notify_all()

    @property
    def max_batch(self) -> int:
        return self._max_batch

    @property
    def capacity(self) -> int:
        return self._capacity

    @property
    def max_latency(self) -> float:
        return self._max_latency

    @property
    def overload(self) -> str:
        return self._overload

    # -- counters, since the last start ---------------------------------------------------------------
    @property
    def dropped(self) -> int:
        """Items dropped because too many waited, or because ``stop`` came first."""
        return self._counts["dropped"]

    @property
    def late(self) -> int:
        """Those of them that were dropped because too many waited."""
        return self._counts["late"]

    @property
    def processed(self) -> int:
        return self._counts["processed"]

    @property
    def failed(self) -> int:
        """Items of batches for which ``process`` raised an exception."""
        return self._counts["failed"]

    @property
    def batches(self) -> int:
        return self._counts["batches"]

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    # -- use ------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Begin, with counters at zero. Does nothing if it runs."""
        if self._thread is not None:
            return
        self._counts.update(dict.fromkeys(self._counts, 0))
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def take_back(self, count: int) -> None:
        """So many items that were processed count as dropped: what became of them got lost."""
        with self._change:
            count = min(count, self._counts["processed"])
            self._counts["processed"] -= count
            self._counts["dropped"] += count

    def stop(self) -> None:
        """Finish the batch in work and end; what waits is dropped and counted. Does nothing if stopped."""
        if self._thread is None:
            return
        with self._change:
            self._stopping = True
            self._change.notify_all()
        self._thread.join()
        self._thread = None
        self._drop(len(self._waiting))

    def put(self, count: int, item: Callable[[int], object], seconds: float = 0.0) -> int:
        """Queue ``count`` items: item(0), item(1) ... Returns how many were taken.

        With overload 'drop' all are, at once; one that would be dropped right away, because so many others
        follow it, is not even made. With 'block' those that there is room for within ``seconds``. When
        stopped all are taken and dropped.
        """
        with self._change:
            if self._overload == "block":
                self._change.wait_for(lambda: self._room() > 0, seconds)
            first = 0
            if self._thread is None or self._stopping:
                first = count
            elif self._overload == "drop":
                first = max(0, count - self._capacity)
            else:
                count = min(count, self._room())
            runs = self._thread is not None and not self._stopping
            self._counts["dropped"] += first
        made = [item(i) for i in range(first, count)]
        with self._change:
            now = time.monotonic()
            self._waiting.extend((now, one) for one in made)
            late = self._drop(len(self._waiting) - self._capacity) + first if runs else 0
            first_late = late and not self._counts["late"]
            self._counts["late"] += late
            self._change.notify_all()
        if first_late and self._on_drop is not None:
            self._on_drop()
        return count

    def wait_idle(self, seconds: float) -> bool:
        """Wait until nothing waits or is in work, at most so long; whether that is so."""
        with self._change:
            return self._change.wait_for(lambda: not self._waiting and not self._in_work, seconds)

    # -- inside ---------------------------------------------------------------------------------------
    def _room(self) -> int:
        return max(0, self._capacity - len(self._waiting))

    def _drop(self, count: int) -> int:
        """Drop some that wait; how many were."""
        count = max(0, count)
        self._give_up(count)
        self._counts["dropped"] += count
        return count

    def _pick(self, count: int) -> list:
        """Take the items that are next out of those that wait."""
        return [self._waiting.popleft()[1] for _ in range(count)]

    def _give_up(self, count: int) -> None:
        """Take those out that are dropped, the oldest."""
        for _ in range(count):
            self._waiting.popleft()

    def _run(self) -> None:
        while batch := self._next_batch():
            done, failed = 0, 0
            try:
                done = self._process(batch)
                done = len(batch) if done is None else done
            except Exception as error:
                failed = len(batch)
                if not self._counts["failed"]:
                    self._on_error(error)
            with self._change:
                self._counts["processed"] += done
                self._counts["failed"] += failed
                self._counts["dropped"] += len(batch) - done - failed
                self._counts["batches"] += 1
                self._in_work = 0
                self._change.notify_all()

    def _next_batch(self) -> list:
        """The next items, when there are enough or the first has waited long enough; none to end."""
        with self._change:
            while not self._stopping:
                if len(self._waiting) >= min(self._max_batch, self._capacity):
                    break
                if not self._waiting:
                    self._change.wait()
                    continue
                patience = self._waiting[0][0] + self._max_latency - time.monotonic()
                if patience <= 0:
                    break
                self._change.wait(patience)
            if self._stopping:
                return []
            batch = self._pick(min(self._max_batch, len(self._waiting)))
            self._in_work = len(batch)
            self._change.notify_all()
            return batch


