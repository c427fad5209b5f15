# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Annotations as tables: a line each, as CSV or as JSON lines like rtl_433's, and counted by label."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from radiofm_ml import atomic, files, outputs
from radiofm_ml.arguments import is_number
from radiofm_ml.sigmf.recording import UNKNOWN, Annotation, Recording
from radiofm_ml.sigmf.times import format_datetime

CSV, JSON_LINES = ".csv", ".jsonl"
_SNR = re.compile(r"SNR (-?\d+(?:\.\d+)?) dB")  # as 'radiofm detect' comments


@dataclass(frozen=True)
class Line:
    """An annotation. start, duration: seconds, from the recording's first sample on. time: UTC, to the
    nanosecond. Edges in Hz, snr in dB. What is not known is None."""

    recording: str
    label: str
    sample_start: int
    sample_count: int
    start: float | None
    duration: float | None
    time: str | None
    freq_lower_edge: float | None
    freq_upper_edge: float | None
    confidence: float | None
    unknown: bool
    snr: float | None
    comment: str
    generator: str


_COLUMNS = tuple(field.name for field in fields(Line))


def lines_of(recording: Recording) -> list[Line]:
    """A line for each annotation of a recording."""
    return [_line(recording, annotation) for annotation in recording.annotations]


def _line(recording: Recording, a: Annotation) -> Line:
    rate, moment = recording.sample_rate, recording.time_at(a.sample_start)
    try:
        time = None if moment is None else format_datetime(moment)
    except ValueError:
        time = None
    comment = a.meta.get("core:comment", "")
    comment = comment if isinstance(comment, str) else ""
    snr = _number(a.meta.get("radiofm:snr_db"))
    if snr is None and (match := _SNR.fullmatch(comment)):
        snr = float(match[1])
    start, duration = (None if rate is None else n / rate for n in (a.sample_start, a.sample_count))
    return Line(str(recording.path), a.label, a.sample_start, a.sample_count, start, duration, time,
                a.freq_lower, a.freq_upper, _number(a.meta.get("radiofm:confidence")),
                bool(a.meta.get("radiofm:unknown", not a.is_named)), snr, comment,
                a.generator or "")


def _number(value: object) -> float | None:
    return float(value) if is_number(value) else None


def write_lines(path: str | os.PathLike, lines: Sequence[Line], *, overwrite: bool = False,
                sources: Iterable[str | os.PathLike] = ()) -> None:
    """Write lines as the ending of ``path`` says. Raises OutputError, OSError."""
    ending = JSON_LINES if Path(path).name.lower().endswith(JSON_LINES) else CSV
    path = outputs.check_file(path, ending, is_lines, overwrite=overwrite, sources=sources)
    atomic.write_text(path, _json_lines(lines) if ending == JSON_LINES else _csv(lines))


def is_lines(path: Path) -> bool:
    """Did ``write_lines`` write it?"""
    try:
        with files.open_regular(path) as file:
            head = file.readline(1 << 16)
        return head == (",".join(_COLUMNS) + "\n").encode() or (
            {"model", "sample_start"} <= json.loads(head).keys())
    except (OSError, ValueError, AttributeError):
        return False


def _csv(lines: Sequence[Line]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for line in lines:
        writer.writerow(["" if value is None else repr(value) if isinstance(value, float) else value
                         for value in astuple(line)])
    return text.getvalue()


def _json_lines(lines: Sequence[Line]) -> str:
    return "".join(json.dumps(_as_rtl_433(line), allow_nan=False) + "\n" for line in lines)


def _as_rtl_433(line: Line) -> dict:
    """With rtl_433's keys where it has them: time ('@1.5s' from the beginning where no date is known), model,
    freq in MHz, snr in dB."""
    time = line.time or (f"@{line.start:.6f}s" if line.start is not None else None)
    centre = None if line.freq_lower_edge is None else (line.freq_lower_edge + line.freq_upper_edge) / 2e6
    found = {"time": time, "model": line.label or UNKNOWN, "freq": centre, "snr": line.snr,
             "duration": line.duration, "confidence": line.confidence, "unknown": line.unknown,
             "freq_lower_edge": line.freq_lower_edge, "freq_upper_edge": line.freq_upper_edge,
             "sample_start": line.sample_start, "sample_count": line.sample_count, "comment": line.comment,
             "recording": line.recording}
    return {key: value for key, value in found.items() if value not in (None, "")}


@dataclass
class Count:
    """How many annotations have a label, their seconds added up (None without a rate), and how sure they are,
    the mean over their samples (None where none says)."""

    label: str
    count: int = 0
    seconds: float | None = 0.0
    confidence: float | None = None
    _sure: float = 0.0
    _weight: float = 0.0

    def add(self, annotation: dict, rate: object) -> None:
        samples = annotation.get("core:sample_count") or 0
        self.count += 1
        known = is_number(rate) and self.seconds is not None
        self.seconds = self.seconds + samples / rate if known else None
        if is_number(sure := annotation.get("radiofm:confidence")):
            self._sure, self._weight = self._sure + sure * samples, self._weight + samples
            self.confidence = self._sure / self._weight if self._weight else float(sure)


def counted(metadata: Iterable[dict], generator: str) -> list[Count]:
    """The annotations that ``generator`` has made, counted by label: the longest first, the unknown last."""
    found: dict[str, Count] = {}
    for meta in metadata:
        for annotation in meta["annotations"]:
            if annotation.get("core:generator") == generator:
                label = annotation.get("core:label", "")
                found.setdefault(label, Count(label)).add(annotation, meta["global"].get("core:sample_rate"))
    return sorted(found.values(), key=lambda c: (c.label.startswith(UNKNOWN), -(c.seconds or 0), c.label))
