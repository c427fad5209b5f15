# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a command may write, and where: nothing is overwritten that it did not write itself.

A name with another ending than the command's own is refused, not taken for a name. A file that is there is
replaced only if it is recognised as one of ours (each kind of file brings its own ``ours``) or with
``overwrite``. What a command reads is never replaced by what it writes, by whatever name, link or spelling it
is called. A folder is written into if it is new, empty, or holds the note of the same command.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from radiofm_ml import __version__, atomic

GENERATOR = f"gr-radiofm {__version__}"
NOTE = ".radiofm.json"  # in a folder that a command made
REPORT, PICTURE = ".json", ".png"
_TOOL = GENERATOR.split()[0]
_OF_FILES = (".sigmf-meta", ".sigmf-data", ".sigmf-collection", ".sigmf", ".gz", ".xz", ".zip", ".tar",
             ".npz", ".npy", ".csv", ".txt", ".json", ".jsonl", ".png", ".h5", ".hdf5", ".mat", ".wav",
             ".pth", ".safetensors")


class OutputError(ValueError):
    """A place that must not be written to; one line that names it and the cure."""


def check_file(path: str | os.PathLike, ending: str, ours: Callable[[Path], bool], *, overwrite: bool = False,
               sources: Iterable[str | os.PathLike] = ()) -> Path:
    """The file to write for the name ``path``: itself or, for a link, what it leads to.

    ending: what the name must end in. ours: tells of a file that is there whether it may be replaced.
    sources: files that are read, which are never replaced, not even with ``overwrite``.
    Raises OutputError.
    """
    given = path = check_name(path, ending)
    if path.is_symlink():
        if not path.exists():
            raise OutputError(f"{path}: is a link that leads nowhere; remove it or choose another name")
        path = path.resolve()
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file ending in {ending}")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: folder {path.parent} does not exist; create it")
    if not os.path.lexists(path):
        return path
    if not stat.S_ISREG(path.stat().st_mode):
        raise OutputError(f"{path}: is a device or pipe; choose another name")
    for source in sources:
        if same_file(path, source):
            raise OutputError(f"{given}: is what is read ({source}); choose another name")
    if not overwrite and not ours(path):
        raise OutputError(f"{given}: is there and is nothing that would be written here; choose another "
                          "name, remove it, or say --overwrite")
    return path


def check_name(path: str | os.PathLike, ending: str) -> Path:
    """``path``, if it is the name of a file with this ending. Raises OutputError."""
    path = Path(path)
    if not path.name.lower().endswith(ending) or len(path.name) == len(ending) or "\0" in str(path):
        raise OutputError(f"{path}: must end in {ending}; choose such a name")
    return path


def claim_folder(path: str | os.PathLike, command: str, *, overwrite: bool = False,
                 settings: dict | None = None) -> Path:
    """Make the folder that ``command`` writes into, and leave a note in it; one of another command, or of
    anyone else, is refused unless it is empty or ``overwrite``.

    settings: of a command that keeps what is there, all that its files depend on, in JSON's types; a folder
    that was made with others is refused, so that what lies in one folder belongs together.
    Raises OutputError, OSError.
    """
    path = Path(path)
    if path.name.lower().endswith(_OF_FILES):
        raise OutputError(f"{path}: is the name of a file; name a folder")
    if os.path.lexists(path) and not path.is_dir():
        raise OutputError(f"{path}: is a file; name a folder")
    note = path / NOTE
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        wrote = _read(note).get("command")
        if wrote is None:
            raise OutputError(f"{path}: holds files that 'radiofm {command}' did not write; choose another "
                              "folder, or say --overwrite")
        if wrote != command:
            raise OutputError(f"{path}: was written by 'radiofm {wrote}'; choose another folder, or say "
                              "--overwrite")
    before, wanted = _read(note), {"command": command, **({"settings": settings} if settings else {})}
    made_with = before.get("settings", settings) if before.get("command") == command else settings
    for key in settings or ():
        if made_with.get(key) != settings[key]:
            raise OutputError(f"{path}: was made with other settings ({key} {made_with.get(key)}, not "
                              f"{settings[key]}); choose another folder, or remove it")
    path.mkdir(parents=True, exist_ok=True)
    if any(before.get(key) != value for key, value in wanted.items()):
        atomic.write_json(note, {"generator": GENERATOR, **wanted})
    return path


# -- reports and pictures -----------------------------------------------------------------------------
def check_report(path: str | os.PathLike, overwrite: bool = False) -> Path:
    """``check_file`` for a report of numbers (``write_report``)."""
    return check_file(path, REPORT, is_report, overwrite=overwrite)


def check_picture(path: str | os.PathLike, overwrite: bool = False) -> Path:
    """``check_file`` for a picture (``plots.style.save``)."""
    return check_file(path, PICTURE, is_picture, overwrite=overwrite)


def write_report(path: str | os.PathLike, content: dict) -> None:
    """Write numbers as JSON, with the name of what wrote them (see ``atomic.plain``). Raises OSError."""
    atomic.write_json(path, atomic.plain({"generator": GENERATOR, **content}), indent=1)


def is_report(path: Path) -> bool:
    """Did ``write_report`` write it?"""
    return is_ours(_read(path).get("generator"))


def is_picture(path: Path) -> bool:
    """Is it a PNG that says that it was drawn here?"""
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 12)
    except OSError:
        return False
    return head.startswith(b"\x89PNG\r\n\x1a\n") and b"tEXtSoftware\0" + _TOOL.encode() + b" " in head


def is_ours(generator: object) -> bool:
    """Is it the name of this program, in any version?"""
    return isinstance(generator, str) and generator.split()[:1] == [_TOOL]


def same_file(one: str | os.PathLike, other: str | os.PathLike) -> bool:
    """True if both names lead to one file that is there."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _read(path: Path) -> dict:
    """The JSON object in a file; empty where there is none."""
    try:
        content = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
