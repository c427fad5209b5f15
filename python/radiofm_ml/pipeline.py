# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Recordings in, embeddings and annotations out: what the command line and the flowgraphs agree on.

A recording's tiles lie on one grid from its first sample to its last; a tail that is long enough, or a
recording shorter than a tile, is completed with its own samples (``SpectrogramSpec.padded_length``).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from radiofm_ml import embeddings
from radiofm_ml.detect.cutter import CutOut, Cutter
from radiofm_ml.detect.finder import find
from radiofm_ml.detect.rows import formats, row_format
from radiofm_ml.detect.settings import Settings
from radiofm_ml.detect.spectra import clip
from radiofm_ml.detect.stream import Box, joined
from radiofm_ml.embeddings import EmbeddingFile, Embeddings, band_edges
from radiofm_ml.engines import Engine
from radiofm_ml.fewshot import UNKNOWN, FewShot
from radiofm_ml.fewshot.prototypes import PrototypeError, check_label
from radiofm_ml.sigmf.annotations import GENERATOR, AnnotationWriter
from radiofm_ml.sigmf.container import META
from radiofm_ml.sigmf.jobs import Job, Outcome, attempt, plan, run
from radiofm_ml.sigmf.recording import Recording
from radiofm_ml.sigmf.stated import NOTHING, Stated
from radiofm_ml.sigmf.tile_choice import all_tiles, choose, labelled_tiles
from radiofm_ml.sigmf.tiles import read_tiles, tile_batches, tile_frequency
from radiofm_ml.spectrogram import occupied_band

Progress = Callable[[int, int], None]  # (tiles or samples done, how many in all)
# Of boxes without a name: not that of annotations with one, so that neither replaces the other.
DETECTOR = GENERATOR.replace(" ", "-detect ", 1)
_PIECE = 1 << 20  # samples that are read at once


def embed_batches(recording: Recording, engine: Engine, batch: int = 16, progress: Progress | None = None,
                  first: int = 0) -> Iterator[tuple[Embeddings, np.ndarray]]:
    """(Embeddings, bands) of ``batch`` tiles at a time, from tile ``first`` on; bands: float64 (n, 2), see
    ``occupied_band``."""
    spec, n_samples = engine.spec, recording.n_samples
    n_tiles, rate = spec.n_tiles(n_samples), recording.sample_rate
    for at, tiles in tile_batches(recording, spec, batch, first):
        index = np.arange(at, at + len(tiles), dtype=np.int64)
        starts = index * spec.stride
        bands = np.array([occupied_band(tile, spec) for tile in tiles])
        frequencies = [tile_frequency(recording, spec, int(k)) for k in index]
        edges = np.array([band_edges(b, rate, f) for b, f in zip(bands, frequencies, strict=True)])
        yield Embeddings(engine.embed(tiles), starts, np.minimum(spec.samples_per_tile, n_samples - starts),
                         np.full(len(tiles), math.nan if rate is None else rate),
                         np.array([math.nan if f is None else f for f in frequencies]),
                         edges[:, 0], edges[:, 1], engine.bundle.id), bands
        if progress:
            progress(at + len(tiles), n_tiles)


def embed_recording(recording: Recording, engine: Engine, batch: int = 16,
                    progress: Progress | None = None) -> Embeddings:
    """Embeddings of every tile of a recording. Raises RecordingError."""
    return Embeddings.join([part for part, _ in embed_batches(recording, engine, batch, progress)])


def embed_tiles(recording: Recording, engine: Engine, indices: Sequence[int], batch: int = 16) -> np.ndarray:
    """Embeddings of the tiles of these numbers, float32 (n, D); nothing else is read. Raises
    RecordingError."""
    parts = [engine.embed(read_tiles(recording, engine.spec, indices[at:at + batch]))
             for at in range(0, len(indices), batch)]
    return np.concatenate(parts) if parts else np.zeros((0, engine.embedding_size), np.float32)


def shots_of(paths: Sequence[Path], engine: Engine, label: str = "", shots: int = 0, batch: int = 16,
             channel: int = 0, track: Callable = lambda items, label: items, stated: Stated = NOTHING,
             ) -> tuple[dict[str, np.ndarray], list[Outcome]]:
    """Embeddings to teach by, {label: float32 (n, D)}, and what came of each recording.

    label: of all tiles; '' to teach what the annotations say, by the tiles that lie more in one than outside.
    shots: tiles of each label, spread evenly over the recordings and over each; 0 for all. Only these are
    read. channel: of each recording. track: ``track(sequence, label)`` shows progress.
    stated: what recordings do not say.
    """
    def tiles(recording: Recording, _) -> dict:
        if label:
            return {label: all_tiles(recording, engine.spec)}
        found = labelled_tiles(recording, engine.spec)
        for name in list(found):
            try:
                check_label(name)
            except PrototypeError as error:
                recording.warn(f"an annotation cannot be taught: {error}")
                del found[name]
        return found

    outcomes = [attempt(Job(path, channel=channel, stated=stated), tiles) for path in track(paths, "looking")]
    sets = [outcome.result or {} for outcome in outcomes]
    chosen = {name: choose([found.get(name, ()) for found in sets], shots)
              for name in dict.fromkeys(name for found in sets for name in found)}
    embedded: dict[tuple[int, int], np.ndarray] = {}
    wanted: dict[int, list[int]] = {}
    for number, tile in sorted(set().union(*chosen.values())):
        wanted.setdefault(number, []).append(tile)
    for number in track(list(wanted), "teaching"):
        noted = outcomes[number].warnings
        outcome = attempt(outcomes[number].job, lambda recording, _, number=number:
                          embed_tiles(recording, engine, wanted[number], batch))
        outcomes[number] = replace(outcome, warnings=tuple(dict.fromkeys(noted + outcome.warnings)))
        if outcomes[number].error is None:
            vectors = outcomes[number].result
            embedded.update(((number, tile), v) for tile, v in zip(wanted[number], vectors, strict=True))
    taught = {name: [embedded[place] for place in places if place in embedded]
              for name, places in chosen.items()}
    return {name: np.stack(vectors) for name, vectors in taught.items() if vectors}, outcomes


def annotate_recording(recording: Recording, engine: Engine, classifier: FewShot, writer: AnnotationWriter, *,
                       batch: int = 16, task: str = "", progress: Progress | None = None) -> int:
    """Classify every tile of a recording and add what was decided to ``writer``, which must be started; from
    ``writer.position`` on, where it goes on with an interrupted run.

    Tiles are decided one after the other, as in a flowgraph. Returns the number of tiles of the recording.
    Raises RecordingError, AnnotationError.
    """
    stride = engine.spec.stride
    done = writer.position // stride
    # the same tiles together as without the interruption, for the same numbers to the last digit
    for part, bands in embed_batches(recording, engine, batch, progress, done - done % batch):
        for i in range(len(part)):
            start, length = int(part.sample_start[i]), int(part.sample_count[i])
            if start < writer.position:
                continue
            decision = classifier.predict(part.embedding[i:i + 1])
            classifier.observe(part.embedding[i:i + 1], decision)
            # the writer wants edges at the centre frequency of the annotation's last sample
            frequency = recording.capture_at(start + length - 1).frequency
            lower, upper = band_edges(tuple(bands[i]), recording.sample_rate, frequency)
            label = classifier.labels[decision.index[0]] if decision.index[0] >= 0 else UNKNOWN
            writer.add(start, length, label, freq_lower=None if math.isnan(lower) else lower,
                       freq_upper=None if math.isnan(upper) else upper,
                       confidence=float(decision.confidence()[0]), unknown=bool(decision.unknown[0]),
                       model=part.model, task=task, position=start + stride)
    return engine.spec.n_tiles(recording.n_samples)


def embed_all(source: str | os.PathLike, target: str | os.PathLike, engine: Engine, batch: int = 16,
              progress: Progress | None = None) -> Iterator[Outcome]:
    """Embeddings of a recording or a folder as files, see ``plan`` and ``embed_jobs``."""
    return embed_jobs(plan(source, target, embeddings.SUFFIX), engine, batch, progress)


def embed_jobs(jobs: list[Job], engine: Engine, batch: int = 16, progress: Progress | None = None, *,
               overwrite: bool = False) -> Iterator[Outcome]:
    """Embeddings of every tile of each recording as an ``.npz``, see ``run``; results: number of tiles.

    overwrite: also over files that hold no embeddings. What lies there stays until the new file is whole.
    """

    def work(recording: Recording, output: Path) -> int:
        file = EmbeddingFile(output, engine.embedding_size, engine.bundle.id, overwrite=overwrite,
                             sources=(recording.path, recording.data_path))
        try:
            for part, _ in embed_batches(recording, engine, batch, progress):
                file.add(part)
            file.close()
        finally:
            file.discard()
        return engine.spec.n_tiles(recording.n_samples)

    return run(jobs, work)


def annotate_all(source: str | os.PathLike, target: str | os.PathLike, engine: Engine,
                 new_classifier: Callable[[], FewShot], **options) -> Iterator[Outcome]:
    """Annotations of a recording or a folder, see ``plan`` and ``annotate_jobs``."""
    return annotate_jobs(plan(source, target, META), engine, new_classifier, **options)


def annotate_jobs(jobs: list[Job], engine: Engine, new_classifier: Callable[[], FewShot], *, batch: int = 16,
                  task: str = "", progress: Progress | None = None, **writer) -> Iterator[Outcome]:
    """``annotate_recording`` for each recording, with a classifier of its own; see ``run``.

    What was interrupted is gone on with, if all that decides is the same. writer: further arguments of
    ``AnnotationWriter``. Results: number of tiles.
    """

    def work(recording: Recording, output: Path) -> int:
        classifier = new_classifier()
        decisive = {key: value for key, value in writer.items() if key not in ("data", "overwrite")}
        settings = _settings(recording, engine, classifier, {"task": task, **decisive})
        channel = recording.channel if recording.num_channels > 1 else None
        with AnnotationWriter(output, recording, channel=channel, settings=settings, **writer) as annotations:
            return annotate_recording(recording, engine, classifier, annotations,
                                      batch=batch, task=task, progress=progress)

    return run(jobs, work)


def _settings(recording: Recording, engine: Engine, classifier: FewShot, options: dict) -> str:
    """A digest of everything that a recording's annotations depend on; '' where they depend on the stream's
    past, which is not kept."""
    if classifier.centre == "stream":
        return ""
    digest = hashlib.sha256()
    for prototype in classifier.prototypes:
        digest.update(json.dumps([prototype.label, prototype.shots]).encode())
        digest.update(prototype.vector.tobytes() + prototype.support.tobytes())
    if classifier.prototypes.mean is not None:
        digest.update(classifier.prototypes.mean.tobytes())
    digest.update(digest_of(recording, engine.bundle.id, classifier.metric, classifier.normalisation,
                            classifier.false_alarm_rate, options).encode())
    return digest.hexdigest()


def digest_of(recording: Recording, *settings: object) -> str:
    """A digest of a recording, of this program's version, and of what else a result depends on (of JSON's
    types)."""
    stored = os.stat(recording.data_path)
    about = [GENERATOR, settings, recording.datatype, recording.channel, recording.sample_rate,
             recording.meta["captures"], recording.n_samples, stored.st_size, stored.st_mtime_ns]
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def detect_signals(recording: Recording, settings: Settings, fft_size: int = 0, averaging: int = 8,
                   progress: Progress | None = None) -> Iterator[Box]:
    """The signals of a recording, each whole (the parts of a long one put together), in the order of their
    ends. progress: samples done, and in all. Raises RecordingError, ValueError."""
    return joined(detect_parts(recording, settings, fft_size, averaging, progress))


def detect_parts(recording: Recording, settings: Settings, fft_size: int = 0, averaging: int = 8,
                 progress: Progress | None = None) -> Iterator[Box]:
    """The signals of a recording, long ones in parts, in the order of their ends and as far as the recording
    goes. fft_size: 0 for three resolutions at once (``rows.formats``), else one with ``averaging``. progress:
    samples done, and in all. Raises RecordingError, ValueError."""
    rate = _known_rate(recording)
    forms = [row_format(rate, fft_size, averaging=averaging)] if fft_size else formats(rate)
    yield from _of_recording(find(_pieces(recording, progress), rate, settings, forms), recording)


def cut_signals(recording: Recording, settings: Settings, fft_size: int = 0, averaging: int = 8,
                progress: Progress | None = None, oversampling: float = 2.0) -> Iterator[CutOut]:
    """The signals of a recording at baseband, as ``detect_parts`` finds them: long ones in parts. Samples are
    read again where a signal is: memory depends on ``settings.longest`` alone. Raises RecordingError,
    ValueError."""
    boxes = detect_parts(recording, settings, fft_size, averaging, progress)
    return cut_boxes(recording, boxes, oversampling)


def cut_boxes(recording: Recording, boxes: Iterable[Box], oversampling: float = 2.0) -> Iterator[CutOut]:
    """What lies in these boxes of a recording, at baseband. Raises RecordingError, ValueError."""
    cutter = Cutter(_known_rate(recording), oversampling, _Stored(recording))
    return map(cutter.cut, boxes)


def _known_rate(recording: Recording) -> float:
    if recording.sample_rate is None:
        raise ValueError(f"{recording.path}: states no sample rate, which detection needs; "
                         "add core:sample_rate, or give --rate")
    return recording.sample_rate


class _Stored:
    """A recording as what a Cutter cuts from: all of it is there."""

    oldest = 0

    def __init__(self, recording: Recording):
        self._recording, self.position = recording, recording.n_samples

    def read(self, start: int, out: np.ndarray) -> None:
        inside = clip(start, out, self.oldest, self.position)
        if inside:
            self._recording.read_into(inside.start, out[inside.start - start:inside.stop - start])


def _pieces(recording: Recording, progress: Progress | None) -> Iterator[np.ndarray]:
    total = recording.n_samples
    for at in range(0, total, _PIECE):
        yield recording.read(at, min(_PIECE, total - at))
        if progress:
            progress(min(at + _PIECE, total), total)


def _of_recording(boxes: Iterable[Box], recording: Recording) -> Iterator[Box]:
    """Boxes as far as the recording goes; of real samples, whose lower half of the band mirrors the upper
    one, only the upper."""
    mirrored = not recording.sample_type.is_complex
    for box in boxes:
        count = min(box.sample_count, recording.n_samples - box.sample_start)
        lower = max(box.freq_lower, 0.0) if mirrored else box.freq_lower
        if count > 0 and box.freq_upper > lower:
            yield replace(box, sample_count=count, freq_lower=lower)


def detect_jobs(jobs: list[Job], settings: Settings, fft_size: int = 0, averaging: int = 8,
                progress: Progress | None = None, **writer) -> Iterator[Outcome]:
    """The signals of each recording as annotations without a name, see ``run``; results: how many.

    writer: further arguments of ``AnnotationWriter``.
    """

    def work(recording: Recording, output: Path) -> int:
        count = 0
        with AnnotationWriter(output, recording, merge=False, generator=DETECTOR, **writer) as annotations:
            for box in detect_signals(recording, settings, fft_size, averaging, progress):
                centre = recording.capture_at(box.sample_start + box.sample_count - 1).frequency or 0.0
                annotations.add(box.sample_start, box.sample_count, "signal",
                                freq_lower=centre + box.freq_lower, freq_upper=centre + box.freq_upper,
                                task="detection", comment=f"SNR {box.snr_db:.1f} dB")
                count += 1
        return count

    return run(jobs, work)
