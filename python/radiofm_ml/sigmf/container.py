# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Where a recording's metadata and sample bytes are: SigMF pair, dataset file of another format, archive.

Nothing is ever unpacked by name: the data of a plain ``.sigmf`` tar is read where it lies in the archive,
that of a compressed archive from a nameless temporary file.
"""

from __future__ import annotations

import json
import lzma
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

META, DATA, ARCHIVE = ".sigmf-meta", ".sigmf-data", ".sigmf"
ARCHIVES = (ARCHIVE, ".sigmf.gz", ".sigmf.xz", ".sigmf.zip")
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error)


class RecordingError(ValueError):
    """A recording that cannot be read; one line that names the file and the cure."""


class NoSamplesError(RecordingError):
    """Metadata that were distributed without their samples, on purpose."""


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
    """

    path: Path
    metadata: dict
    data_path: Path
    offset: int
    size: int
    open: Callable[[], BinaryIO]
    archived: bool = False


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES)


def base_name(path: Path) -> Path:
    """``path`` without a SigMF suffix (a name's own dots stay)."""
    for suffix in (META, DATA, *sorted(ARCHIVES, key=len, reverse=True)):
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return path.with_name(path.name[:-len(suffix)])
    return path


def find_container(path: str | os.PathLike) -> Container:
    """The recording that ``path`` names.

    path: a ``.sigmf-meta`` or ``.sigmf-data`` file or their common base name, an archive (``.sigmf``,
    ``.sigmf.gz``, ``.sigmf.xz``, ``.sigmf.zip``), or archive/name for one of several recordings in it.
    Raises RecordingError.
    """
    path = Path(path)
    if is_archive(path) and path.is_file():
        return _from_archive(path, None)
    for parent in path.parents:
        if is_archive(parent) and parent.is_file():
            return _from_archive(parent, str(PurePosixPath(path.relative_to(parent))))
    meta = _meta_path(path)
    if meta.is_file():
        return _from_pair(meta)
    archive = path.with_name(path.name + ARCHIVE)
    if archive.is_file():
        return _from_archive(archive, None)
    if path.is_dir():
        raise RecordingError(f"{path}: is a folder; name a recording in it")
    if path.exists():
        raise RecordingError(f"{path}: has no metadata; a file {meta.name} must lie beside it")
    raise RecordingError(f"{path}: no such recording; check the name")


def archive_members(path: Path) -> list[str]:
    """Names (without suffix) of the recordings in an archive. Raises RecordingError."""
    with _open_archive(path) as archive:
        return [name[:-len(META)] for name in archive.files if name.endswith(META)]


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
        metadata = parse_metadata(meta.read_bytes(), str(meta))
    except OSError as error:
        raise RecordingError(f"{meta}: cannot be read: {error.strerror}") from None
    data = meta.with_name(_dataset_name(metadata, meta.name[:-len(META)], str(meta)))
    if not data.is_file():
        if _global(metadata).get("core:metadata_only"):
            raise NoSamplesError(f"{meta}: was distributed without its samples (core:metadata_only); "
                                 "name the recording it was made from")
        raise RecordingError(f"{meta}: its data file {data.name} is missing; put it beside the metadata")
    return Container(meta, metadata, data, 0, data.stat().st_size, lambda: open(data, "rb"))


def _dataset_name(metadata: dict, base: str, where: str) -> str:
    """File name of the dataset, in the metadata's folder."""
    name = _global(metadata).get("core:dataset")
    if name is None:
        return base + DATA
    if not isinstance(name, str) or not name or name in (".", "..") or set(name) & set("/\\\0"):
        raise RecordingError(f"{where}: core:dataset must name a file in the same folder, not {name!r}")
    return name


def _global(metadata: dict) -> dict:
    section = metadata.get("global")
    return section if isinstance(section, dict) else {}


def parse_metadata(content: bytes, where: str) -> dict:
    """The JSON object in ``content``. Raises RecordingError that names ``where``."""
    def refuse(constant):
        raise ValueError(f"{constant} is not a JSON number")

    try:
        metadata = json.loads(content.decode("utf-8-sig"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{where}: is not valid JSON ({error}); write the metadata again") from None
    if not isinstance(metadata, dict):
        raise RecordingError(f"{where}: is not SigMF metadata (a JSON object); write the metadata again")
    return metadata


# -- archives ---------------------------------------------------------------------------------------
def _from_archive(path: Path, member: str | None) -> Container:
    with _open_archive(path) as archive:
        metas = [name for name in archive.files if name.endswith(META)]
        if not metas:
            raise RecordingError(f"{path}: holds no recording; an archive needs a .sigmf-meta member")
        first = path / metas[0][:-len(META)]
        if member is not None:
            wanted = str(base_name(Path(member))) + META
            metas = [name for name in metas if name == wanted]
            if not metas:
                raise RecordingError(f"{path}: holds no recording {member!r}; it holds e.g. {first}")
        if len(metas) > 1:
            raise RecordingError(f"{path}: holds {len(metas)} recordings; name one, e.g. {first}")
        where = f"{path}/{metas[0]}"
        metadata = parse_metadata(archive.read(metas[0], where), where)
        folder, _, name = metas[0].rpartition("/")
        data = _dataset_name(metadata, name[:-len(META)], where)
        data = f"{folder}/{data}" if folder else data
        if data not in archive.files:
            raise RecordingError(f"{path}: has no member {data}; add the dataset to the archive")
        size = archive.files[data]
        offset = archive.offset(data)
        found = path if member is None else path / member
        if offset is not None:
            return Container(found, metadata, path, offset, size, lambda: open(path, "rb"), True)
        return Container(found, metadata, path, 0, size, lambda: _unpack(path, data, size), True)


def _unpack(path: Path, member: str, size: int) -> BinaryIO:
    """The member of a compressed archive, as a temporary file that is gone when it is closed."""
    if size > shutil.disk_usage(tempfile.gettempdir()).free:
        raise RecordingError(f"{path}: unpacks to {size} bytes, more than {tempfile.gettempdir()} has free; "
                             "unpack it elsewhere, or name a roomier folder in TMPDIR")
    target = tempfile.TemporaryFile()
    try:
        with _open_archive(path) as archive:
            archive.copy(member, target)
    except BaseException:
        target.close()
        raise
    return target


def _open_archive(path: Path):
    try:
        if zipfile.is_zipfile(path) and path.name.lower().endswith(".zip"):
            return _Zip(path)
        return _Tar(path)
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such archive; check the name") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, *_DAMAGED):
        raise RecordingError(f"{path}: is not an archive (tar, zip) or damaged; fetch it again") from None


def _wanted(name: str) -> bool:
    return not name.rpartition("/")[2].startswith("._")  # macOS's shadow files carry the same suffixes


class _Archive:
    """Regular files of an archive by name. ``files``: size in bytes of each."""

    files: dict[str, int]

    def __init__(self, path: Path):
        self.path = path

    def read(self, name: str, where: str) -> bytes:
        with _readable(where), self._member(name) as member:
            return member.read()

    def copy(self, name: str, target: BinaryIO) -> None:
        with _readable(f"{self.path}/{name}"), self._member(name) as member:
            shutil.copyfileobj(member, target, 1 << 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()


@contextmanager
def _readable(where: str):
    """Turns what a damaged archive raises into a RecordingError."""
    try:
        yield
    except (OSError, RuntimeError, *_DAMAGED) as error:  # RuntimeError: an encrypted zip
        raise RecordingError(f"{where}: cannot be read from the archive ({error}); fetch it again") from None


class _Tar(_Archive):
    def __init__(self, path: Path):
        super().__init__(path)
        try:
            self._file, self._plain = tarfile.open(path, "r:"), True
        except tarfile.ReadError:
            self._file, self._plain = tarfile.open(path, "r:*"), False
        try:
            self._members = {m.name.removeprefix("./"): m for m in self._entries()
                             if m.isreg() and _wanted(m.name)}
        except BaseException:
            self._file.close()
            raise
        self.files = {name: member.size for name, member in self._members.items()}

    def _entries(self):
        found = False
        while True:
            try:
                entry = self._file.next()
            except tarfile.ReadError:
                if not (found and self._plain):
                    raise
                return  # cut off inside the last member: what is there of it can still be read
            if entry is None:
                return
            found = True
            yield entry

    def offset(self, name: str) -> int | None:
        """Where the member's bytes begin in the archive file; None if they do not lie there as they are."""
        member = self._members[name]
        return member.offset_data if self._plain and not member.issparse() else None

    def _member(self, name: str):
        return self._file.extractfile(self._members[name])


class _Zip(_Archive):
    def __init__(self, path: Path):
        super().__init__(path)
        self._file = zipfile.ZipFile(path)
        self.files = {i.filename: i.file_size for i in self._file.infolist()
                      if not i.is_dir() and _wanted(i.filename)}

    def offset(self, name: str) -> None:
        return None

    def _member(self, name: str):
        return self._file.open(name)
