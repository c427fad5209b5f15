# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""From a recording to its signals, one embedding each, in constant memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from radiofm_ml.detect.cutter import CutOut
from radiofm_ml.detect.settings import Settings
from radiofm_ml.detect.stream import Box, joined, together
from radiofm_ml.embeddings import EmbeddingFile, Embeddings
from radiofm_ml.pipeline import Progress, cut_signals, digest_of
from radiofm_ml.sigmf.jobs import Job, Outcome, run
from radiofm_ml.sigmf.recording import Recording
from radiofm_ml.signals import Evidence, SignalEncoder

_ROWS = 256  # signals that are written at once


@dataclass(frozen=True)
class Detection:
    """How signals are found: what counts as one, and the rows of the spectrogram that they are found in
    (see ``pipeline.detect_parts``)."""

    settings: Settings = field(default_factory=Settings)
    fft_size: int = 0
    averaging: int = 8


@dataclass(frozen=True)
class Signal:
    """A signal, its parts put together: where it is, and what is known of it."""

    box: Box
    evidence: Evidence

    def join(self, following: Signal) -> Signal:
        """This part of a signal and the one that follows it."""
        return Signal(self.box.join(following.box), self.evidence + following.evidence)


def signals_of(recording: Recording, encoder: SignalEncoder, detection: Detection | None = None,
               batch: int = 16, progress: Progress | None = None) -> Iterator[Signal]:
    """The signals of a recording, in the order of their ends. batch: cut-outs that go through the network
    together. progress: samples done, and in all. Raises RecordingError, ValueError."""
    how = detection or Detection()
    cuts = cut_signals(recording, how.settings, how.fft_size, how.averaging, progress)
    return joined(_parts(cuts, encoder, recording.sample_rate, batch), lambda signal: signal.box)


def signals_in(cuts: Iterable[CutOut], encoder: SignalEncoder, sample_rate: float,
               batch: int = 16) -> list[Signal]:
    """Of cut-outs whose boxes' numbers say which are parts of one signal; in the order of these."""
    parts = _parts(cuts, encoder, sample_rate, batch)
    found = together(((part.box.signal, part) for part in parts), Signal.join)
    return [found[number] for number in sorted(found)]


def _parts(cuts: Iterable[CutOut], encoder: SignalEncoder, sample_rate: float,
           batch: int) -> Iterator[Signal]:
    boxes, looks = [], []
    for cut in cuts:
        boxes.append(cut.box)
        looks.append(encoder.look(cut, sample_rate))
        if len(boxes) == batch:
            yield from map(Signal, boxes, encoder.evidence(looks))
            boxes, looks = [], []
    yield from map(Signal, boxes, encoder.evidence(looks))


def rows(signals: list[Signal], recording: Recording, encoder: SignalEncoder, source: str = "") -> Embeddings:
    """Signals of a recording as rows of a file; frequencies are absolute where the recording states its
    own."""
    boxes = [signal.box for signal in signals]
    centres = np.array([_centre(recording, box) for box in boxes], np.float64)
    from_centre = np.array([(box.freq_lower, box.freq_upper) for box in boxes]).reshape(-1, 2)
    edges = np.nan_to_num(centres)[:, None] + from_centre
    embedding = [encoder.embedding(signal.evidence) for signal in signals]
    return Embeddings(
        np.array(embedding, np.float32).reshape(-1, encoder.embedding_size),
        np.array([box.sample_start for box in boxes], np.int64),
        np.array([box.sample_count for box in boxes], np.int64),
        np.full(len(boxes), recording.sample_rate), centres, edges[:, 0], edges[:, 1], encoder.id,
        np.array([box.snr_db for box in boxes]),
        np.array([signal.evidence.bandwidth for signal in signals]), source)


def _centre(recording: Recording, box: Box) -> float:
    """Centre frequency at a signal's last sample, which its edges count from; NaN where not stated."""
    frequency = recording.capture_at(box.sample_start + box.sample_count - 1).frequency
    return math.nan if frequency is None else frequency


def write_signals(path: str | os.PathLike, recording: Recording, encoder: SignalEncoder,
                  detection: Detection | None = None, batch: int = 16, progress: Progress | None = None,
                  overwrite: bool = False) -> int:
    """The signals of a recording as an ``.npz``, see ``Embeddings``; how many. What lies there stays until
    the new file is whole. Raises RecordingError, EmbeddingsError, ValueError."""
    detection = detection or Detection()
    source = source_of(recording, encoder, detection)
    file = EmbeddingFile(path, encoder.embedding_size, encoder.id, overwrite=overwrite, signals=True,
                         sources=(recording.path, recording.data_path), source=source)
    waiting, count = [], 0
    try:
        for signal in signals_of(recording, encoder, detection, batch, progress):
            waiting.append(signal)
            count += 1
            if len(waiting) == _ROWS:
                file.add(rows(waiting, recording, encoder))
                waiting = []
        file.add(rows(waiting, recording, encoder))
        file.close()
    finally:
        file.discard()
    return count


def embed_signals(jobs: list[Job], encoder: SignalEncoder, detection: Detection | None = None,
                  batch: int = 16, progress: Progress | None = None, *,
                  overwrite: bool = False) -> Iterator[Outcome]:
    """``write_signals`` for each recording, see ``run``; results: how many signals."""

    def work(recording: Recording, output: Path) -> int:
        return write_signals(output, recording, encoder, detection, batch, progress, overwrite)

    return run(jobs, work)


def source_of(recording: Recording, encoder: SignalEncoder, detection: Detection) -> str:
    """A digest of all that a recording's signals depend on."""
    return digest_of(recording, encoder.id, asdict(detection))
