# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The recordings in a folder, and what in it is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from radiofm_ml.sigmf.container import (
    META,
    archive_members,
    base_name,
    find_container,
    is_archive,
)
from radiofm_ml.sigmf.errors import NoSamplesError
from radiofm_ml.sigmf.raw_files import ending_of
from radiofm_ml.sigmf.stated import ENDINGS, NOTHING, Stated


@dataclass
class Found:
    """What a folder holds.

    recordings  as ``open_recording`` takes them: a metadata file, an archive, archive/name, or a file without
                metadata, sorted
    left_out    a line for everything else that was met: metadata without samples, files that may be samples
                but do not say enough, folders that cannot be read or that were walked already by another name
    """

    recordings: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def find_recordings(path: str | os.PathLike, stated: Stated = NOTHING) -> list[Path]:
    """The ``recordings`` of ``survey``. Raises RecordingError if ``path`` does not exist."""
    return survey(path, stated=stated).recordings


def survey(path: str | os.PathLike, skip: str | os.PathLike | None = None, stated: Stated = NOTHING) -> Found:
    """Look for recordings in a folder and its sub folders, linked ones too; of a single recording, itself.

    Hidden files and folders are passed over, and the folder ``skip``; so is an archive beside a pair of the
    same name, and a raw or WAV file that metadata beside it name. A file that cannot be looked into is taken
    for a recording: opening it says what is wrong. stated: what files without metadata do not say.
    Raises RecordingError if ``path`` does not exist.
    """
    path, found = Path(path), Found()
    if not path.is_dir():
        found.recordings.append(find_container(path, stated).path)
        return found
    for folder, names in _folders(path, skip, found):
        described = set()
        for name in (name for name in names if name.endswith(META)):
            file = folder / name
            try:
                described.add(find_container(file).data_path.name)
                found.recordings.append(file)
            except NoSamplesError:
                found.left_out.append(f"{file}: metadata without samples")
            except Exception:  # opening it will say what is wrong
                found.recordings.append(file)
        for name in names:
            file = folder / name
            if is_archive(file) and base_name(file).name + META not in names:
                found.recordings += _in_archive(file)
            elif ending_of(file) and name not in described:
                _look_into(file, stated, found)
    found.recordings.sort()
    return found


def _look_into(file: Path, stated: Stated, found: Found) -> None:
    """A file without metadata: a recording where its name leaves no doubt, or all is known."""
    try:
        doubt = find_container(file, stated).doubtful
    except Exception as error:
        doubt = "" if file.suffix.lower() in ENDINGS else str(error).removeprefix(f"{file}: ")
    if doubt:
        found.left_out.append(f"{file}: {doubt}")
    else:
        found.recordings.append(file)


def _folders(top: Path, skip: str | os.PathLike | None, found: Found) -> Iterator[tuple[Path, list[str]]]:
    """(folder, names of its files) of every folder, each once, by its shortest name."""
    seen = set() if skip is None else {os.path.realpath(skip)}
    waiting = [top]
    while waiting:  # breadth first: a folder is met under its own name before links to it from below
        folder = waiting.pop(0)
        real = os.path.realpath(folder)
        if real in seen:
            if skip is None or real != os.path.realpath(skip):
                found.left_out.append(f"{folder}: is a link to a folder that was read already")
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                entries = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
                folders = [e for e in entries if e.is_dir()]
        except OSError as error:
            found.left_out.append(f"{folder}: cannot be read: {error.strerror}")
            continue
        waiting += [folder / e.name for e in sorted(folders, key=lambda e: e.is_symlink())]
        yield folder, [e.name for e in entries if e not in folders]


def _in_archive(path: Path) -> list[Path]:
    try:
        names = archive_members(path)
    except Exception:
        return [path]
    return [Path(f"{path}/{name}") for name in names] if len(names) > 1 else [path]
