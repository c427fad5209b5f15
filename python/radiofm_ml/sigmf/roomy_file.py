# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A file that is written over and over, and finds room on the disk also when others fill it."""

from __future__ import annotations

import shutil
from pathlib import Path

from radiofm_ml import atomic

_ROOM = 1 << 18, 1 << 22  # bytes that are kept free, on a small disk and on others, at least


class RoomyFile:
    """Writes content in the place of a file's, whole or not at all; with ``keep_room`` there is always room
    for the next. The room is a hidden file beside it (``atomic.Room``), two in turn."""

    def __init__(self) -> None:
        self._path: Path | None = None  # of the file whose room is kept
        self._room: atomic.Room | None = None
        self._rooms = 0  # how many there were
        self._least = _ROOM[0]

    def keep_room(self, path: Path) -> None:
        """From now on see to it that the next write finds room, until ``let_go_of_room``. Raises OSError if
        there is none, or no folder; ``has_room`` tells whether there is later on."""
        self._path = path
        free = shutil.disk_usage(path.parent).free
        self._least = min(max(_ROOM[0], free // 8), _ROOM[1])
        self._room = self._new_room(self._least)

    @property
    def has_room(self) -> bool:
        """Is there room for the next write? True unless it is kept."""
        return self._path is None or self._room is not None

    def let_go_of_room(self) -> None:
        if self._room is not None:
            self._room.release()
        self._room = self._path = None

    def write(self, path: Path, content: bytes) -> None:
        """Raises OSError; what the file held is kept then."""
        if self._path is None:  # not durable: it is written often, and waiting can take seconds
            return atomic.write_bytes(path, content, durable=False)
        room, self._room = self._room, None
        sizes = max(self._least, 2 * len(content)), len(content) + _ROOM[0] // 4
        try:
            self._hold_room(*sizes)  # the next, before this one is used
            if room is None:
                atomic.write_bytes(path, content, durable=False)
            else:
                room.replace(path, content)
            if self._room is None:
                self._hold_room(*sizes)  # what the file took before is free now
        except OSError:
            if room is not None and self._room is not None:
                room.release()
            self._room = self._room or room
            raise

    def _hold_room(self, *sizes: int) -> None:
        """The first of these sizes that there is room for, or none."""
        for size in sizes:
            try:
                self._room = self._new_room(size)
                return
            except OSError:
                pass

    def _new_room(self, size: int) -> atomic.Room:
        room = atomic.Room(self._path, self._rooms % 2, size)
        self._rooms += 1
        return room
