# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Files that are there as a whole or not at all: written beside their place, then moved into it.

A reader sees the old content or the new one, also after a crash of the program; one that has the old file
open or mapped keeps it. The file's mode stays what it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_LONGEST = 255  # bytes of a file's name


def hidden(path: str | os.PathLike, ending: str) -> Path:
    """A hidden file beside ``path`` that is called after it: of a long name its beginning and a digest."""
    path = Path(path)
    name, room = os.fsencode(path.name), _LONGEST - 1 - len(ending)
    if len(name) <= room:
        return path.with_name(f".{path.name}{ending}")
    digest = hashlib.sha256(name).hexdigest()[:16]
    return path.with_name(f".{name[:room - len(digest)].decode(errors='ignore')}{digest}{ending}")


def part_path(path: str | os.PathLike) -> Path:
    """Where the new content of a file is written: beside it, hidden, of this process and thread alone."""
    return hidden(path, f".{os.getpid()}-{threading.get_native_id()}.part")


@contextmanager
def alone(path: str | os.PathLike) -> Iterator[None]:
    """For who reads a file and writes it anew: others that use this wait until the block ends.

    Of a folder one at a time (the lock is the folder's, and leaves no file); nobody waits where the file
    system has no locks. Raises OSError if there is no folder.
    """
    folder = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def replacing(path: str | os.PathLike, *, durable: bool = True) -> Iterator[Path]:
    """A path to write the new content of ``path`` to; it takes its place when the block ends without an
    exception, and is removed otherwise.

    durable: wait until the content is on the disk, so that it outlasts a power cut, too. It can take seconds;
    False for files that are written many times a minute.

    Raises OSError.
    """
    path = Path(path)
    part = part_path(path)
    try:
        yield part
        if path.exists():
            shutil.copymode(path, part)
        if durable:
            _sync(part)
        os.replace(part, path)
        if durable:
            _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, content: bytes, *, durable: bool = True) -> None:
    """Give a file this content. Raises OSError; what the file held is kept then."""
    with replacing(path, durable=durable) as part, open(part, "wb") as file:
        file.write(content)


def write_text(path: str | os.PathLike, content: str, *, durable: bool = True) -> None:
    """As ``write_bytes``, in UTF-8."""
    write_bytes(path, content.encode("utf-8"), durable=durable)


def write_json(path: str | os.PathLike, content: Any, *, indent: int | None = 2,
               durable: bool = True) -> None:
    """As ``write_text``. Raises ValueError for NaN and infinite numbers, which JSON does not have."""
    write_text(path, json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False) + "\n",
               durable=durable)


def json_line(record: Any) -> str:
    """A line of a log in JSON; numbers that are not finite become null."""
    return json.dumps(plain(record), allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """``value`` in JSON's own types, arrays as lists; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


class Room:
    """Room on the disk for what a file will hold next, so that it can be written when others fill the disk.

    It is a hidden file beside ``path``, of ``size`` bytes, which takes the place of ``path`` when it is
    written; ``number`` tells several apart. Raises OSError if there is no room.
    """

    def __init__(self, path: str | os.PathLike, number: int, size: int):
        self._part = hidden(path, f".room{number}")
        try:
            self._hold(size)
        except OSError:
            self.release()
            raise

    def replace(self, path: Path, content: bytes) -> None:
        """Give ``path`` this content, and the room with it. Raises OSError; what it held is kept then."""
        self._hold(len(content))
        with open(self._part, "r+b") as file:
            file.write(content)
            file.truncate()
        if path.exists():
            shutil.copymode(path, self._part)
        os.replace(self._part, path)

    def release(self) -> None:
        self._part.unlink(missing_ok=True)

    def _hold(self, size: int) -> None:
        file = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.posix_fallocate(file, 0, max(1, size))
        finally:
            os.close(file)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
