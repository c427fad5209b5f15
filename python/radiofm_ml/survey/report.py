# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What was found, counted by label: the table."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from radiofm_ml import atomic, outputs
from radiofm_ml.embeddings import Embeddings
from radiofm_ml.fewshot import UNKNOWN
from radiofm_ml.survey.naming import Names

TABLE, CSV = "table.csv", ".csv"


@dataclass(frozen=True)
class Line:
    """A label: how many signals have it, their seconds added up, the band that they lie in (Hz), the median
    of their SNR (dB), the mean of how sure their names are (NaN where nothing is taught), and in how many
    recordings they are."""

    label: str
    count: int
    seconds: float
    freq_lower_edge: float
    freq_upper_edge: float
    snr: float
    confidence: float
    recordings: int


COLUMNS = tuple(field.name for field in fields(Line))


def table(sets: Sequence[Embeddings], names: Sequence[Names]) -> list[Line]:
    """A line for each label that a signal of these recordings has: the most frequent one first, the unknown
    last."""
    columns = [np.concatenate([getattr(part, name) for part in sets] or [np.zeros(0)]) for name in (
        "sample_count", "sample_rate", "freq_lower_edge", "freq_upper_edge", "snr")]
    count, rate, lower, upper, snr = columns
    sure = np.concatenate([part.confidence for part in names] or [np.zeros(0)])
    owner = np.repeat(np.arange(len(sets)), [len(part) for part in sets])
    labels = np.array([label for part in names for label in part.labels], object)
    lines = []
    for label in dict.fromkeys(labels):
        at = labels == label
        lines.append(Line(label, int(at.sum()), float((count[at] / rate[at]).sum()), float(lower[at].min()),
                          float(upper[at].max()), float(np.median(snr[at])), float(sure[at].mean()),
                          len(set(owner[at]))))
    return sorted(lines, key=_order)


def _order(line: Line) -> tuple:
    group = re.fullmatch(rf"{UNKNOWN}(?: (\d+))?", line.label)
    if group:
        return 1, int(group[1] or 2**31), ""
    return 0, -line.count, line.label


def check_table(path: str | os.PathLike, overwrite: bool = False) -> Path:
    """``outputs.check_file`` for a table: to be said before the work. Raises OutputError."""
    return outputs.check_file(path, CSV, _is_table, overwrite=overwrite)


def write_table(path: str | os.PathLike, lines: Sequence[Line], *, overwrite: bool = False) -> None:
    """The table as CSV, in Hz, seconds and dB; a number that is not known is left out. Raises OutputError,
    OSError."""
    path = check_table(path, overwrite)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow([_cell(value) for value in astuple(line)])
    atomic.write_text(path, text.getvalue())


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.12g}"
    return value


def _is_table(path: Path) -> bool:
    """Does it begin as ``write_table`` begins?"""
    head = ",".join(COLUMNS).encode() + b"\n"
    try:
        with open(path, "rb") as file:
            return file.read(len(head)) == head
    except OSError:
        return False
