# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""From a signal's own samples to what an encoder reads: pictures at the signal's scale, not the receiver's.

A picture is a tile of four panels. Their frequency axis is ``span`` times the band that the signal occupies,
so that it fills the same part of each whatever the sample rate; their time axes are

    whole     all of the signal, from a burst of microseconds to a broadcast
    texture   some thousand symbols
    fine      some hundred symbols, with a short window
    cycles    as texture, but of the power |x|^2, from 0 Hz on

``whole`` shows shape and rhythm, ``texture`` modulation, ``fine`` keying, and ``cycles`` the rates at which
the power repeats (symbol clock, pulses; W. A. Gardner, "Spectral correlation of modulated signals", IEEE
Trans. Communications 35(6), 1987). A long signal has several looks: pictures that differ in where the last
three lie. What has no scale-free picture is told in numbers (``Measured``).
"""

from __future__ import annotations

import functools
import math
from dataclasses import asdict, dataclass, fields

import numpy as np
from scipy import fft

from radiofm_ml.arguments import is_number, is_whole

NUMBERS = 4  # of ``Measured.numbers``
_SHARE = 0.95  # of the power, that the occupied band holds
_FLOOR = 1e-20
_FRAMES = 512  # spectra that a band is measured on


@dataclass(frozen=True)
class PictureSpec:
    """How a picture is made; stored in bundles.

    rows, cols     of a panel; a picture has twice as many of both
    span           width of a panel over the occupied band
    clip_db        (low, high) around a panel's floor, its ``floor_quantile``
    mean, std      the picture is (dB - mean) / std
    """

    rows: int = 64
    cols: int = 128
    span: float = 1.6
    floor_quantile: float = 0.15
    clip_db: tuple[float, float] = (-20.0, 80.0)
    mean: float = 6.0
    std: float = 10.0

    def __post_init__(self):
        object.__setattr__(self, "clip_db", tuple(float(v) for v in self.clip_db))
        for name in ("rows", "cols"):
            if not is_whole(getattr(self, name), 8, 1024):
                raise ValueError(f"picture: {name} must be a whole number from 8 to 1024, got "
                                 f"{getattr(self, name)!r}")
        if not is_number(self.span, 1.0, 16.0):
            raise ValueError(f"picture: span must lie in 1..16, got {self.span!r}")
        if not is_number(self.floor_quantile, 0.0, 1.0):
            raise ValueError(f"picture: floor_quantile must lie in 0..1, got {self.floor_quantile!r}")
        if not all(map(is_number, (*self.clip_db, self.mean, self.std))) or len(self.clip_db) != 2:
            raise ValueError("picture: clip_db, mean and std must be finite numbers")
        if self.std <= 0 or self.clip_db[0] >= self.clip_db[1]:
            raise ValueError("picture: std must be positive, clip_db ascending")

    @property
    def shape(self) -> tuple[int, int]:
        """Of a picture."""
        return 2 * self.rows, 2 * self.cols

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> PictureSpec:
        """Raises ValueError for unknown or ill-typed keys."""
        if not isinstance(values, dict):
            raise ValueError("picture: must be a JSON object")
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"picture: unknown key {sorted(unknown)[0]!r}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"picture: {error}") from None


@dataclass(frozen=True)
class Measured:
    """What is physical about a signal.

    centre, bandwidth  Hz, of the band with 95 % of its power, noise taken off; relative to the samples' 0 Hz
    duration           seconds
    duty               share of that time in which the power is within 10 dB of its peak's
    kurtosis           mean of the squared power over the square of its mean: 1 for a constant envelope, 2 for
                       noise and OFDM, more for what is keyed (a feature of modulation recognition since E. E.
                       Azzouz and A. K. Nandi, Signal Processing 47(1), 1995)
    """

    centre: float
    bandwidth: float
    duration: float
    duty: float
    kurtosis: float

    def numbers(self) -> np.ndarray:
        """float32 (4,): log10 of bandwidth, log10 of duration, duty, log10 of kurtosis."""
        return np.float32([math.log10(self.bandwidth), math.log10(self.duration), self.duty,
                           math.log10(self.kurtosis)])


def measure(samples: np.ndarray, rate: float, band: tuple[float, float], start: int = 0,
            stop: int | None = None) -> Measured:
    """Measure a signal.

    samples: complex64 (n,) at ``rate`` samples/s. band: Hz, where the signal was found. start, stop: samples
    in which it was.
    """
    stop = len(samples) if stop is None else stop
    x = samples[start:stop]
    size = int(np.clip(2 ** math.floor(math.log2(max(len(x) // 8, 1))), 64, 4096))
    density = fft.fftshift(_spectra(x, size).mean(0))
    hertz = (np.arange(size) - size // 2) * (rate / size)
    inside = (hertz >= band[0] - rate / size) & (hertz <= band[1] + rate / size)
    if inside.sum() < 2:
        inside[np.argsort(np.abs(hertz - sum(band) / 2))[:2]] = True
    at = np.flatnonzero(inside)
    noise = np.quantile(density[at], 0.02) if len(at) >= 16 else 0.0
    power = np.maximum(density[at] - noise, 0.0)
    total = power.sum()
    if total <= 0 or not math.isfinite(total):
        lower, upper = band
    else:
        share = np.concatenate([[0.0], np.cumsum(power) / total])
        edges = hertz[at[0]] + (np.arange(len(at) + 1) - 0.5) * (rate / size)
        lower, upper = np.interp([(1 - _SHARE) / 2, (1 + _SHARE) / 2], share, edges)
    bandwidth = max(float(upper - lower), rate / max(len(x), size))
    envelope = _moving_power(x, max(1, len(x) // 128))[::max(1, len(x) // 1024)]
    peak = np.quantile(envelope, 0.95) if len(envelope) else 0.0
    duty = float((envelope > 0.1 * peak).mean()) if peak > 0 else 0.0
    return Measured(float(lower + upper) / 2, bandwidth, max(len(x), 1) / rate, duty, _kurtosis(x))


def _kurtosis(x: np.ndarray) -> float:
    """Of no power 2, as of noise."""
    power = np.abs(x).astype(np.float64) ** 2
    mean = power.mean() if len(x) else 0.0
    found = float((power**2).mean() / mean**2) if mean > 0 else math.nan
    return max(found, 1.0) if math.isfinite(found) else 2.0


def _spectra(x: np.ndarray, size: int) -> np.ndarray:
    """Periodograms float32 (n, size) of half overlapping stretches, at least one."""
    x = np.resize(x, size) if len(x) < size else x
    frames = np.lib.stride_tricks.sliding_window_view(x, size)[:: size // 2]
    frames = frames[:: -(-len(frames) // _FRAMES)]
    return np.abs(fft.fft(frames * _hann(size), axis=1)) ** 2


def pictures(samples: np.ndarray, rate: float, measured: Measured, spec: PictureSpec, start: int = 0,
             stop: int | None = None, looks: int = 1, rng: np.random.Generator | None = None) -> np.ndarray:
    """Pictures of a signal, model-ready, float32 (looks, 2 * rows, 2 * cols).

    samples: complex64 (n,) at ``rate`` samples/s, of which [start, stop) are the signal's. looks: how many;
    fewer where the signal is too short for so many that differ. rng: looks at random places, instead of
    evenly spread ones.
    """
    stop = len(samples) if stop is None else stop
    x, known = _at_width(np.nan_to_num(samples[start:stop]), rate, measured, spec)
    fine, texture = 4 * spec.rows + 16, spec.cols // 2 * (spec.rows + 1)
    looks = max(1, min(looks, len(x) // texture))
    whole = _normalised(_whole(x, spec), known, spec)
    power = _moving_power(x, fine)
    out = []
    for number in range(looks):
        low, high = number / looks, (number + 1) / looks
        long = _stretch(x, (low + high) / 2 if rng is None else rng.uniform(), texture + spec.cols)
        short = _stretch(x, _loudest(power, low, high, rng) / max(len(power), 1), fine)
        texture_panel = _normalised(_rows(long, spec, spec.cols, spec.cols // 2), known, spec)
        fine_panel = _normalised(_rows(short, spec, 16, 4), known, spec)
        out.append(np.block([[whole, texture_panel],
                             [fine_panel, _normalised(_cycles(long, spec), None, spec)]]))
    return np.stack(out).astype(np.float32)


def _at_width(x: np.ndarray, rate: float, measured: Measured,
              spec: PictureSpec) -> tuple[np.ndarray, np.ndarray]:
    """The samples at a rate of the panels' width, its middle at 0 Hz; and which columns of a panel lie in the
    band that there are samples of, bool (cols,)."""
    width = measured.bandwidth * spec.span
    size = fft.next_fast_len(len(x))
    keep = max(8, round(size * width / rate))
    middle = round(measured.centre / rate * size)
    bins = np.arange(keep) - keep // 2 + middle
    there = (bins >= -(size // 2)) & (bins < (size + 1) // 2)
    spectrum = np.where(there, fft.fft(x, size)[bins % size], 0)
    out = fft.ifft(fft.ifftshift(spectrum)) * np.float32(keep / size)
    count = max(8, round(len(x) * keep / size))
    hertz = (np.arange(spec.cols) - spec.cols / 2 + 0.5) / spec.cols * width + measured.centre
    return out[:count].astype(np.complex64), np.abs(hertz) < rate / 2


def _moving_power(x: np.ndarray, size: int) -> np.ndarray:
    size = min(size, len(x))
    total = np.concatenate([[0.0], np.cumsum(np.abs(x) ** 2, dtype=np.float64)])
    return total[size:] - total[:-size]


def _loudest(power: np.ndarray, low: float, high: float, rng) -> int:
    """Where to look closely: a place in this share of the signal with much power."""
    a, b = int(low * len(power)), max(int(high * len(power)), int(low * len(power)) + 1)
    part = power[a:b]
    if rng is None:
        return a + int(np.argmax(part >= 0.9 * part.max()))
    good = np.flatnonzero(part >= 0.5 * part.max())
    return a + int(good[rng.integers(len(good))])


def _stretch(x: np.ndarray, at: float, size: int) -> np.ndarray:
    """``size`` samples, the share ``at`` of what is left before them; a shorter signal is repeated."""
    if len(x) <= size:
        return np.resize(x, size)
    begin = int(at * (len(x) - size))
    return x[begin:begin + size]


@functools.lru_cache(maxsize=64)
def _turned(window: int, cols: int) -> np.ndarray:
    """A window, complex64 (window,), that moves the bins of an FFT of ``cols`` to a panel's columns, whose
    middles lie half a column off them."""
    taps = np.sin(np.pi * (np.arange(window) + 0.5) / window) ** 2
    turn = np.exp(-2j * np.pi * np.arange(window) * (0.5 - cols / 2) / cols)
    return (taps * turn / taps.sum()).astype(np.complex64)


def _power(x: np.ndarray, starts: np.ndarray, window: int, cols: int) -> np.ndarray:
    frames = x[starts[:, None] + np.arange(window)] * _turned(window, cols)
    if window > cols:  # the sum of what an FFT of ``cols`` would leave out
        frames = np.pad(frames, ((0, 0), (0, -window % cols))).reshape(len(frames), -1, cols).sum(1)
    spectra = fft.fft(frames, cols, axis=1)
    return spectra.real**2 + spectra.imag**2


def _rows(x: np.ndarray, spec: PictureSpec, window: int, hop: int) -> np.ndarray:
    """Power (rows, cols), a row every ``hop`` samples."""
    return _power(x, np.arange(spec.rows) * hop, window, spec.cols)


def _whole(x: np.ndarray, spec: PictureSpec, averaged: int = 6) -> np.ndarray:
    """Power (rows, cols) of all of the signal; of a long one the mean over some stretches of each row."""
    hop = len(x) / spec.rows
    window = int(np.clip(2 ** round(math.log2(max(2 * hop, 8))), 8, spec.cols))
    count = int(np.clip(2 * hop // window, 1, averaged))
    starts = ((np.arange(spec.rows * count) + 0.5) * hop / count).astype(int)
    x = np.concatenate([np.zeros(window // 2, x.dtype), x, np.zeros(window, x.dtype)])
    return _power(x, starts, window, spec.cols).reshape(spec.rows, count, spec.cols).mean(1)


def _cycles(x: np.ndarray, spec: PictureSpec) -> np.ndarray:
    """Power (rows, cols) of the spectrum of |x|^2, from 0 to half of the panels' width."""
    power = np.abs(x) ** 2
    power -= power.mean()
    size = 2 * spec.cols
    frames = power[(np.arange(spec.rows) * spec.cols // 2)[:, None] % (len(power) - size) + np.arange(size)]
    return np.abs(fft.rfft(frames * _hann(size), axis=1)[:, :spec.cols]) ** 2


@functools.lru_cache(maxsize=8)
def _hann(size: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def _normalised(power: np.ndarray, known: np.ndarray | None, spec: PictureSpec) -> np.ndarray:
    """dB over the panel's floor, clipped and scaled; the floor where nothing is known."""
    level = 10 * np.log10(np.maximum(power, _FLOOR))
    if known is not None and not known.all():
        level[:, ~known] = np.nan
    ordered = np.sort(level[np.isfinite(level)])
    floor = max(ordered[int(spec.floor_quantile * (len(ordered) - 1))], ordered[-1] - 100.0)
    return (np.clip(np.nan_to_num(level - floor), *spec.clip_db) - spec.mean) / spec.std
