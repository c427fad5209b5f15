# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Receiver front ends: what is between the aerial and the samples, with its faults.

A front end has a number, from which all that is particular to it follows. Sets of recordings are divided by
these numbers: no front end of the training set is heard in the test set.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.signal import firwin, oaconvolve

from radiofm_ml.synth.channel import tone
from radiofm_ml.synth.waveforms import Rng, log_uniform

_SEED = 0x4645  # keeps the numbered front ends apart from other uses of small seeds


@dataclass(frozen=True)
class FrontEnd:
    """A receiver.

    name         of a numbered one 'front-end-<number>'
    taps         its anti-alias filter, None for one that is flat in the band
    image        gain of the conjugate (IQ imbalance): mean gain error + j * quadrature error
    phase_noise  standard deviation of the local oscillator's phase steps, in radians per sample
    dc           DC at the output, relative to the rms of the samples
    spurs        (frequency in cycles per sample, level relative to the rms)
    bits         of its converter, 0 for one whose steps do not show
    """

    name: str
    taps: np.ndarray | None
    image: complex
    phase_noise: float
    dc: complex
    spurs: tuple[tuple[float, float], ...]
    bits: int

    @classmethod
    @lru_cache(maxsize=1024)
    def numbered(cls, number: int) -> FrontEnd:
        """Front end ``number`` (0 and up), always the same one."""
        return cls.draw(np.random.default_rng([_SEED, number]), f"front-end-{number}")

    @classmethod
    def draw(cls, rng: Rng, name: str = "") -> FrontEnd:
        """A front end at random."""
        taps = image = dc = None
        phase_noise, spurs, bits = 0.0, (), 0
        if rng.random() < 0.6:  # the roll-off towards the band edges that most receivers show
            taps = firwin(int(rng.choice([15, 31, 63])), rng.uniform(0.72, 0.97)).astype(np.float32)
        if rng.random() < 0.5:
            image = complex(rng.normal(0, 0.03), rng.normal(0, 0.03))
        if rng.random() < 0.3:
            phase_noise = log_uniform(rng, 1e-4, 1e-2)
        if rng.random() < 0.6:
            dc = log_uniform(rng, 0.003, 0.5) * np.exp(2j * np.pi * rng.random())
        spurs = tuple(
            (rng.uniform(-0.5, 0.5), log_uniform(rng, 0.003, 0.1)) for _ in range(rng.choice([0, 0, 1, 3]))
        )
        if rng.random() < 0.6:
            bits = 8
        return cls(name, taps, image or 0j, phase_noise, complex(dc or 0), spurs, bits)

    def receive(self, x: np.ndarray, rng: Rng) -> np.ndarray:
        """What it makes of the samples at its aerial, noise included. complex64 (n,) to complex64 (n,).

        Random is what differs from one recording to the next: oscillator phases, and how far the converter
        is driven, from far too low to clipping.
        """
        n = len(x)
        if self.taps is not None:
            x = oaconvolve(x, self.taps, "same")
        if self.image:
            x = x + np.complex64(self.image) * np.conj(x)
        if self.phase_noise:
            walk = np.cumsum(self.phase_noise * rng.standard_normal(n, np.float32), dtype=np.float64)
            angle = (walk % (2 * np.pi)).astype(np.float32)
            x = x * (np.cos(angle) + np.complex64(1j) * np.sin(angle))
        level = float(np.sqrt(np.mean(x.real**2 + x.imag**2)))
        x = x + np.complex64(level * self.dc)
        for frequency, relative in self.spurs:
            x = x + np.complex64(relative * level * np.exp(2j * np.pi * rng.random())) * tone(n, frequency)
        return _convert(x, self.bits, rng) if self.bits else x.astype(np.complex64)


def _convert(x: np.ndarray, bits: int, rng: Rng) -> np.ndarray:
    top = 2 ** (bits - 1) - 1
    step = np.float32(max(np.abs(x).max(), 1e-30) * log_uniform(rng, 0.4, 30) / top)
    codes = np.clip(np.round(x.astype(np.complex64).view(np.float32) / step), -top, top)
    return (codes * step).view(np.complex64)


def white_noise(n: int, rng: Rng) -> np.ndarray:
    """complex64 (n,) of mean power 1."""
    return np.sqrt(0.5).astype(np.float32) * rng.standard_normal(2 * n, np.float32).view(np.complex64)
