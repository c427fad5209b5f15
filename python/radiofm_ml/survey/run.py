# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A survey of one recording or of many.

First the signals of every recording are found and embedded, into an ``.npz`` each (``find``): that takes
long, and what is there and was made of the same recording in the same way is kept. Then all are named
together, and annotations, table and pictures are written anew (``write``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from radiofm_ml import outputs
from radiofm_ml.embeddings import SUFFIX, Embeddings, EmbeddingsError
from radiofm_ml.fewshot import FewShot
from radiofm_ml.fewshot.groups import Groups
from radiofm_ml.pipeline import Progress
from radiofm_ml.plots.recording import draw_recording
from radiofm_ml.plots.waterfall import Box
from radiofm_ml.sigmf.annotations import AnnotationWriter
from radiofm_ml.sigmf.container import base_name
from radiofm_ml.sigmf.jobs import Job, Outcome, attempt, run
from radiofm_ml.sigmf.recording import Recording
from radiofm_ml.signals import SignalEncoder
from radiofm_ml.survey.naming import Names, name_signals
from radiofm_ml.survey.report import Line, table
from radiofm_ml.survey.signals import Detection, source_of, write_signals

TASK = "survey"
WATERFALL = "waterfall.png"


def embeddings_of(job: Job) -> Path:
    """Where the signals of a recording are kept, beside its annotations."""
    return base_name(job.output).with_name(base_name(job.output).name + SUFFIX)


def find(jobs: Sequence[Job], encoder: SignalEncoder, detection: Detection, batch: int = 16,
         progress: Progress | None = None, *, overwrite: bool = False) -> Iterator[Outcome]:
    """The signals of each recording, see ``jobs.run``; results: how many."""

    def work(recording: Recording, output: Path) -> int:
        path = embeddings_of(Job(recording.path, output))
        kept = _kept(path)
        if kept is not None and kept.source == source_of(recording, encoder, detection):
            return len(kept)
        return write_signals(path, recording, encoder, detection, batch, progress, overwrite)

    return run(jobs, work)


def _kept(path: Path) -> Embeddings | None:
    try:
        return Embeddings.load(path)
    except EmbeddingsError:
        return None


def write(jobs: Sequence[Job], few: FewShot, groups: Groups | None, pictures: Sequence[Path], *,
          overwrite: bool = False, **writer) -> tuple[list[Line], Iterator[Outcome]]:
    """The table of all signals that ``find`` has found, and the work that writes annotations and pictures,
    results: signals. groups: for the unknown, if any. pictures: a file for each job. writer: arguments of
    ``AnnotationWriter``."""
    sets = [Embeddings.load(embeddings_of(job)) for job in jobs]
    names = name_signals(sets, few, groups)
    parts = {job.output: part for job, part in zip(jobs, zip(sets, names, pictures, strict=True),
                                                   strict=True)}

    def work(recording: Recording, output: Path) -> int:
        signals, called, picture = parts[output]
        picture = outputs.check_picture(picture, overwrite)
        annotate(recording, output, signals, called, overwrite=overwrite, **writer)
        draw(recording, picture, signals, called)
        return len(signals)

    return table(sets, names), (attempt(job, work) for job in jobs)


def annotate(recording: Recording, output: Path, signals: Embeddings, names: Names, **writer) -> None:
    """An annotation for each signal. Raises AnnotationError."""
    channel = recording.channel if recording.num_channels > 1 else None
    with AnnotationWriter(output, recording, channel=channel, merge=False, **writer) as annotations:
        for i in np.argsort(signals.sample_start, kind="stable").tolist():
            sure = float(names.confidence[i])
            annotations.add(
                int(signals.sample_start[i]), int(signals.sample_count[i]), names.nearest[i],
                freq_lower=float(signals.freq_lower_edge[i]), freq_upper=float(signals.freq_upper_edge[i]),
                confidence=None if np.isnan(sure) else sure, unknown=bool(names.unknown[i]),
                group=names.labels[i], cell=int(names.cell[i]), model=signals.model, task=TASK,
                comment=f"SNR {signals.snr[i]:.1f} dB", more={
                    "signal": i, "snr_db": round(float(signals.snr[i]), 2),
                    "bandwidth": round(float(signals.bandwidth[i]), 1)})


def draw(recording: Recording, path: Path, signals: Embeddings, names: Names) -> None:
    """A picture of the recording with a box for each signal. Raises OSError, RecordingError."""
    centre = recording.captures[0].frequency or 0.0
    shift = np.nan_to_num(signals.rx_freq) - centre  # boxes are drawn where they lie in the received band
    lower, upper = signals.freq_lower_edge - shift, signals.freq_upper_edge - shift
    starts = signals.sample_start
    boxes = [Box(*place, label, low, high, unknown) for *place, label, low, high, unknown in zip(
        starts.tolist(), (starts + signals.sample_count).tolist(), names.labels, lower.tolist(),
        upper.tolist(), names.unknown.tolist(), strict=True)]
    draw_recording(path, recording, boxes)
