# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Random streams: emitters through channels and one receiver front end. A simulation, and named so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import firwin, oaconvolve

from radiofm_ml.synth.waveforms import FAMILIES, Rng, log_uniform, waveform


@dataclass(frozen=True)
class Stream:
    """iq: complex64 (n,). family: the main emitter's. snr_db: its power while on over the noise in the whole
    band."""

    iq: np.ndarray
    family: str
    snr_db: float


def channel(x: np.ndarray, rng: Rng) -> np.ndarray:
    """Carrier offset with drift, a few echoes, slow fading."""
    n = len(x)
    if rng.random() < 0.4:
        echoes = np.zeros(int(rng.integers(4, 40)), np.complex64)
        echoes[0] = 1
        at = rng.integers(1, len(echoes), 3)
        echoes[at] = log_uniform(rng, 0.05, 0.6) * np.exp(2j * np.pi * rng.random(3))
        x = oaconvolve(x, echoes)[:n]
    if rng.random() < 0.3:
        knots = np.abs(1 + 0.4 * rng.standard_normal(int(rng.integers(3, 12))))
        x = x * np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(knots)), knots)
    return x


def place(x: np.ndarray, offset: float) -> np.ndarray:
    """Shift by ``offset`` cycles per sample."""
    phase = (
        offset * np.arange(len(x), dtype=np.float64)
    ) % 1.0  # wrapped in double, turned in single precision
    return x * np.exp(np.complex64(2j * np.pi) * phase.astype(np.float32))


def front_end(x: np.ndarray, rng: Rng) -> np.ndarray:
    """Receiver: anti-alias shape, IQ imbalance, DC, phase noise, spurs, quantisation and clipping."""
    n = len(x)
    if rng.random() < 0.6:  # the roll-off towards the band edges that most receivers show
        x = oaconvolve(
            x, firwin(int(rng.choice([15, 31, 63])), rng.uniform(0.72, 0.97)).astype(np.float32), "same"
        )
    if rng.random() < 0.5:
        gain, skew = rng.normal(0, 0.03), rng.normal(0, 0.03)
        x = x + (gain + 1j * skew) * np.conj(x)
    if rng.random() < 0.3:
        walk = np.cumsum(log_uniform(rng, 1e-4, 1e-2) * rng.standard_normal(n, np.float32), dtype=np.float64)
        x = x * np.exp(np.complex64(1j) * (walk % (2 * np.pi)).astype(np.float32))
    level = np.sqrt(np.mean(np.abs(x) ** 2))
    if rng.random() < 0.6:
        x = x + level * log_uniform(rng, 0.003, 0.5) * np.exp(2j * np.pi * rng.random())
    for _ in range(int(rng.choice([0, 0, 1, 3]))):
        x = x + place(np.full(n, level * log_uniform(rng, 0.003, 0.1), np.complex64), rng.uniform(-0.5, 0.5))
    if rng.random() < 0.6:  # 8-bit converters, driven from far too low to clipping
        full_scale = np.abs(x).max() * log_uniform(rng, 0.4, 30)
        step = full_scale / 127
        x = step * (
            np.clip(np.round(x.real / step), -127, 127) + 1j * np.clip(np.round(x.imag / step), -127, 127)
        )
    return x.astype(np.complex64)


def random_stream(
    n: int,
    rng: Rng,
    family: str | None = None,
    neighbours: bool = True,
    snr_db: tuple[float, float] = (-3, 35),
) -> Stream:
    """A stream of ``n`` samples around one main emitter of ``family`` (random if None)."""
    family = family or str(rng.choice(list(FAMILIES)))
    snr = float(rng.uniform(*snr_db))
    gain = 10 ** (snr / 20)
    offset = 0.0 if rng.random() < 0.4 else rng.uniform(-0.35, 0.35)
    x = gain * place(channel(waveform(family, n, rng), rng), offset + rng.normal(0, 0.005))
    for _ in range(int(rng.choice([0, 0, 0, 1, 2])) if neighbours and family != "noise" else 0):
        other = waveform(str(rng.choice(list(FAMILIES))), n, rng)
        x = x + gain * log_uniform(rng, 0.03, 1.0) * place(channel(other, rng), rng.uniform(-0.45, 0.45))
    noise = np.sqrt(0.5).astype(np.float32) * rng.standard_normal(2 * n, np.float32).view(np.complex64)
    if rng.random() < 0.2:  # squelched or gated captures: noise that comes and goes in level
        level = np.float32(log_uniform(rng, 0.05, 1.0)) + rng.random(8, np.float32)
        noise = noise * np.repeat(level, n // 8 + 1)[:n]
    return Stream(front_end(x + noise, rng), family, snr)
