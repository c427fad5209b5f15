# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a block counts, logs once and says on port ``status``."""

import threading
from collections.abc import Callable

from . import messages
from .complaints import Complaints


class Report:
    """Safe to use from several threads.

    log       logger of the block
    publish   its ``message_port_pub``
    command   of its messages on ``status``
    counters  what is counted
    """

    def __init__(self, log, publish: Callable, command: str, counters: tuple[str, ...]):
        self._complaints, self._publish, self._command = Complaints(log), publish, command
        self._counts = dict.fromkeys(counters, 0)
        self._lock = threading.Lock()

    def __getitem__(self, counter: str) -> int:
        return self._counts[counter]

    def begin_run(self) -> None:
        """What was logged before is logged again."""
        self._complaints.forget()

    def count(self, counter: str, number: int = 1) -> None:
        with self._lock:
            self._counts[counter] += number

    def say(self, about: str, text: str, announce: bool = False) -> None:
        """Log it, once a run about each matter. announce: on ``status``, too."""
        if self._complaints.say(text, about) and announce:
            self.answer(text)

    def fail(self, about: str, text: str, announce: bool = False) -> None:
        """Something was not written: count it as failed, and ``say`` it."""
        self.count("failed")
        self.say(about, text, announce)

    def refuse(self, reason: str) -> None:
        """A message was refused."""
        self.count("refused")
        self.say("refused", f"a message was refused: {reason}")
        self.answer(reason)

    def answer(self, reason: str) -> None:
        self._publish(messages.STATUS, messages.status(self._command, False, reason))
