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

import bisect
import copy
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from radiofm_ml import atomic
from radiofm_ml.arguments import is_number
from radiofm_ml.outputs import GENERATOR, same_file
from radiofm_ml.sigmf import metadata_schema
from radiofm_ml.sigmf.container import ARCHIVES, DATA, META, base_name, parse_metadata
from radiofm_ml.sigmf.dataset_placement import AnnotationError, check_placement, leads_to, place_dataset
from radiofm_ml.sigmf.decisions import MAX_HZ, MORE, Decision, Signals, check_decision, check_more
from radiofm_ml.sigmf.recording import CHANNEL, UNKNOWN, Capture, Recording
from radiofm_ml.sigmf.roomy_file import RoomyFile

__all__ = ["GENERATOR", "UNKNOWN", "AnnotationError", "AnnotationWriter", "check_decision", "output_path"]

_log = logging.getLogger(__name__)
EXTENSION = {"name": "radiofm", "version": "1.0.0", "optional": True}
CELL = "radiofm:cell"
INCOMPLETE, RESUME = "radiofm:incomplete", "radiofm:resume"  # in ``global``, while a file is not complete
_SECONDS = -30610224000, 253402300800  # the years 1000 to 9999, for core:datetime


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
        self._merge, self._merge_gap = merge, merge_gap
        self._flush_seconds, self._flush_count = flush_seconds, flush_count
        self._lock = threading.RLock()
        self._decisions: list[Decision] = []
        self._growing: dict[tuple[str, str], list[Decision]] = {}  # by model and task: those that may go on
        self._pending, self._open, self._complete = 0, False, False
        self.position, self._settings = 0, settings
        self._consistent = True  # ``position`` tells of what has been added, no more and no less
        self._written, self._cost = 0.0, 0.0  # when, and how long the last write took
        self._file = RoomyFile()
        self._signals = Signals()
        self._earlier: dict[tuple[str, str], list[Decision]] = {}  # of earlier passes, by model and task
        self._end = None if recording is None else recording.n_samples

        if recording is not None:
            self._global = copy.deepcopy(recording.meta["global"])
            self._captures = copy.deepcopy(recording.meta["captures"])
        else:
            self._global = {"core:version": metadata_schema.VERSION, **copy.deepcopy(info)}
            self._captures = []
        self._offset = int(self._global.get("core:offset", 0))
        rate = self._global.get("core:sample_rate")
        self._sample_rate = None if rate is None else float(rate)
        self._declare_extension()
        self._set_runs(recording.captures if recording is not None else [])
        self._overwritten = False  # the metadata at ``path`` are not ours: told to
        self._versions = {} if recording is None else {
            place: _version(place) for place in (self.path, self._beside)}
        there = None if recording is None else self._read_output(overwrite)
        self._kept = [] if replace else self._foreign_annotations(there)
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
            pieces = self._cut(sample_start, end, freq_lower, freq_upper)
            self._consistent = False  # an interrupt may come at any line
            for start, stop, run, lower, upper in pieces:
                count = stop - start
                self._make_way(start, stop, model, task)
                new = Decision(start, count, label, unknown, nearest, model, task, comment, run, lower, upper,
                               0 if confidence is None else count, min(max(confidence or 0.0, 0.0), 1.0),
                               cell=cell if unknown else 0, more=more)
                if not signal:
                    self._append(new)
                elif self._signals.add((signal, model, task, run), new, ended):
                    self._decisions.append(new)
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
            self._set_runs([Capture(c["core:sample_start"] - self._offset, c.get("core:frequency"))
                            for c in self._captures])
            self._pending += 1

    def set_sample_rate(self, sample_rate: float) -> None:
        """Rate of the recording that is being written; gives decisions without edges theirs from now on.
        Raises ValueError for what is no rate."""
        if not 0 < sample_rate <= MAX_HZ:
            raise ValueError(f"a sample rate must be positive and at most 1e12, got {sample_rate}")
        with self._lock:
            self._sample_rate = float(sample_rate)
            self._global["core:sample_rate"] = float(sample_rate)
            self._pending += 1

    def set_merging(self, merge: bool, merge_gap: int) -> None:
        """From the next decision on. Raises ValueError."""
        if merge_gap < 0:
            raise ValueError(f"merge_gap must be at least 0, got {merge_gap}")
        with self._lock:
            self._merge, self._merge_gap = merge, merge_gap

    def set_end(self, end: int | None) -> int:
        """The recording that is being written has this many samples and gets no more, so that annotations end
        there, those that have been added, too; None: it goes on. Returns how many decisions are left out."""
        with self._lock:
            self._end = end
            if end is None:
                return 0
            self._signals.forget()
            left_out = sum(d.decisions for d in self._decisions if d.start >= end)
            for decision in self._decisions:
                if decision.start + decision.count > end:
                    decision.count, decision.line = end - decision.start, ""
                    self._pending += 1
            self._captures = [c for i, c in enumerate(self._captures)
                              if i == 0 or c["core:sample_start"] - self._offset < end]
            self._decisions = [d for d in self._decisions if d.count > 0]
            for growing in self._growing.values():
                growing[:] = [d for d in growing if d.count > 0]
            return left_out

    def begin_pass(self, model: str = "", task: str = "") -> None:
        """The stream has come to the recording's beginning again: what this model decides on this task from
        now on takes the place of what it decided on the same samples before."""
        with self._lock:
            self._earlier[model, task] = [d for d in self._decisions if (d.model, d.task) == (model, task)]
            self._growing.pop((model, task), None)
            self._signals.forget()

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
                    self._versions[self._target] = _version(self._target)
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
        return len(self._decisions)

    # -- inside -------------------------------------------------------------------------------------
    def _changed_meanwhile(self) -> bool:
        """Does the file that is written next hold something that this one has neither read nor written?"""
        now = _version(self._target)
        return now is not None and now != self._versions.get(self._target, now)

    def _make_way(self, start: int, stop: int, model: str, task: str) -> None:
        """Cut [start, stop) out of what an earlier pass has said."""
        earlier = self._earlier.get((model, task), ())
        gone = [old for old in earlier if old.start < stop and start < old.start + old.count]
        if not gone:
            return
        parts = [replace(old, start=begin, count=end - begin, line="") for old in gone
                 for begin, end in ((old.start, start), (stop, old.start + old.count)) if begin < end]
        out = set(map(id, gone))
        self._earlier[model, task] = [d for d in earlier if id(d) not in out] + parts
        self._decisions = [d for d in self._decisions if id(d) not in out] + parts

    def _append(self, new: Decision) -> None:
        growing = self._growing.setdefault((new.model, new.task), [])
        # One ends where it is too long ago, and where something else has taken its place in the band.
        growing[:] = [old for old in growing if new.start <= old.start + old.count + self._merge_gap
                      and (old.same_kind(new) or old.start + old.count >= new.start + new.count
                           or not old.overlaps(new))]
        for old in growing:
            if self._merge and old.start <= new.start and old.same_kind(new):
                old.absorb(new)
                return
        self._decisions.append(new)
        growing.append(new)

    def _cut(self, start: int, end: int, lower: float | None, upper: float | None) -> list[tuple]:
        """(start, end, run, lower, upper) of every piece at one centre frequency."""
        if end <= start:
            return []
        first, last = (max(0, bisect.bisect_right(self._run_starts, s) - 1) for s in (start, end - 1))
        reference = self._run_frequencies[last]
        pieces = []
        for run in range(first, last + 1):
            frequency = self._run_frequencies[run]
            stop = self._run_starts[run + 1] if run < last else end
            if lower is None or (run != last and None in (reference, frequency)):
                edges = self._whole_band(frequency)
            elif run == last:
                edges = float(lower), float(upper)
            else:
                edges = lower + frequency - reference, upper + frequency - reference
            pieces.append((max(start, self._run_starts[run]), stop, run, *edges))
        return pieces

    def _whole_band(self, frequency: float | None) -> tuple[float | None, float | None]:
        if self._sample_rate is None:
            return None, None
        centre = frequency or 0.0  # by the standard: relative to baseband where the centre is not known
        return centre - self._sample_rate / 2, centre + self._sample_rate / 2

    def _set_runs(self, captures: list[Capture]) -> None:
        runs = [captures[0] if captures else Capture(0)]
        for capture in captures[1:]:
            if capture.frequency != runs[-1].frequency:
                runs.append(capture)
        self._run_starts = [0, *(c.sample_start for c in runs[1:])]
        self._run_frequencies = [c.frequency for c in runs]

    def _declare_extension(self) -> None:
        for key in (INCOMPLETE, RESUME):  # of an earlier run over the recording's own metadata
            self._global.pop(key, None)
        others = [e for e in self._global.get("core:extensions", []) if e["name"] != EXTENSION["name"]]
        self._global["core:extensions"] = [*others, dict(EXTENSION)]

    def _read_output(self, overwrite: bool) -> dict | None:
        """The metadata that will be replaced. Raises AnnotationError if that must not be."""
        recording, data = self._recording, self.path.with_name(self.path.name[:-len(META)] + DATA)
        if same_file(self.path, recording.path):
            if os.path.realpath(self.path) == os.path.realpath(recording.path):
                return recording.meta
            raise AnnotationError(f"{self.path}: is another name of {recording.path}; name that one")
        if same_file(self.path, recording.data_path):
            raise AnnotationError(f"{self.path}: holds the recording's samples; choose another name")
        if data.is_file() and not leads_to(data, recording):
            raise AnnotationError(f"{data}: is there and holds other samples; choose another output name")
        if not self.path.exists():
            return None
        try:
            meta = metadata_schema.tidied(parse_metadata(self.path.read_bytes(), str(self.path)))[0]
        except (OSError, ValueError) as error:  # RecordingError is a ValueError
            text = str(error).removeprefix(f"{self.path}: ")
            if overwrite:
                return None
            raise AnnotationError(f"{self.path}: is there, but is not SigMF metadata ({text}); "
                                  "move it away or choose another name") from None
        wrong = self._foreign(meta)
        if wrong and not overwrite:
            raise AnnotationError(f"{self.path}: {wrong}; choose another name, or say --overwrite")
        self._overwritten = bool(wrong)
        return meta

    def _foreign(self, there: dict) -> str:
        """Why metadata are not our annotations of this recording; '' if they are."""
        info = there["global"]
        if EXTENSION["name"] not in {e["name"] for e in info.get("core:extensions", [])}:
            return "is there and was written by something else"
        name = os.path.basename(info.get("core:dataset") or self.path.name[:-len(META)] + DATA)
        data = self.path.parent / name
        if data.exists() and not info.get("core:metadata_only"):
            same = leads_to(data, self._recording)
        else:
            same = there.get("captures") == self._captures and all(
                info.get(key) == self._global.get(key) for key in ("core:datatype", "core:sample_rate"))
        return "" if same else "is there and belongs to other samples"

    def _foreign_annotations(self, there: dict | None) -> list[dict]:
        """Annotations to keep: of the recording, and those that others have put into the output since."""
        if self._recording is None:
            return []
        kept = list(self._recording.meta["annotations"])
        if there is not None and there is not self._recording.meta and not self._overwritten:
            known = self._global.get("core:sha512"), there["global"].get("core:sha512")
            if None in known or known[0] == known[1]:
                texts = {json.dumps(a, sort_keys=True) for a in kept}
                kept += [a for a in there["annotations"] if json.dumps(a, sort_keys=True) not in texts]
        return [a for a in kept if not self._is_own(a)]

    # -- going on ------------------------------------------------------------------------------------
    def _go_on(self, there: dict | None) -> Path:
        """Take over what an interrupted run has left, in place or beside, and say where to write."""
        left = [(self.path, there), (self._beside, _read_json(self._beside))]
        for place, meta in sorted(left, key=lambda item: _progress(item[1]), reverse=True):
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
            decisions = [self._decision(a) for a in meta["annotations"] if self._is_own(a)]
            growing: dict[tuple[str, str], list[Decision]] = {}
            for index, weight, confidence in state["growing"]:
                decision = decisions[index]
                decision.weight, decision.confidence = int(weight), float(confidence)
                growing.setdefault((decision.model, decision.task), []).append(decision)
            self.position = int(state["sample"])
        except (KeyError, IndexError, TypeError, ValueError):  # edited by somebody: from the beginning
            return False
        self._decisions, self._growing = decisions, growing
        return True

    def _is_own(self, annotation: dict) -> bool:
        return _tool(annotation.get("core:generator", "")) == _tool(self.generator) and (
            self._channel is None or annotation.get(CHANNEL, self._channel) == self._channel)

    def _decision(self, a: dict) -> Decision:
        """The opposite of ``_annotation``."""
        start, confidence = a["core:sample_start"] - self._offset, a.get("radiofm:confidence")
        return Decision(
            start, a["core:sample_count"], a["core:label"], a["radiofm:unknown"],
            a.get("radiofm:nearest", ""), a.get("radiofm:model", ""), a.get("radiofm:task", ""),
            a.get("core:comment", ""),
            max(0, bisect.bisect_right(self._run_starts, start) - 1),
            a.get("core:freq_lower_edge"), a.get("core:freq_upper_edge"),
            0 if confidence is None else a["core:sample_count"], confidence or 0.0, a["radiofm:decisions"],
            cell=a.get(CELL, 0), more={name: a[f"radiofm:{name}"] for name in MORE if f"radiofm:{name}" in a})

    def _state(self) -> dict:
        """What ``global`` says of a file that is not complete."""
        if not self._settings:
            return {INCOMPLETE: True}
        order = {id(d): i for i, d in enumerate(sorted(self._decisions, key=lambda d: d.start))}
        growing = [[order[id(d)], d.weight, d.confidence] for group in self._growing.values() for d in group]
        return {INCOMPLETE: True,
                RESUME: {"settings": self._settings, "sample": self.position, "growing": growing}}

    def _leave_out_what_is_no_number(self) -> None:
        """NaN and infinite numbers in what others wrote, which JSON does not have."""
        left_out: set[str] = set()
        self._global = _finite(self._global, left_out)
        self._captures = [_finite(entry, left_out) for entry in self._captures]
        self._kept = [_finite(entry, left_out) for entry in self._kept]
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
        entries = [(a["core:sample_start"], _json(a)) for a in self._kept]
        for decision in self._decisions:
            decision.line = decision.line or _json(self._annotation(decision))
            entries.append((decision.start + self._offset, decision.line))
        entries.sort(key=lambda entry: entry[0])
        info = {**self._global, **({} if self._complete else self._state())}
        return metadata_text(info, self._captures, (line for _, line in entries))

    def _annotation(self, d: Decision) -> dict:
        entry: dict = {"core:sample_start": d.start + self._offset, "core:sample_count": d.count}
        if d.lower is not None:
            entry |= {"core:freq_lower_edge": d.lower, "core:freq_upper_edge": d.upper}
        entry |= {"core:label": d.label, "core:generator": self.generator}
        if d.comment:
            entry["core:comment"] = d.comment
        if d.weight:
            entry["radiofm:confidence"] = round(d.confidence, 6)
        if self._channel is not None:
            entry[CHANNEL] = self._channel
        entry |= {"radiofm:unknown": d.unknown, "radiofm:decisions": d.decisions}
        for key, value in (("nearest", d.nearest), ("cell", d.cell), ("model", d.model), ("task", d.task)):
            if value:
                entry[f"radiofm:{key}"] = value
        return entry | {f"radiofm:{key}": value for key, value in d.more.items()}


def metadata_text(info: dict, captures: Iterable[dict], annotations: Iterable[str]) -> str:
    """A ``.sigmf-meta`` file of its ``global`` object, captures, and annotations in JSON: a line each."""
    text = json.dumps(info, indent=2, allow_nan=False).replace("\n", "\n  ")
    return "".join(('{\n  "global": ', text, ',\n  "captures": ', _lines(map(_json, captures)),
                    ',\n  "annotations": ', _lines(annotations), "\n}\n"))


def output_path(path: str | os.PathLike) -> Path:
    """The ``.sigmf-meta`` file that ``path`` names for writing. Raises AnnotationError."""
    path = Path(path)
    if path.name.lower().endswith(ARCHIVES):
        raise AnnotationError(f"{path}: annotations are not written into archives; name a {META} file")
    if path.suffix and not path.name.lower().endswith(META):
        raise AnnotationError(f"{path}: must end in {META}; name a {META} file")
    path = base_name(path)
    path = path.with_name(path.name + META)
    if path.is_symlink():
        path = path.resolve()  # or the link would be replaced, not the file
    if not path.parent.is_dir():
        raise AnnotationError(f"{path}: folder {path.parent} does not exist; create it")
    if (path.exists() and not path.is_file()) or not os.access(path.parent, os.W_OK):
        raise AnnotationError(f"{path}: cannot be written here; choose another name or folder")
    return path


def format_datetime(moment: tuple[int, float]) -> str:
    """ISO 8601 in UTC, to the nanosecond, of (seconds since 1970, fraction). Raises ValueError for times
    that this cannot say."""
    if not (_SECONDS[0] <= moment[0] < _SECONDS[1] and 0 <= moment[1] < 1):
        raise ValueError(f"a time must lie in the years 1000 to 9999, got {moment[0]} s + {moment[1]} s")
    seconds, nanoseconds = divmod(int(moment[0]) * 10**9 + round(moment[1] * 1e9), 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09d}Z"


def _finite(value, left_out: set[str]):
    """``value`` without the fields that hold a NaN or infinite number, whose names ``left_out`` gets."""
    if not isinstance(value, dict):
        return value
    bad = {key for key, field in value.items() if not isinstance(field, dict) and not _is_json(field)}
    left_out |= bad
    return {key: _finite(field, left_out) for key, field in value.items() if key not in bad}


def _is_json(value) -> bool:
    try:
        _json(value)
    except ValueError:
        return False
    return True


def _tool(generator) -> str:
    """A generator's name without its version."""
    return re.sub(r"[\s/]+v?\d[\w.+-]*$", "", str(generator)).strip()


def _lines(entries) -> str:
    text = ",\n    ".join(entries)
    return f"[\n    {text}\n  ]" if text else "[]"


def _read_json(path: Path) -> dict | None:
    """Metadata that are written while they are not complete; None where there are none."""
    try:
        meta = metadata_schema.tidied(parse_metadata(path.read_bytes(), str(path)))[0]
    except (OSError, ValueError):
        return None
    return meta


def _progress(meta: dict | None) -> float:
    """The sample that an interrupted run came to, as its metadata say."""
    state = {} if meta is None else meta["global"].get(RESUME)
    sample = state.get("sample") if isinstance(state, dict) else None
    return sample if is_number(sample) else -1


def _version(path: Path) -> tuple | None:
    """Another one after every change of a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _json(value) -> str:
    return json.dumps(value, allow_nan=False)
