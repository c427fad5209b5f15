# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Random streams: emitters through channels and one receiver front end. A simulation, and named so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radiofm_ml.synth.channel import channel, place
from radiofm_ml.synth.frontend import FrontEnd, white_noise
from radiofm_ml.synth.waveforms import FAMILIES, Rng, log_uniform, waveform


@dataclass(frozen=True)
class Stream:
    """iq: complex64 (n,). family: the main emitter's. snr_db: its power while on over the noise in the whole
    band."""

    iq: np.ndarray
    family: str
    snr_db: float


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
    noise = white_noise(n, rng)
    if rng.random() < 0.2:  # squelched or gated captures: noise that comes and goes in level
        level = np.float32(log_uniform(rng, 0.05, 1.0)) + rng.random(8, np.float32)
        noise = noise * np.repeat(level, n // 8 + 1)[:n]
    return Stream(FrontEnd.draw(rng).receive(x + noise, rng), family, snr)
