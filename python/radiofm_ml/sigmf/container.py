# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Where a recording's metadata and sample bytes are: SigMF pair, dataset file of another format, archive, or
a raw or WAV file, whose metadata are made in memory (``raw_files``).

The data of a plain ``.sigmf`` tar is read where it lies in the archive, that of a compressed archive from a
nameless temporary file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from radiofm_ml import files
from radiofm_ml.outputs import same_file
from radiofm_ml.sigmf.archives import open_archive
from radiofm_ml.sigmf.dataset_names import is_dataset_name
from radiofm_ml.sigmf.errors import NoSamplesError, RecordingError, one_line, shown
from radiofm_ml.sigmf.raw_files import describe, ending_of
from radiofm_ml.sigmf.stated import NOTHING, Stated

META, DATA, ARCHIVE = ".sigmf-meta", ".sigmf-data", ".sigmf"
ARCHIVES = (ARCHIVE, ".sigmf.gz", ".sigmf.xz", ".sigmf.zip")
MAX_METADATA = 1 << 29  # bytes: more is no metadata, but takes all the memory to find out
MAX_DEPTH = 64  # of objects and lists inside one another


@dataclass(frozen=True)
class Container:
    """A recording found on disk.

    path        the metadata file, or the archive (for one of several recordings: archive/name)
    metadata    its JSON, parsed and otherwise unchecked
    data_path   the file with the samples (for an archive: the archive)
    offset      where in the opened file the dataset begins, in bytes
    size        bytes that the dataset should have (as the archive's directory says; else as the file has)
    open        opens the file to read the dataset from
    archived    the dataset lies in an archive
    assumed     of a file without metadata, or of what they leave out: what was taken from where, and lines
                that show why
    warnings    what is odd about the file itself
    doubtful    of a file without metadata, why it may be no recording at all
    """

    path: Path
    metadata: dict
    data_path: Path
    offset: int
    size: int
    open: Callable[[], BinaryIO]
    archived: bool = False
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    doubtful: str = ""


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES)


def base_name(path: Path) -> Path:
    """``path`` without a SigMF suffix (a name's own dots stay)."""
    for suffix in (META, DATA, *sorted(ARCHIVES, key=len, reverse=True)):
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return path.with_name(path.name[:-len(suffix)])
    return path


def stem(path: Path) -> str:
    """A recording's name without what says its kind: a SigMF suffix, or the ending of a raw or WAV file."""
    base = base_name(path)
    return base.name.removesuffix(ending_of(base)) if base == path else base.name


def find_container(path: str | os.PathLike, stated: Stated = NOTHING) -> Container:
    """The recording that ``path`` names.

    path: a ``.sigmf-meta`` or ``.sigmf-data`` file or their common base name, an archive (``.sigmf``,
    ``.sigmf.gz``, ``.sigmf.xz``, ``.sigmf.zip``), archive/name for one of several recordings in it, or a raw
    or WAV file. stated: what the recording does not say itself.
    Raises RecordingError.
    """
    path = Path(path)
    if "\0" in str(path):
        raise RecordingError(f"{path}: no file has a name with a zero byte; check the name")
    try:
        found = _find(path, stated)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from None
    return found if stated == NOTHING else _filled(found, stated)


def _find(path: Path, stated: Stated) -> Container:
    if path.name in ("", ".."):
        raise RecordingError(f"{path}: is a folder; name a recording in it")
    for parent in path.parents:
        if is_archive(parent) and _is_there(parent):
            return _from_archive(parent, str(PurePosixPath(path.relative_to(parent))))
    if is_archive(path) and _is_there(path):
        return _from_archive(path, None)
    meta = _meta_path(path)
    if _is_there(meta) and not _of_another(meta, path):
        return _from_pair(meta)
    archive = path.with_name(path.name + ARCHIVE)
    if _is_there(archive):
        return _from_archive(archive, None)
    if path.is_dir():
        raise RecordingError(f"{path}: is a folder; name a recording in it")
    if not _is_there(path):
        raise RecordingError(f"{path}: no such recording; check the name")
    described = None if path.name.lower().endswith(META) else describe(path, stated)
    if described is None:
        raise RecordingError(f"{path}: has no metadata; a file {meta.name} must lie beside it, or say what "
                             "it is, such as --type cu8 --rate 2.4M")
    return Container(path, described.metadata, path, 0, path.stat().st_size, lambda: files.open_regular(path),
                     assumed=tuple(described.assumed), warnings=tuple(described.warnings),
                     doubtful=described.doubtful)


def _of_another(meta: Path, path: Path) -> bool:
    """Do the metadata beside a raw or WAV file belong to another one of the same name?"""
    if not ending_of(path) or not path.is_file():
        return False
    try:
        return not same_file(_from_pair(meta).data_path, path)
    except RecordingError:
        return False  # reading them says what is wrong


def _filled(found: Container, stated: Stated) -> Container:
    """With what the metadata leave out and the user states. What they say holds."""
    if not found.path.name.lower().endswith(META) and not found.archived:
        return found  # a file without any
    metadata, assumed, warnings = dict(found.metadata), [], []
    captures = metadata.get("captures") or [{"core:sample_start": 0}]
    if not isinstance(metadata.get("global"), dict) or not isinstance(captures, list) or not all(
            isinstance(capture, dict) for capture in captures):
        return found  # refused when it is looked at
    tuned = [c["core:frequency"] for c in captures if c.get("core:frequency") is not None]
    rate = metadata["global"].get("core:sample_rate")
    if stated.rate is not None and rate is None:
        metadata["global"] = {**metadata["global"], "core:sample_rate": stated.rate}
        assumed.append(f"sample rate {stated.rate:.10g} Hz (--rate)")
    elif stated.rate is not None and rate != stated.rate:
        warnings.append(f"its metadata state a sample rate of {rate}; that holds, not --rate "
                        f"{stated.rate:.10g}")
    if stated.frequency is not None and not tuned:
        metadata["captures"] = [{**capture, "core:frequency": stated.frequency} for capture in captures]
        assumed.append(f"centre frequency {stated.frequency:.10g} Hz (--frequency)")
    elif stated.frequency is not None and set(tuned) != {stated.frequency}:
        warnings.append(f"its metadata state a centre frequency of {tuned[0]}; that holds, not --frequency "
                        f"{stated.frequency:.10g}")
    return replace(found, metadata=metadata, assumed=(*found.assumed, *assumed),
                   warnings=(*found.warnings, *warnings))


def _is_there(path: Path) -> bool:
    """Is it a file? A folder is not. Raises OSError for a FIFO or device, which nobody must open."""
    try:
        files.check_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except files.NotAFileError:
        if path.is_dir():
            return False
        raise
    return True


def archive_members(path: Path) -> list[str]:
    """Names (without suffix) of the recordings in an archive. Raises RecordingError."""
    with open_archive(path) as archive:
        return [name[:-len(META)] for name in archive.sizes if name.endswith(META)]


# -- pairs ------------------------------------------------------------------------------------------
def _meta_path(path: Path) -> Path:
    """The metadata file that belongs to ``path`` (which may be the dataset file of another format)."""
    base = base_name(path)
    meta = base.with_name(base.name + META)
    if base == path and path.is_file() and not meta.is_file():
        return path.with_suffix(META)
    return meta


def _from_pair(meta: Path) -> Container:
    try:
        content = files.read_regular(meta, MAX_METADATA)
    except OSError as error:
        raise RecordingError(f"{meta}: cannot be read: {error.strerror or error}") from None
    metadata = parse_metadata(content, str(meta))
    data = meta.with_name(_dataset_name(metadata, meta.name[:-len(META)], str(meta)))
    try:
        if not _is_there(data):
            raise _no_data(meta, metadata, data)
        size = data.stat().st_size
    except OSError as error:
        raise RecordingError(f"{meta}: its data file {data.name} cannot be read: "
                             f"{error.strerror or error}") from None
    return Container(meta, metadata, data, 0, size, lambda: files.open_regular(data))


def _no_data(meta: Path, metadata: dict, data: Path) -> RecordingError:
    if data.is_dir():
        return RecordingError(f"{meta}: its data file {data.name} is a folder; put the samples there")
    if _global(metadata).get("core:metadata_only"):
        return NoSamplesError(f"{meta}: was distributed without its samples (core:metadata_only); "
                              "name the recording it was made from")
    return RecordingError(f"{meta}: its data file {data.name} is missing; put it beside the metadata")


def _dataset_name(metadata: dict, base: str, where: str) -> str:
    """File name of the dataset, in the metadata's folder."""
    name = _global(metadata).get("core:dataset")
    if name is None:
        return base + DATA
    if not isinstance(name, str) or not is_dataset_name(name):
        raise RecordingError(f"{where}: core:dataset must name a file in the same folder, not {shown(name)}")
    if name.endswith(META):
        raise RecordingError(f"{where}: core:dataset names metadata, {shown(name)}, not samples; correct it")
    return name


def _global(metadata: dict) -> dict:
    section = metadata.get("global")
    return section if isinstance(section, dict) else {}


def parse_metadata(content: bytes, where: str) -> dict:
    """The JSON object in ``content``. NaN and Infinity, which JSON does not have, are read as Python writes
    them. Raises RecordingError that names ``where``."""
    try:
        metadata = json.loads(content.decode("utf-8-sig"))
        _check_depth(metadata)
    except (ValueError, RecursionError, MemoryError) as error:
        reason = shown(one_line(str(error) or type(error).__name__), 200).strip("'\"")
        raise RecordingError(f"{where}: is not valid JSON ({reason}); write the metadata again") from None
    if not isinstance(metadata, dict):
        raise RecordingError(f"{where}: is not SigMF metadata (a JSON object); write the metadata again")
    return metadata


def _check_depth(value) -> None:
    """Raises ValueError for what is nested so deep that those who walk through it would not come back."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inside = [v for v in level if isinstance(v, (dict, list))]
        if not inside:
            return
        level = [v for c in inside for v in (c.values() if isinstance(c, dict) else c)]
    raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


# -- archives ---------------------------------------------------------------------------------------
def _from_archive(path: Path, member: str | None) -> Container:
    with open_archive(path) as archive:
        metas = [name for name in archive.sizes if name.endswith(META)]
        if not metas:
            raise RecordingError(f"{path}: holds no recording; an archive needs a .sigmf-meta member")
        first = path / metas[0][:-len(META)]
        if member is not None:
            wanted = str(base_name(Path(member))) + META
            metas = [name for name in metas if name == wanted]
            if not metas:
                raise RecordingError(f"{path}: holds no recording {shown(member)}; it holds e.g. {first}")
        if len(metas) > 1:
            raise RecordingError(f"{path}: holds {len(metas)} recordings; name one, e.g. {first}")
        where = f"{path}/{metas[0]}"
        metadata = parse_metadata(archive.read(metas[0], MAX_METADATA), where)
        folder, _, name = metas[0].rpartition("/")
        data = _dataset_name(metadata, name[:-len(META)], where)
        data = f"{folder}/{data}" if folder else data
        if data not in archive.sizes:
            raise RecordingError(f"{path}: has no member {data}; add the dataset to the archive")
        size, offset = archive.sizes[data], archive.offset(data)
        found = path if member is None else path / member
        if offset is not None:
            return Container(found, metadata, path, offset, size, lambda: files.open_regular(path), True)
        return Container(found, metadata, path, 0, size, lambda: _unpacked(path, data), True)


def _unpacked(path: Path, member: str) -> BinaryIO:
    with open_archive(path) as archive:
        return archive.unpack(member)
