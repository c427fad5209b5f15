# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""LTE sidelink between vehicles (C-V2X, transmission modes 3 and 4): 3GPP TS 36.211 clause 9.

Single-carrier FDMA in 10 or 20 MHz: in a subframe of 1 ms a car sends PSCCH on two resource blocks and PSSCH
on blocks above them, both with demodulation reference signals in symbols 2, 5, 8 and 11; the last symbol
stays empty (9.3.6, 9.8, TS 36.213 14.1). Cars come back every 20 to 100 ms, each with its own level.
Simplified: no channel coding (random QPSK or 16QAM), PSSCH's group hopping off, no synchronisation subframes.
Native rate 15.36 or 30.72 MS/s.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import fft

from radiofm_ml.synth.signals import lte
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble, turn
from radiofm_ml.synth.signals.ofdm import ofdm_symbols, random_qam

DMRS = (2, 5, 8, 11)  # symbols of a subframe
SYMBOLS = 13  # that are sent
# Base sequence of two blocks for u = 8, that of PSCCH, in eighths of a turn (table 5.5.1.2-2)
_TWO_BLOCKS = (-3, 1, 3, -3, 1, -1, -3, 3, -3, 3, -1, -1, -1, -1, 1, -3, -3, -3, 1, -3, -3, -3, 1, -3)


@cache
def base_sequence(length: int, u: int) -> np.ndarray:
    """r_u,0 (5.5.1): of 36 subcarriers or more for any u, of 24 for u = 8."""
    if length == 24:
        if u != 8:
            raise ValueError("lte-sidelink: the sequence of 24 subcarriers is there for u = 8 only")
        return np.exp(0.25j * np.pi * np.array(_TWO_BLOCKS)).astype(np.complex64)
    prime = next(p for p in range(length - 1, 1, -1) if all(p % d for d in range(2, int(p**0.5) + 1)))
    root = int(np.floor(prime * (u + 1) / 31 + 0.5))
    m = np.arange(length) % prime
    return np.exp(-1j * np.pi * root * m * (m + 1) / prime).astype(np.complex64)


def channel(rng: Rng, blocks: int, u: int, shift: int, cover: tuple[int, ...], order: int) -> np.ndarray:
    """(13, 12·blocks) subcarriers of PSCCH or PSSCH. shift: of the reference signals, in twelfths of a turn a
    subcarrier; cover: their sign in each of the four symbols."""
    carriers = 12 * blocks
    out = fft.fft(random_qam(rng, (SYMBOLS, carriers), order), axis=1, norm="ortho")
    reference = base_sequence(carriers, u) * np.exp(2j * np.pi * shift / 12 * np.arange(carriers))
    out[DMRS, :] = np.array(cover)[:, None] * reference
    return out.astype(np.complex64)


@cache
def _smooth(most: int) -> int:
    """The largest number of blocks up to ``most`` that is a product of 2, 3 and 5 (9.3.3)."""
    for n in range(most, 0, -1):
        rest = n
        for p in (2, 3, 5):
            while rest % p == 0:
                rest //= p
        if rest == 1:
            return n
    return 1


def generate(rng: Rng, duration: float, blocks: int | None = None, cars: int | None = None) -> Signal:
    """``duration`` seconds of a road. blocks: 50 (10 MHz) or 100 (20 MHz).

    truth["messages"]: {"start" (sample), "first" (lowest resource block), "blocks" (of PSSCH), "identity",
    "shift" (of PSCCH's reference signals)} for each subframe of a car
    """
    blocks = int(rng.choice([50, 50, 100])) if blocks is None else blocks
    size = lte.FFT_SIZES[blocks]
    rate = 15e3 * size
    cars = int(np.exp(rng.uniform(np.log(1), np.log(40)))) if cars is None else cars
    sub = int(rng.choice([5, 10]))  # blocks in a subchannel
    prefix = lte.prefixes(size, SYMBOLS)
    length = round(rate * 1e-3)
    planned = []
    for _ in range(cars):
        used = int(rng.choice([1, 2, 3, 5])) * sub
        used = min(used, blocks)
        first = sub * int(rng.integers(0, (blocks - used) // sub + 1))
        period = int(rng.choice([20, 50, 100]))
        level, error = 10 ** (-rng.uniform(0, 25) / 20), rng.normal(0, 200)
        begin = int(rng.integers(0, period))
        horizon = int(duration * 1e3) + 2 * period + 2
        planned += [(k, first, used, level, error) for k in range(begin, horizon, period)]
    target = planned[int(rng.integers(0, len(planned)))]
    zero = target[0] * 1e-3 - rng.uniform(-0.5e-3, max(duration - 1e-3, -0.4e-3))
    bursts = []
    for at, first, used, level, error in planned:
        start = round((at * 1e-3 - zero) * rate)
        if start + length <= 0 or start >= duration * rate:
            continue
        shared = _smooth(used - 2)
        identity, shift = int(rng.integers(0, 1 << 16)), int(rng.choice([0, 3, 6, 9]))
        bins = np.zeros((SYMBOLS, size), np.complex64)
        columns = (np.arange(12 * blocks) - 6 * blocks) % size
        control = channel(rng, 2, 8, shift, (1, 1, 1, 1), 4) * np.float32(np.sqrt(2))  # 3 dB more a block
        cover = (1, 1, 1, 1) if identity % 2 == 0 else (1, -1, 1, -1)
        order = int(rng.choice([4, 4, 16]))
        data = channel(rng, shared, identity // 16 % 30, identity // 2 % 8, cover, order)
        bins[:, columns[12 * first : 12 * first + 24]] = control
        bins[:, columns[12 * first + 24 : 12 * (first + 2 + shared)]] = data
        iq = ofdm_symbols(bins, prefix, size // 128, half=True)
        iq *= turn(np.full(len(iq), error), rate) * np.float32(level)
        lower = (first - blocks / 2) * 180e3
        message = {"start": start, "first": first, "blocks": shared, "identity": identity, "shift": shift}
        bursts.append(Burst(start, iq, message, (lower, lower + (2 + shared) * 180e3)))
    return assemble(duration, rate, bursts, "", {"blocks": blocks})


CLASSES = (
    SignalClass(
        "lte-sidelink", "LTE sidelink (C-V2X)", generate, (10e6, 30.72e6), (5.85e9, 5.93e9), (2e-3, 20e-3)
    ),
)
