# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Signals to teach by: those that annotations box, the one at a place, or the strongest of recordings."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from radiofm_ml.detect.stream import Box
from radiofm_ml.fewshot.prototypes import PrototypeError, check_label
from radiofm_ml.pipeline import cut_boxes, detect_parts
from radiofm_ml.sigmf.jobs import Job, Outcome, attempt
from radiofm_ml.sigmf.recording import Annotation, Recording
from radiofm_ml.sigmf.stated import NOTHING, Stated
from radiofm_ml.signals import SignalEncoder
from radiofm_ml.survey.signals import Detection, signals_in

Track = Callable  # track(sequence, label) goes through a sequence and shows how far it is
_CANDIDATES = 3  # times as many signals as are to be taught are looked at
_LEAST_TO_COMPARE = 4  # signals of which one can be said to be unlike the others
_UNLIKE = 4.0  # times the median distance from the middle one


@dataclass(frozen=True)
class Shot:
    """A signal to teach by. parts: its boxes, frequencies in Hz from ``centre``, that of the recording at the
    signal, 0 where not stated. unlike: so far from the others that it is not taught."""

    recording: Path
    sample_rate: float
    centre: float
    parts: tuple[Box, ...]
    label: str
    vector: np.ndarray | None = None
    unlike: bool = False

    @cached_property
    def box(self) -> Box:
        return functools.reduce(Box.join, self.parts)

    @property
    def place(self) -> str:
        """Where it is, to be read."""
        start, stop = (at / self.sample_rate for at in (self.box.sample_start,
                                                        self.box.sample_start + self.box.sample_count))
        low, high = ((self.centre + edge) / 1e6 for edge in (self.box.freq_lower, self.box.freq_upper))
        return f"{start:.4f} to {stop:.4f} s, {low:.4f} to {high:.4f} MHz"


def strongest(paths: Sequence[Path], encoder: SignalEncoder, label: str, count: int, detection: Detection,
              channel: int = 0, track: Track = lambda items, _: items,
              stated: Stated = NOTHING) -> tuple[list[Shot], list[Outcome]]:
    """The signals with the most energy, as evenly as can be over the recordings; 0: all. Those that are
    unlike the others are marked, and others taken in their place as far as there are any."""

    def look(recording: Recording, _) -> list[Shot]:
        return sorted(_found(recording, label, detection), key=lambda shot: shot.box.energy, reverse=True)

    outcomes = [attempt(Job(path, channel=channel, stated=stated), look) for path in track(paths, "looking")]
    candidates = _in_turn([outcome.result or [] for outcome in outcomes], count * _CANDIDATES)
    embedded = _embedded(candidates, encoder, outcomes, track)
    return _chosen(embedded, count), outcomes


def _in_turn(sets: Sequence[Sequence[Shot]], count: int) -> list[Shot]:
    """The first of each set, then the second of each …, ``count`` in all; 0: all."""
    turns = itertools.chain.from_iterable(itertools.zip_longest(*sets))
    return list(itertools.islice((shot for shot in turns if shot is not None), count or None))


def _chosen(shots: list[Shot], count: int) -> list[Shot]:
    """The first ``count`` (0: all) that are like most others, and what was passed over on the way."""
    unlike = outliers(np.array([shot.vector for shot in shots])) if shots else []
    chosen, taken = [], 0
    for shot, is_unlike in zip(shots, unlike, strict=True):
        chosen.append(replace(shot, unlike=bool(is_unlike)))
        taken += not is_unlike
        if taken == count:
            break
    return chosen


def outliers(vectors: np.ndarray) -> np.ndarray:
    """Which of these (N, K) lie far from the others, bool (N,): more than _UNLIKE times the median distance
    from the one that is nearest to all. None of fewer than _LEAST_TO_COMPARE."""
    if len(vectors) < _LEAST_TO_COMPARE:
        return np.zeros(len(vectors), bool)
    x = vectors.astype(np.float64)
    between = np.sqrt(np.maximum(((x[:, None] - x) ** 2).sum(-1), 0.0))
    middle = np.median(between, axis=1).argmin()
    distance = between[middle]
    return distance > _UNLIKE * max(float(np.median(np.delete(distance, middle))), 1e-9)


# -- what annotations box -----------------------------------------------------------------------------
def annotated(paths: Sequence[Path], encoder: SignalEncoder, label: str, count: int, detection: Detection,
              channel: int = 0, track: Track = lambda items, _: items,
              stated: Stated = NOTHING) -> tuple[list[Shot], list[Outcome]]:
    """The boxes that annotations draw, as evenly as can be over the recordings, ``count`` of each label; 0:
    all. label: of the annotations; '' for all that name something."""

    def look(recording: Recording, _) -> list[Shot]:
        wanted = [a for a in recording.annotations if (a.label == label if label else a.is_named)]
        longest = detection.settings.longest
        return [shot for a in wanted if (shot := _of_annotation(recording, a, longest)) is not None]

    outcomes = [attempt(Job(path, channel=channel, stated=stated), look) for path in track(paths, "looking")]
    sets = [outcome.result or [] for outcome in outcomes]
    labels = dict.fromkeys(shot.label for shots in sets for shot in shots)
    chosen = [shot for name in labels for shot in _in_turn(
        [_spread([shot for shot in shots if shot.label == name]) for shots in sets], count)]
    return _embedded(chosen, encoder, outcomes, track), outcomes


def _spread(shots: list[Shot]) -> list[Shot]:
    """Such that any beginning of the list is spread over all of it."""
    order = sorted(range(len(shots)), key=lambda i: int(f"{i:032b}"[::-1], 2))
    return [shots[i] for i in order]


def _of_annotation(recording: Recording, annotation: Annotation, longest: float) -> Shot | None:
    """None, and a warning, for what cannot be taught."""
    start = annotation.sample_start
    count = min(annotation.sample_count, recording.n_samples - start)
    try:
        check_label(annotation.label)
        if recording.sample_rate is None:
            raise ValueError("the recording states no sample rate")
        if count < 1:
            raise ValueError("it has no samples")
        half, centre = recording.sample_rate / 2, _centre(recording, start + count)
        low, high = -half, half
        if annotation.freq_lower is not None:
            low, high = (min(max(edge - centre, -half), half)
                         for edge in (annotation.freq_lower, annotation.freq_upper))
        if low >= high:
            raise ValueError("it lies beside the received band")
    except (PrototypeError, ValueError) as error:
        recording.warn(f"the annotation '{annotation.label}' at sample {start} cannot be taught: {error}")
        return None
    box = Box(0, 0, True, start, count, low, high, math.nan)
    return _shot(recording, _split(box, longest, recording.sample_rate), annotation.label)


# -- what lies at a place -----------------------------------------------------------------------------
def at(path: Path, encoder: SignalEncoder, label: str, seconds: float, hertz: float, detection: Detection,
       channel: int = 0, track: Track = lambda items, _: items,
       stated: Stated = NOTHING) -> tuple[list[Shot], list[Outcome]]:
    """The detected signal that lies at a time and a frequency, in Hz, absolute where the recording states its
    own; of several the smallest. The outcome is an error that names the nearest where there is none."""

    def look(recording: Recording, _) -> list[Shot]:
        found = _found(recording, label, detection)
        there = [shot for shot in found if max(_away(shot, seconds, hertz)) <= 0]
        if not there:
            raise ValueError(_nothing_at(recording, seconds, hertz, found))
        return [min(there, key=lambda shot: shot.box.sample_count * (shot.box.freq_upper
                                                                     - shot.box.freq_lower))]

    outcomes = [attempt(Job(one, channel=channel, stated=stated), look) for one in track([path], "looking")]
    return _embedded(outcomes[0].result or [], encoder, outcomes, track), outcomes


def _away(shot: Shot, seconds: float, hertz: float) -> tuple[float, float]:
    """How far a place lies outside of a signal: in seconds and in hertz, 0 or less inside."""
    box, frequency = shot.box, hertz - shot.centre
    start = box.sample_start / shot.sample_rate
    stop = (box.sample_start + box.sample_count) / shot.sample_rate
    return max(start - seconds, seconds - stop), max(box.freq_lower - frequency, frequency - box.freq_upper)


def _nothing_at(recording: Recording, seconds: float, hertz: float, found: list[Shot]) -> str:
    rate, duration = recording.sample_rate, recording.n_samples / recording.sample_rate

    def distance(shot: Shot) -> float:
        late, off = (max(value, 0.0) for value in _away(shot, seconds, hertz))
        return math.hypot(late / duration, off / rate)

    nearest = "; ".join(shot.place for shot in sorted(found, key=distance)[:3])
    return (f"{recording.path}: no signal at {seconds:g} s, {hertz / 1e6:.6g} MHz; "
            + (f"the nearest are {nearest}" if found else "none was found in all of it"))


# -- common to all ------------------------------------------------------------------------------------
def _found(recording: Recording, label: str, detection: Detection) -> list[Shot]:
    """The signals of a recording."""
    parts: dict[int, list[Box]] = {}
    for box in detect_parts(recording, detection.settings, detection.fft_size, detection.averaging):
        parts.setdefault(box.signal, []).append(box)
    return [_shot(recording, boxes, label) for boxes in parts.values()]


def _shot(recording: Recording, parts: Sequence[Box], label: str) -> Shot:
    last = parts[-1]
    return Shot(recording.path, recording.sample_rate,
                _centre(recording, last.sample_start + last.sample_count), tuple(parts), label)


def _centre(recording: Recording, stop: int) -> float:
    return recording.capture_at(stop - 1).frequency or 0.0


def _embedded(shots: Sequence[Shot], encoder: SignalEncoder, outcomes: list[Outcome],
              track: Track) -> list[Shot]:
    """The shots with their vectors, less those of recordings that cannot be read any more; of these the
    outcome says why."""
    index = {outcome.job.recording: number for number, outcome in enumerate(outcomes)}
    wanted: dict[Path, list[int]] = {}
    for number, shot in enumerate(shots):
        wanted.setdefault(shot.recording, []).append(number)
    made: dict[int, np.ndarray] = {}
    for path in track(list(wanted), "teaching"):
        before = outcomes[index[path]]

        def work(recording: Recording, _, path: Path = path) -> list[np.ndarray]:
            boxes = (replace(part, signal=n) for n in wanted[path] for part in shots[n].parts)
            return [encoder.embedding(signal.evidence) for signal in signals_in(
                cut_boxes(recording, boxes), encoder, recording.sample_rate)]

        outcome = attempt(before.job, work)
        if outcome.error is None:
            made.update(zip(wanted[path], outcome.result, strict=True))
        outcomes[index[path]] = replace(outcome, warnings=tuple(dict.fromkeys(before.warnings
                                                                              + outcome.warnings)))
    return [replace(shot, vector=made[n]) for n, shot in enumerate(shots) if n in made]


def _split(box: Box, longest: float, sample_rate: float) -> list[Box]:
    """A box as a detector sends it: one of more than ``longest`` seconds in parts."""
    size, stop = max(1, round(longest * sample_rate)), box.sample_start + box.sample_count
    starts = range(box.sample_start, stop, size)
    return [replace(box, part=part, ended=part == len(starts) - 1, sample_start=start,
                    sample_count=min(size, stop - start)) for part, start in enumerate(starts)]
