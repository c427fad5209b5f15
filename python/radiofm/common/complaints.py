# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What is logged once, however often it happens."""

import re
import threading

_MOST = 32  # kinds; of what comes after them nothing more is logged
_VARIES = re.compile(r"'[^']*'|[\d.]+(e[+-]?\d+)?")  # names and numbers in a sentence


class Complaints:
    """Logs the first complaint of every kind. May be called from any thread."""

    def __init__(self, log):
        self._log, self._lock = log, threading.Lock()
        self._said: set[str] = set()

    def forget(self) -> None:
        """For a new run."""
        with self._lock:
            self._said.clear()

    def say(self, text: str, about: str = "") -> bool:
        """Whether it was logged. about: its kind; else the text is, but for the names and numbers in it."""
        kind = about or _VARIES.sub("", text)
        with self._lock:
            if kind in self._said or len(self._said) >= _MOST:
                return False
            self._said.add(kind)
        self._log.warn(f"{text} (said once)")
        return True
