# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Recordings in, embeddings and annotations out: what the command line and the flowgraphs agree on.

A recording's tiles lie on one grid from its first sample to its last; a tail that is long enough, or a
recording shorter than a tile, is completed with its own samples (``SpectrogramSpec.padded_length``).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from radiofm_ml import embeddings
from radiofm_ml.embeddings import Embeddings, band_edges
from radiofm_ml.engines import Engine
from radiofm_ml.fewshot import UNKNOWN, FewShot
from radiofm_ml.sigmf.annotations import AnnotationWriter
from radiofm_ml.sigmf.container import META
from radiofm_ml.sigmf.jobs import Outcome, plan, run
from radiofm_ml.sigmf.recording import Recording
from radiofm_ml.sigmf.tiles import tile_batches, tile_frequency
from radiofm_ml.spectrogram import occupied_band

Progress = Callable[[int, int], None]  # (tiles done, tiles in all)


def embed_batches(recording: Recording, engine: Engine, batch: int = 16,
                  progress: Progress | None = None) -> Iterator[tuple[Embeddings, np.ndarray]]:
    """(Embeddings, bands) of ``batch`` tiles at a time; bands: float64 (n, 2), see ``occupied_band``."""
    spec, n_samples = engine.spec, recording.n_samples
    n_tiles, rate = spec.n_tiles(n_samples), recording.sample_rate
    for first, tiles in tile_batches(recording, spec, batch):
        index = np.arange(first, first + len(tiles), dtype=np.int64)
        starts = index * spec.stride
        bands = np.array([occupied_band(tile, spec) for tile in tiles])
        frequencies = [tile_frequency(recording, spec, int(k)) for k in index]
        edges = np.array([band_edges(b, rate, f) for b, f in zip(bands, frequencies, strict=True)])
        yield Embeddings(engine.embed(tiles), starts, np.minimum(spec.samples_per_tile, n_samples - starts),
                         np.full(len(tiles), math.nan if rate is None else rate),
                         np.array([math.nan if f is None else f for f in frequencies]),
                         edges[:, 0], edges[:, 1], engine.bundle.id), bands
        if progress:
            progress(first + len(tiles), n_tiles)


def embed_recording(recording: Recording, engine: Engine, batch: int = 16,
                    progress: Progress | None = None) -> Embeddings:
    """Embeddings of every tile of a recording. Raises RecordingError."""
    return Embeddings.join([part for part, _ in embed_batches(recording, engine, batch, progress)])


def annotate_recording(recording: Recording, engine: Engine, classifier: FewShot, writer: AnnotationWriter, *,
                       batch: int = 16, task: str = "", progress: Progress | None = None) -> int:
    """Classify every tile of a recording and add what was decided to ``writer``, which must be started.

    Tiles are decided one after the other, as in a flowgraph. Returns the number of tiles. Raises
    RecordingError, AnnotationError.
    """
    count = 0
    for part, bands in embed_batches(recording, engine, batch, progress):
        for i in range(len(part)):
            decision = classifier.predict(part.embedding[i:i + 1])
            classifier.observe(part.embedding[i:i + 1], decision)
            start, length = int(part.sample_start[i]), int(part.sample_count[i])
            # the writer wants edges at the centre frequency of the annotation's last sample
            frequency = recording.capture_at(start + length - 1).frequency
            lower, upper = band_edges(tuple(bands[i]), recording.sample_rate, frequency)
            label = classifier.labels[decision.index[0]] if decision.index[0] >= 0 else UNKNOWN
            writer.add(start, length, label, freq_lower=None if math.isnan(lower) else lower,
                       freq_upper=None if math.isnan(upper) else upper,
                       confidence=float(decision.confidence()[0]), unknown=bool(decision.unknown[0]),
                       model=part.model, task=task)
        count += len(part)
    return count


def embed_all(source: str | os.PathLike, target: str | os.PathLike, engine: Engine, batch: int = 16,
              progress: Progress | None = None) -> Iterator[Outcome]:
    """``embed_recording`` for a recording or a folder, see ``plan`` and ``run``; results: number of tiles."""

    def work(recording: Recording, output: Path) -> int:
        embedded = embed_recording(recording, engine, batch, progress)
        embedded.save(output)
        return len(embedded)

    return run(plan(source, target, embeddings.SUFFIX), work)


def annotate_all(source: str | os.PathLike, target: str | os.PathLike, engine: Engine,
                 new_classifier: Callable[[], FewShot], *, batch: int = 16, task: str = "",
                 progress: Progress | None = None, **writer) -> Iterator[Outcome]:
    """``annotate_recording`` for a recording or a folder, each with a classifier of its own.

    writer: further arguments of ``AnnotationWriter``. Results: number of tiles.
    """

    def work(recording: Recording, output: Path) -> int:
        with AnnotationWriter(output, recording, **writer) as annotations:
            return annotate_recording(recording, engine, new_classifier(), annotations,
                                      batch=batch, task=task, progress=progress)

    return run(plan(source, target, META), work)
