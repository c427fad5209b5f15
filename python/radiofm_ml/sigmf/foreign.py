# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Files that are no samples although metadata name them as the dataset: compressed, or of another format.

Samples may begin with any bytes, so a signature alone is not enough where it is short: then the format's own
checksum must be right, or what it compresses must really unpack.
"""

from __future__ import annotations

import bz2
import codecs
import struct
import tarfile
import zlib
from collections.abc import Callable

HEAD = 1 << 16  # bytes from the beginning of the file that are looked at

_SIGNATURES = (  # of seven bytes or more, at the beginning
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY\x01\x00", "a NumPy array (.npy)"),
    (b"\x93NUMPY\x02\x00", "a NumPy array (.npy)"),
    (b"\x93NUMPY\x03\x00", "a NumPy array (.npy)"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file"),
    (b"MATLAB 7.3 MAT-file", "a MATLAB file"),
    (b"Rar!\x1a\x07\x00", "compressed (rar)"),
    (b"Rar!\x1a\x07\x01\x00", "compressed (rar)"),
    (b"fLaC\x00\x00\x00\x22", "a FLAC file"),
    (b"BLUEEEEI", "a Midas Blue file"),
    (b"BLUEIEEE", "a Midas Blue file"),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb", "a Wave64 file"),
    (b"caff\x00\x01\x00\x00", "a Core Audio file"),
    (b".snd\x00\x00\x00", "an AU file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"ARROW1\x00\x00", "an Arrow file"),
    (b"%PDF-1.", "a PDF file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, the file itself was not fetched"),
)


def kind_of(head: bytes) -> str:
    """What a file is that begins with ``head`` (up to ``HEAD`` bytes), such as 'compressed (gzip)'; '' where
    it may be samples."""
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    return next((kind for kind, looks_like in _TESTS.items() if looks_like(head)), "")


def _gzip(head: bytes) -> bool:
    return head.startswith(b"\x1f\x8b\x08") and head[3:4] < b"\x20" and _unpacks(zlib.decompressobj(31), head)


def _zlib(head: bytes) -> bool:
    return head[:2] in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda") and _unpacks(
        zlib.decompressobj(), head)


def _bzip2(head: bytes) -> bool:
    return head[:3] == b"BZh" and head[3:4] in b"123456789" and head[4:10] in (
        b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90") and _unpacks(bz2.BZ2Decompressor(), head)


def _xz(head: bytes) -> bool:
    return head.startswith(b"\xfd7zXZ\x00") and _crc(head[6:8], head[8:12])


def _zstd(head: bytes) -> bool:
    """The frame's header, then its blocks, each of which says where the next one begins."""
    if not head.startswith(b"\x28\xb5\x2f\xfd") or len(head) < 9 or head[4] & 0x08:
        return False
    single = head[4] & 0x20
    sizes = (1 if single else 0, 2, 4, 8)[head[4] >> 6]
    position, last, blocks = 5 + (0 if single else 1) + (0, 1, 2, 4)[head[4] & 3] + sizes, False, 0
    while not last and position + 3 <= len(head):
        block = int.from_bytes(head[position:position + 3], "little")
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        if kind == 3 or size > 1 << 17 or (kind == 2 and size < 2):
            return False
        position += 3 + (1 if kind == 1 else size)
        blocks += 1
    return blocks > 0


def _lz4(head: bytes) -> bool:
    """Frame header: version 1, reserved bits 0, then a block no larger than the header says."""
    if not head.startswith(b"\x04\x22\x4d\x18") or len(head) < 11:
        return False
    flags, descriptor = head[4], head[5]
    if flags >> 6 != 1 or flags & 2 or descriptor & 0x8F or not 4 <= descriptor >> 4 <= 7:
        return False
    start = 7 + (8 if flags & 8 else 0) + (4 if flags & 1 else 0)
    size = int.from_bytes(head[start:start + 4], "little") & 0x7FFFFFFF
    return size <= 1 << (8 + 2 * (descriptor >> 4))


def _zip(head: bytes) -> bool:
    """The header of the first member: its fields, and that what is deflated unpacks. NumPy's .npz, too."""
    if head.startswith(b"PK\5\6" + bytes(16)):
        return True  # empty
    if not head.startswith(b"PK\3\4") or len(head) < 31:
        return False
    version, flags, method, _, _, crc, packed, size, name, extra = struct.unpack("<HHHHH4sIIHH", head[4:30])
    if version & 0xFF > 63 or not 0 < name <= 4096 or min(head[30:30 + name]) < 0x20:
        return False
    if method == 8 and not flags & 1:  # not encrypted
        return _unpacks(zlib.decompressobj(-15), head[30 + name + extra:],
                        lambda rest: rest.removeprefix(b"PK\7\x08")[:4] if flags & 8 else crc)
    return method in (0, 1, 6, 9, 12, 14, 93, 95, 98, 99) and (method != 0 or packed == size)


def _seven_zip(head: bytes) -> bool:
    return head.startswith(b"7z\xbc\xaf\x27\x1c\x00") and _crc(head[12:32], head[8:12])


def _png(head: bytes) -> bool:
    return head.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")


def _jpeg(head: bytes) -> bool:
    return head.startswith(b"\xff\xd8\xff") and head[6:11] in (b"JFIF\0", b"Exif\0")


def _wave(head: bytes) -> bool:
    return head[:4] in (b"RIFF", b"RF64", b"BW64", b"RIFX") and head[8:12] == b"WAVE"


def _aiff(head: bytes) -> bool:
    return head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")


def _ogg(head: bytes) -> bool:
    return head.startswith(b"OggS\x00\x02" + bytes(8))


def _tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")  # checks the header's sum
    except (tarfile.HeaderError, ValueError):
        return False
    return head[257:262] == b"ustar"


def _web_page(head: bytes) -> bool:
    return head[:64].lstrip().lower().startswith((b"<!doctype html", b"<html>", b"<html "))


def _hdf5(head: bytes) -> bool:
    """Behind a block of the user's own, as MATLAB and others put before it."""
    return any(head.startswith(b"\x89HDF\r\n\x1a\n", 512 << n) for n in range(8))


def _pickle(head: bytes) -> bool:
    return head[:1] == b"\x80" and head[1:3] in (b"\x04\x95", b"\x05\x95") and (
        0 < int.from_bytes(head[3:11], "little") < 1 << 32)


def _text(head: bytes) -> bool:
    """Such as a table of numbers. Samples that reach down to a line's end do not spare what is beside it."""
    head = head.rstrip(b"\0")  # what fills up a block
    if len(head) < 64:
        return False
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return False
    return ("\n" in text or text.lstrip().startswith(('{"', "[", "<"))) and all(
        c.isprintable() or c in "\t\r\n\f" for c in text)


def _metadata(head: bytes) -> bool:
    return head[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and b'"core:datatype"' in head


_TESTS = {
    "compressed (gzip)": _gzip, "compressed (bzip2)": _bzip2, "compressed (xz)": _xz,
    "compressed (zstd)": _zstd, "compressed (lz4)": _lz4, "compressed (7z)": _seven_zip,
    "a zip archive (.zip, .npz)": _zip, "a tar archive": _tar, "a picture (PNG)": _png,
    "a picture (JPEG)": _jpeg, "a WAV file": _wave, "an AIFF file": _aiff, "an Ogg file": _ogg,
    "a web page": _web_page, "SigMF metadata": _metadata, "text": _text, "compressed (zlib)": _zlib,
    "an HDF5 file": _hdf5, "a Python pickle": _pickle,
}


def _crc(content: bytes, stored: bytes) -> bool:
    return len(stored) == 4 and zlib.crc32(content) == int.from_bytes(stored, "little")


def _unpacks(unpacker, packed: bytes, checksum: Callable[[bytes], bytes] | None = None) -> bool:
    """Does it unpack without an error: to its end, or as far as ``packed`` goes and that far enough?

    checksum: of a format that the unpacker does not check itself, the CRC of what was unpacked, given what
    follows it.
    """
    content = bytearray()
    try:
        for start in range(0, len(packed), 64):  # little at a time: it may be a bomb
            content += unpacker.decompress(packed[start:start + 64])
            if unpacker.eof:
                rest = unpacker.unused_data + packed[start + 64:]
                return len(content) > 0 and (checksum is None or _crc(content, checksum(rest)))
            if len(content) > 1 << 22:
                return True
    except (zlib.error, OSError, EOFError, ValueError):
        return False
    return len(packed) >= 1024
