# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A sink that has something to send when its stream has ended."""

from collections.abc import Callable

from gnuradio import gr

from ..radiofm_python import _flowgraph
from .lifetime import Held

PATIENCE = 0.001, 0.05  # seconds until the block looks for more items


class Lingering(Held, gr.basic_block):
    """Keeps the last item in the buffer until all is sent that there is to send: while there is something to
    read, the scheduler neither ends this block nor tells those behind that it did.

    A subclass gives ``_take``, ``_rest`` and ``_failed``, sets ``_buffered``, the items that fit into the
    buffer before it, about, and calls ``_begin_stream`` in its ``start``, ``_end_stream`` in its ``stop``.
    """

    def _open_stream(self, buffered: int) -> None:
        """For the constructor."""
        self._buffered = buffered
        self._next, self._patience = 0, PATIENCE[0]  # first item not taken
        self.set_output_multiple(buffered)  # what the buffer before us is made for

    def _begin_stream(self) -> None:
        self.set_output_multiple(1)  # else the last items would never come
        self._next, self._patience = 0, PATIENCE[0]

    def _end_stream(self) -> None:
        self.set_output_multiple(self._buffered)

    def forecast(self, noutput_items, ninputs):
        return [1] * ninputs

    def general_work(self, input_items, output_items):
        items = input_items[0]
        try:
            held = self._next - self.nitems_read(0)
            if len(items) > held:
                # look again soon if the buffer fills fast, else seldom: each look costs others time
                factor = 0.5 if len(items) - held > self._buffered // 4 else 2.0
                self._patience = min(max(self._patience * factor, PATIENCE[0]), PATIENCE[1])
                taken = self._take(items[held:])
                self._next += taken
                self.consume(0, min(held + taken, len(items) - 1))
            elif self._rest(self._patience,
                            lambda: _flowgraph.input_ended(self.to_basic_block(), len(items))):
                self.consume(0, len(items))
        except Exception as error:  # an exception here would leave a flowgraph that never ends
            self._failed(error)
            self._next = self.nitems_read(0) + len(items)
            self.consume(0, len(items))
        return 0

    def _take(self, items) -> int:
        """Take items, the first of them number ``_next``; how many. Waits a little at most."""
        raise NotImplementedError

    def _rest(self, seconds: float, ended: Callable[[], bool]) -> bool:
        """There are no new items now, and if ``ended()`` there will be none. Whether all is sent; waits for
        about so many seconds if not."""
        raise NotImplementedError

    def _failed(self, error: Exception) -> None:
        raise NotImplementedError
