# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Synthetic signals cut out of what a receiver hears, with boxes as a detector draws them: too wide or too
narrow, a part of a message, several of its bursts, or the whole band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radiofm_ml.detect.cutter import CutOut, Cutter
from radiofm_ml.detect.spectra import BLOCK
from radiofm_ml.detect.stream import Box
from radiofm_ml.synth.scene import NOISE, Scene, compose, draw_rate
from radiofm_ml.synth.scene import Box as Emission
from radiofm_ml.synth.signals import all_classes
from radiofm_ml.synth.waveforms import Rng, log_uniform

# Kinds whose forms are as different as kinds are; those of all others count as one.
_SPLIT = ("wifi", "cellular", "bluetooth", "digital-speech-decoder", "packet")
_RENAMED = {"on-off-keying": "ook", "fsk-sensor": "fsk"}
LEAST_SAMPLES, MOST_SAMPLES = 4096, 400_000  # of a scene
_SHORTEST = 32  # samples of a box
_WHOLE_BAND, _WIDE, _NARROW = 0.1, 0.1, 0.1  # shares of boxes that are badly drawn
_A_PART = 0.3


@dataclass(frozen=True)
class Heard:
    """A signal that was cut out. kind: what it is told from others by; sample_rate: the receiver's."""

    kind: str
    cut: CutOut
    sample_rate: float


def kind_of(label: str, variant: str) -> str:
    """What a form of a kind counts as, where signals are to be told apart by what they are."""
    if label == "remote-keyless-entry":
        return "fsk" if variant == "fsk" else "ook"
    if label in _SPLIT:
        return f"{label} {variant}"
    if label == "airband":
        return f"{label} {variant.split('-')[0]}"
    if label == "sstv":
        return f"{label} {variant.split('-')[-1]}"
    return _RENAMED.get(label, label)


def kinds() -> list[str]:
    """All that ``hear`` may name, sorted; 'noise' among them."""
    found = {kind_of(kind.label, form) for kind in all_classes().values() for form in kind.variants or [""]}
    return sorted({*found, NOISE})


def hear(label: str, rng: Rng, front_ends: range, snr_db: tuple[float, float] = (3.0, 32.0),
         neighbours: float = 0.25) -> Heard | None:
    """A signal of a kind (of ``all_classes()``, or 'noise'), at a rate and through a receiver drawn at
    random; None where the scene shows nothing of it."""
    front_end = front_ends[int(rng.integers(len(front_ends)))]
    if label == NOISE:
        scene = compose(rng, NOISE, int(log_uniform(rng, 8192, 100_000)), front_end=front_end, neighbours=0.0)
        return _cut(scene, NOISE, _anywhere(scene, rng))
    kind = all_classes()[label]
    rate = draw_rate(kind.rates, rng)
    seconds = log_uniform(rng, 0.3 * kind.span[0], kind.span[1])
    count = int(np.clip(seconds * rate, LEAST_SAMPLES, MOST_SAMPLES))
    scene = compose(rng, label, count, rate=rate, snr_db=snr_db, front_end=front_end, neighbours=neighbours)
    emissions = [box for box in scene.boxes if box.main]
    if not emissions:
        return None
    return _cut(scene, kind_of(label, scene.variant), _drawn(scene, emissions, rng))


def _cut(scene: Scene, kind: str, box: tuple[float, float, int, int]) -> Heard | None:
    lower, upper, start, stop = box
    rate, count = scene.sample_rate, len(scene.samples)
    lower, upper = max(lower, -rate / 2), min(upper, rate / 2)
    start, stop = max(start, 0), min(stop, count)
    if stop - start < _SHORTEST or upper - lower < 1e-4 * rate:
        return None
    cutter = Cutter(rate, history=max(count, BLOCK))
    cutter.feed(scene.samples)
    return Heard(kind, cutter.cut(Box(0, 0, True, start, stop - start, lower, upper, 0.0)), rate)


def _anywhere(scene: Scene, rng: Rng) -> tuple[float, float, int, int]:
    rate, count = scene.sample_rate, len(scene.samples)
    width = log_uniform(rng, 0.005, 0.9) * rate
    lower = rng.uniform(-rate / 2, rate / 2 - width)
    length = log_uniform(rng, 0.02, 1.0) * count
    start = rng.uniform(0, count - length)
    return lower, lower + width, int(start), int(start + length)


def _drawn(scene: Scene, emissions: list[Emission], rng: Rng) -> tuple[float, float, int, int]:
    """Lower and upper edge in Hz, start and stop, of one of the signal's bursts, or of some that follow one
    another, as a detector may draw them."""
    rate = scene.sample_rate
    pause = log_uniform(rng, 2e-4, 0.3) * rate if rng.random() < 0.8 else 0.0
    messages = _messages(emissions, pause)
    lengths = np.array([sum(e.count for e in message) for message in messages], float)
    message = messages[rng.choice(len(messages), p=lengths / lengths.sum())]
    lower, upper = min(e.lower for e in message), max(e.upper for e in message)
    start, stop = min(e.start for e in message), max(e.start + e.count for e in message)
    lower, upper = _edges(lower, upper, rate, rng)
    length = stop - start
    if rng.random() < _A_PART and length > LEAST_SAMPLES:
        part = log_uniform(rng, 0.1, 1.0) * length
        start = start + rng.uniform(0, length - part)
        return lower, upper, int(start), int(start + part)
    return lower, upper, int(start + rng.normal(0, 0.03) * length), int(stop + rng.normal(0, 0.03) * length)


def _messages(emissions: list[Emission], pause: float) -> list[list[Emission]]:
    """Bursts in one band that follow each other within ``pause`` samples."""
    messages = [[emissions[0]]]
    for e in emissions[1:]:
        last = messages[-1]
        width = max(e.upper - e.lower, last[0].upper - last[0].lower)
        follows = e.start - max(b.start + b.count for b in last) <= pause
        if follows and abs(e.upper + e.lower - last[0].upper - last[0].lower) < width:
            last.append(e)
        else:
            messages.append([e])
    return messages


def _edges(lower: float, upper: float, rate: float, rng: Rng) -> tuple[float, float]:
    width, drawn = upper - lower, rng.random()
    if drawn < _WHOLE_BAND:
        return -rate / 2, rate / 2
    if drawn < _WHOLE_BAND + _WIDE:
        return lower - rng.uniform(0, 1) * width, upper + rng.uniform(0, 1) * width
    if drawn < _WHOLE_BAND + _WIDE + _NARROW:
        return lower + rng.uniform(0, 0.35) * width, upper - rng.uniform(0, 0.35) * width
    return lower + rng.normal(0, 0.06) * width, upper + rng.normal(0, 0.06) * width
