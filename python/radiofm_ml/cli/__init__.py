# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The command ``radiofm``. Each module holds the commands of one subject; this one joins them."""

from __future__ import annotations

import logging
import signal
import sys


def main() -> None:
    """Entry point: expected failures end in one line on stderr and exit status 1 (2 for wrong usage).

    SIGTERM and SIGHUP end a command as SIGINT does: what is half done is put in order first.
    """
    from radiofm_ml.cli.app import app
    from radiofm_ml.cli.progress import Warnings
    from radiofm_ml.terminal import say

    logging.getLogger("radiofm_ml").addHandler(Warnings())
    stopped = _stop_by_signal()
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


def _stop_by_signal() -> list[int]:
    """Let the signals that ask a program to end raise KeyboardInterrupt; the list tells which came."""
    came: list[int] = []

    def stop(number, _) -> None:
        came.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # not under nohup
            signal.signal(number, stop)
    return came


def _status(stopped: list[int]) -> int:
    return 128 + (stopped[0] if stopped else signal.SIGINT)
