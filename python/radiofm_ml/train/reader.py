# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Batches from shards on disk. Which tiles a step sees depends on nothing but the seed and the step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from radiofm_ml.data.shards import read_groups, shard_labels
from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.train.augment import Augmentation

GROUPINGS = ("label", "source")
T = TypeVar("T")


@dataclass(frozen=True)
class Tiles:
    """tiles: uint8 (N, tile_rows, tile_cols). labels, groups: int64 (N,), -1 for none."""

    tiles: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


class ShardReader:
    """Endless random batches of augmented tiles, read by memory map."""

    def __init__(
        self,
        paths: list[Path],
        spec: SpectrogramSpec,
        batch_size: int,
        seed: int,
        copies: dict[str, int] | None = None,
        augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
        grouping: str | None = None,
    ):
        """
        copies: how many times a shard counts in an epoch, by the name before the dash ('recordings').
        grouping: put tiles of one group two by two into the same batch; the groups are the labels of
        synthetic tiles, and the sources of all others ('label'), or the sources of all ('source'). A source
        is a recording or a synthetic stream. None: every tile for itself.
        Raises ValueError for shards that do not fit the spec or lack what the grouping needs.
        """
        if grouping not in (None, *GROUPINGS):
            raise ValueError(f"grouping must be one of {', '.join(GROUPINGS)}, got {grouping!r}")
        self.paths, self.spec, self.batch_size, self.seed = paths, spec, batch_size, seed
        self.augmentation, self.grouping = augmentation, grouping
        self.copies = copies or {}
        self.arrays = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        shape = (spec.tile_rows, spec.tile_cols)
        for path, array in zip(paths, self.arrays, strict=True):
            if array.dtype != np.uint8 or array.shape[1:] != shape:
                raise ValueError(
                    f"{path}: holds {array.dtype} {array.shape[1:]}, the spec needs uint8 {shape}; remove it"
                )
        self.label_names, labels, groups = self._groups()
        if grouping and (groups < 0).all():
            raise ValueError(
                f"{paths[0].parent}: no shard says which tiles belong together; make the shards again"
            )
        shard, tile = (np.concatenate(v) for v in zip(*map(self._places, range(len(paths))), strict=True))
        first = np.cumsum([0, *map(len, self.arrays)])
        self.shard, self.tile, at = shard, tile, first[shard] + tile
        self.labels, self.groups = labels[at], groups[at]
        if len(self) == 0:
            raise ValueError(f"{len(self.shard)} tiles do not fill a batch of {batch_size}")
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def _places(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Shard number and tile number of each tile of shard i in an epoch."""
        times = self.copies.get(self.paths[i].name.split("-")[0], 1)
        tiles = np.tile(np.arange(len(self.arrays[i]), dtype=np.int32), times)
        return np.full(len(tiles), i, np.int32), tiles

    def _groups(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """All label names, and label and group of each tile of all shards."""
        names = sorted({name for path in self.paths for name in shard_labels(path)})
        kinds = sorted({(path.parent, path.name.split("-")[0]) for path in self.paths})
        labels, sources, found = [], [], []
        for path, array in zip(self.paths, self.arrays, strict=True):
            label, source = read_groups(path, len(array)).T
            here = np.array([names.index(name) for name in shard_labels(path)] + [-1])
            labels.append(here[label])
            sources.append(source)
            found.append(np.full(len(source), kinds.index((path.parent, path.name.split("-")[0]))))
        label, source = np.concatenate(labels), np.concatenate(sources)
        # sources are numbered within the shards of one name in one folder; here, from the labels on
        where = np.stack([np.concatenate(found), source], 1)
        number = np.unique(where, axis=0, return_inverse=True)[1].ravel() + len(names)
        number[source < 0] = -1
        return names, label, np.where(label >= 0, label, number) if self.grouping == "label" else number

    def settings(self) -> dict:
        """What the batches depend on, for the record of a run."""
        return {
            "shards": [path.name for path in self.paths],
            "tiles": int(sum(map(len, self.arrays))),
            "copies": self.copies,
            "labels": self.label_names,
            "grouping": self.grouping,
            "augmentation": asdict(self.augmentation),
        }

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.shard) // self.batch_size

    def order(self, epoch: int) -> np.ndarray:
        """Places of the tiles in ``epoch``, in the order of reading."""
        known, order = self._order
        if known != epoch:
            rng = np.random.default_rng([self.seed, epoch])
            order = rng.permutation(len(self.shard))
            if self.grouping:
                order = pair(order, self.groups, rng)
            self._order = (epoch, order)
        return order

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Tiles:
        """The part of process ``rank`` of ``world`` in the batch of optimisation step ``step``."""
        epoch, at = divmod(step, len(self))
        share = self.batch_size // world
        first = at * self.batch_size + rank * share
        places = self.order(epoch)[first : first + share]
        tiles = [
            self.augmentation(
                self.arrays[self.shard[place]][self.tile[place]],
                self.spec,
                np.random.default_rng([self.seed, epoch, first + i]),
            )
            for i, place in enumerate(places)
        ]
        return Tiles(np.stack(tiles), self.labels[places], self.groups[places])


def pair(order: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The places in ``order``, rearranged so that two by two they are of one group, as far as they can be.

    groups: int64, by place; -1 for none.
    """
    order = order[np.argsort(groups[order], kind="stable")]
    group = groups[order]
    sizes = np.unique(group, return_counts=True)[1]
    last, size = np.repeat(sizes.cumsum() - 1, sizes), np.repeat(sizes, sizes)
    alone = (group < 0) | (size % 2 == 1) & (np.arange(len(group)) == last)
    order = np.concatenate([order[~alone], rng.permutation(order[alone])])
    even = len(order) // 2 * 2
    return np.concatenate([rng.permutation(order[:even].reshape(-1, 2)).ravel(), order[even:]])


def prefetch(make: Callable[[int], T], steps: Iterable[int], ahead: int = 4, workers: int = 1) -> Iterator[T]:
    """``make(step)`` for every step, in order, made beforehand by threads."""
    pool, pending = ThreadPoolExecutor(workers, "reader"), deque()
    try:
        for step in steps:
            pending.append(pool.submit(make, step))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
