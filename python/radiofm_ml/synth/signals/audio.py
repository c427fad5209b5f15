# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Stand-ins for programme audio: what speech and music look like on the air, not what they sound like.

Speech is a pulse train at a wandering pitch and hiss, filtered frame by frame through four formants that
move from syllable to syllable, with the pauses of talk. Music is chords of harmonic notes that decay over a
beat of noise bursts. Nobody would understand or enjoy it; pitch lines, formants, pauses and the fall of the
spectrum are there.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.signal import firwin, oaconvolve, resample_poly

Rng = np.random.Generator
_SPEECH_RATE = 8000
_MUSIC_RATE = 32000


def _at_rate(x: np.ndarray, have: float, want: float, n: int) -> np.ndarray:
    """Resample to the rate ``want``, ``n`` samples, unit variance."""
    ratio = Fraction(want / have).limit_denominator(400)
    x = resample_poly(x, ratio.numerator, ratio.denominator)[:n]
    x = np.pad(x, (0, n - len(x)), mode="edge")
    return (x / max(x.std(), 1e-9)).astype(np.float32)


def _knots(rng: Rng, n: int, step: int, low: float, high: float) -> np.ndarray:
    """A contour of ``n`` values that wanders between ``low`` and ``high``, one knot in ``step`` values."""
    values = rng.uniform(low, high, n // step + 2)
    return np.interp(np.arange(n) / step, np.arange(len(values)), values)


def speech(rng: Rng, n: int, rate: float, band: tuple[float, float] = (300.0, 3400.0)) -> np.ndarray:
    """``n`` samples at ``rate`` of speech-like sound within ``band`` Hz (at most 4 kHz): float32, unit
    variance."""
    frame, hop = 320, 160  # 40 ms frames, every 20 ms
    count = int(n / rate * _SPEECH_RATE / hop) + 6
    length = count * hop + frame
    pitch = _knots(rng, count, 12, 0.8, 1.25) * rng.choice([115.0, 200.0])
    phase = np.cumsum(np.repeat(pitch, hop)) / _SPEECH_RATE
    voice = np.zeros(length, np.float32)
    voice[: count * hop][1:] = np.diff(np.floor(phase))
    hiss = rng.standard_normal(length, np.float32) * 0.15

    syllable = int(rng.integers(7, 13))  # 140 to 240 ms
    voiced = np.repeat(rng.random(count // syllable + 1) < 0.75, syllable)[:count]
    talking = np.repeat(rng.random(count // (3 * syllable) + 1) < 0.8, 3 * syllable)[:count]
    talking[: 3 * syllable] = True
    swell = np.abs(np.sin(np.pi * (np.arange(count) % syllable + 0.5) / syllable)) ** 0.7
    gain = swell * talking * _knots(rng, count, syllable, 0.4, 1.0)

    formants = [(270, 850, 60), (900, 2300, 90), (2200, 3000, 120), (3200, 3700, 180)]
    f = np.fft.rfftfreq(2 * frame, 1 / _SPEECH_RATE)[None, :]
    response = np.zeros((count, f.shape[1]), np.float32)
    for k, (low, high, width) in enumerate(formants):
        centre = _knots(rng, count, max(2, syllable // 2), low, high)[:, None]
        response += 0.7**k / (1 + ((f - centre) / width) ** 2)
    fricative = 1 / (1 + ((f - rng.uniform(2200, 3500)) / 900) ** 2)
    shape = np.where(voiced[:, None], response, fricative) * ((f > band[0]) & (f < band[1]))

    at = np.arange(count)[:, None] * hop + np.arange(frame)
    source = np.where(voiced[:, None], voice[at] + 0.1 * hiss[at], hiss[at]) * np.hanning(frame)
    frames = np.fft.irfft(np.fft.rfft(source, 2 * frame, axis=1) * shape, axis=1) * gain[:, None]
    out = np.zeros((count + 4) * hop, np.float32)
    blocks = frames.reshape(count, 4, hop)
    for k in range(4):  # overlap and add: a filtered frame is four hops long
        out[k * hop : (count + k) * hop] += blocks[:, k].ravel()
    return _at_rate(out[2 * hop :], _SPEECH_RATE, rate, n)


def music(rng: Rng, n: int, rate: float, bandwidth: float = 15000.0) -> np.ndarray:
    """``n`` samples at ``rate`` of music-like sound up to ``bandwidth`` Hz (at most 15 kHz): float32, unit
    variance."""
    length = int(n / rate * _MUSIC_RATE) + 64
    beat = 60 / rng.uniform(70, 150)
    t = (np.arange(length) / _MUSIC_RATE + rng.uniform(0, beat)).astype(np.float32)
    where = (t / beat).astype(int)
    fade = np.exp(-(t - where * beat) * rng.uniform(1.0, 5.0))
    out = np.zeros(length, np.float32)
    beats = where[-1] + 1
    root = 110 * 2 ** (rng.integers(0, 12) / 12)
    for octave in (1, 2, 4):
        steps = rng.choice([0, 2, 4, 5, 7, 9, 11, 12], beats)
        phase = np.cumsum(root * octave * 2 ** (steps / 12)[where]) / _MUSIC_RATE
        timbre = rng.uniform(0.4, 0.8)
        # A geometric series of harmonics in closed form: sum of r^k sin(k p), k >= 1.
        p = (2 * np.pi * (phase % 1.0)).astype(np.float32)
        out += timbre * np.sin(p) / (1 - 2 * timbre * np.cos(p) + timbre**2) * fade / octave**0.5
    out += rng.uniform(0.1, 0.6) * rng.standard_normal(length, np.float32) * fade**6  # the beat
    taps = firwin(129, min(bandwidth, 15000.0), fs=_MUSIC_RATE).astype(np.float32)
    return _at_rate(oaconvolve(out, taps, "same"), _MUSIC_RATE, rate, n)


def programme(rng: Rng, n: int, rate: float) -> np.ndarray:
    """Speech or music, as a station sends: float32 (n,), unit variance."""
    return speech(rng, n, rate, (80.0, 3900.0)) if rng.random() < 0.3 else music(rng, n, rate)
