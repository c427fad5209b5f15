# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Decisions written as SigMF annotations while they are made.

The metadata file is replaced as a whole, atomically, so it is valid at every moment, also when the program
is killed.
A run over a file with decisions writes beside it, and takes its place when it is complete. One that is not
complete says so, and can be gone on with.
What the ``radiofm:`` fields say is in docs/radiofm.sigmf-ext.md.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import threading
import time
from pathlib import Path

from radiofm_ml import atomic
from radiofm_ml.outputs import GENERATOR
from radiofm_ml.sigmf import metadata_schema
from radiofm_ml.sigmf.dataset_placement import AnnotationError, check_placement, place_dataset
from radiofm_ml.sigmf.decision_fields import annotation_of, decision_of
from radiofm_ml.sigmf.decision_log import DecisionLog
from radiofm_ml.sigmf.decisions import MAX_HZ, Decision, check_decision, check_more
from radiofm_ml.sigmf.earlier_output import foreign_annotations, read_output
from radiofm_ml.sigmf.frequency_runs import FrequencyRuns
from radiofm_ml.sigmf.metadata_text import (
    EXTENSION,
    INCOMPLETE,
    RESUME,
    as_json,
    finite,
    metadata_text,
    output_path,
    progress,
    read_incomplete,
    tool,
    version,
)
from radiofm_ml.sigmf.recording import CHANNEL, UNKNOWN, Capture, Recording
from radiofm_ml.sigmf.roomy_file import RoomyFile
from radiofm_ml.sigmf.times import format_datetime

__all__ = ["GENERATOR", "UNKNOWN", "AnnotationError", "AnnotationWriter", "check_decision", "output_path"]

_log = logging.getLogger(__name__)


class AnnotationWriter:
    """Writes a ``.sigmf-meta`` that grows by one annotation at a time.

    path        the file to write (``.sigmf-meta``; the suffix may be left out). May be the recording's own.
    recording   the recording that is annotated: its metadata are kept, ``add`` takes its sample indexes,
                annotations end where it ends
    info        instead of ``recording``: the ``global`` object of a recording that is being written beside
                ``path`` (``core:datatype`` at least); captures come through ``add_capture``
    merge       equal decisions that follow one another within ``merge_gap`` samples, or overlap, become one
                annotation: its confidence the mean by samples, its band the union. Decisions of different
                models or tasks do not interrupt one another, nor do those beside them in frequency.
    replace     drop the annotations that are there. Otherwise they are kept, but for those of an earlier
                run (``core:generator`` equal but for the version), which are always replaced.
    data        how the file finds its samples when it does not lie beside them under the same name, see
                ``place_dataset``
    channel     of a recording with several, the one that the decisions are about; annotations say it, and an
                earlier run on another channel is kept. None: not known
    overwrite   of a ``recording``: also over metadata that are neither its own nor our annotations of it
    settings    names all that the decisions depend on. What a run with the same settings left incomplete is
                gone on with: ``position`` says from where. '': nothing is gone on with
    flush_seconds, flush_count   write at the latest after so much time, or so many decisions

    Use as a context manager, or call ``start``, and then ``close`` or, if it is not complete, ``interrupt``.
    Nothing is touched before ``start``. A file that has annotations which this one has not is left as it is
    until ``close``: what is new waits beside it. So it is where something else has changed the file
    meanwhile, an editor or another run: an AnnotationError says so. Safe to use from several threads.
    Raises AnnotationError: one line that names the file and the cure.

    position    all samples before this one are decided, by ``add`` or in the run that is gone on with
    """

    def __init__(self, path: str | os.PathLike, recording: Recording | None = None, *,
                 info: dict | None = None, merge: bool = True, merge_gap: int = 0, replace: bool = False,
                 data: str = "auto", channel: int | None = None, overwrite: bool = False, settings: str = "",
                 generator: str = GENERATOR, flush_seconds: float = 2.0, flush_count: int = 1000):
        if (recording is None) == (info is None):
            raise ValueError("give the recording that is annotated, or the info of one that is being written")
        if merge_gap < 0 or flush_seconds <= 0 or flush_count < 1:
            raise ValueError("merge_gap must be at least 0, flush_seconds above 0, flush_count at least 1")
        self.path = output_path(path)
        self.generator = generator
        self._recording, self._data, self._channel = recording, data, channel
        self._flush_seconds, self._flush_count = flush_seconds, flush_count
        self._lock = threading.RLock()
        self._made = DecisionLog(merge, merge_gap)
        self._pending, self._open, self._complete = 0, False, False
        self.position, self._settings = 0, settings
        self._consistent = True  # ``position`` tells of what has been added, no more and no less
        self._written, self._cost = 0.0, 0.0  # when, and how long the last write took
        self._file = RoomyFile()
        self._end = None if recording is None else recording.n_samples

        if recording is not None:
            self._global = copy.deepcopy(recording.meta["global"])
            self._captures = copy.deepcopy(recording.meta["captures"])
        else:
            self._global = {"core:version": metadata_schema.VERSION, **copy.deepcopy(info)}
            self._captures = []
        self._offset = int(self._global.get("core:offset", 0))
        rate = self._global.get("core:sample_rate")
        self._declare_extension()
        self._runs = FrequencyRuns(recording.captures if recording is not None else [],
                                   None if rate is None else float(rate))
        self._versions = {} if recording is None else {
            place: version(place) for place in (self.path, self._beside)}
        there, ours = (None, True) if recording is None else read_output(self.path, recording, overwrite)
        kept = [] if replace or recording is None else foreign_annotations(recording, there if ours else None)
        self._kept = [a for a in kept if not self._is_own(a)]
        self._leave_out_what_is_no_number()
        self._check()
        if recording is not None:
            check_placement(recording, self.path, data)
        self._target = self._go_on(there)

    # -- use ----------------------------------------------------------------------------------------
    def start(self) -> None:
        """Write the file for the first time, and see to it that it finds its samples."""
        with self._lock:
            if self._recording is not None:
                place_dataset(self._global, self._recording, self.path, self._data)
            self._open, self._complete = True, False
            self.flush()

    def add(self, sample_start: int, sample_count: int, label: str, *, freq_lower: float | None = None,
            freq_upper: float | None = None, confidence: float | None = None, unknown: bool = False,
            model: str = "", task: str = "", comment: str = "", position: int | None = None,
            group: str = "", cell: int = 0, signal: str = "", ended: bool = True,
            more: dict | None = None) -> int:
        """Annotate samples [sample_start, sample_start + sample_count), counted from the dataset's first.

        freq_lower, freq_upper: edges in Hz at the centre frequency of the last of these samples; without
        them, the whole band. Where the centre frequency changes the annotation is cut, and the edges move
        with it. unknown: the decision was "none of the labels"; it is labelled 'unknown', and ``label`` is
        kept as the nearest. position: the writer's, from now on. group, cell: of an unknown, the label in
        place of 'unknown', and where ``fewshot.groups`` has it. signal: name of the signal that this is a
        part of, the last one if ``ended``: its parts are one annotation, and nothing else joins it. more:
        further fields, see ``decisions.check_more``. Returns how many annotations it made or
        extended: 0 if the recording ends before ``sample_start``. Raises ValueError for values that an
        annotation cannot hold.
        """
        check_decision(sample_start, sample_count, label, freq_lower, freq_upper, confidence, model, task,
                       comment, group)
        nearest = label if unknown and label != UNKNOWN else ""
        label = (group or UNKNOWN) if unknown else label
        more = check_more(more or {})
        with self._lock:
            end = sample_start + sample_count
            if self._end is not None:
                end = min(end, self._end)
            pieces = self._runs.cut(sample_start, end, freq_lower, freq_upper)
            self._consistent = False  # an interrupt may come at any line
            for start, stop, run, lower, upper in pieces:
                count = stop - start
                self._made.make_way(start, stop, model, task)
                self._made.add(Decision(
                    start, count, label, unknown, nearest, model, task, comment, run, lower, upper,
                    0 if confidence is None else count, min(max(confidence or 0.0, 0.0), 1.0),
                    cell=cell if unknown else 0, more=more), signal, ended)
            self._pending += bool(pieces)
            self.position = self.position if position is None else position
            self._consistent = True
            self.poll()
            return len(pieces)

    def add_capture(self, sample_start: int, frequency: float | None = None,
                    time: tuple[int, float] | None = None) -> None:
        """A new capture segment of a recording that is being written (``info``).

        time: (seconds since 1970, fraction). One at the same sample as the last replaces it. Raises
        ValueError if it lies before the last one, or for values that a capture cannot hold.
        """
        if self._recording is not None:
            raise ValueError("captures are added to a recording that is being written, not to a finished one")
        with self._lock:
            entry: dict = {"core:sample_start": int(sample_start) + self._offset}
            if frequency is not None:
                if not -MAX_HZ <= frequency <= MAX_HZ:
                    raise ValueError(f"a centre frequency must lie within 1e12 Hz, got {frequency}")
                entry["core:frequency"] = float(frequency)
            if time is not None:
                entry["core:datetime"] = format_datetime(time)
            starts = [c["core:sample_start"] for c in self._captures]
            if starts and entry["core:sample_start"] < starts[-1]:
                raise ValueError(f"capture at sample {sample_start} lies before the last one")
            if starts and entry["core:sample_start"] == starts[-1]:
                self._captures.pop()
            self._captures.append(entry)
            self._runs.set_captures([Capture(c["core:sample_start"] - self._offset, c.get("core:frequency"))
                            for c in self._captures])
            self._pending += 1

    def set_sample_rate(self, sample_rate: float) -> None:
        """Rate of the recording that is being written; gives decisions without edges theirs from now on.
        Raises ValueError for what is no rate."""
        if not 0 < sample_rate <= MAX_HZ:
            raise ValueError(f"a sample rate must be positive and at most 1e12, got {sample_rate}")
        with self._lock:
            self._runs.sample_rate = float(sample_rate)
            self._global["core:sample_rate"] = float(sample_rate)
            self._pending += 1

    def set_merging(self, merge: bool, merge_gap: int) -> None:
        """From the next decision on. Raises ValueError."""
        if merge_gap < 0:
            raise ValueError(f"merge_gap must be at least 0, got {merge_gap}")
        with self._lock:
            self._made.merge, self._made.merge_gap = merge, merge_gap

    def set_end(self, end: int | None) -> int:
        """The recording that is being written has this many samples and gets no more, so that annotations end
        there, those that have been added, too; None: it goes on. Returns how many decisions are left out."""
        with self._lock:
            self._end = end
            if end is None:
                return 0
            left_out, changed = self._made.end(end)
            self._pending += changed
            self._captures = [c for i, c in enumerate(self._captures)
                              if i == 0 or c["core:sample_start"] - self._offset < end]
            return left_out

    def begin_pass(self, model: str = "", task: str = "") -> None:
        """The stream has come to the recording's beginning again: what this model decides on this task from
        now on takes the place of what it decided on the same samples before."""
        with self._lock:
            self._made.begin_pass(model, task)

    def keep_room(self) -> None:
        """From now on see to it that the next write finds room on the disk, until ``close``. Raises
        AnnotationError if there is none, or no folder; ``has_room`` tells whether there is later on."""
        with self._lock:
            try:
                self._file.keep_room(self.path)
            except OSError as error:
                raise AnnotationError(f"{self.path}: cannot be written: {error.strerror}") from None

    @property
    def has_room(self) -> bool:
        """Is there room for the next write? True unless it is kept."""
        return self._file.has_room

    def poll(self) -> None:
        """Write if something is new and it is time; for callers that wait for the next decision."""
        with self._lock:
            if not (self._open and self._pending):
                return
            age = time.monotonic() - self._written
            if age >= 10 * self._cost and (age >= self._flush_seconds or self._pending >= self._flush_count):
                self.flush()

    def flush(self) -> None:
        """Write now. On failure (AnnotationError) the file stays as it was and nothing is lost in memory."""
        with self._lock:
            began = time.monotonic()
            try:
                changed = self._changed_meanwhile()
                if changed and self._target == self.path:
                    self._target, self._complete = self._beside, False
                if not changed or not self._changed_meanwhile():
                    self._file.write(self._target, self._dump().encode("utf-8"))
                    self._versions[self._target] = version(self._target)
                    self._pending = 0
            except OSError as error:
                raise AnnotationError(f"{self._target}: cannot be written: {error.strerror}; what it held is "
                                      "kept") from None
            finally:  # a file that takes long to write, or cannot be written, is tried less often
                self._written = time.monotonic()
                self._cost = self._written - began
            if changed:
                again = "run it again to go on" if self._settings else "run it again"
                raise AnnotationError(f"{self.path}: was changed by something else while it was annotated, "
                                      f"and stays as it is; {again}")

    def close(self) -> None:
        """Write what is pending: the file is complete. A later ``add`` is kept but not written until
        ``start``."""
        with self._lock:
            if self._open:
                before, self._target, self._complete = self._target, self.path, True
                try:
                    self.flush()
                except AnnotationError:
                    self._complete = False
                    if self._target == self.path:
                        self._target = before
                    raise
                self._beside.unlink(missing_ok=True)
                self._open = False
            self._file.let_go_of_room()

    def interrupt(self) -> None:
        """Write what is pending and end: the file stays incomplete, or what it held before stays, and what is
        new beside it."""
        with self._lock:
            if self._open and self._consistent:
                self.flush()
            self._open = False
            self._file.let_go_of_room()

    def __enter__(self) -> AnnotationWriter:
        self.start()
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            return self.close()
        try:
            self.interrupt()
        except AnnotationError as error:  # the other one says why it ends
            _log.warning("%s", error)

    def __len__(self) -> int:
        """Annotations of ours so far."""
        return len(self._made.all)

    # -- inside -------------------------------------------------------------------------------------
    def _changed_meanwhile(self) -> bool:
        """Does the file that is written next hold something that this one has neither read nor written?"""
        now = version(self._target)
        return now is not None and now != self._versions.get(self._target, now)

    def _declare_extension(self) -> None:
        for key in (INCOMPLETE, RESUME):  # of an earlier run over the recording's own metadata
            self._global.pop(key, None)
        others = [e for e in self._global.get("core:extensions", []) if e["name"] != EXTENSION["name"]]
        self._global["core:extensions"] = [*others, dict(EXTENSION)]

    # -- going on ------------------------------------------------------------------------------------
    def _go_on(self, there: dict | None) -> Path:
        """Take over what an interrupted run has left, in place or beside, and say where to write."""
        left = [(self.path, there), (self._beside, read_incomplete(self._beside))]
        for place, meta in sorted(left, key=lambda item: progress(item[1]), reverse=True):
            if meta is not None and self._take_over(meta):
                return place
        before = [] if there is None else there["annotations"]
        kept = {json.dumps(a, sort_keys=True) for a in self._kept}
        return self._beside if any(json.dumps(a, sort_keys=True) not in kept for a in before) else self.path

    @property
    def _beside(self) -> Path:
        """Where a run writes that must not touch what is there; hidden, so that it is no recording."""
        return atomic.hidden(self.path, ".incomplete")

    def _take_over(self, meta: dict) -> bool:
        state = meta["global"].get(RESUME)
        if not self._settings or not isinstance(state, dict) or state.get("settings") != self._settings:
            return False
        try:
            decisions = [decision_of(a, self._offset, self._runs) for a in meta["annotations"]
                         if self._is_own(a)]
            growing: dict[tuple[str, str], list[Decision]] = {}
            for index, weight, confidence in state["growing"]:
                decision = decisions[index]
                decision.weight, decision.confidence = int(weight), float(confidence)
                growing.setdefault((decision.model, decision.task), []).append(decision)
            self.position = int(state["sample"])
        except (KeyError, IndexError, TypeError, ValueError):  # edited by somebody: from the beginning
            return False
        self._made.all, self._made.growing = decisions, growing
        return True

    def _is_own(self, annotation: dict) -> bool:
        return tool(annotation.get("core:generator", "")) == tool(self.generator) and (
            self._channel is None or annotation.get(CHANNEL, self._channel) == self._channel)

    def _state(self) -> dict:
        """What ``global`` says of a file that is not complete."""
        if not self._settings:
            return {INCOMPLETE: True}
        order = {id(d): i for i, d in enumerate(sorted(self._made.all, key=lambda d: d.start))}
        growing = [[order[id(d)], d.weight, d.confidence] for group in self._made.growing.values()
                   for d in group]
        return {INCOMPLETE: True,
                RESUME: {"settings": self._settings, "sample": self.position, "growing": growing}}

    def _leave_out_what_is_no_number(self) -> None:
        """NaN and infinite numbers in what others wrote, which JSON does not have."""
        left_out: set[str] = set()
        self._global = finite(self._global, left_out)
        self._captures = [finite(entry, left_out) for entry in self._captures]
        self._kept = [finite(entry, left_out) for entry in self._kept]
        if left_out:
            _log.warning("%s: NaN and infinite numbers are no JSON; left out: %s", self.path,
                         ", ".join(sorted(left_out)))

    def _check(self) -> None:
        """Refuse to begin with what would not be valid SigMF."""
        try:
            metadata_schema.check({"global": self._global, "captures": self._captures,
                                   "annotations": self._kept})
        except ValueError as error:
            raise AnnotationError(f"{self.path}: would break the SigMF schema: {error}; correct it") from None

    def _dump(self) -> str:
        """The file's text: one line a capture or annotation."""
        entries = [(a["core:sample_start"], as_json(a)) for a in self._kept]
        for decision in self._made.all:
            decision.line = decision.line or as_json(
                annotation_of(decision, self._offset, self.generator, self._channel))
            entries.append((decision.start + self._offset, decision.line))
        entries.sort(key=lambda entry: entry[0])
        info = {**self._global, **({} if self._complete else self._state())}
        return metadata_text(info, self._captures, (line for _, line in entries))
