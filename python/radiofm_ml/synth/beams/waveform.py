# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What is sent: random QPSK symbols on a single carrier, through a transmitter's baseband and amplifier.

What the recorded modem sent is not published in detail. Ours sends data only: there are no preamble and no
pilots that a network could hold on to, which is what coordination-free means.
1.536 GBd, two samples to a symbol, root raised cosine.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import fft, fftfreq, ifft

from radiofm_ml.synth.beams.constants import ROLL_OFF, SAMPLES_PER_SYMBOL
from radiofm_ml.synth.beams.frontend import Transmitter

_QPSK = np.array([1 + 1j, -1 + 1j, -1 - 1j, 1 - 1j], np.complex64) / np.float32(np.sqrt(2))


def draw_symbols(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """complex64, magnitude 1."""
    return _QPSK[rng.integers(0, 4, shape, np.uint8)]


@lru_cache(maxsize=16)
def pulse(n: int) -> np.ndarray:
    """Root raised cosine on the ``n`` frequencies of the FFT, float64, that gives symbols of power 1 a signal
    of power 1."""
    rate = np.abs(fftfreq(n)) * SAMPLES_PER_SYMBOL  # in symbol rates
    edge = np.clip((rate - (1 - ROLL_OFF) / 2) / ROLL_OFF, 0, 1)
    return np.cos(np.pi / 2 * edge) * np.sqrt(SAMPLES_PER_SYMBOL)


def transmit(symbols: np.ndarray, transmitter: Transmitter) -> np.ndarray:
    """The signal at the antennas' input. complex64 (n, S) to complex64 (n, 2 S), of mean power near 1.

    Convolutions are circular: its first and last samples, as many as the pulse is long, belong together.
    """
    n = symbols.shape[1] * SAMPLES_PER_SYMBOL
    late = np.exp(-2j * np.pi * np.outer(fftfreq(n), np.arange(1, 1 + len(transmitter.ripple))))
    shape = (pulse(n) * (1 + late @ transmitter.ripple)).astype(np.complex64)
    # Zeros between the symbols repeat their spectrum.
    x = ifft(np.tile(fft(symbols, axis=1), SAMPLES_PER_SYMBOL) * shape, axis=1, overwrite_x=True)
    if np.isfinite(transmitter.saturation):
        x = _amplify(x, transmitter.saturation, transmitter.ampm)
    if transmitter.image:
        x += np.complex64(transmitter.image) * x.conj()
    x += np.complex64(transmitter.leak)
    return x


def _amplify(x: np.ndarray, saturation: float, ampm: float) -> np.ndarray:
    """Rapp's amplitude (smoothness 2) and Saleh's phase, ``ampm`` radians at saturation; in place."""
    parts = x.view(np.float32)
    parts = parts * parts
    power = (parts[..., 0::2] + parts[..., 1::2]) * np.float32(1 / saturation)
    gain = np.empty_like(x)
    gain.real = 1 / np.sqrt(np.sqrt(1 + power * power))
    # Of small angles: exp(j turn) to 2 % at 12 degrees.
    gain.imag = gain.real * np.float32(2 * ampm) * power / (1 + power)
    x *= gain
    return x
