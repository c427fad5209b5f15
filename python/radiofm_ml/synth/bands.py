# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A band with many transmitters: each on a frequency of its own, heard again and again by one receiver."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from radiofm_ml.sigmf.sample_types import SampleType
from radiofm_ml.synth.channel import channel
from radiofm_ml.synth.frontend import FrontEnd, white_noise
from radiofm_ml.synth.recordings import write_scene
from radiofm_ml.synth.scene import Box, Scene, receive
from radiofm_ml.synth.signals import Signal, all_classes
from radiofm_ml.synth.waveforms import Rng

_GUARD = 0.03  # of the band, at its edges
_TRIES = 200
_LONGEST = 0.25  # of the time that is made, that one transmission lasts
_ECHO = 1e-6  # seconds


def write_band(path: Path, labels: Sequence[str], sample_rate: float, frequency: float, seconds: float,
               times: int, snr_db: tuple[float, float], seed: int, front_end: int = 0) -> int:
    """A recording of a band around ``frequency`` (Hz), annotated with every emission; how many. See
    ``compose_band``. Raises ValueError, OSError."""
    rng, n_samples = np.random.default_rng(seed), round(seconds * sample_rate)
    samples, boxes = compose_band(rng, labels, sample_rate, n_samples, times=times, snr_db=snr_db,
                                  front_end=front_end)
    scene = Scene(samples, sample_rate, frequency, tuple(boxes), "band", "", math.nan, str(front_end))
    write_scene(path, scene, front_end, f"synthetic-band-{seed}", SampleType.parse("ci16_le"))
    return len(boxes)


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
        longest = _LONGEST * n_samples / sample_rate
        kind = classes[label]
        form = {"variant": str(rng.choice(kind.variants))} if kind.variants else {}
        for _ in range(times):
            signal = kind.generate(rng, min(kind.span[0], longest), **form)
            frequency = _add(samples, boxes, rng, label, signal, sample_rate, snr, frequency)
    receiver = front_end if isinstance(front_end, FrontEnd) else FrontEnd.numbered(front_end)
    return receiver.receive(samples, rng), sorted(boxes, key=lambda box: (box.start, box.lower))


def _add(samples: np.ndarray, boxes: list[Box], rng: Rng, label: str, signal: Signal, rate: float, snr: float,
         frequency: float | None) -> float | None:
    """Put a transmission where there is room, if there is any. Returns its transmitter's frequency."""
    count = min(math.ceil(len(signal.iq) / signal.sample_rate * rate), len(samples))
    x, emissions = receive(signal, 0, rate, count)
    if not emissions:
        return frequency
    edges = min(e.lower for e in emissions), max(e.upper for e in emissions)
    place = _place(rng, boxes, *edges, count, rate, len(samples), frequency)
    if place is None:
        return frequency
    start, frequency = place
    turn = np.exp(2j * np.pi * frequency / rate * np.arange(count))
    x = channel((x * turn).astype(np.complex64), rng, _ECHO * rate)
    on = np.zeros(count, bool)
    for e in emissions:
        on[e.start:e.start + e.count] = True
        boxes.append(Box(start + e.start, e.count, e.lower + frequency, e.upper + frequency, label,
                         signal.variant, snr, True))
    power = max(float(np.mean(np.abs(x[on])**2)), 1e-12)
    width = float(np.median([e.upper - e.lower for e in emissions])) / rate
    samples[start:start + count] += x * np.float32(math.sqrt(10**(snr / 10) * width / power))
    return frequency


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
