# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Recordings, of SigMF and of files without metadata, read in pieces as complex64 at full scale 1.0.

Sample indexes here count from 0 at the first sample of the dataset. SigMF's own are absolute: they begin
at ``core:offset``, which ``Recording.offset`` keeps and ``annotations.AnnotationWriter`` adds again.
"""

from __future__ import annotations

import bisect
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import numpy as np

from radiofm_ml.sigmf import foreign, metadata_schema
from radiofm_ml.sigmf.container import Container, find_container, stem
from radiofm_ml.sigmf.errors import RecordingError, one_line, shown
from radiofm_ml.sigmf.folders import find_recordings
from radiofm_ml.sigmf.raw_files import UnknownTypeError
from radiofm_ml.sigmf.sample_types import LARGEST, SampleType
from radiofm_ml.sigmf.stated import NOTHING, Stated
from radiofm_ml.sigmf.times import later, parse_datetime

__all__ = ["Annotation", "Capture", "Recording", "RecordingError", "Stated", "find_recordings", "later",
           "open_recording", "parse_datetime"]

_log = logging.getLogger(__name__)
_BLOCK = 1 << 21  # bytes read from the file at once
CHANNEL = "radiofm:channel"  # of an annotation in a recording with several channels
UNKNOWN = "unknown"  # a label that says there is none


@dataclass(frozen=True)
class Capture:
    """A capture segment: what held from ``sample_start`` until the next one.

    By the standard what a segment states holds in that segment only, and edges are relative to baseband where
    the centre frequency is not known; time, though, goes on by the samples.

    sample_start  index of its first sample
    frequency     centre frequency in Hz; 0 (baseband) where only other segments state one; None where none
                  does
    time          (whole seconds since 1970, fraction) at ``sample_start``: as stated, else from the segments
                  before, moved on by the samples between, lost ones (``core:global_index``) included; None
                  where they do not tell it
    meta          the segment as it stands in the metadata
    """

    sample_start: int
    frequency: float | None = None
    time: tuple[int, float] | None = None
    meta: dict = field(default_factory=dict, repr=False)

    @property
    def datetime(self) -> datetime | None:
        """``time`` as a datetime in UTC (to the microsecond, which is all it can hold); None also where it
        lies outside of the years 1 to 9999."""
        if self.time is None:
            return None
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        try:
            return epoch + timedelta(seconds=self.time[0], microseconds=round(self.time[1] * 1e6))
        except OverflowError:
            return None


@dataclass(frozen=True)
class Annotation:
    """An annotation of the metadata, the part of it that lies in the dataset.

    ``label`` without white space around it, '' where not stated; edges in Hz, both or neither.
    """

    sample_start: int
    sample_count: int
    label: str = ""
    freq_lower: float | None = None
    freq_upper: float | None = None
    generator: str | None = None
    meta: dict = field(default_factory=dict, repr=False)

    @property
    def is_named(self) -> bool:
        """Does the label say what it is? Not where it is empty, 'unknown' or 'unknown 3'; such a one teaches
        nothing."""
        word, _, number = self.label.casefold().partition(" ")
        return bool(self.label) and not (word == UNKNOWN and (not number or number.isdigit()))


class Recording:
    """One channel of a recording. Made by ``open_recording``; safe to read, and to close, from several
    threads.

    path          metadata file, archive, or file without metadata that it was opened from
    data_path     file that holds the samples (the archive, for an archive)
    meta          the metadata, validated, sorted by sample_start
    n_samples     whole samples that are there
    sample_rate   in samples per second, None where not stated
    datatype      ``core:datatype``
    num_channels  interleaved channels; ``channel`` is the one that ``read`` gives
    offset        ``core:offset``: the absolute index of sample 0
    captures      list of Capture; the first one always starts at sample 0
    annotations   list of Annotation, less those that say that they are of another channel
    warnings      what was odd about the recording, a sentence each (also logged)
    assumed       what was taken for what no metadata say, and lines that show why (logged as information)
    bad_samples   samples read so far that were NaN, infinite or beyond LARGEST and became zero
    """

    def __init__(self, container: Container, channel: int = 0):
        self.path = container.path
        self.data_path = container.data_path
        self.archived = container.archived
        self.channel = channel
        self.warnings: list[str] = []
        self.assumed = container.assumed
        for line in self.assumed:
            _log.info("%s", one_line(f"{self.path}: {line}"))
        for line in container.warnings:
            self.warn(line)
        self.bad_samples = 0
        self._container = container
        self._lock = threading.Lock()  # of _opened and bad_samples
        self._opened: _OpenFile | None = None

        self.sample_type = self._sample_type(container.metadata)
        self.meta = self._validated(container.metadata)
        info = self.meta["global"]
        self.datatype = self.sample_type.name
        self.num_channels = int(info.get("core:num_channels", 1))
        self.offset = int(info.get("core:offset", 0))
        rate = info.get("core:sample_rate")
        self.sample_rate = None if rate is None else float(rate)
        if not 0 <= channel < self.num_channels:
            raise RecordingError(f"{self.path}: has no channel {channel}; choose 0..{self.num_channels - 1}")
        self._refuse_foreign()
        self._segments = self._lay_out()
        self._segment_starts = [start for start, _, _ in self._segments]
        self.n_samples = sum(count for _, count, _ in self._segments)
        if self.n_samples == 0:
            raise RecordingError(f"{self.path}: holds no samples; record it again")
        self.captures = self._read_captures()
        self._capture_starts = [c.sample_start for c in self.captures]
        self.annotations = self._read_annotations()
        self._say_what_is_special()

    # -- samples ------------------------------------------------------------------------------------
    def read(self, start: int = 0, count: int | None = None) -> np.ndarray:
        """Samples [start, start + count), fewer at the end of the recording; all from ``start`` on if None.

        Returns complex64 (n,), full scale 1.0 for fixed-point types (see ``SampleType``), as stored for
        floats; NaN and infinite samples are zero. Raises RecordingError if the file can no longer be
        read, ValueError for a negative start or count.
        """
        if start < 0 or (count is not None and count < 0):
            raise ValueError(f"start and count must not be negative, got {start}, {count}")
        start = min(start, self.n_samples)
        stop = self.n_samples if count is None else min(start + count, self.n_samples)
        out = np.empty(stop - start, np.complex64)
        self.read_into(start, out)
        return out

    def read_into(self, start: int, out: np.ndarray) -> None:
        """Fill ``out`` (complex64, contiguous) with the samples from ``start`` on, which must all exist."""
        if start < 0 or start + len(out) > self.n_samples:
            raise ValueError(f"samples {start} to {start + len(out)} of {self.n_samples} do not all exist")
        done = 0
        while done < len(out):
            index = bisect.bisect_right(self._segment_starts, start + done) - 1
            first, length, position = self._segments[index]
            skip = start + done - first
            n = min(len(out) - done, length - skip, max(1, _BLOCK // self._frame_size))
            self._read_piece(position + skip * self._frame_size, out[done:done + n])
            done += n

    def close(self) -> None:
        """Let go of the file, as soon as nobody reads from it; the next read opens it again."""
        with self._lock:
            self._opened = None

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __len__(self) -> int:
        return self.n_samples

    def __repr__(self) -> str:
        return (f"Recording({str(self.path)!r}, {self.datatype}, {self.n_samples} samples, "
                f"rate {self.sample_rate}, {len(self.captures)} capture(s))")

    # -- metadata -----------------------------------------------------------------------------------
    def capture_at(self, sample: int) -> Capture:
        """The capture segment that ``sample`` lies in."""
        return self.captures[max(0, bisect.bisect_right(self._capture_starts, sample) - 1)]

    def time_at(self, sample: int) -> tuple[int, float] | None:
        """(seconds since 1970, fraction) of ``sample``; None where its capture or the rate says nothing."""
        capture = self.capture_at(sample)
        return later(capture.time, sample - capture.sample_start, self.sample_rate)

    @property
    def name(self) -> str:
        """The recording's name, without an ending."""
        return stem(self.path)

    @property
    def label(self) -> str | None:
        """What the recording is a recording of: a global ``<extension>:label``, else the one label that
        all its annotations share, else None."""
        for key, value in self.meta["global"].items():
            if key.endswith(":label") and isinstance(value, str):
                return value
        labels = {a.label for a in self.annotations}
        return labels.pop() if len(labels) == 1 and self.annotations[0].is_named else None

    @property
    def dataset_bytes(self) -> int:
        """Size of the dataset as it is stored, headers included."""
        return self._stored_size()

    def dataset_pieces(self) -> Iterator[np.ndarray]:
        """The dataset as it is stored, in pieces of uint8. Raises RecordingError."""
        size = self._stored_size()
        for position in range(0, size, 1 << 20):
            piece = np.empty(min(1 << 20, size - position), np.uint8)
            self._read_bytes(position, piece)
            yield piece

    # -- reading ------------------------------------------------------------------------------------
    @property
    def _frame_size(self) -> int:
        return self.sample_type.size * self.num_channels

    def _read_piece(self, position: int, out: np.ndarray) -> None:
        raw = np.empty((len(out), self.num_channels, self.sample_type.components), self.sample_type.component)
        self._read_bytes(position, raw.reshape(-1).view(np.uint8))
        bad = self.sample_type.to_complex(raw[:, self.channel], out)
        if bad:
            with self._lock:
                first, self.bad_samples = not self.bad_samples, self.bad_samples + bad
            if first:
                self.warn(f"holds samples that are NaN, infinite or beyond {LARGEST:g}, where 1 is full "
                          "scale; they are read as zero")

    def _read_bytes(self, position: int, target: np.ndarray) -> None:
        """pread, not a memory map: a file that shrinks meanwhile is an error then, not a bus error."""
        opened = self._open()
        view, position = memoryview(target), position + self._container.offset
        while view:
            try:
                n = os.preadv(opened.handle, [view], position)
            except OSError as error:
                raise RecordingError(f"{self.data_path}: cannot be read: {error.strerror}") from None
            if n == 0:
                raise RecordingError(f"{self.data_path}: shrank while it was read; wait until it is complete")
            view, position = view[n:], position + n

    def _open(self) -> _OpenFile:
        """Who reads keeps what this returns until it is done: it is closed when nobody has it any more."""
        with self._lock:
            if self._opened is None:
                try:
                    self._opened = _OpenFile(self._container.open())
                except OSError as error:
                    reason = error.strerror or error
                    raise RecordingError(f"{self.data_path}: cannot be opened: {reason}") from None
            return self._opened

    def _stored_size(self) -> int:
        """Bytes of the dataset that are really there (an archive may be cut off)."""
        if not self.archived:
            return self._container.size
        there = os.fstat(self._open().handle).st_size - self._container.offset
        return max(0, min(self._container.size, there))

    # -- checks -------------------------------------------------------------------------------------
    def warn(self, text: str) -> None:
        """Add to ``warnings``, and log it."""
        self.warnings.append(text)
        _log.warning("%s", one_line(f"{self.path}: {text}"))

    def _sample_type(self, metadata: dict) -> SampleType:
        info = metadata.get("global")
        if not isinstance(info, dict):
            raise RecordingError(f"{self.path}: is not SigMF metadata (no 'global' object); write it again")
        if "core:datatype" not in info:
            raise RecordingError(f"{self.path}: does not say its core:datatype; add it, e.g. \"ci16_le\"")
        try:
            sample_type = SampleType.parse(info["core:datatype"])
        except ValueError as error:
            raise RecordingError(f"{self.path}: {error}") from None
        if sample_type.endian_missing:
            self.warn(f"datatype {sample_type.name!r} does not say _le or _be; read as little-endian")
        return sample_type

    def _validated(self, metadata: dict) -> dict:
        """A sorted copy that keeps the standard's schema, or RecordingError naming the key."""
        try:
            meta, notes = metadata_schema.tidied(metadata)
        except ValueError as error:
            raise RecordingError(f"{self.path}: breaks the SigMF schema at {error}; correct it") from None
        try:
            metadata_schema.check_extensions(meta)
        except ValueError as error:
            raise RecordingError(f"{self.path}: {error}") from None
        for note in notes:
            self.warn(note)
        for section in ("captures", "annotations"):
            self._sort(meta[section], section)
        return meta

    def _refuse_foreign(self) -> None:
        """RecordingError where the dataset is a file of another format, or compressed."""
        if any(c.get("core:header_bytes") for c in self.meta["captures"][:1]):
            return  # another format, and where its samples begin is stated
        head = np.empty(min(foreign.HEAD, self._stored_size()), np.uint8)
        self._read_bytes(0, head)
        if not self.archived:
            self.close()
        if kind := foreign.kind_of(head.tobytes()):
            cure = ("unpack it" if kind.startswith("compressed") else
                    "convert it, or state where its samples begin (core:header_bytes)")
            what = f"{self.path}: the dataset in it" if self.archived else f"{self.data_path}:"
            raise RecordingError(f"{what} is {kind}, not samples; {cure}")

    def _say_what_is_special(self) -> None:
        if self.num_channels > 1:
            self.warn(f"has {self.num_channels} interleaved channels; channel {self.channel} is read, "
                       "the others are not")
        if not self.sample_type.is_complex:
            self.warn("holds real samples: the negative half of its spectrum mirrors the positive one; "
                       "bands are found in the positive")

    def _sort(self, items: list, section: str) -> None:
        starts = [item["core:sample_start"] for item in items]
        if starts == sorted(starts):
            return
        if section == "captures" and any(c.get("core:header_bytes") for c in items):
            raise RecordingError(f"{self.path}: captures are out of order and have header_bytes, so that "
                                 "the samples cannot be found; sort them by core:sample_start")
        self.warn(f"{section} are out of order; sorted by core:sample_start")
        items.sort(key=lambda item: item["core:sample_start"])

    def _lay_out(self) -> list[tuple[int, int, int]]:
        """Where the samples lie: (first sample, samples, byte position) of every unbroken stretch.

        A capture's header_bytes stand before its first sample; trailing_bytes end the dataset.
        """
        stored = self._stored_size()
        if stored < self._container.size:
            self.warn(f"the archive ends {self._container.size - stored} bytes before its dataset does")
        end = max(0, stored - int(self.meta["global"].get("core:trailing_bytes", 0)))
        segments, at, position = [], 0, 0
        for capture in [*self.meta["captures"], None]:
            if capture is not None and not capture.get("core:header_bytes"):
                continue
            count = max(0, end - position) // self._frame_size
            if capture is not None:
                count = min(count, max(0, int(capture["core:sample_start"]) - self.offset) - at)
            if count > 0:
                segments.append((at, count, position))
                at, position = at + count, position + count * self._frame_size
            if end - position < self._frame_size:
                break
            if capture is not None:
                position += int(capture["core:header_bytes"])
        if segments and end != position:
            self.warn(f"ends within a sample or header, {end - position} bytes after the last whole sample")
        return segments

    def _read_captures(self) -> list[Capture]:
        entries = self._entries_inside()
        tuned = any("core:frequency" in entry for _, entry in entries)
        baseband = 0.0 if tuned else None
        captures: list[Capture] = []
        for (start, entry), time in zip(entries, self._times(entries), strict=True):
            if start < 0:  # began in an earlier part of a split recording
                start, time = 0, later(time, -start, self.sample_rate)
            if captures and captures[-1].sample_start == start:
                captures.pop()  # an empty segment
            captures.append(Capture(start, float(entry["core:frequency"]) if "core:frequency" in entry
                                    else baseband, time, entry))
        if not captures or captures[0].sample_start > 0:
            captures.insert(0, Capture(0, baseband))
        silent = [c.sample_start for c in captures if "core:frequency" not in c.meta]
        if tuned and silent:
            self.warn(f"does not state core:frequency for {len(silent)} of {len(captures)} capture segments "
                       f"(from sample {silent[0]}); frequencies are relative to baseband there")
        return captures

    def _entries_inside(self) -> list[tuple[int, dict]]:
        """(first sample, from the dataset's first on, entry) of the captures, less those behind its end."""
        entries = []
        for entry in self.meta["captures"]:
            start = int(entry["core:sample_start"]) - self.offset
            if start >= self.n_samples:
                self.warn(f"a capture begins at sample {start}, past the end at {self.n_samples}; "
                           "it and those after it are ignored")
                break
            entries.append((start, entry))
        return entries

    def _times(self, entries: list[tuple[int, dict]]) -> list[tuple[int, float] | None]:
        """The time at which each capture begins. Samples that ``core:global_index`` says were lost count."""
        times, clock, lost, index, before = [], None, [], 0, None
        for start, entry in entries:
            index = start + self.offset if before is None else index + start - before
            stated = entry.get("core:global_index", index)
            if stated < index and before is not None:
                self.warn(f"core:global_index goes back at sample {start}; taken for no gap")
            else:
                if stated > index and before is not None:
                    lost.append((start, stated - index))
                index = stated
            before = start
            time = self._time(entry.get("core:datetime"))
            if time is not None:
                clock = time, index
            elif clock is not None:
                time = later(clock[0], index - clock[1], self.sample_rate)
            times.append(time)
        if lost:
            self.warn(f"{sum(n for _, n in lost)} samples were lost while it was recorded "
                       f"(core:global_index; first before sample {lost[0][0]}); times allow for them")
        return times

    def _time(self, text: str | None) -> tuple[int, float] | None:
        if text is None:
            return None
        try:
            return parse_datetime(text)
        except ValueError:
            self.warn(f"core:datetime {shown(text)} is not like 2026-01-31T12:00:00.5Z; left out")
            return None

    def _read_annotations(self) -> list[Annotation]:
        annotations, outside, edgeless, descending = [], 0, 0, 0
        for entry in self.meta["annotations"]:
            if self.num_channels > 1 and entry.get(CHANNEL, self.channel) != self.channel:
                continue
            start = int(entry["core:sample_start"]) - self.offset
            count = entry.get("core:sample_count")
            if count is None:  # by the standard: up to the end of its capture
                after = bisect.bisect_right(self._capture_starts, start)
                count = max(0, (self._capture_starts + [self.n_samples])[after] - start)
            if start >= self.n_samples or (start < 0 and start + count <= 0):
                outside += 1
                continue
            if start < 0:  # began in an earlier part of a split recording
                start, count = 0, count + start
            lower, upper = entry.get("core:freq_lower_edge"), entry.get("core:freq_upper_edge")
            if (lower is None) != (upper is None):
                edgeless, lower, upper = edgeless + 1, None, None
            elif lower is not None and lower > upper:
                descending, lower, upper = descending + 1, upper, lower
            label = entry.get("core:label", "").strip()
            annotations.append(Annotation(start, int(count), label, lower, upper, entry.get("core:generator"),
                                          entry))
        for number, text in ((outside, "lie outside the samples; left out"),
                             (edgeless, "state one frequency edge only; taken for none"),
                             (descending, "have their frequency edges the wrong way round; exchanged")):
            if number:
                self.warn(f"{number} of {len(self.meta['annotations'])} annotations {text}")
        return annotations


class _OpenFile:
    """An open file that closes when the last one who holds it lets it go."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.handle = file.fileno()

    def __del__(self):
        self._file.close()


def open_recording(path: str | os.PathLike, channel: int = 0, stated: Stated = NOTHING) -> Recording:
    """Open a recording.

    path: the ``.sigmf-meta`` or ``.sigmf-data`` file or their base name, a ``.sigmf`` archive (also .gz, .xz,
    .zip), archive/name for one of several recordings in it, or a raw or WAV file (docs/files.md); channel:
    which interleaved channel to read; stated: what the file does not say.
    Raises RecordingError: one line that names the file and the cure.
    """
    try:
        container = find_container(path, stated)
    except UnknownTypeError as error:
        for line in error.histograms:
            _log.info("%s", one_line(line))
        raise
    return Recording(container, channel)
