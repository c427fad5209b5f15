# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What GNU Radio lacks between blocks of one process that are joined by messages: back-pressure, and to know
of all senders.

A message port takes whatever comes, and drops what is too much in silence. A block that works slowly, and has
``max_queue()``, registers itself here; a sender that may wait asks before it sends more. And GNU Radio ends a
block with the first of its senders; one that reads messages is a ``Reader``, which outlasts them all.
"""

import threading
import time
import weakref
from collections.abc import Callable, Iterable

import pmt

from ..radiofm_python import _flowgraph
from . import runs

_PATIENCE = 30.0  # seconds until a reader that takes nothing counts as dead
_LAST_LOOK = 0.2  # seconds that readers have to take what was sent when the flowgraph is stopped
_STEP = 0.002  # seconds between looks

_RUN = pmt.intern("run")
_SYSTEM, _DONE = pmt.intern("system"), pmt.cons(pmt.intern("done"), pmt.from_long(1))


class _Blocks:
    """Blocks that live. From any thread: a WeakSet alone fails if one is added while another thread looks."""

    def __init__(self):
        self._lock, self._blocks = threading.Lock(), weakref.WeakSet()

    def add(self, block) -> None:
        with self._lock:
            self._blocks.add(block)

    def discard(self, block) -> None:
        with self._lock:
            self._blocks.discard(block)

    def all(self) -> list:
        with self._lock:
            return list(self._blocks)


_readers, _sending, _listeners = _Blocks(), _Blocks(), _Blocks()


def register(block) -> None:
    """Let senders wait for this block."""
    _readers.add(block)


class Reader:
    """Mixin of a block that reads messages: it ends when the last of its senders has, and has handled all
    that they sent. A sender calls ``begin_sending`` in its ``start`` and ``end_sending`` in its ``stop``.

    Those that send commands do not count, so that blocks that mirror each other can end. Where no sender does
    so, it ends with the first one, as GNU Radio has it; where it reads a stream as well, with that.
    """

    def read_messages(self, data: dict, commands: dict | None = None, stream: bool = False) -> None:
        """For the constructor. data, commands: the method that handles each input port (as PMT); stream: it
        reads one as well (``reads_stream`` where that may or may not be connected)."""
        self._handlers = {**data, **(commands or {})}
        self._data, self._has_stream = set(map(str, data)), stream
        self._runs = runs.Runs()
        self._ended_itself = False  # that was sent in this run
        for port, handler in self._handlers.items():
            self.message_port_register_in(port)
            self.set_msg_handler(port, handler)
        self.set_msg_handler(_SYSTEM, self.handle_system)
        _listeners.add(self)

    def reads_stream(self, stream: bool) -> None:
        """For ``start``: whether a stream is connected."""
        self._has_stream = stream

    def finish(self) -> None:
        """All messages have been handled, and the block is about to end: do what they have left to do."""

    def begin_run(self) -> int:
        """For ``start``: forget what the run before has left, its end and the PDUs that nobody has read; how
        many those were. (GNU Radio starts all blocks before any works, so what waits now is old, or was
        posted from outside.)"""
        self._ended_itself = False
        block = self.to_basic_block()
        while block.nmsgs(_SYSTEM):
            block.delete_head_nowait(_SYSTEM)
        self._runs.start()
        left = 0
        for port in map(pmt.intern, self._data):
            for _ in range(block.nmsgs(port)):
                message = block.delete_head_nowait(port)
                if self._runs.is_over(_run_of(message)):
                    left += 1
                else:
                    block._post(port, message)
        return left

    def end_run(self) -> None:
        """For ``stop``."""
        self._runs.stop()

    def handle_system(self, message) -> None:
        """A block before this one has ended: GNU Radio says so, and a registered sender once more itself."""
        if self._has_stream or any(_sends_to(sender, self, self._data) for sender in _sending.all()):
            return
        # what came after the last look at its port and before this would be lost
        block = self.to_basic_block()
        for port, handler in self._handlers.items():
            while block.nmsgs(port):
                handler(block.delete_head_nowait(port))
        self.finish()
        self._ended_itself = True
        self.system_handler(_DONE)


def _run_of(message) -> int | None:
    """The run that a PDU was made in; None if it does not say."""
    try:
        run = pmt.dict_ref(pmt.car(message), _RUN, pmt.PMT_NIL)
        return pmt.to_uint64(run) if pmt.is_uint64(run) else None
    except Exception:  # no PDU; the handler will say so
        return None


def begin_sending(sender) -> None:
    """Readers behind this block do not end before it calls ``end_sending``. (GNU Radio starts all blocks
    before any works.)"""
    _sending.add(sender)


def end_sending(sender) -> None:
    """No more will come from this block."""
    _sending.discard(sender)
    for reader in _listeners.all():
        if _sends_to(sender, reader):
            reader.to_basic_block()._post(_SYSTEM, _DONE)


def take_back(sender, ports: Iterable) -> int:
    """For ``stop``, where the flowgraph was stopped (or locked) and did not end by itself: take from the
    readers of ``ports`` what they have not read, since they may have ended already and would take it for a
    message of the next run. How many messages got lost so, on the port where most did."""
    readers = {port: _subscribers(sender, port) for port in ports}
    end = time.monotonic() + _LAST_LOOK
    while time.monotonic() < end and any(_flowgraph.waiting(alias, name)
                                         for found in readers.values() for alias, name in found):
        time.sleep(_STEP)
    return max((_flowgraph.take_back(alias, name) for found in readers.values() for alias, name in found),
               default=0)


def _sends_to(sender, reader, names: set[str] | None = None) -> bool:
    """Is any port of one connected to a port of the other, to one of ``names`` if they are given?"""
    ports, alias = sender.to_basic_block().message_ports_out(), reader.alias()
    return any(who == alias and (names is None or str(port) in names) for i in range(pmt.length(ports))
               for who, port in _subscribers(sender, pmt.vector_ref(ports, i)))


def awaits(reader, port) -> bool:
    """Does anything wait at this port of a block, or may more come from a sender that has not ended?"""
    return bool(reader.to_basic_block().nmsgs(port)) or any(
        _sends_to(sender, reader, {str(port)}) for sender in _sending.all())


def senders(reader) -> list:
    """The blocks that send to this one, and have not ended."""
    return [sender for sender in _sending.all() if _sends_to(sender, reader)]


def is_read(sender, port) -> bool:
    """Is anything connected to this port?"""
    return bool(_subscribers(sender, port))


def has_room(sender, port) -> bool:
    """Has every registered reader of ``port`` room for one more message?"""
    by_alias = {reader.alias(): reader for reader in _readers.all()}
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
