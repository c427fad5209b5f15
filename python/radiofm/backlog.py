# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Back-pressure between blocks of one process that are joined by messages, which GNU Radio has not.

A message port takes whatever comes, and drops what is too much in silence. A block that works slowly, and has
``max_queue()``, registers itself here; a sender that may wait asks before it sends more.
"""

import time
import weakref
from collections.abc import Callable

import pmt

_PATIENCE = 30.0  # seconds until a reader that takes nothing counts as dead
_STEP = 0.002  # seconds between looks

_readers: weakref.WeakSet = weakref.WeakSet()


def register(block) -> None:
    """Let senders wait for this block."""
    _readers.add(block)


def has_room(sender, port) -> bool:
    """Has every registered reader of ``port`` room for one more message?"""
    by_alias = {reader.alias(): reader for reader in _readers}
    inputs = sender.to_basic_block().message_subscribers(port)  # a list of (alias . port)
    while pmt.is_pair(inputs):
        alias, name = pmt.car(pmt.car(inputs)), pmt.cdr(pmt.car(inputs))
        reader = by_alias.get(pmt.symbol_to_string(alias))
        if reader is not None and reader.to_basic_block().nmsgs(name) >= reader.max_queue():
            return False
        inputs = pmt.cdr(inputs)
    return True


def wait(sender, port, give_up: Callable[[], bool]) -> None:
    """Until there is room, or ``give_up``, or there was none for half a minute."""
    end = time.monotonic() + _PATIENCE
    while not has_room(sender, port) and not give_up() and time.monotonic() < end:
        time.sleep(_STEP)
