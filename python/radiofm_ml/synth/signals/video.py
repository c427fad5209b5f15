# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Analogue colour television on FM, as cameras on drones send it at 5.8 GHz.

Composite video of ITU-R BT.1700: NTSC (525 lines, 59.94 fields, burst at 3.579545 MHz) or PAL (625 lines, 50
fields, 4.43361875 MHz, V axis alternating), interlaced, with equalising and broad pulses. The FM link is the
makers' own: 100 % of video (white over blanking) turns the carrier by about 3 to 6 MHz, which fits the real
recording this was compared with (5.8 GHz, 3.7 MHz); the mean is at the centre, as the coupling is AC.
Simplified: PAL's burst blanking over four fields and the link's pre-emphasis are left out; a random picture
(pictures.py) that stands still.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from radiofm_ml.synth.signals.analogue import continuous
from radiofm_ml.synth.signals.base import Signal, SignalClass
from radiofm_ml.synth.signals.modulation import turn
from radiofm_ml.synth.signals.pictures import colour_picture

Rng = np.random.Generator
_RATE = 20e6


class Standard(NamedTuple):
    """Times in us from the leading edge of line synchronisation; levels in parts of white over blanking."""

    lines: int
    line: float
    subcarrier: float
    sync: float
    burst: tuple[float, float]
    active: tuple[float, float]
    tip: float
    black: float
    equalising: int  # half lines of each kind: before, broad, after
    blanked: int  # lines of a field without picture


STANDARDS = {
    "ntsc": Standard(
        525, 1e6 / (525 * 30 / 1.001), 315e6 / 88, 4.7, (5.3, 7.8), (9.4, 62.0), -0.4, 0.075, 6, 20
    ),
    "pal": Standard(625, 64.0, 4433618.75, 4.7, (5.6, 7.85), (10.5, 62.5), -3 / 7, 0.0, 5, 23),
}


def composite(rng: Rng, n: int, name: str) -> np.ndarray:
    """``n`` samples of composite video from anywhere in a frame, 0 at blanking and 1 at white; float32."""
    s = STANDARDS[name]
    frame = s.lines * s.line
    t = (rng.uniform(0, frame) + np.arange(n) * (1e6 / _RATE)) % frame  # us in the frame
    half = (t / (s.line / 2)).astype(np.int32)
    line = half // 2
    x = (t - line * s.line).astype(np.float32)  # us in the line
    field, half_of_field = half // s.lines, half % s.lines
    wave = turn(np.full(n, s.subcarrier), _RATE, rng.random())
    axis = (1 - 2 * (line % 2)).astype(np.float32) if name == "pal" else 1  # of V

    out = np.where(x < s.sync, np.float32(s.tip), np.float32(0))
    burst = (x >= s.burst[0]) & (x < s.burst[1])
    swing = (axis * wave.real - wave.imag) / np.sqrt(2) if name == "pal" else -wave.imag
    out[burst] = -s.tip / 2 * swing[burst]

    rows, columns = s.lines // 2 - s.blanked, 256
    rgb = colour_picture(rng, rows, columns)
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    saturation = rng.uniform(0.1, 0.8)
    u, v = (saturation * k * (rgb[..., c] - luma) for k, c in ((0.493, 2), (0.877, 0)))
    row = line - field * (s.lines // 2) - s.blanked
    column = ((x - s.active[0]) * (columns / (s.active[1] - s.active[0]))).astype(np.int32)
    seen = (row >= 0) & (row < rows) & (x >= s.active[0]) & (x < s.active[1])
    at = row[seen] * columns + np.minimum(column[seen], columns - 1)
    sign = axis[seen] if name == "pal" else 1
    picture = luma.ravel()[at] + u.ravel()[at] * wave.imag[seen] + sign * v.ravel()[at] * wave.real[seen]
    out[seen] = s.black + (1 - s.black) * picture

    vertical = np.flatnonzero(half_of_field < 3 * s.equalising)
    kind = half_of_field[vertical] // s.equalising  # equalising pulses, broad pulses, equalising pulses
    low = (x[vertical] % (s.line / 2)) < np.where(kind == 1, s.line / 2 - s.sync, s.sync / 2)
    out[vertical] = np.where(low, s.tip, 0)
    return out


def analog_video(rng: Rng, duration: float, variant: str | None = None) -> Signal:
    """Video on FM: 'ntsc' or 'pal', in half of the cases with a sound subcarrier at 6 or 6.5 MHz."""
    variant = variant or str(rng.choice(list(STANDARDS)))
    n = round(duration * _RATE)
    video = composite(rng, n, variant)
    per_white = rng.uniform(3e6, 6e6)
    frequency = per_white * (video - video.mean() + np.float32(rng.normal(0, 0.05)))
    sound = float(rng.choice([0.0, 0.0, 6e6, 6.5e6]))
    if sound:
        wobble = rng.uniform(5e3, 50e3) * np.sin(2 * np.pi * 400 / _RATE * np.arange(n))
        frequency += rng.uniform(0.1e6, 0.4e6) * turn(sound + wobble, _RATE).imag
    iq = turn(frequency, _RATE)
    return continuous(iq, _RATE, None, variant, {"sound": sound, "deviation": per_white})


CLASSES = (
    SignalClass(
        "analog-video", "Analogue video on FM", analog_video, (6e6, 20e6), (1.2e9, 5.925e9), (0.5e-3, 5e-3),
        ("ntsc", "pal"),
    ),
)  # fmt: skip
