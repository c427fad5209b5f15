# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Labelled tiles to look at, from shards or from a folder of real recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from radiofm_ml.data.shards import find_shards, read_groups, shard_labels, unpack
from radiofm_ml.evaluate.identification import load_benchmark
from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.train.shards import held_out


def sample_tiles(
    data: Path,
    spec: SpectrogramSpec,
    count: int,
    seed: int = 0,
    unseen: bool = True,
    labels: Sequence[str] = (),
    track: Callable = lambda items, label: items,
) -> tuple[torch.Tensor, np.ndarray]:
    """About ``count`` tiles, as many of each label as there are: float32 (N, rows, cols), and N names.

    data: a folder of shards, or one of recordings with an ``index.csv``. unseen: of recordings, only those
    of sessions that never reach pre-training. labels: only these, () for all. The order of labels is
    random, the same for a seed. Raises ValueError for a folder that is neither, for shards of another spec,
    or if no tile is left.
    """
    rng = np.random.default_rng(seed)
    if (data / "index.csv").is_file():
        bench = load_benchmark(data, spec, track=track)
        allowed = np.array([held_out(s) for s in bench.sessions]) | (not unseen)
        places = np.flatnonzero(allowed & _among(bench.labels, labels))
        chosen = places[_balanced(bench.labels[places], count, rng)]
        return bench.tiles[chosen], bench.labels[chosen]
    paths, made_with = find_shards(data)
    if made_with != spec:
        raise ValueError(f"{data}: these shards were made with another spec than the model's")
    arrays = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
    names, where = [], []
    for i, (path, array) in enumerate(zip(paths, arrays, strict=True)):
        known = np.array([*shard_labels(path), "unlabelled"])
        names.append(known[read_groups(path, len(array))[:, 0]])
        where.append(np.stack([np.full(len(array), i), np.arange(len(array))], 1))
    known, where = np.concatenate(names), np.concatenate(where)
    places = np.flatnonzero(_among(known, labels))
    chosen = places[_balanced(known[places], count, rng)]
    return unpack(np.stack([arrays[i][j] for i, j in where[chosen]]), spec), known[chosen]


def _among(known: np.ndarray, wanted: Sequence[str]) -> np.ndarray:
    missing = set(wanted) - set(known.tolist())
    if missing:
        there = ", ".join(np.unique(known))
        raise ValueError(f"no tile is labelled {sorted(missing)[0]!r}; there are {there}")
    return np.isin(known, wanted) if len(wanted) else np.ones(len(known), bool)


def _balanced(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Up to ``count`` indices, the labels in turn."""
    if not len(labels):
        raise ValueError("no tile to look at")
    order = rng.permutation(len(labels))
    turn = np.empty(len(labels), int)
    names = rng.permutation(np.unique(labels))
    for name in names:
        members = order[labels[order] == name]
        turn[members] = np.arange(len(members))
    kind = np.argsort(names)[np.searchsorted(np.sort(names), labels)]
    return np.lexsort((kind, turn))[:count]
