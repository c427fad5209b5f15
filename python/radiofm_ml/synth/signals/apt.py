# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Automatic picture transmission of the NOAA polar satellites (NOAA KLM User's Guide, 4.2 and appendix H).

4160 words/s, two lines of 2080 words each second: for channel A, then for channel B, a synchronisation train
(seven cycles of 1040 or 832 Hz), space with minute markers, 909 words of picture, 45 of telemetry: 16 wedges
of 8 lines. The words modulate a 2400 Hz subcarrier in amplitude (87 %), that the 137 MHz carrier in frequency
(+-17 kHz). Simplified: a random picture (pictures.py) without the Earth's geometry, telemetry wedges 10 to 16
at random; Doppler is left to the channel.
"""

from __future__ import annotations

import numpy as np

from radiofm_ml.synth.signals.analogue import band_limit, continuous
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import turn
from radiofm_ml.synth.signals.pictures import picture

Rng = np.random.Generator
WORDS, LINE, PIXELS = 4160, 2080, 909
_RATE = 16.0 * WORDS
_SYNC_A = np.array([0] * 4 + [1, 1, 0, 0] * 7 + [0] * 7, np.float32)
_SYNC_B = np.array([0] * 4 + [1, 1, 1, 0, 0] * 7, np.float32)


def lines(rng: Rng, count: int) -> np.ndarray:
    """``count`` successive lines: float32 (count, 2080), 0 black to 1 white."""
    out = np.empty((count, LINE), np.float32)
    at = int(rng.integers(0, 128 * 1000)) + np.arange(count)  # where in the telemetry frames and minutes
    wedges = np.concatenate([np.arange(1, 9) / 8, [0.0], rng.uniform(0.2, 0.9, 7)])
    minute = at % 120 < 4
    scene = picture(rng, 10 * count, 2 * PIXELS)[:count]  # a small part: line and line are much alike
    for half, (sync, space) in enumerate(((_SYNC_A, 0.05), (_SYNC_B, 0.95))):
        block = out[:, half * LINE // 2 : (half + 1) * LINE // 2]
        block[:, :39] = sync
        block[:, 39:86] = np.where(minute, 1 - space, space)[:, None]
        block[:, 86 : 86 + PIXELS] = scene[:, half * PIXELS : (half + 1) * PIXELS]
        block[:, 86 + PIXELS :] = wedges[at // 8 % 16][:, None]
    return out


def apt(rng: Rng, duration: float) -> Signal:
    """A stretch of a pass. truth: words (lines, 2080), start: the sample of the first line, 0 or before."""
    n, line = round(duration * _RATE), 16 * LINE
    start = -int(rng.integers(0, line))
    words = lines(rng, (n - start) // line + 1)
    held = np.repeat(words.ravel()[-start // 16 : (n - start) // 16 + 1], 16)[-start % 16 :][:n]
    envelope = 0.07 + 0.93 * np.clip(band_limit(held, 2200.0, _RATE), 0, 1)  # 87 % modulation
    t = (np.arange(n) / _RATE + rng.random()).astype(np.float64)
    subcarrier = envelope * np.sin(2 * np.pi * 2400 * t)
    truth = {"words": words, "start": start}
    return continuous(turn(17e3 * subcarrier, _RATE), _RATE, None, truth=truth)


CLASSES = (
    SignalClass(
        "automatic-picture-transmission", "NOAA APT weather picture", apt, (48e3, 2.4e6), (137e6, 138e6),
        (0.6, 3.0),
    ),
)  # fmt: skip
