# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Files to read: ordinary ones only.

A FIFO or a terminal makes whoever opens it wait for ever, a device may never end, a folder is none at all.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO (named pipe)", stat.S_IFSOCK: "a socket",
          stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


class NotAFileError(OSError):
    """``strerror`` says what it is instead."""


def check_regular(path: str | os.PathLike) -> None:
    """Raises OSError where ``path`` does not lead to an ordinary file (NotAFileError if to something else).

    Nothing is opened. For libraries that take a name: call it right before them.
    """
    _check(os.stat(path), path)


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Open an ordinary file for reading; never waits. Raises OSError as ``check_regular`` does."""
    check_regular(path)  # opening some devices has effects
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check(os.fstat(handle), path)  # it may have been replaced meanwhile
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | os.PathLike, limit: int | None = None) -> bytes:
    """Content of an ordinary file. Raises OSError, also for one of more than ``limit`` bytes (EFBIG)."""
    with open_regular(path) as file:
        if limit is not None and os.fstat(file.fileno()).st_size > limit:
            raise OSError(errno.EFBIG, f"is larger than {limit} bytes", os.fspath(path))
        return file.read()


def _check(status: os.stat_result, path: str | os.PathLike) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise NotAFileError(errno.EINVAL, f"it is {kind}, not an ordinary file", str(Path(path)))
