# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A watch over recordings, one after the other: their signals are found and named, and told to a ``Watch``.

Two files are kept: the watch's own, ``home.json``, and the groups of the unknown beside it,
``home.groups.safetensors``, so that a group has the same number in every recording.
"""

from __future__ import annotations

import copy
import itertools
import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from radiofm_ml.embeddings import Embeddings
from radiofm_ml.fewshot import UNKNOWN, FewShot, group_file
from radiofm_ml.fewshot.groups import Groups, group_label
from radiofm_ml.pipeline import Progress
from radiofm_ml.sigmf.jobs import Job, Outcome, attempt
from radiofm_ml.sigmf.recording import Recording
from radiofm_ml.signals import SignalEncoder
from radiofm_ml.survey.naming import name_signals
from radiofm_ml.survey.signals import Detection, rows, signals_of
from radiofm_ml.watch import state
from radiofm_ml.watch.events import Alarm, Event
from radiofm_ml.watch.settings import Settings
from radiofm_ml.watch.watch import Watch

_ALONE = "unknown, cell "  # and its number: what a watch calls a signal of the unknown that has no group yet
_TOGETHER = 64  # signals that are named at once


def groups_beside(path: str | os.PathLike) -> Path:
    """Where the groups lie that belong to a watch's file."""
    path = Path(path)
    return path.with_name(path.name[:-len(state.SUFFIX)] + group_file.GROUPS)


class Post:
    """A watch, and all that it takes to tell it what is heard: the classifier that names signals, and groups
    for the unknown (None: all are called 'unknown')."""

    def __init__(self, watch: Watch, few: FewShot, groups: Groups | None):
        self.watch, self.few, self.groups = watch, few, groups
        if groups is not None:  # what has been named meanwhile is no news
            for number in (*groups.merged, *groups.named):
                watch.rename(group_label(number), groups.label(number))
            self._follow({})

    def hear(self, signals: Embeddings) -> list[Alarm]:
        """Signals in the order of their ends. What is new with them."""
        before = self._numbers()
        (names,) = name_signals([signals], self.few, self.groups)
        self._follow(before)
        start = signals.sample_start / signals.sample_rate
        stop = start + signals.sample_count / signals.sample_rate
        labels = [f"{_ALONE}{cell}" if label == UNKNOWN and cell else label
                  for label, cell in zip(names.labels, names.cell.tolist(), strict=True)]
        alarms = self.watch.feed(map(Event, start.tolist(), stop.tolist(), labels,
                                     signals.freq_lower_edge.tolist(), signals.freq_upper_edge.tolist()))
        return _said(alarms)

    def advance(self, time: float) -> list[Alarm]:
        """As ``Watch.advance``."""
        return _said(self.watch.advance(time))

    def _numbers(self) -> dict[int, int]:
        """Of each cell of the unknown the number of its group."""
        return {} if self.groups is None else {cell.id: cell.number for cell in self.groups.state()["cells"]}

    def _follow(self, before: dict[int, int]) -> None:
        """Let the watch know which groups have split, gone into others or begun. before: ``_numbers``, when
        it was told last."""
        if self.groups is None:
            return
        after = self._numbers()
        for cell, number in after.items():
            was = before.get(cell, 0)
            if was and number and number != was and number not in before.values():
                self.watch.split(group_label(was), group_label(number))
        for number in set(before.values()) - set(after.values()) - {0}:
            self.watch.rename(group_label(number), self.groups.label(number))
        for label in self.watch.labels:
            if found := re.fullmatch(rf"{_ALONE}(\d+)", label):
                now = self.groups.labels([int(found[1])])[0]
                self.watch.rename(label, label if now == UNKNOWN else now)


@dataclass(frozen=True)
class Heard:
    """What was new in a recording.

    signals   that were found
    alarms    times in seconds from the recording's first sample, less than 0 before it
    datetimes of the alarms, in UTC; None where the recording does not tell
    learning  was the watch learning when the recording ended?
    """

    signals: int
    alarms: list[Alarm]
    datetimes: list[datetime | None]
    learning: bool


class Session:
    """A watch that is kept in a file; see ``jobs.run`` for what is done with recordings.

    settings  of a new watch; one that is there takes over those that are ``stated``, see ``state.open_watch``

    Raises WatchError, PrototypeError: one line that names the file and the cure.
    """

    def __init__(self, path: str | os.PathLike, encoder: SignalEncoder, few: FewShot, groups: Groups | None,
                 settings: Settings, stated: Collection[str] = (), detection: Detection | None = None):
        self.path = state.check_place(path)
        self._encoder, self._detection = encoder, detection or Detection()
        beside = groups_beside(self.path)
        if not self.path.exists() and os.path.lexists(beside):
            raise state.WatchError(f"{self.path}: is not there, and {beside.name} is, where its groups would "
                                   "be kept; remove that, or choose another name")
        watch = state.open_watch(self.path, settings, stated)
        if self.path.exists() and beside.exists():
            groups = group_file.load(beside)
        if groups is not None and groups.model != encoder.id:
            raise state.WatchError(f"{self.path}: has learned with {groups.model}, this is {encoder.id}; "
                                   "name that model, or learn anew in another file")
        self.post = Post(watch, few, groups)

    @property
    def watch(self) -> Watch:
        return self.post.watch

    def hear(self, jobs: Iterable[Job], batch: int = 16, progress: Progress | None = None
             ) -> Iterator[Outcome]:
        """Listen to each recording; results: ``Heard``. ``save`` keeps what has been learned so far. One that
        fails was not heard."""

        def work(recording: Recording, _) -> Heard:
            before = copy.deepcopy((self.watch, self.post.groups))
            try:
                return self._hear(recording, batch, progress)
            except BaseException:
                self.post = Post(before[0], self.post.few, before[1])
                raise

        for job in jobs:
            yield attempt(job, work)

    def _hear(self, recording: Recording, batch: int, progress: Progress | None) -> Heard:
        found = signals_of(recording, self._encoder, self._detection, batch, progress)
        self.watch.begin()
        alarms, count = [], 0
        for some in iter(lambda: list(itertools.islice(found, _TOGETHER)), []):
            alarms += self.post.hear(rows(some, recording, self._encoder))
            count += len(some)
        alarms += self.post.advance(recording.n_samples / recording.sample_rate)
        return Heard(count, alarms, [_datetime(recording, alarm.time) for alarm in alarms],
                     self.watch.learning)

    def save(self) -> None:
        """Write both files, each whole or not at all. Raises WatchError, PrototypeError."""
        if self.post.groups is not None:
            group_file.save(self.post.groups, groups_beside(self.path))
        state.save(self.watch, self.path)


def _said(alarms: list[Alarm]) -> list[Alarm]:
    return [replace(a, label=UNKNOWN) if a.label.startswith(_ALONE) else a for a in alarms]


def _datetime(recording: Recording, seconds: float) -> datetime | None:
    capture = recording.capture_at(max(round(seconds * recording.sample_rate), 0))
    moment = capture.datetime
    try:
        return moment and moment + timedelta(seconds=seconds - capture.sample_start / recording.sample_rate)
    except OverflowError:
        return None
