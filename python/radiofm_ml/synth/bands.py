# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A band with many transmitters: each on a frequency of its own, heard again and again by one receiver."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from radiofm_ml.synth.channel import channel
from radiofm_ml.synth.frontend import FrontEnd, white_noise
from radiofm_ml.synth.scene import Box, receive
from radiofm_ml.synth.signals import all_classes
from radiofm_ml.synth.waveforms import Rng

_GUARD = 0.03  # of the band, at its edges
_TRIES = 200
_LONGEST = 0.25  # of the time that is made, that one transmission lasts
_ECHO = 1e-6  # seconds


def compose_band(rng: Rng, labels: Sequence[str], sample_rate: float, n_samples: int, *, times: int = 4,
                 snr_db: tuple[float, float] = (12.0, 30.0),
                 front_end: FrontEnd | int = 0) -> tuple[np.ndarray, list[Box]]:
    """Samples complex64 (n_samples,) and what is where, by start.

    labels: kinds of signals, one transmitter each. times: how often each is heard, where there is room for
    it. snr_db: of a transmitter, in its own band, drawn once. Raises ValueError for an unknown label, and
    for a kind that is too wide for the rate.
    """
    classes, boxes = all_classes(), []
    samples = white_noise(n_samples, rng)
    for label in labels:
        if label not in classes:
            raise ValueError(f"no signal is called {label!r}; there are: {', '.join(classes)}")
        snr, frequency = float(rng.uniform(*snr_db)), None
        for _ in range(times):
            signal = classes[label].generate(rng, min(classes[label].span[0],
                                                      _LONGEST * n_samples / sample_rate))
            count = min(math.ceil(len(signal.iq) / signal.sample_rate * sample_rate), n_samples)
            x, emissions = receive(signal, 0, sample_rate, count)
            if not emissions:
                continue
            lower, upper = min(e.lower for e in emissions), max(e.upper for e in emissions)
            place = _place(rng, boxes, lower, upper, count, sample_rate, n_samples, frequency)
            if place is None:
                continue
            start, frequency = place
            x = channel(x * np.exp(2j * np.pi * frequency / sample_rate * np.arange(count)), rng,
                        _ECHO * sample_rate)
            on = np.zeros(count, bool)
            for e in emissions:
                on[e.start:e.start + e.count] = True
                boxes.append(Box(start + e.start, e.count, e.lower + frequency, e.upper + frequency, label,
                                 signal.variant, snr, True))
            power = max(float(np.mean(np.abs(x[on])**2)), 1e-12)
            wide = float(np.median([e.upper - e.lower for e in emissions])) / sample_rate
            samples[start:start + count] += x * np.float32(math.sqrt(10**(snr / 10) * wide / power))
    receiver = front_end if isinstance(front_end, FrontEnd) else FrontEnd.numbered(front_end)
    return receiver.receive(samples, rng), sorted(boxes, key=lambda box: (box.start, box.lower))


def _place(rng: Rng, boxes: list[Box], lower: float, upper: float, count: int, rate: float, n_samples: int,
           frequency: float | None) -> tuple[int, float] | None:
    """(start, frequency) where it meets no other signal; the frequency is the given one, if any."""
    room = rate * (0.5 - _GUARD)
    if upper - lower > 2 * room:
        raise ValueError(f"a signal of {(upper - lower) / 1e3:.0f} kHz needs more than {rate:g} samples/s")
    gap = 0.2 * (upper - lower)
    for _ in range(_TRIES):
        start = int(rng.integers(0, n_samples - count + 1))
        at = float(rng.uniform(-room - lower, room - upper)) if frequency is None else frequency
        if all(start + count <= b.start or b.start + b.count <= start or at + upper + gap <= b.lower
               or at + lower - gap >= b.upper for b in boxes):
            return start, at
    return None
