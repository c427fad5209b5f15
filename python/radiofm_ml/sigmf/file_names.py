# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the names of files say that other programs record: sample rate, frequency, time, sample type."""

from __future__ import annotations

import re
from dataclasses import dataclass

from radiofm_ml.sigmf.times import parse_datetime

_TIME = r"(?P<time>\d{8}[_T]\d{6})"
_PROGRAMS = (  # name, what its file names are like, sample type
    ("gqrx", rf"gqrx_{_TIME}_(?P<frequency>\d+)_(?P<rate>\d+)_fc", "cf32_le"),
    ("SigDigger", rf"sigdigger_{_TIME}Z?_(?P<rate>\d+)_(?P<frequency>\d+)_float32_iq", "cf32_le"),
    ("SDR#", rf"SDRSharp_{_TIME}Z?_(?P<hertz>\d+k?Hz)(?:_IQ)?", ""),
    ("HDSDR", rf"HDSDR_{_TIME}Z?_(?P<hertz>\d+k?Hz)_RF", ""),
    ("SDRuno", rf"SDRuno_{_TIME}Z?_(?P<hertz>\d+k?Hz)", ""),
    ("hackrf_transfer", rf"HackRF_{_TIME}Z?_(?P<hertz>\d+k?Hz)_IQ", ""),
    ("airspy_rx", rf"AirSpy_{_TIME}Z?_(?P<hertz>\d+k?Hz)_IQ", ""),
)
_PROGRAMS = tuple((name, re.compile(pattern + r"(?:[ _.-]?\d{1,4})?", re.IGNORECASE), kind)
                  for name, pattern, kind in _PROGRAMS)  # a long recording is split over numbered files
_NUMBER = r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)"
_END = r"(?![A-Za-z0-9])"
_HERTZ = re.compile(_NUMBER + r" ?([kMG]?)Hz" + _END, re.IGNORECASE)
_RATE = re.compile(_NUMBER + r" ?([kMG]?)(?:sps|s/s)" + _END, re.IGNORECASE)
_MEGA, _KILO = re.compile(_NUMBER + "M" + _END), re.compile(_NUMBER + "k" + _END)
_MOMENT = re.compile(r"(?<!\d)(\d{8})[_T](\d{6})Z" + _END)
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}


@dataclass(frozen=True)
class Said:
    """What a name says; None and '' where it says nothing. rate, frequency: Hz. time: (seconds since 1970,
    fraction), UTC. datatype: SigMF's. program: that gives files such names."""

    rate: float | None = None
    frequency: float | None = None
    time: tuple[int, float] | None = None
    datatype: str = ""
    program: str = ""


def read(stem: str) -> Said:
    """What the name of a file says, given without its ending.

    Other programs' names are known as a whole. In any name '433.92MHz' is a frequency, '250ksps' a rate, and
    '20260131_120000Z' a time; '433.92M' together with '250k' is what rtl_433 writes. What a name says twice
    and differently it does not say.
    """
    for name, pattern, datatype in _PROGRAMS:
        if match := pattern.fullmatch(stem):
            found = match.groupdict()
            rate = float(found["rate"]) if found.get("rate") else None
            frequency = _only(_HERTZ, found["hertz"]) if found.get("hertz") else float(found["frequency"])
            return Said(rate or None, frequency, _moment(found["time"]), datatype, name)
    rate, frequency, program = _only(_RATE, stem), _only(_HERTZ, stem), ""
    mega, kilo = _only(_MEGA, stem), _only(_KILO, stem)
    if mega and kilo and rate is None and frequency is None:
        rate, frequency, program = 1e3 * kilo, round(1e6 * mega, 3), "rtl_433"
    times = {_moment("_".join(found)) for found in _MOMENT.findall(stem)}
    return Said(rate or None, frequency, times.pop() if len(times) == 1 else None, "", program)


def _only(pattern: re.Pattern, text: str) -> float | None:
    """The one value that a text states; None for none, or several."""
    found = [match if isinstance(match, tuple) else (match, "") for match in pattern.findall(text)]
    values = {round(float(number) * _FACTORS[prefix.lower()], 3) for number, prefix in found}
    return values.pop() if len(values) == 1 else None


def _moment(text: str) -> tuple[int, float] | None:
    try:
        return parse_datetime(text.replace("_", "T") + "Z")
    except ValueError:
        return None
