# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A flowgraph keeps the Python blocks in it alive, as it keeps those in C++: ``tb.connect(block(), …)``."""

import atexit
import gc

from gnuradio import gr

from ..radiofm_python import _lifetime


class Held:
    """Mixin of every block written in Python, to stand before GNU Radio's class.

    Whoever connects a block asks for ``to_basic_block()``. What they get holds the Python object for as long
    as they hold it; a flowgraph that is gone, or has disconnected the block, lets go of it.
    """

    def to_basic_block(self):
        return _lifetime.held(self.gateway, self)


def connect_message_ports(outer, inner, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()) -> None:
    """Connect a hierarchical block's message ports with the ports of the same names of a block in it, or with
    another one: ``own=inner``. (Its own ``msg_connect`` makes the block refer to itself, and it is never
    released.)"""
    for names, input in ((inputs, True), (outputs, False)):
        for name in names:
            own, _, other = name.partition("=")
            _lifetime.connect_own_port(outer._impl, own, inner.to_basic_block(), other or own, input)


def _stop_flowgraphs() -> None:
    """At the end of a program that has not stopped its flowgraphs: while Python is still there for their
    blocks. (GNU Radio stops them later, and the program aborts.)"""
    for one in gc.get_objects():
        if issubclass(type(one), gr.top_block):
            gr.top_block.stop(one)
            gr.top_block.wait(one)


atexit.register(_stop_flowgraphs)
