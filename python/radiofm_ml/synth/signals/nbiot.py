# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""NB-IoT downlink: 3GPP TS 36.211 clause 10.2, one carrier of 180 kHz.

True NPSS and NSSS and narrowband reference signals (one or two ports); NPBCH, NPDCCH and NPDSCH as random
QPSK in subframes that are in use or not. Stand-alone and guard-band carriers, or in-band ones, whose first
three symbols are left to LTE. Simplified: no channel coding; nothing of the LTE cell in the in-band case.
Native rate 1.92 MS/s.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from radiofm_ml.synth.signals import lte
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import Burst, Rng, assemble
from radiofm_ml.synth.signals.ofdm import ofdm_symbols, random_qam

SAMPLE_RATE, FFT_SIZE = 1.92e6, 128
COVER = (1, 1, 1, 1, -1, -1, 1, 1, 1, -1, 1)  # S(l), l = 3 ... 13 (table 10.2.7.1.1-1)


@cache
def primary() -> np.ndarray:
    """NPSS (10.2.7.1): (11 symbols, 11 subcarriers)."""
    n = np.arange(11)
    return (np.array(COVER)[:, None] * np.exp(-1j * np.pi * 5 * n * (n + 1) / 11)).astype(np.complex64)


def secondary(nid: int, frame: int) -> np.ndarray:
    """NSSS (10.2.7.2) of an even frame: (11 symbols, 12 subcarriers)."""
    n = np.arange(132)
    root, q = nid % 126 + 3, nid // 126
    row = (0, 31, 63, 127)[q]
    sign = np.array([1 - 2 * (bin(row & m).count("1") & 1) for m in range(128)])  # Hadamard
    phase = -np.pi * root * (n % 131) * (n % 131 + 1) / 131 - 2 * np.pi * 33 / 132 * (frame // 2 % 4) * n
    return (sign[n % 128] * np.exp(1j * phase)).reshape(11, 12).astype(np.complex64)


def reference(nid: int, slots: np.ndarray, symbol: int) -> np.ndarray:
    """NRS (10.2.6): (slots, 2)."""
    return lte.reference(nid, 1, slots, symbol)


def resource_grid(
    rng: Rng, nid: int, first: int, subframes: int, ports: int, load: float, anchor: bool, inband: bool
) -> np.ndarray:
    """(14·subframes, 12), from subframe ``first`` (counted over frames) on."""
    grid = np.zeros((14 * subframes, 12), np.complex64)
    begin = 3 if inband else 0  # the LTE control region stays empty
    gate = np.repeat(rng.random(subframes) < load, int(rng.choice([1, 2, 4, 8, 32])))
    boost = 10 ** (rng.choice([0, 3]) / 20)
    gains = np.exp(2j * np.pi * rng.random(2))
    for k in range(subframes):
        frame, number = divmod(first + k, 10)
        rows = grid[14 * k : 14 * k + 14]
        if anchor and number == 5:
            rows[3:14, :11] = primary()
            continue
        if anchor and number == 9 and frame % 2 == 0:
            rows[3:14] = secondary(nid, frame)
            continue
        if anchor and number == 0:
            rows[3:14] = random_qam(rng, (11, 12), 4)  # NPBCH
        elif gate[k] or (anchor and number == 4 and frame % 2 == nid % 2):  # or SIB1
            rows[begin:] = random_qam(rng, (14 - begin, 12), 4)
        for symbol in (5, 6):
            for slot in (0, 1):
                values = reference(nid, np.array([2 * number + slot]), symbol)[0]
                for port in range(2):
                    v = 3 * ((port + (symbol == 6)) % 2)  # symbols 5 and 6 change places (10.2.6.2)
                    where = (6 * np.arange(2) + (v + nid % 6) % 6) % 12
                    rows[7 * slot + symbol, where] = values * boost * gains[port] if port < ports else 0
    return grid


def generate(
    rng: Rng, duration: float, nid: int | None = None, load: float | None = None, anchor: bool = True
) -> Signal:
    """``duration`` seconds of a carrier at the centre.

    anchor  the carrier with the synchronisation signals
    truth: "cell", "ports", "first" (subframe at sample "start", counted over frames)
    """
    nid = int(rng.integers(0, 504)) if nid is None else nid
    load = float(rng.uniform(0, 1)) if load is None else load
    ports, inband = int(rng.integers(1, 3)), bool(rng.random() < 0.4)
    length = 1920
    subframes = int(np.ceil(duration / 1e-3)) + 1
    first, skipped = int(rng.integers(0, 10240 - subframes)), int(rng.integers(0, length))
    grid = resource_grid(rng, nid, first, subframes, ports, load, anchor, inband)
    bins = np.zeros((len(grid), FFT_SIZE), np.complex64)
    bins[:, np.arange(-6, 6) % FFT_SIZE] = grid
    iq = ofdm_symbols(bins, lte.prefixes(FFT_SIZE, len(grid)), 4, half=True)
    burst = Burst(-skipped, iq, None, (-90e3, 90e3))
    truth = {"cell": nid, "ports": ports, "first": first, "start": -skipped, "inband": inband}
    return assemble(duration, SAMPLE_RATE, [burst], "", truth)


CLASSES = (SignalClass("nb-iot", "NB-IoT downlink", generate, (240e3, 2e6), (450e6, 2.2e9), (20e-3, 200e-3)),)
