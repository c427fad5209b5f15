# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A sink that has something to send when its stream has ended."""

from collections import defaultdict
from collections.abc import Callable

from gnuradio import gr

from ..radiofm_python import _flowgraph
from .lifetime import Held

PATIENCE = 0.001, 0.05  # seconds until the block looks for more items


class Lingering(Held, gr.basic_block):
    """Keeps the last item in the buffer until all is sent that there is to send: while there is something to
    read, the scheduler neither ends this block nor tells those behind that it did.

    A subclass gives ``_take`` (or ``_take_from``, where it has several inputs), ``_rest`` and ``_failed``,
    and calls ``_open_stream`` in its constructor, ``_begin_stream`` in its ``start``, ``_end_stream`` in its
    ``stop``.
    """

    def _open_stream(self, buffered: int) -> None:
        """buffered: items that fit into the buffers before the block, about."""
        self._buffered = buffered
        self._taken, self._patience = defaultdict(int), PATIENCE[0]  # items taken, by input
        self.set_output_multiple(buffered)  # what the buffers before us are made for

    def _begin_stream(self) -> None:
        self.set_output_multiple(1)  # else the last items would never come
        self._taken.clear()
        self._patience = PATIENCE[0]

    def _end_stream(self) -> None:
        self.set_output_multiple(self._buffered)

    @property
    def _next(self) -> int:
        """The first item of the first input that was not taken."""
        return self._taken[0]

    def forecast(self, noutput_items, ninputs):
        return [1] * ninputs

    def general_work(self, input_items, output_items):
        counts = [len(items) for items in input_items]
        try:
            if self._look(input_items):
                return 0
            if self._rest(self._patience, lambda: self._all_ended(counts)):
                for port, count in enumerate(counts):
                    self.consume(port, count)
        except Exception as error:  # an exception here would leave a flowgraph that never ends
            self._failed(error)
            for port, count in enumerate(counts):
                read = self.nitems_read(port)
                self._taken[port] = max(self._taken[port], read + count)
                self.consume(port, count)
        return 0

    def _look(self, input_items: list) -> bool:
        """Take what is new. Whether anything was."""
        found = False
        for port, items in enumerate(input_items):
            held = self._taken[port] - self.nitems_read(port)
            if len(items) <= held:
                continue
            found = True
            # look again soon if the buffer fills fast, else seldom: each look costs others time
            factor = 0.5 if len(items) - held > self._buffered // 4 else 2.0
            self._patience = min(max(self._patience * factor, PATIENCE[0]), PATIENCE[1])
            taken = self._take_from(port, items[held:])
            self._taken[port] += taken
            self.consume(port, min(held + taken, len(items) - 1))
        return found

    def _all_ended(self, held: list[int]) -> bool:
        block = self.to_basic_block()
        return all(_flowgraph.input_ended(block, count, port) for port, count in enumerate(held))

    def _take_from(self, port: int, items) -> int:
        """As ``_take``, of input ``port``, whose first new item is number ``_taken[port]``."""
        return self._take(items)

    def _take(self, items) -> int:
        """Take items, the first of them number ``_next``; how many. Waits a little at most."""
        raise NotImplementedError

    def _rest(self, seconds: float, ended: Callable[[], bool]) -> bool:
        """There are no new items now, and if ``ended()`` there will be none. Whether all is sent; waits for
        about so many seconds if not."""
        raise NotImplementedError

    def _failed(self, error: Exception) -> None:
        raise NotImplementedError
