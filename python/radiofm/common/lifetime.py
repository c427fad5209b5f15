# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A flowgraph keeps the Python blocks in it alive, as it keeps those in C++: ``tb.connect(block(), …)``."""

from ..radiofm_python import _lifetime


class Held:
    """Mixin of every block written in Python, to stand before GNU Radio's class.

    Whoever connects a block asks for ``to_basic_block()``. What they get holds the Python object for as long
    as they hold it; a flowgraph that is gone, or has disconnected the block, lets go of it.
    """

    def to_basic_block(self):
        return _lifetime.held(self.gateway, self)
