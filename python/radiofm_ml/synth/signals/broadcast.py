# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""FM broadcasting (ITU-R BS.450): +-75 kHz deviation, 50 or 75 us pre-emphasis, pilot-tone stereo multiplex,
RDS (rds.py) in quadrature or in phase with the pilot's third harmonic.

Of the deviation the pilot has 9 %, the audio (sum on the baseband, difference on the suppressed 38 kHz
subcarrier) up to 88 %, RDS 1 to 3.5 %. Simplified: audio is a stand-in (audio.py), compressed and limited as
stations do; no SCA or DARC subcarriers, no IBOC sidebands.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import resample_poly

from radiofm_ml.synth.signals import rds
from radiofm_ml.synth.signals.analogue import continuous
from radiofm_ml.synth.signals.audio import programme
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import turn

Rng = np.random.Generator
_AUDIO_RATE = 38000.0
_RATE = 12 * _AUDIO_RATE  # 456 kHz: 24 samples a pilot cycle, 8 an RDS carrier cycle, 384 an RDS bit
_DEVIATION = 75e3


def _spectrum_shaped(x: np.ndarray, time_constant: float) -> np.ndarray:
    """Pre-emphasis, and nothing above 15 kHz."""
    f = np.fft.rfftfreq(len(x), 1 / _AUDIO_RATE)
    response = (1 + 2j * np.pi * f * time_constant) * (f < 15e3)
    return np.fft.irfft(np.fft.rfft(x) * response, len(x))


def _transmitted(x: np.ndarray, time_constant: float, loudness: float) -> np.ndarray:
    """A channel's audio: pre-emphasised, compressed, within -1 and 1."""
    x = _spectrum_shaped(x, time_constant)
    x = np.tanh(loudness * x / max(x.std(), 1e-9))
    return np.clip(_spectrum_shaped(x, 0.0), -1, 1).astype(np.float32)


def fm(rng: Rng, duration: float, variant: str | None = None) -> Signal:
    """A station: 'stereo-rds', 'stereo' or 'mono'."""
    variant = variant or str(rng.choice(["stereo-rds", "stereo", "mono"], p=[0.75, 0.15, 0.1]))
    n = round(duration * _RATE)
    m = -(-n // 12) + 200
    time_constant, loudness = float(rng.choice([50e-6, 75e-6])), rng.uniform(0.12, 1.0)
    middle, side = programme(rng, m, _AUDIO_RATE), np.zeros(m, np.float32)
    if variant != "mono":
        side = rng.uniform(0.1, 0.7) * programme(rng, m, _AUDIO_RATE)
    left, right = (_transmitted(x, time_constant, loudness) for x in (middle + side, middle - side))
    up = resample_poly(np.stack([left, right]), 12, 1, axis=1)[:, 1200 : 1200 + n]
    left, right = np.clip(up, -1, 1)  # what overshoots between the samples
    multiplex, truth = 0.44 * (left + right), {}
    if variant != "mono":
        cycle = 2 * np.pi * (np.arange(24) + rng.integers(0, 24)) / 24  # of the pilot
        pilot, stereo = (np.resize(np.sin(k * cycle).astype(np.float32), n) for k in (1, 2))
        multiplex += 0.44 * (left - right) * stereo + 0.09 * pilot
        if variant == "stereo-rds":
            truth = rds.random_programme(rng)
            data = rds.subcarrier_signal(rng, truth, n, round(_RATE / rds.BIT_RATE))
            wave = np.sin if rng.random() < 0.5 else np.cos  # in phase or in quadrature
            carrier = np.resize(wave(3 * cycle).astype(np.float32), n)
            multiplex += rng.uniform(0.01, 0.035) * data * carrier
    return continuous(turn(_DEVIATION * multiplex, _RATE), _RATE, None, variant, truth)


_VARIANTS = ("stereo-rds", "stereo", "mono")
CLASSES = (SignalClass("fm", "FM broadcast", fm, (200e3, 8e6), (87.5e6, 108e6), (0.05, 0.5), _VARIANTS),)
