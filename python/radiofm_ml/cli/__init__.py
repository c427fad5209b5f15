# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The command ``radiofm``. Each module holds the commands of one subject; this one joins them."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def main() -> None:
    """Entry point: expected failures end in one line on stderr and exit status 1 (2 for wrong usage).

    SIGTERM and SIGHUP end a command as SIGINT does: what is half done is put in order first.
    """
    from radiofm_ml.cli.app import app
    from radiofm_ml.cli.progress import Warnings
    from radiofm_ml.terminal import say

    with _warnings(Warnings()), _stop_by_signal() as stopped:
        try:
            app()
        except KeyboardInterrupt:
            sys.exit(_status(stopped))
        except SystemExit as end:
            sys.exit(_status(stopped) if end.code == 130 else end.code)
        except (ValueError, OSError, ImportError, FloatingPointError) as error:
            # BundleError, RecordingError and the like are ValueErrors whose text names the file and the cure
            say(error)
            sys.exit(1)


@contextmanager
def _warnings(handler: logging.Handler) -> Iterator[None]:
    """What the library warns of and informs about goes to ``handler``."""
    library = logging.getLogger("radiofm_ml")
    before = library.level
    library.addHandler(handler)
    library.setLevel(logging.INFO)
    try:
        yield
    finally:
        library.setLevel(before)
        library.removeHandler(handler)


@contextmanager
def _stop_by_signal() -> Iterator[list[int]]:
    """Let the signals that ask a program to end raise KeyboardInterrupt; the list tells which came."""
    came: list[int] = []

    def stop(number, _) -> None:
        came.append(number)
        raise KeyboardInterrupt

    changed = [number for number in (signal.SIGTERM, signal.SIGHUP)
               if signal.getsignal(number) == signal.SIG_DFL]  # not under nohup
    for number in changed:
        signal.signal(number, stop)
    try:
        yield came
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _status(stopped: list[int]) -> int:
    return 128 + (stopped[0] if stopped else signal.SIGINT)
