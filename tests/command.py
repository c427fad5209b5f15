# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The command ``radiofm`` in this process: without the seconds that a new one takes to import PyTorch."""

import contextlib
import io
import os
import sys
from pathlib import Path

import pytest
from radiofm_ml.cli import main


def radiofm(*arguments, code: int = 0, folder: Path | None = None) -> str:
    """Run it, in ``folder``, which is HOME then, too. Its stdout, or its stderr where it must fail.

    Fails where the exit status is not ``code``.
    """
    status, out, error = printed(*arguments, folder=folder)
    assert status == code, error or out
    return error if code else out


def printed(*arguments, folder: Path | None = None) -> tuple[int, str, str]:
    """Run it so: exit status, stdout and stderr."""
    streams = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("COLUMNS", "200")
        if folder is not None:
            patch.chdir(folder)
            patch.setenv("HOME", str(folder))
        patch.setattr(sys, "argv", ["radiofm", *(os.path.expanduser(str(part)) for part in arguments)])
        stack.enter_context(contextlib.redirect_stdout(streams["stdout"]))
        stack.enter_context(contextlib.redirect_stderr(streams["stderr"]))
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    return status, streams["stdout"].getvalue(), streams["stderr"].getvalue()
