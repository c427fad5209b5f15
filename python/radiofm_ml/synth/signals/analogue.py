# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the analogue classes share: filters, push-to-talk, and the finished signal."""

from __future__ import annotations

import numpy as np
from scipy.signal import firwin, oaconvolve

from radiofm_ml.synth.signals.base import Signal
from radiofm_ml.synth.signals.modulation import Burst, assemble, occupied_band

Rng = np.random.Generator
Spans = list[tuple[int, int]]


def band_limit(x: np.ndarray, cutoff: float, rate: float, taps: int = 129) -> np.ndarray:
    """Low-pass at ``cutoff`` Hz, without delay."""
    return oaconvolve(x, firwin(taps, cutoff, fs=rate).astype(np.float32), "same")


def upper_sideband(x: np.ndarray) -> np.ndarray:
    """The analytic signal: single sideband with the (suppressed) carrier at 0 Hz; complex64."""
    n = len(x)
    spectrum = np.zeros(n, np.complex64)
    half = np.fft.rfft(x)
    spectrum[1 : len(half)] = 2 * half[1:]
    return np.fft.ifft(spectrum).astype(np.complex64)


def push_to_talk(rng: Rng, n: int, on: tuple[float, float], off: tuple[float, float]) -> Spans:
    """Start and count of transmissions of ``on`` samples with pauses of ``off`` samples in ``n`` samples; at
    least one. The first may start before sample 0, the last end after the stretch."""
    spans: Spans = []
    at = int(rng.uniform(-on[0], min(off[1], n / 2)))
    while at < n:
        length = int(rng.uniform(*on))
        if min(at + length, n) - max(at, 0) >= min(n / 10, length):  # no slivers at the ends
            spans.append((at, length))
        at += length + int(rng.uniform(*off))
    return spans or [(0, n)]


def band_throughout(x: np.ndarray, rate: float, pieces: int = 16, size: int = 4096) -> tuple[float, float]:
    """The occupied band (99 % of the power) of a signal whose spectrum comes and goes with its programme,
    from pieces all over it."""
    if len(x) > pieces * size:
        starts = np.linspace(0, len(x) - size, pieces).astype(int)
        x = x[starts[:, None] + np.arange(size)].ravel()
    return occupied_band(x, rate)


def keyed(
    iq: np.ndarray,
    rate: float,
    spans: Spans,
    band: tuple[float, float] | None,
    variant: str = "",
    truth: dict | None = None,
    ramp: float = 0.003,
) -> Signal:
    """The parts ``spans`` (start, count) of ``iq``, with edges of ``ramp`` seconds where they start and end
    within it; their bands are measured if ``band`` is None."""
    bursts, n, edge = [], len(iq), max(1, int(ramp * rate))
    rise = (0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)).astype(np.float32)
    for start, count in spans:
        part = iq[max(start, 0) : min(start + count, n)].copy()
        if start >= 0:
            part[:edge] *= rise[: len(part)]
        if start + count <= n:
            part[-edge:] *= rise[::-1][-len(part) :]
        bursts.append(Burst(max(start, 0), part, band=band or band_throughout(part, rate)))
    return assemble(n / rate, rate, bursts, variant, truth)


def continuous(
    iq: np.ndarray,
    rate: float,
    band: tuple[float, float] | None,
    variant: str = "",
    truth: dict | None = None,
) -> Signal:
    """On from the first sample to the last; the band is measured if None."""
    whole = Burst(0, iq, band=band or band_throughout(iq, rate))
    return assemble(len(iq) / rate, rate, [whole], variant, truth)
