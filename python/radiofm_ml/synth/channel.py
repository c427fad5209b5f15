# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Between a transmitter and a receiver's aerial: its amplifier, echoes and fading, a frequency, a rate."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
from scipy.signal import firwin, oaconvolve, resample_poly

from radiofm_ml.synth.waveforms import Rng, log_uniform

HALF_LENGTH = 12  # of the resampler's filter, in samples of the lower rate: 65 dB beyond the transition
_TONE_BLOCK = 256


def channel(x: np.ndarray, rng: Rng, longest: float | None = None) -> np.ndarray:
    """A few echoes, slow fading, or neither.

    longest: delay of the last echo in samples; drawn between 4 and 40 if None. Below one sample the channel
    is flat.
    """
    n = len(x)
    if rng.random() < 0.4:
        echoes = np.zeros(int(rng.integers(4, 40)) if longest is None else int(longest) + 1, np.complex64)
        echoes[0] = 1
        if len(echoes) > 1:
            at = rng.integers(1, len(echoes), 3)
            echoes[at] = log_uniform(rng, 0.05, 0.6) * np.exp(2j * np.pi * rng.random(3))
            x = oaconvolve(x, echoes)[:n]
    if rng.random() < 0.3:
        knots = np.abs(1 + 0.4 * rng.standard_normal(int(rng.integers(3, 12))))
        gain = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(knots)), knots)
        x = x * gain.astype(np.float32)
    return x


def compress(x: np.ndarray, rng: Rng) -> np.ndarray:
    """A transmitter's amplifier near saturation: Rapp's model (smoothness 2), 1 to 9 dB over the mean power.

    x: complex64 with mean power 1 while on; a constant envelope keeps its shape.
    """
    saturation = np.float32(10 ** (rng.uniform(1, 9) / 10))  # power
    power = x.real**2 + x.imag**2
    return x * (1 + (power / saturation) ** 2) ** np.float32(-0.25)


def place(x: np.ndarray, offset: float) -> np.ndarray:
    """Shift by ``offset`` cycles per sample."""
    return x * tone(len(x), offset)


def tone(n: int, frequency: float) -> np.ndarray:
    """complex64 (n,): unit amplitude at ``frequency`` cycles per sample, from phase 0.

    The product of a coarse and a fine turn, each exact to single precision at any length.
    """
    fine = np.exp(2j * np.pi * (frequency * np.arange(_TONE_BLOCK)))
    coarse = np.exp(2j * np.pi * ((frequency * _TONE_BLOCK * np.arange(-(-n // _TONE_BLOCK))) % 1.0))
    return (coarse[:, None].astype(np.complex64) * fine.astype(np.complex64)).ravel()[:n]


def rational(ratio: float, largest: int = 20000) -> Fraction:
    """The fraction nearest to ``ratio`` > 0 whose terms are at most ``largest``.

    Its relative error is below R / largest^2, where R is the ratio or its inverse, whichever is above 1.
    """
    if ratio < 1:
        return 1 / rational(1 / ratio, largest)
    return Fraction(ratio).limit_denominator(max(1, int(largest / ratio)))


def resample(x: np.ndarray, up: int, down: int) -> np.ndarray:
    """complex64 at ``up / down`` times the rate; sample 0 stays at time 0."""
    return x if up == down else resample_poly(x, up, down, window=_low_pass(max(up, down)))


@lru_cache(maxsize=32)
def _low_pass(factor: int) -> np.ndarray:
    return firwin(2 * HALF_LENGTH * factor + 1, 1 / factor, window=("kaiser", 6.2)).astype(np.float32)


def transient(ratio: Fraction) -> int:
    """Input samples on either side that an output sample of ``resample`` depends on."""
    return math.ceil(HALF_LENGTH * max(1, 1 / ratio)) + 1
