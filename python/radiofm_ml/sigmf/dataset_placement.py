# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How metadata written elsewhere find their samples.

By the standard a ``.sigmf-meta`` finds its dataset only in its own folder: as the ``.sigmf-data`` of the same
base name, or as the file that ``core:dataset`` names. A path to another folder cannot be said.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

from radiofm_ml.atomic import replacing
from radiofm_ml.outputs import same_file
from radiofm_ml.sigmf.container import DATA, META
from radiofm_ml.sigmf.dataset_names import is_dataset_name
from radiofm_ml.sigmf.recording import Recording

_log = logging.getLogger(__name__)
MODES = ("auto", "link", "copy", "none")


class AnnotationError(ValueError):
    """Annotations that cannot be written; one line that names the file and the cure."""


def place_dataset(info: dict, recording: Recording, path: Path, mode: str = "auto") -> None:
    """See to it that the metadata at ``path`` find the samples of ``recording``.

    info: the ``global`` object to be written, changed in place. mode:

    'auto'  in the recording's folder: ``core:dataset`` names the data file where the base name differs;
            in another folder, or where its name cannot be said: a symbolic link beside the metadata; from an
            archive: a copy
    'link'  a symbolic link also within the folder (for readers that do not know ``core:dataset``);
            not for archives
    'copy'  a copy of the dataset
    'none'  nothing: the metadata say ``core:metadata_only``

    Metadata that replace the recording's own find what those found. A file that is there and holds other
    samples is never touched: AnnotationError.
    """
    check_placement(recording, path, mode)
    info.pop("core:metadata_only", None)
    if same_file(path, recording.path):
        return
    target = _target(recording, path)
    if mode == "copy" and target.is_symlink() and target != recording.data_path \
            and same_file(target, recording.data_path):
        target.unlink()  # a link of an earlier run
    if same_file(target, recording.data_path):
        return _refer(info, target.name)
    if mode == "none":
        return _without(info)
    if mode == "auto" and _beside(recording, path):
        return _refer(info, recording.data_path.name, always=True)
    if mode == "copy" or recording.archived:
        _copy(recording, target)
    elif not _link(recording.data_path, target):
        _log.warning("%s: links cannot be made here; written without samples (core:metadata_only)", path)
        return _without(info)
    return _refer(info, target.name)


def check_placement(recording: Recording, path: Path, mode: str) -> None:
    """Raises what ``place_dataset`` would raise, as far as it can be seen without reading the samples."""
    if mode not in MODES:
        raise ValueError(f"data must be one of {', '.join(MODES)}, got {mode!r}")
    if mode == "link" and recording.archived:
        raise AnnotationError(f"{recording.path}: nothing can link into an archive; use data='copy'")
    if mode == "none" or same_file(path, recording.path) or (mode == "auto" and _beside(recording, path)):
        return
    target = _target(recording, path)
    if not target.exists() or same_file(target, recording.data_path):
        return
    copied = mode == "copy" or recording.archived
    if not (copied and target.is_file() and target.stat().st_size == recording.dataset_bytes):
        raise _taken(target)


def _beside(recording: Recording, path: Path) -> bool:
    """Can the metadata at ``path`` name the recording's dataset?"""
    return (not recording.archived and is_dataset_name(recording.data_path.name)
            and same_file(recording.data_path.parent, path.parent))


def _target(recording: Recording, path: Path) -> Path:
    """What the dataset is called beside ``path``: .sigmf-data, or its own suffix if of another format."""
    info = recording.meta["global"]
    headers = any(c.get("core:header_bytes") for c in recording.meta["captures"])
    foreign = headers or info.get("core:trailing_bytes")
    suffix = Path(info.get("core:dataset", "")).suffix
    return path.with_name(path.name[:-len(META)] + (suffix if foreign and suffix else DATA))


def _taken(target: Path) -> AnnotationError:
    return AnnotationError(f"{target}: is there and holds other samples; choose another output name")


def _refer(info: dict, name: str, always: bool = False) -> None:
    if always or not name.endswith(DATA):
        info["core:dataset"] = name
    else:
        info.pop("core:dataset", None)


def _without(info: dict) -> None:
    info.pop("core:dataset", None)  # excluded by the standard beside metadata_only
    info["core:metadata_only"] = True


def leads_to(data: Path, recording: Recording) -> bool:
    """Is the file ``data`` the recording's dataset, or a copy of it?"""
    return (not recording.archived and same_file(data, recording.data_path)) or _holds(data, recording)


def _link(data: Path, target: Path) -> bool:
    """True if ``target`` now leads to ``data``, False where the file system has no links."""
    if target.is_symlink() and not target.exists():
        target.unlink()  # leads nowhere
    try:
        target.symlink_to(os.path.relpath(data.resolve(), target.parent.resolve()))
    except OSError:
        return False
    return True


def _copy(recording: Recording, target: Path) -> None:
    if target.exists():
        if _holds(target, recording):
            return
        raise _taken(target)
    try:
        with replacing(target) as part, open(part, "wb") as file:
            for piece in recording.dataset_pieces():
                file.write(piece)
    except OSError as error:
        raise AnnotationError(f"{target}: the samples cannot be copied: {error.strerror}; "
                              "make room, or use data='none'") from None


def _holds(target: Path, recording: Recording) -> bool:
    """True if the file holds the recording's dataset, byte by byte."""
    if not target.is_file() or target.stat().st_size != recording.dataset_bytes:
        return False
    with open(target, "rb") as file:
        return all(np.array_equal(np.frombuffer(file.read(len(piece)), np.uint8), piece)
                   for piece in recording.dataset_pieces())
