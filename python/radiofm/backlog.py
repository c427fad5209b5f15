# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What GNU Radio lacks between blocks of one process that are joined by messages: back-pressure, and to know
of all senders.

A message port takes whatever comes, and drops what is too much in silence. A block that works slowly, and has
``max_queue()``, registers itself here; a sender that may wait asks before it sends more. And a block ends
with the first of its senders; one that reads several must know how many there are to outlast them all.
"""

import time
import weakref
from collections.abc import Callable

import pmt

_PATIENCE = 30.0  # seconds until a reader that takes nothing counts as dead
_STEP = 0.002  # seconds between looks

_readers: weakref.WeakSet = weakref.WeakSet()
_senders: weakref.WeakSet = weakref.WeakSet()


def register(block) -> None:
    """Let senders wait for this block."""
    _readers.add(block)


def register_sender(block) -> None:
    """Let readers know that this block may send to them."""
    _senders.add(block)


def senders(reader, port) -> int:
    """How many registered blocks send what they have on ``port`` to this block."""
    return sum(reader.alias() in dict(_subscribers(sender, port)) for sender in _senders)


def has_room(sender, port) -> bool:
    """Has every registered reader of ``port`` room for one more message?"""
    by_alias = {reader.alias(): reader for reader in _readers}
    for alias, name in _subscribers(sender, port):
        reader = by_alias.get(alias)
        if reader is not None and reader.to_basic_block().nmsgs(name) >= reader.max_queue():
            return False
    return True


def _subscribers(sender, port) -> list[tuple]:
    """(alias, port as a PMT) of all that reads a port."""
    found = []
    inputs = sender.to_basic_block().message_subscribers(port)  # a list of (alias . port)
    while pmt.is_pair(inputs):
        found.append((pmt.symbol_to_string(pmt.car(pmt.car(inputs))), pmt.cdr(pmt.car(inputs))))
        inputs = pmt.cdr(inputs)
    return found


def wait(sender, port, give_up: Callable[[], bool]) -> None:
    """Until there is room, or ``give_up``, or there was none for half a minute."""
    end = time.monotonic() + _PATIENCE
    while not has_room(sender, port) and not give_up() and time.monotonic() < end:
        time.sleep(_STEP)
