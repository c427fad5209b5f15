# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Metadata, made in memory, of recordings that have none: raw I/Q files, and WAV files with I and Q.

Sample rate, centre frequency, time and sample type are taken from what the user states, else from the file's
header, else from its name; the sample type at last from its levels. What was taken, and from where, is said;
where it cannot be known it is refused, with the option that states it. Nothing is copied.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from radiofm_ml import files
from radiofm_ml.sigmf import file_names, foreign, levels, metadata_schema
from radiofm_ml.sigmf.dataset_names import is_dataset_name
from radiofm_ml.sigmf.errors import RecordingError
from radiofm_ml.sigmf.sample_types import SampleType
from radiofm_ml.sigmf.stated import ENDINGS, OPEN_ENDINGS, REAL_ENDINGS, WAV_ENDINGS, Stated
from radiofm_ml.sigmf.times import format_datetime
from radiofm_ml.sigmf.wav import Wav, WavError, read_wav

_WAV = "a WAV file"  # as ``foreign`` calls it
_PIECES, _PIECE = 32, 1 << 15  # of the file that levels are taken of, and bytes in one
_DEMODULATED = (".am", ".fm")  # rtl_433 calls its demodulated signals NAME.am.s16
_SOUND_RATE = 192000  # in samples per second: a WAV file of more is no sound


@dataclass
class Described:
    """A file without metadata, described.

    metadata  SigMF's
    assumed   a line that says what was taken from where, and the histograms of levels, if they mattered
    warnings  what is odd about it
    doubtful  why it may be no recording at all, '' where it surely is one
    """

    metadata: dict
    assumed: list[str]
    warnings: list[str] = field(default_factory=list)
    doubtful: str = ""


def ending_of(path: Path) -> str:
    """The ending of a raw or WAV file's name, as it stands there; '' for others."""
    known = path.suffix.lower() in (*ENDINGS, *REAL_ENDINGS, *OPEN_ENDINGS, *WAV_ENDINGS)
    return path.suffix if known and len(path.name) > len(path.suffix) else ""


def describe(path: Path, stated: Stated) -> Described | None:
    """The metadata of a file that has none; None where nothing says that it holds samples: another ending,
    and no type stated. Raises RecordingError, OSError."""
    ending = ending_of(path).lower()
    if not ending and stated.type is None:
        return None
    with files.open_regular(path) as file:
        kind = foreign.kind_of(file.read(foreign.HEAD))
        if kind == _WAV or (ending in WAV_ENDINGS and not kind):
            return _described_wav(path, file, stated)
        if kind:
            cure = "unpack it" if kind.startswith("compressed") else "convert it to raw samples or SigMF"
            raise RecordingError(f"{path}: is {kind}, not samples; {cure}")
        return _described_raw(path, file, ending, stated)


# -- raw files --------------------------------------------------------------------------------------
def _described_raw(path: Path, file: BinaryIO, ending: str, stated: Stated) -> Described:
    stem = path.name[:len(path.name) - len(ending)]
    if ending in REAL_ENDINGS and stem.lower().endswith(_DEMODULATED) and not stated.type:
        raise RecordingError(f"{path}: is demodulated, not I/Q; name the recording that it was made of, or "
                             f"say --type {REAL_ENDINGS[ending]} if it is not")
    said, beside = file_names.read(stem), _portapack(path)
    size = os.fstat(file.fileno()).st_size
    content = _pieces(file, 0, size)
    datatype, how, shown = _datatype(path, content, ending, said, stated)
    rate, frequency = _first(
        (stated.rate, "--rate"), (said.rate, "name"), (beside.get("sample_rate"), "its .TXT")), _first(
        (stated.frequency, "--frequency"), (said.frequency, "name"),
        (beside.get("center_frequency"), "its .TXT"))
    if rate is None:
        raise RecordingError(f"{path}: does not say its sample rate; give it, such as --rate 2.4M")
    made = Described(_metadata(path, datatype, rate[0], frequency, said.time, said.program), [])
    made.assumed = [_assumed(datatype, how, rate, frequency, _first((said.time, "name"))), *shown]
    if not shown:
        _compare(made, content, datatype)
    return made


def _datatype(path: Path, content: np.ndarray, ending: str, said: file_names.Said,
              stated: Stated) -> tuple[str, str, list[str]]:
    """(SigMF's name, where it is from, histograms if it is a guess)."""
    by_ending = ENDINGS.get(ending) or REAL_ENDINGS.get(ending)
    known = _first((stated.type, "--type"), (said.datatype or None, "name"), (by_ending, "ending"))
    if known:
        return *known, []
    found = levels.fits(content)
    guessed = levels.guess(found)
    if not found:
        raise RecordingError(f"{path}: is too short for its levels to tell the sample type; give it, such as "
                             "--type cu8")
    if not guessed:
        raise UnknownTypeError(path, found)
    return guessed, "guessed by its levels; --type if it is another", _histograms(found)


class UnknownTypeError(RecordingError):
    """A raw file whose levels do not tell its sample type; ``histograms``: lines that show them."""

    def __init__(self, path: Path, found: dict[str, levels.Fit]):
        nearest = [fit.datatype for fit in _likely(found)][:2]
        super().__init__(f"{path}: its levels do not tell its sample type"
                         + (f" ({' and '.join(nearest)} come nearest)" if nearest else "")
                         + "; give it, such as --type cs8")
        self.histograms = [f"{path}: {line}" for line in _histograms(found)]


def _portapack(path: Path) -> dict[str, float]:
    """What HackRF's PortaPack writes into NAME.TXT beside NAME.C16: sample_rate and center_frequency."""
    for ending in (".TXT", ".txt"):
        try:
            text = files.read_regular(path.with_suffix(ending), 1 << 12).decode("ascii")
        except (OSError, ValueError):
            continue
        found = dict(re.findall(r"^(sample_rate|center_frequency)=(\d{1,12})\s*$", text, re.MULTILINE))
        if len(found) == 2:
            return {key: float(value) for key, value in found.items() if float(value) > 0}
    return {}


# -- WAV --------------------------------------------------------------------------------------------
def _described_wav(path: Path, file: BinaryIO, stated: Stated) -> Described:
    file.seek(0)
    try:
        wav = read_wav(file)
    except WavError as error:
        raise RecordingError(f"{path}: {error}") from None
    said = file_names.read(path.name[:len(path.name) - len(ending_of(path))])
    datatype = _wav_datatype(path, wav, stated)
    rate = _first((stated.rate, "--rate"), (wav.rate or None, "header"))
    if rate is None:
        raise RecordingError(f"{path}: does not say its sample rate; give it, such as --rate 2.4M")
    warnings: list[str] = []
    frequency = _first((stated.frequency, "--frequency")) or _wav_frequency(wav, said, warnings)
    time = _wav_time(wav, said, warnings)
    program = said.program or wav.program
    size = os.fstat(file.fileno()).st_size
    metadata = _metadata(path, datatype, rate[0], frequency, time and time[0], program)
    metadata["captures"][0]["core:header_bytes"] = wav.start
    if size > wav.stop:
        metadata["global"]["core:trailing_bytes"] = size - wav.stop
    if wav.missing:
        warnings.append(f"ends {wav.missing} bytes before its header says; it is read as far as it goes")
    how = "--type" if stated.type else "header"
    made = Described(metadata, [_assumed(datatype, how, rate, frequency, time)], warnings)
    if not (program or wav.frequency or rate[0] > _SOUND_RATE or stated != Stated()):
        made.doubtful = "may be sound; name it alone, or give --frequency"
    _compare(made, _pieces(file, wav.start, wav.stop), datatype)
    return made


def _wav_datatype(path: Path, wav: Wav, stated: Stated) -> str:
    if stated.type:
        if wav.datatype and SampleType.parse(stated.type).size == SampleType.parse(wav.datatype).size:
            return stated.type
        raise RecordingError(f"{path}: holds {wav.form}, which are not {stated.type}; leave --type out")
    if wav.channels != 2:
        cure = f"; give --type {wav.datatype} if its samples are real" if wav.datatype else ""
        raise RecordingError(f"{path}: holds {wav.form}, and I/Q has two channels{cure}")
    if not wav.datatype:
        raise RecordingError(f"{path}: holds {wav.form}, for which SigMF has no name; convert it, such as by "
                             f"'sox {path.name} -b 32 OUT.wav'")
    return wav.datatype


def _wav_frequency(wav: Wav, said: file_names.Said, warnings: list[str]) -> tuple[float, str] | None:
    """``auxi`` says hertz, but only 32 bits of them; names say kilohertz."""
    if wav.frequency is None or said.frequency is None:
        return _first((wav.frequency, "header"), (said.frequency, "name"))
    apart = said.frequency - wav.frequency
    if apart > 1 << 31 and min(apart % (1 << 32), -apart % (1 << 32)) <= 1000:
        turns = round(apart / (1 << 32)) * float(1 << 32)
        return wav.frequency + turns, "header and name"
    if abs(apart) > 1000:
        warnings.append(f"its name says {_si(said.frequency, 'Hz')} and its header "
                        f"{_si(wav.frequency, 'Hz')}; the header's is taken (--frequency if it is another)")
    return wav.frequency, "header"


def _wav_time(wav: Wav, said: file_names.Said,
              warnings: list[str]) -> tuple[tuple[int, float], str] | None:
    """``auxi`` has milliseconds, but with some programs in local time; names with a Z are UTC."""
    if wav.time is None or said.time is None:
        return _first((wav.time, "header"), (said.time, "name"))
    apart = wav.time[0] - said.time[0]
    if abs(apart) <= 2:
        return wav.time, "header"
    if min(apart % 900, -apart % 900) > 2:  # not another time zone
        warnings.append("its name and its header say different times; the name's is taken")
    return said.time, "name"


# -- both -------------------------------------------------------------------------------------------
def _metadata(path: Path, datatype: str, rate: float, frequency: tuple | None, time: tuple | None,
              program: str) -> dict:
    info: dict = {"core:datatype": datatype, "core:sample_rate": rate,
                  "core:version": metadata_schema.VERSION}
    capture: dict = {"core:sample_start": 0}
    if is_dataset_name(path.name):
        info["core:dataset"] = path.name
    if program:
        info["core:recorder"] = program
    if frequency is not None:
        capture["core:frequency"] = frequency[0]
    if time is not None:
        capture["core:datetime"] = format_datetime(time)
    return {"global": info, "captures": [capture], "annotations": []}


def _first(*found: tuple) -> tuple | None:
    """The first (value, where it is from) whose value is not None."""
    return next((pair for pair in found if pair[0] is not None), None)


def _assumed(datatype: str, how: str, rate: tuple, frequency: tuple | None, time: tuple | None) -> str:
    parts = [f"read as {datatype} ({how})", f"{_si(rate[0], 'S/s')} ({rate[1]})"]
    parts.append("centre frequency not known (--frequency)" if frequency is None else
                 f"at {_si(frequency[0], 'Hz')} ({frequency[1]})")
    if time is not None:
        parts.append(f"from {format_datetime(time[0])[:19]}Z ({time[1]})")
    return ", ".join(parts)


def _si(value: float, unit: str) -> str:
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.10g} {prefix}{unit}"
    return f"{value:.10g} {unit}"


def _pieces(file: BinaryIO, start: int, stop: int) -> np.ndarray:
    """Bytes from all over the samples, uint8; each piece begins with a whole sample."""
    length = max(0, stop - start)
    if length <= _PIECES * _PIECE:
        places, piece = [0], length
    else:
        places = [int(at) // 16 * 16 for at in np.linspace(0, length - _PIECE, _PIECES)]
        piece = _PIECE
    return np.frombuffer(b"".join(os.pread(file.fileno(), piece, start + at) for at in places), np.uint8)


def _compare(made: Described, content: np.ndarray, datatype: str) -> None:
    """Warn where the levels clearly show another type."""
    found = levels.fits(content)
    if other := levels.better(found, datatype):
        made.warnings.append(f"its levels look like {other}, not {datatype}; if so, give --type {other}")
        made.assumed += _histograms(found)


def _likely(found: dict[str, levels.Fit]) -> list[levels.Fit]:
    return sorted((fit for fit in found.values() if fit.bits < 20), key=lambda fit: fit.bits)


def _histograms(found: dict[str, levels.Fit]) -> list[str]:
    return [fit.line() for fit in _likely(found)[:4]]
