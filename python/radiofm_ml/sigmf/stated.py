# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a user says of recordings whose files do not say it: sample rate, centre frequency, sample type.

Read whenever the command starts, so without NumPy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from radiofm_ml.arguments import setting

# What a file's ending says, for each SigMF datatype: GNU Radio's, rtl_433's, inspectrum's, Universal Radio
# Hacker's and PortaPack's. Others (.iq, .raw, .bin) are used for anything.
_ENDINGS = {
    "cu8": "cu8 uc8 complex16u",
    "ci8": "ci8 cs8 sc8 c8 complex16s",
    "cu16_le": "cu16 uc16 complex32u",
    "ci16_le": "ci16 cs16 sc16 c16 complex32s",
    "ci32_le": "ci32 cs32 sc32",
    "cf32_le": "cf32 fc32 cfile complex complex64",
    "cf64_le": "cf64 fc64 complex128",
}
_REAL = {"ru8": "ru8 u8", "ri8": "ri8 s8", "ri16_le": "ri16 s16", "rf32_le": "rf32 f32",
         "rf64_le": "rf64 f64"}
ENDINGS = {f".{ending}": name for name, endings in _ENDINGS.items() for ending in endings.split()}
REAL_ENDINGS = {f".{ending}": name for name, endings in _REAL.items() for ending in endings.split()}
# Those that say that it may be samples, not which; and .wav, which says all but that it is I/Q.
OPEN_ENDINGS = (".iq", ".raw", ".bin", ".dat", ".data", ".samples", ".img")
WAV_ENDINGS = (".wav", ".wave", ".rf64", ".bwf")
ALIASES = {ending[1:]: name for ending, name in {**ENDINGS, **REAL_ENDINGS}.items()}
_SIGMF = re.compile(r"[cr](?:u8|i8|(?:f32|f64|i16|i32|u16|u32)(?:_le|_be)?)")
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([kmg]?)\s*(?:hz|sps|s/s)?",
                       re.IGNORECASE)
_LARGEST = 1e12


def hertz(text: str | float) -> float:
    """'2.4M', '250k', '433.92MHz' or '1e6' as a number. Raises ValueError."""
    match = _QUANTITY.fullmatch(str(text).strip())
    value = float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[match[2].lower()] if match else _LARGEST
    if not abs(value) < _LARGEST:
        raise ValueError(f"{text!r} is no number of hertz, such as 2.4M or 433920000")
    return round(value, 6)  # 433.92M are 433920000, not a hair less


def sample_rate(text: str | float) -> float:
    """``hertz`` above 0. Raises ValueError."""
    if not (rate := hertz(text)) > 0:
        raise ValueError(f"a sample rate is above 0, got {text!r}")
    return rate


def datatype(text: str) -> str:
    """SigMF's name of a sample type, from it or from what other programs call it: 'cs16' is 'ci16_le'.
    Raises ValueError."""
    name = text.strip().lower().removeprefix(".")
    name = ALIASES.get(name, name)
    if not _SIGMF.fullmatch(name):
        raise ValueError(f"{text!r} is no sample type; there are cu8, cs8, cs16, cf32 (I/Q), and all of "
                         "SigMF's, such as ci16_be or rf32_le")
    return name


@dataclass(frozen=True)
class Stated:
    """What is said of recordings that do not say it themselves; None for nothing.

    rate, frequency: Hz, or text that ``hertz`` reads. type: as ``datatype`` reads it. They hold for raw files
    whatever their names say, and fill in what SigMF metadata leave out. Raises ValueError.
    """

    rate: float | None = setting(
        None, "Sample rate of files that do not say it: 2.4M, 250k, 1e6.", parse=sample_rate)
    frequency: float | None = setting(
        None, "Centre frequency of files that do not say it: 433.92M.", parse=hertz)
    type: str | None = setting(
        None, "Sample type of raw files that do not say it: cu8 (RTL-SDR), cs8 (HackRF), cs16, cf32 (GNU "
              "Radio).", parse=datatype)

    def __post_init__(self):
        for name, parse in (("rate", sample_rate), ("frequency", hertz), ("type", datatype)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, parse(getattr(self, name)))


NOTHING = Stated()
