# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Labelled embeddings for ``fewshot_check``: of recordings, synthetic receptions, beams, or a file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from radiofm_ml import bundle as bundles
from radiofm_ml.evaluate.fewshot_check import Data
from radiofm_ml.files import check_regular

RECEPTIONS_SEED = 9_000_700  # receptions that neither training nor calibration has heard
FRONT_ENDS = range(200_000, 200_008)  # simulated ones that neither has seen, each with 40 blocks of a beam
_FRAMES_IN_CLUSTER = 10


def load(bundle: bundles.Bundle, source: str, across: bool = False, each: int = 6, frames: int = 200,
         track: Callable = lambda items, label: items) -> Data:
    """Embeddings of ``source``, made by ``bundle`` unless they come in a file.

    'synthetic'            for encoders of tiles receptions of every kind of signal, ``each`` of a kind; for
                           those of I/Q beams of simulated front ends, at three gains
    folder with index.csv  recordings, see ``identification``; for encoders of tiles
    *.h5                   beams, ``frames`` blocks of each at the middle gain; for encoders of raw I/Q
    *.npz                  arrays embedding (N, D), label (N,), and may be group (N,), cluster (N,)

    Every reception and every recording is a label of its own: what a flowgraph is taught. across: labels are
    those of the index, or kinds of signal, and the shots come from other sessions, or receptions, than the
    queries; of signals, those of a recording are one query, as nothing says which of them has its label.
    Raises ValueError naming the cure.
    """
    path = Path(source)
    if path.suffix == ".npz":
        return read_labelled(path, bundle.embedding_size)
    if path.suffix in (".h5", ".hdf5"):
        if bundle.spec is not None:
            raise ValueError(f"{source}: a file of beams holds raw I/Q, bundle {bundle.id} reads tiles; give "
                             "a bundle like protobeam-sim, or recordings")
        return _beams(bundle, path, frames)
    if bundle.reads == bundles.SIGNALS and path.suffix != ".npz":
        return _synthetic_signals(bundle, each, track) if source == "synthetic" else _signals(
            bundle, path, across, track)
    if bundle.reads == bundles.IQ and source == "synthetic":
        return _simulated_beams(bundle)
    if bundle.reads == bundles.IQ:
        raise ValueError(f"{source}: bundle {bundle.id} reads raw I/Q; give a file of beams (.h5) or of its "
                         "embeddings (.npz)")
    from radiofm_ml.train.export import encode, receptions

    if source == "synthetic":
        tiles, labels, groups = receptions(bundle.spec, each, RECEPTIONS_SEED, track)
        x = encode(bundle.model, tiles)
        return Data(x, labels, groups, groups) if across else Data(x, groups, None, labels)
    from radiofm_ml.evaluate.identification import load_benchmark

    bench = load_benchmark(path, bundle.spec, everything=True, track=track)
    x = encode(bundle.model, bench.tiles)
    if across:
        return Data(x, bench.labels, bench.groups, bench.recordings)
    return Data(x, bench.recordings, None, bench.labels)


def read_labelled(path: Path, size: int | None = None) -> Data:
    """Labelled embeddings, of ``size`` values, of an ``.npz``. Raises ValueError."""
    try:
        check_regular(path)
        with np.load(path, allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in ("embedding", "label", "group", "cluster") if key in arrays}
        x, labels = np.asarray(found["embedding"], np.float32), found["label"]
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not an .npz with arrays 'embedding' and 'label' ({error})") from None
    if x.ndim != 2 or size not in (None, x.shape[1]) or not np.isfinite(x).all():
        raise ValueError(f"{path}: array 'embedding' must be (N, {size or 'D'}) and finite, got {x.shape}")
    for key, values in found.items():
        if key != "embedding" and values.shape != (len(x),):
            raise ValueError(f"{path}: array '{key}' must hold {len(x)} names, got shape {values.shape}")
    return Data(x, labels, found.get("group"), found.get("cluster"))


def read_others(path: Path, names: tuple[str, ...], rows: int) -> dict[str, np.ndarray]:
    """Those of these arrays, float32 (``rows``, any), that an ``.npz`` holds. Raises ValueError."""
    with np.load(path, allow_pickle=False) as arrays:
        found = {name: np.asarray(arrays[name], np.float32) for name in names if name in arrays}
    for name, values in found.items():
        if values.ndim != 2 or len(values) != rows or not np.isfinite(values).all():
            raise ValueError(f"{path}: array '{name}' must be ({rows}, any) and finite, got {values.shape}")
    return found


def _synthetic_signals(bundle: bundles.Bundle, each: int, track: Callable) -> Data:
    """Labels are kinds; every signal is another reception."""
    from radiofm_ml.train.signal_export import embeddings_of, source, vectors

    heard = source(bundle.picture, each, RECEPTIONS_SEED, track)
    x = embeddings_of(*vectors(bundle.model, heard), heard.numbers, bundle.signals)
    return Data(x, heard.kinds, np.arange(len(x)), heard.kinds)


def _signals(bundle: bundles.Bundle, folder: Path, across: bool, track: Callable) -> Data:
    from radiofm_ml.engines import open_engine
    from radiofm_ml.evaluate.signals import embedded, find, listed
    from radiofm_ml.signals import SignalEncoder

    engine = open_engine(bundle)
    paths, recordings = listed(folder, everything=True)
    x, owner, _ = embedded(find(paths, SignalEncoder(engine), track), engine.embed, bundle.signals)
    items = recordings.of(owner)
    if not across:
        return Data(x, items.recordings, None, items.labels)
    return Data(x, items.labels, items.groups, items.recordings, together=items.recordings)


def _simulated_beams(bundle: bundles.Bundle) -> Data:
    """An episode is of one front end and gain, as in use."""
    from radiofm_ml.engines import open_engine
    from radiofm_ml.evaluate.antennas import SimulatedAntennas

    blocks = SimulatedAntennas().numbered(FRONT_ENDS[0], len(FRONT_ENDS), 40)
    parts = np.array_split(np.arange(len(blocks)), -(-len(blocks) // 1024))
    engine = open_engine(bundle)
    x = np.concatenate([engine.embed(blocks.iq[part]) for part in parts])
    where = np.array([f"{f}, {g}" for f, g in zip(blocks.front_end, blocks.gain, strict=True)])
    labels = np.array([f"{w}, {blocks.labels[b]}" for w, b in zip(where, blocks.beam, strict=True)])
    clusters = np.array([f"{f}, {b}" for f, b in zip(blocks.front_end, blocks.beam, strict=True)])
    return Data(x, labels, None, clusters, where)


def _beams(bundle: bundles.Bundle, path: Path, frames: int) -> Data:
    from radiofm_ml.data.beam_files import BeamFile
    from radiofm_ml.engines import open_engine

    engine = open_engine(bundle)
    x, labels, clusters = [], [], []
    with BeamFile(path) as file:
        taken = np.unique(np.linspace(0, file.frames - 1, frames).astype(int))
        for number, beam in enumerate(file.beams):
            x.append(engine.embed(file.read(len(file.gains) // 2, number, taken)[:, 0]))
            labels += [f"beam {beam}"] * len(taken)
            clusters += [f"{beam}, {frame // _FRAMES_IN_CLUSTER}" for frame in taken]
    return Data(np.concatenate(x), np.array(labels), None, np.array(clusters))
