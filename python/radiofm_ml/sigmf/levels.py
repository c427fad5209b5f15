# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What sample type the levels of a file look like.

Read as the right type, samples lie around zero; as a wrong one they are spread over the whole range, or stand
at its ends. What that costs is measured in bits: those that a normal distribution of the same power needs for
a sample, over the bytes that are stored. A wrong type also spreads what stands out in the spectrum, by which
a strong signal is known that fills the range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from radiofm_ml.sigmf.sample_types import SampleType

GUESSED = ("cu8", "ci8", "ci16_le", "cf32_le")
_ASWELL = ("ci16_be", "cu16_le", "ci32_le")  # hardly ever met without metadata: not guessed, but not mistaken
_FEWEST = 4096  # bytes that can be judged
_MARGIN = 0.25  # bits in a byte by which the best must be better than the next
_CLEAR = 0.75  # by which another type must be better than the one that is stated, to be worth a warning
_CLIPPED = 2.0  # by which it must be better than one that many samples clip in
_SPREAD = 0.2  # dB of spectral flatness by which the best may be worse
_FLAT = 0.05  # bits that the low bytes of 16-bit samples may lack of being spread evenly
_BINS = 256
_BLOCK = 64  # components that one power is taken of
_SHADES = " .:-=+*#@"
_FLOAT_RANGE = 1e-12, 1e9


@dataclass(frozen=True)
class Fit:
    """How samples look, read as ``datatype``.

    bits: in a stored byte, infinite where it cannot be that type; apart: where I and Q have a mean and a
    power of their own. flatness: of the spectrum, in dB; 0 is white. steady: is most of it DC? clipped: do
    many samples stand at both ends of the range, apart from the others? rms: dB of full scale. histogram:
    shares of the components' levels, from -1 to 1.
    """

    datatype: str
    bits: float
    apart: float
    flatness: float
    steady: bool
    clipped: bool
    rms: float
    histogram: np.ndarray

    def line(self) -> str:
        """The histogram and the power as text, such as 'cu8     |  .:@:.  | -18.3 dB of full scale'."""
        shades = np.ceil(np.sqrt(self.histogram / max(self.histogram.max(), 1e-12)) * (len(_SHADES) - 1))
        bar = "".join(_SHADES[int(shade)] for shade in shades)
        what = "cannot be" if math.isinf(self.bits) else f"{self.rms:6.1f} dB of full scale"
        return f"{self.datatype:8}|{bar}| {what}"


def fits(content: np.ndarray, datatypes: tuple[str, ...] = GUESSED + _ASWELL) -> dict[str, Fit]:
    """What bytes of a file (uint8, from the first of a sample on) look like as each of these types; empty
    where there are too few that tell."""
    content = content[:len(content) // 16 * 16].reshape(-1, 16)
    content = content[(content != content[:, :1]).any(axis=1)].reshape(-1)  # not what pads
    if len(content) < _FEWEST:
        return {}
    return {name: _fit(content, SampleType.parse(name)) for name in datatypes}


def guess(found: dict[str, Fit]) -> str:
    """The type that the levels show, '' where they leave a doubt."""
    if not found:
        return ""
    best = min(found.values(), key=lambda fit: fit.bits)
    others = [fit for fit in found.values() if fit is not best]
    sure = all(fit.bits - best.bits > _MARGIN and _clearer(best, fit) for fit in others)
    return best.datatype if sure and best.datatype in GUESSED else ""


def better(found: dict[str, Fit], stated: str) -> str:
    """Another type that the levels clearly show instead of the one that is stated; '' where there is none."""
    if stated not in found:
        return ""
    mine, best = found[stated], min((found[name] for name in GUESSED), key=lambda fit: fit.bits)
    return best.datatype if mine.bits - best.bits > _CLEAR and _clearer(best, mine) else ""


def _clearer(best: Fit, other: Fit) -> bool:
    """Is there nothing that speaks for the other one, of more bits? Spectra of different rates do not."""
    alike = SampleType.parse(best.datatype).size == SampleType.parse(other.datatype).size
    if math.isinf(other.bits) or math.isinf(best.flatness):
        return True
    if (alike and best.flatness >= other.flatness + _SPREAD) or best.bits >= other.apart or best.steady:
        return False
    return not (other.clipped and other.bits - best.bits < _CLIPPED)


def _fit(content: np.ndarray, sample_type: SampleType) -> Fit:
    raw = content.view(sample_type.component)
    if sample_type.is_float:
        return _float_fit(raw, sample_type)
    samples = np.empty(len(raw) // sample_type.components, np.complex64)
    sample_type.to_complex(raw.reshape(-1, sample_type.components), samples)
    values = samples.view(np.float32) if sample_type.is_complex else samples.real
    size, apart = sample_type.component.itemsize, math.inf
    codes = values * np.float32(2.0 ** (8 * size - 1))
    bits = _bits(codes) / size
    if size == 1:
        apart = _bits(np.concatenate([part - part.mean() for part in (codes[::2], codes[1::2])]))
    if size == 2 and not _spread_evenly(codes):
        bits = math.inf
    rms = _rms(values)
    steady = abs(samples.mean(dtype=np.complex128)) ** 2 > sample_type.components * rms**2 / 2
    return Fit(sample_type.name, bits, apart, _flatness(samples), steady, size == 1 and _clipped(raw),
               _decibel(rms), _histogram(values))


def _float_fit(raw: np.ndarray, sample_type: SampleType) -> Fit:
    low, high = _FLOAT_RANGE
    with np.errstate(invalid="ignore"):
        size = np.abs(raw.astype(np.float64))
        usual = (size == 0) | ((size > low) & (size < high))
    if usual.mean() < 0.999 or not size.any():
        return Fit(sample_type.name, math.inf, math.inf, 0.0, False, False, -math.inf,
                   np.zeros(len(_EDGES) - 1))
    values = np.where(usual, raw, 0).astype(np.float32)  # other types never look like that
    return Fit(sample_type.name, 0.0, 0.0, -math.inf, False, False, _decibel(_rms(values)),
               _histogram(values))


def _bits(codes: np.ndarray) -> float:
    """Of a component, by a normal distribution for each short stretch: signals come and go."""
    blocks = codes[:len(codes) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    power = np.maximum(np.mean(np.square(blocks, dtype=np.float64), axis=1), 0.1)
    return float(np.mean(0.5 * np.log2(2 * math.pi * math.e * power)))


def _clipped(raw: np.ndarray) -> bool:
    """Of 8-bit codes. What stands at the ends although it is small, read as the wrong one of both types, has
    neighbours, and nothing lies between."""
    codes = raw.astype(np.int32)
    counts = np.bincount(codes - np.iinfo(raw.dtype).min, minlength=256)
    between = np.delete(counts, (0, 255)) / max(counts[1:-1].sum(), 1)
    ends = 128 - np.abs(np.arange(1, 255) - 127.5)  # how far it is to the nearer end
    spread = math.sqrt(float(np.sum(between * ends**2)))
    return counts[0] > 3 * counts[1] and counts[255] > 3 * counts[254] and spread > 20


def _spread_evenly(codes: np.ndarray) -> bool:
    """Are the low bytes of 16-bit codes spread evenly over those that occur? They are, where the samples
    reach far beyond a byte; and of those that were made of 8 bits only few different codes occur."""
    size = np.abs(codes)
    far = codes[(size > 1024) & (size < 32760)].astype(np.int64)
    if len(far) < _FEWEST // 4 or np.abs(far).std() < 512 or len(np.unique(far)) <= 320:
        return True
    counts = np.bincount(far & 255, minlength=256)
    share = counts[counts > 0] / counts.sum()
    entropy = -float(np.sum(share * np.log2(share)))
    return math.log2(len(share)) - entropy < _FLAT + 2 * len(share) / counts.sum()


def _flatness(samples: np.ndarray) -> float:
    """Geometric over arithmetic mean of the power spectrum in dB, without DC."""
    frames = samples[:len(samples) // _BINS * _BINS].reshape(-1, _BINS) * np.hanning(_BINS)
    power = np.mean(np.abs(np.fft.fft(frames)) ** 2, axis=0)[3:-2] + 1e-20
    return 10 * float(np.mean(np.log10(power)) - np.log10(np.mean(power)))


_EDGES = np.linspace(-1, 1, 34)


def _histogram(values: np.ndarray) -> np.ndarray:
    return np.histogram(np.clip(values, -1, 1), _EDGES)[0] / len(values)


def _rms(values: np.ndarray) -> float:
    return math.sqrt(float(np.mean(np.square(values, dtype=np.float64))))


def _decibel(rms: float) -> float:
    return 20 * math.log10(max(rms, 1e-12))
