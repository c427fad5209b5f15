# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Members of tar and zip archives, read where they lie. Nothing is ever unpacked by name.

A member's name is text from elsewhere: here it loses '..', a leading '/' and what cannot be printed, so that
it can be put behind a folder's name and stays inside.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from radiofm_ml import files
from radiofm_ml.sigmf.errors import RecordingError, shown


def open_archive(path: Path) -> Archive:
    """The archive at ``path``, a context manager. Raises RecordingError."""
    try:
        files.check_regular(path)
        if path.name.lower().endswith(".zip") and zipfile.is_zipfile(path):
            return _Zip(path)
        return _Tar(path)
    except RecordingError:
        raise
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such archive; check the name") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a damaged archive makes the libraries raise anything
        reason = _reason(error)
        detail = "" if "\n" in reason else f" ({reason})"  # tarfile lists every way that it has tried
        raise RecordingError(f"{path}: is not an archive (tar, zip) or damaged{detail}; "
                             "fetch it again") from None


class Archive:
    """Regular files of an archive by name; links and devices are not among them.

    sizes   bytes of each, as the archive's directory says
    """

    def __init__(self, path: Path):
        self.path = path
        self.sizes: dict[str, int] = {}
        self._members: dict = {}

    def read(self, name: str, limit: int) -> bytes:
        """Content of a member of at most ``limit`` bytes. Raises RecordingError."""
        if self.sizes[name] > limit:
            raise RecordingError(f"{self.path}/{name}: is larger than {limit} bytes")
        with self._readable(name), self._open(name) as member:
            return member.read(limit)

    def unpack(self, name: str) -> BinaryIO:
        """A member as a temporary file that is gone when it is closed. Raises RecordingError."""
        folder, size = tempfile.gettempdir(), self.sizes[name]
        if size > shutil.disk_usage(folder).free:
            raise RecordingError(f"{self.path}: unpacks to {size} bytes, more than {folder} has free; "
                                 "unpack it elsewhere, or name a roomier folder in TMPDIR")
        target = tempfile.TemporaryFile()
        try:
            with self._readable(name), self._open(name) as member:
                while piece := member.read(1 << 20):
                    self._write(target, piece, folder)
            target.flush()
        except BaseException:
            target.close()
            raise
        return target

    def offset(self, name: str) -> int | None:
        """Where the member's bytes begin in the archive file; None if they do not lie there as they are."""
        return None

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def _keep(self, name: str, size: int, member) -> None:
        if name.rpartition("/")[2].startswith("._"):
            return  # macOS's shadow files carry the same suffixes
        safe = _safe(name)
        other = self._members.get(safe)
        if other is not None and _plain(other[0]) != _plain(name):
            raise RecordingError(f"{self.path}: both {shown(other[0])} and {shown(name)} are called "
                                 f"{shown(safe)} here; it was not made by a SigMF tool")
        if safe:  # of two that have one name the later one holds, as for tar and zip
            self._members[safe], self.sizes[safe] = (name, member), size

    def _open(self, name: str) -> BinaryIO:
        raise NotImplementedError

    @contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        try:
            yield
        except RecordingError:
            raise
        except Exception as error:  # a damaged archive makes the libraries raise anything
            raise RecordingError(f"{self.path}/{name}: cannot be read from the archive "
                                 f"({_reason(error)}); fetch it again") from None

    def _write(self, target: BinaryIO, piece: bytes, folder: str) -> None:
        try:
            target.write(piece)
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be unpacked to {folder}: {error.strerror}; "
                                 "make room, or name another folder in TMPDIR") from None


class _Tar(Archive):
    def __init__(self, path: Path):
        super().__init__(path)
        try:
            self._file, self._uncompressed = tarfile.open(path, "r:"), True
        except tarfile.ReadError:
            self._file, self._uncompressed = tarfile.open(path, "r:*"), False
        try:
            for member in self._entries():
                if member.isreg():
                    self._keep(member.name, member.size, member)
        except BaseException:
            self._file.close()
            raise

    def _entries(self) -> Iterator[tarfile.TarInfo]:
        last = -1
        while True:
            try:
                entry = self._file.next()
            except tarfile.ReadError:
                if last < 0 or not self._uncompressed:
                    raise
                return  # cut off inside the last member: what is there of it can still be read
            if entry is None:
                return
            if entry.size < 0 or entry.offset <= last:  # would lead back, and round for ever
                raise tarfile.ReadError("a member of negative size")
            last = entry.offset
            yield entry

    def offset(self, name: str) -> int | None:
        member = self._members[name][1]
        return member.offset_data if self._uncompressed and not member.issparse() else None

    def _open(self, name: str) -> BinaryIO:
        return self._file.extractfile(self._members[name][1])


class _Zip(Archive):
    def __init__(self, path: Path):
        super().__init__(path)
        self._file = zipfile.ZipFile(path)
        try:
            for member in self._file.infolist():
                if not member.is_dir() and not _is_link(member):
                    self._keep(member.filename, member.file_size, member)
        except BaseException:
            self._file.close()
            raise

    def _open(self, name: str) -> BinaryIO:
        return self._file.open(self._members[name][1])


def _is_link(member: zipfile.ZipInfo) -> bool:
    return member.create_system == 3 and (member.external_attr >> 28) == 0xA  # as Unix zips note S_IFLNK


def _plain(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _safe(name: str) -> str:
    parts = (part for part in name.split("/") if part not in ("", ".", ".."))
    return "".join(c if c.isprintable() else "_" for c in "/".join(parts))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
