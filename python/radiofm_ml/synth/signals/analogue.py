# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the analogue classes share: filters, push-to-talk, and the finished signal."""

from __future__ import annotations

import numpy as np
from scipy.signal import firwin, oaconvolve

from radiofm_ml.synth.signals.base import Signal
from radiofm_ml.synth.signals.modulation import Burst, assemble

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


def keyed(
    iq: np.ndarray,
    rate: float,
    spans: Spans,
    band: tuple[float, float],
    variant: str = "",
    truth: dict | None = None,
    ramp: float = 0.003,
) -> Signal:
    """The parts ``spans`` (start, count) of ``iq``, with edges of ``ramp`` seconds where they start and end
    within it."""
    bursts, n, edge = [], len(iq), max(1, int(ramp * rate))
    rise = (0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)).astype(np.float32)
    for start, count in spans:
        part = iq[max(start, 0) : min(start + count, n)].copy()
        if start >= 0:
            part[:edge] *= rise[: len(part)]
        if start + count <= n:
            part[-edge:] *= rise[::-1][-len(part) :]
        bursts.append(Burst(max(start, 0), part, band=band))
    return assemble(n / rate, rate, bursts, variant, truth)


def continuous(
    iq: np.ndarray,
    rate: float,
    band: tuple[float, float] | None,
    variant: str = "",
    truth: dict | None = None,
) -> Signal:
    """On from the first sample to the last; the band is measured if None."""
    return assemble(len(iq) / rate, rate, [Burst(0, iq, band=band)], variant, truth)
