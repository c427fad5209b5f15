# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A survey's table and pictures, made anew from its annotations after these were renamed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from radiofm_ml.embeddings import SUFFIX, Embeddings
from radiofm_ml.outputs import PICTURE
from radiofm_ml.sigmf.container import META
from radiofm_ml.sigmf.recording import CHANNEL, Recording, open_recording
from radiofm_ml.survey.naming import Names
from radiofm_ml.survey.report import TABLE, table, write_table
from radiofm_ml.survey.run import TASK, WATERFALL, draw


def annotations_of(folder: Path) -> list[Path]:
    """The files of annotations that a survey has written into a folder: those with embeddings beside them."""
    return sorted(path for path in folder.rglob(f"*{META}") if _beside(path, SUFFIX).is_file())


def renew(folder: Path) -> None:
    """Write the table and the pictures of a survey anew. Raises ValueError, OSError."""
    sets, names = [], []
    for path in annotations_of(folder):
        with open_recording(path) as recording:
            channel = next((int(a[CHANNEL]) for a in recording.meta["annotations"] if CHANNEL in a), 0)
        with open_recording(path, channel) as recording:
            signals, called = _read(recording, Embeddings.load(_beside(path, SUFFIX)))
            picture = _beside(path, PICTURE)
            draw(recording, picture if picture.is_file() else folder / WATERFALL, signals, called)
        sets.append(signals)
        names.append(called)
    write_table(folder / TABLE, table(sets, names))


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name[:-len(META)] + ending)


def _read(recording: Recording, signals: Embeddings) -> tuple[Embeddings, Names]:
    """The signals that are annotated still, and what they are called."""
    found = {}
    for annotation in recording.annotations:
        row = annotation.meta.get("radiofm:signal")
        if annotation.meta.get("radiofm:task") == TASK and isinstance(row, int) and 0 <= row < len(signals):
            found[row] = annotation
    rows = np.array(sorted(found), np.int64)
    notes = [found[row] for row in rows.tolist()]
    columns = {name: value[rows] for name, value in vars(signals).items() if isinstance(value, np.ndarray)}
    names = Names([note.label for note in notes], [note.label for note in notes],
                  np.array([bool(note.meta.get("radiofm:unknown")) for note in notes], bool),
                  np.array([note.meta.get("radiofm:confidence", np.nan) for note in notes], np.float64),
                  np.zeros(len(rows), np.int64))
    return replace(signals, **columns), names
