# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""WAV files with I and Q as their two channels: where the samples lie, and what receivers' programs say in
their chunk ``auxi``.

RIFF as in Microsoft's and IBM's "Multimedia Programming Interface and Data Specifications 1.0"; RF64 and
BW64, of more than 4 GiB, as in EBU Tech 3306 and ITU-R BS.2088.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from radiofm_ml.sigmf.times import parse_datetime

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_TYPES = {(_PCM, 8): "u8", (_PCM, 16): "i16_le", (_PCM, 32): "i32_le", (_FLOAT, 32): "f32_le",
          (_FLOAT, 64): "f64_le"}
_UNKNOWN_SIZE = 0xFFFFFFFF
_MOST_CHUNKS = 1000
_MOST_AUXI = 1 << 16


@dataclass(frozen=True)
class Wav:
    """What a WAV file says.

    datatype  SigMF's, complex where there are two channels; '' for samples that SigMF has no name for
    form      the samples in words, such as '2 channels of 24 bits'
    rate      in samples per second
    start     byte at which the samples begin
    stop      byte behind them, as far as the file goes; missing: bytes that should be there and are not
    frequency, time, program   of the chunk ``auxi``, None and '' where it does not say; time as
              (seconds since 1970, fraction)
    """

    datatype: str
    form: str
    channels: int
    rate: float
    start: int
    stop: int
    missing: int = 0
    frequency: float | None = None
    time: tuple[int, float] | None = None
    program: str = ""


class WavError(ValueError):
    """What is wrong with a WAV file, to be put behind its name."""


def read_wav(file: BinaryIO) -> Wav:
    """Read the chunks of a WAV file, not its samples. Raises WavError, OSError."""
    size = os.fstat(file.fileno()).st_size
    riff = file.read(12)
    large = riff[:4] in (b"RF64", b"BW64")
    if not (large or riff[:4] == b"RIFF") or riff[8:12] != b"WAVE":
        raise WavError("is no WAV file (RIFF, RF64 or BW64); convert it")
    form = auxi = data = None
    at, data_size = 12, None  # of ds64
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack("<4sI", head)
        at += 8
        if name == b"ds64" and large:
            data_size = struct.unpack("<Q", file.read(16)[8:].ljust(8, b"\0"))[0]
        elif name == b"fmt " and form is None:
            form = file.read(min(length, 40))
        elif name == b"auxi":
            auxi = file.read(min(length, _MOST_AUXI))
        elif name == b"data" and data is None:
            length = _data_length(length, data_size, at, size)
            data = at, length
        at += length + length % 2
    if form is None or len(form) < 16:
        raise WavError("has no chunk 'fmt ', which says what the samples are; record it again")
    if data is None:
        raise WavError("has no chunk 'data' with samples; record it again")
    return _of_chunks(form, data, auxi or b"", size)


def _data_length(length: int, large: int | None, at: int, size: int) -> int:
    """Bytes of samples: of a program that did not come to write it, up to the end; so is what has gone round
    in 32 bits."""
    there = max(0, size - at)
    if length == _UNKNOWN_SIZE and large is not None:
        return large
    if length in (0, _UNKNOWN_SIZE) or (there >> 32 and there % (1 << 32) == length):
        return there
    return length


def _of_chunks(form: bytes, data: tuple[int, int], auxi: bytes, size: int) -> Wav:
    kind, channels, rate, _, frame, bits = struct.unpack("<HHIIHH", form[:16])
    if kind == _EXTENSIBLE and len(form) >= 26:
        kind = struct.unpack("<H", form[24:26])[0]
    word = "channel" if channels == 1 else "channels"
    codec = {_PCM: "", _FLOAT: " (float)"}.get(kind, f" (codec {kind})")
    text = f"{channels} {word} of {bits} bits{codec}"
    component = _TYPES.get((kind, bits), "") if channels and frame == channels * bits // 8 else ""
    datatype = {1: "r", 2: "c"}.get(channels, "") + component if component and channels in (1, 2) else ""
    start, length = data
    stop = min(start + length, size)
    frequency, time, program = _auxi(auxi)
    return Wav(datatype, text, channels, float(rate), start, stop, start + length - stop, frequency, time,
               program)


# -- auxi -------------------------------------------------------------------------------------------
def _auxi(content: bytes) -> tuple[float | None, tuple[int, float] | None, str]:
    """(frequency, time, program): SDR Console writes XML; SDR#, HDSDR and SDRuno a structure of WinRAD's."""
    for encoding in ("utf-16-le", "utf-8"):
        text = content.decode(encoding, "replace").lstrip("\ufeff")
        if text.startswith("<") and "RadioCenterFreq" in text:
            return _xml(text)
    if len(content) < 36:
        return None, None, ""
    frequency = float(struct.unpack("<I", content[32:36])[0])
    return frequency or None, _system_time(content[:16]), ""


def _xml(text: str) -> tuple[float | None, tuple[int, float] | None, str]:
    found = dict(re.findall(r'(\w+)="([^"]*)"', text[:_MOST_AUXI]))
    try:
        frequency = float(found.get("RadioCenterFreq", ""))
    except ValueError:
        frequency = None
    seconds, time = found.get("UTCSeconds", ""), None
    if re.fullmatch(r"\d{9,11}", seconds):
        time = int(seconds), 0.0
    elif match := re.fullmatch(r"(\d\d)-(\d\d)-(\d{4}) (\d\d:\d\d:\d\d)", found.get("CurrentTimeUTC", "")):
        time = _parsed(f"{match[3]}-{match[2]}-{match[1]}T{match[4]}Z")
    return frequency, time, re.sub(r"[^\x20-\x7e]", "", found.get("SoftwareName", ""))[:60] or "SDR Console"


def _system_time(content: bytes) -> tuple[int, float] | None:
    """Of Windows' SYSTEMTIME."""
    year, month, _, day, hour, minute, second, milli = struct.unpack("<8H", content)
    if not 1990 <= year < 2200 or milli > 999:
        return None
    time = _parsed(f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    return None if time is None else (time[0], milli / 1000)


def _parsed(text: str) -> tuple[int, float] | None:
    try:
        return parse_datetime(text)
    except ValueError:
        return None
