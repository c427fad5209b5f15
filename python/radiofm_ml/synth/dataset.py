# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Labelled tiles and SigMF recordings of synthetic scenes.

Everything follows from a seed, a label and a number, so that sets can be made in pieces, in any order, and
resumed. Tiles of one transmission share its number (``groups``): a split must not divide them. The receiver
of each is named (``front_ends``): sets made with different front ends share none.

Shards: ``scenes-00000.npy`` and ``.groups.npy`` as ``data.shards`` describes them, and beside them
``scenes-00000.truth.npz`` with what a LabelledTiles holds more.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from radiofm_ml import atomic
from radiofm_ml.data.shards import SHARD_TILES, find_shards, pack, read_groups, write_shard
from radiofm_ml.heads.boxes import tile_slices
from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_iq
from radiofm_ml.synth.channel import rational
from radiofm_ml.synth.scene import LARGEST_RATIO, NOISE, Scene, compose, draw_rate, generate
from radiofm_ml.synth.signals import TWENTY, all_classes

MIN_AREA = 1 / 1000  # of a tile: a signal whose boxes cover less is not said to be on in it
_TRIES = 40  # transmissions in a row that show nothing, before a kind is given up


class LabelledTiles(NamedTuple):
    """N tiles and what is known of each.

    tiles       uint8 (N, tile_rows, tile_cols), as ``data.shards.pack`` makes them; ``unpack`` gives floats
    labels      int64 (N,) index into ``names`` of the main signal, or of 'noise' where it is not on
    groups      int64 (N,) the transmission that it was cut from
    snr_db      float32 (N,) of the main signal in its own band, NaN for 'noise'
    boxes       int32 (k, 5) a tile: row start, row stop, column start, column stop, index into ``names``
    rates       float64 (N,) the receiver's samples/s
    front_ends  int32 (N,) the receiver's number
    variants    (N,) text, the form of the main signal
    names       what ``labels`` count
    """

    tiles: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    snr_db: np.ndarray
    boxes: list[np.ndarray]
    rates: np.ndarray
    front_ends: np.ndarray
    variants: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class SceneSettings:
    """What the scenes of a set are like.

    labels      kinds of the main signals, of ``all_classes()``, and 'noise'; the twenty of the published task
                if none are given
    front_ends  numbers of the receivers to draw from
    snr_db      of the main signals, drawn evenly
    neighbours  probability of another signal of ``labels`` in the scene
    windows     scenes taken from a transmission, each over its own channel, receiver and rate
    on          the main signal is on in every scene; else windows are random, and tiles in which nothing of
                it is on (MIN_AREA) are labelled 'noise'
    zoom        rates are at most so many times the least of the kind's ``rates``, as of a receiver tuned to
                the signal; None: any of the kind's

    Raises ValueError for an unknown label or a zoom below 1.
    """

    labels: tuple[str, ...] = ()
    front_ends: tuple[int, ...] = tuple(range(100))
    snr_db: tuple[float, float] = (0.0, 30.0)
    neighbours: float = 0.3
    windows: int = 4
    on: bool = True
    zoom: float | None = None

    def __post_init__(self):
        classes = all_classes()
        for label in self.labels:
            if label != NOISE and label not in classes:
                raise ValueError(f"no signal is called {label!r}; there are: {', '.join([*classes, NOISE])}")
        if self.zoom is not None and not self.zoom >= 1:
            raise ValueError(f"zoom must be 1 or above, times a kind's least rate, got {self.zoom}")
        labels = self.labels or (label for label in TWENTY if label in classes)
        object.__setattr__(self, "labels", tuple(labels))
        object.__setattr__(self, "front_ends", tuple(int(number) for number in self.front_ends))

    @property
    def names(self) -> tuple[str, ...]:
        """What tiles are labelled with."""
        return self.labels if self.on or NOISE in self.labels else (*self.labels, NOISE)


def labelled_tiles(
    n_per_class: int,
    spec: SpectrogramSpec,
    seed: int,
    settings: SceneSettings = SceneSettings(),
    first: int = 0,
    track: Callable[[Iterable, str], Iterable] = lambda items, label: items,
) -> LabelledTiles:
    """``n_per_class`` tiles of each label, ordered by label.

    first  number of the first transmission, for sets in several pieces

    Deterministic: the tiles of a label do not depend on how many are asked for. Raises ValueError for a label
    that is never on.
    """
    names = settings.names
    rows: list[tuple] = []
    for label in track(settings.labels, "synthesising"):
        made, number, tries = 0, first, 0
        while made < n_per_class:
            before = made
            for scene, front_end in scenes(label, number, seed, spec.samples_per_tile, settings):
                boxes = tile_boxes(scene, spec, names)
                shown = _is_on(scene, spec)
                if (settings.on and not shown) or made == n_per_class:
                    continue
                tile = pack(tiles_from_iq(torch.from_numpy(scene.samples), spec), spec)[0]
                name, variant, snr = (label, scene.variant, scene.snr_db) if shown else (NOISE, "", np.nan)
                rows.append((tile, names.index(name), _group(label, number), snr, boxes, scene.sample_rate,
                             front_end, variant))  # fmt: skip
                made += 1
            tries = 0 if made > before else tries + 1
            if tries == _TRIES:
                raise ValueError(f"{label}: not on in any of {_TRIES} transmissions at its rates")
            number += 1
    tiles, index, groups, snrs, boxes, rates, ends, variants = zip(*rows, strict=True)
    return LabelledTiles(
        np.stack(tiles), np.array(index, np.int64), np.array(groups, np.int64), np.array(snrs, np.float32),
        list(boxes), np.array(rates), np.array(ends, np.int32), np.array(variants), names,
    )  # fmt: skip


def scenes(
    label: str, number: int, seed: int, n_samples: int, settings: SceneSettings
) -> Iterator[tuple[Scene, int]]:
    """Transmission ``number`` of a label: ``windows`` scenes of it, and the number of each one's receiver."""
    rng = np.random.default_rng([seed, zlib.crc32(label.encode()), number])
    kinds = tuple(name for name in settings.labels if name != NOISE)
    signal, rates = None, [None] * settings.windows
    if label != NOISE:
        kind = all_classes()[label]
        least, most = kind.rates
        seen_at = least, min(most, settings.zoom * least) if settings.zoom else most
        wanted = [draw_rate(seen_at, rng) for _ in range(settings.windows)]
        signal = generate(kind, n_samples / min(wanted), rng)
        native = signal.sample_rate
        rates = [native * float(rational(rate / native, LARGEST_RATIO)) for rate in wanted]
    for rate in rates:
        front_end = int(rng.choice(settings.front_ends))
        scene = compose(rng, label, n_samples, rate=rate, snr_db=settings.snr_db, labels=kinds,
                        neighbours=settings.neighbours, front_end=front_end, signal=signal,
                        on=settings.on)  # fmt: skip
        yield scene, front_end


def tile_boxes(scene: Scene, spec: SpectrogramSpec, names: Sequence[str], tile: int = 0) -> np.ndarray:
    """Boxes of a scene in its tile number ``tile``: int32 (k, 5), see LabelledTiles."""
    found = []
    for box in scene.boxes:
        rows, cols = _slices(box, scene, spec, tile)
        if rows.start < rows.stop and cols.start < cols.stop:
            found.append((rows.start, rows.stop, cols.start, cols.stop, names.index(box.label)))
    return np.array(found, np.int32).reshape(-1, 5)


def _slices(box, scene: Scene, spec: SpectrogramSpec, tile: int) -> tuple[slice, slice]:
    return tile_slices(box.start, box.count, box.lower / scene.sample_rate, box.upper / scene.sample_rate,
                       spec, tile * spec.stride)  # fmt: skip


def _is_on(scene: Scene, spec: SpectrogramSpec) -> bool:
    if scene.label == NOISE:
        return True  # noise is
    covered = np.zeros((spec.tile_rows, spec.tile_cols), bool)
    for box in scene.boxes:
        if box.main:
            covered[_slices(box, scene, spec, 0)] = True
    return covered.mean() >= MIN_AREA


def _group(label: str, number: int) -> int:
    return zlib.crc32(label.encode()) << 31 | number


# -- shards ------------------------------------------------------------------------------------------
def write_shards(
    folder: Path,
    spec: SpectrogramSpec,
    n_tiles: int,
    seed: int,
    settings: SceneSettings = SceneSettings(),
    jobs: int = 1,
    track: Callable[[Iterable, str], Iterable] = lambda items, label: items,
) -> list[Path]:
    """Make what is missing of ``n_tiles`` tiles, as many of each label, and return the shards.

    ``n_tiles`` is rounded up to a multiple of the labels' number. jobs: processes. Raises ValueError if the
    folder was made with other parameters.
    """
    full = max(1, SHARD_TILES // len(settings.labels))  # tiles of a label in a shard
    made_with = {"spec": spec.to_dict(), "seed": seed, **asdict(settings), "made_of": settings.labels,
                 "per_class": full, "labels": settings.names}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "spec.json"
    if note.exists():
        before = {"zoom": None, **json.loads(note.read_text(encoding="utf-8"))}  # older ones do not state it
        if before != json.loads(json.dumps(made_with)):
            raise ValueError(
                f"{note}: these shards were made with other parameters; choose another folder or remove it"
            )
    atomic.write_json(note, made_with)
    per_class = -(-n_tiles // len(settings.labels))
    counts = [min(full, per_class - start) for start in range(0, per_class, full)]
    paths = [folder / f"scenes-{i:05d}.npy" for i in range(len(counts))]
    missing = [i for i, count in enumerate(counts) if _held(paths[i]) < count * len(settings.labels)]
    make = partial(_write_shard, folder, spec, seed, settings, counts)
    if jobs == 1:
        for i in track(missing, "synthesising"):
            make(i)
    elif missing:
        with ProcessPoolExecutor(min(jobs, len(missing)), get_context("spawn")) as pool:
            futures = [pool.submit(make, i) for i in missing]
            for _, future in zip(track(missing, "synthesising"), as_completed(futures), strict=True):
                future.result()
    return paths


def _held(path: Path) -> int:
    """Tiles in a shard; it has fewer than are wanted if it was the last one of a smaller set."""
    return len(np.load(path, mmap_mode="r", allow_pickle=False)) if path.exists() else 0


def _write_shard(folder, spec, seed, settings: SceneSettings, counts: Sequence[int], index: int) -> None:
    made = labelled_tiles(counts[index], spec, seed, settings, first=index * 100_000)
    path = folder / f"scenes-{index:05d}.npy"
    path.unlink(missing_ok=True)  # a smaller one, whose truth is replaced
    with atomic.replacing(path.with_suffix(".truth.npz"), durable=False) as part, part.open("wb") as file:
        np.savez(file, snr_db=made.snr_db, rates=made.rates, front_ends=made.front_ends,
                 variants=made.variants, boxes=np.concatenate(made.boxes),
                 box_counts=np.array([len(b) for b in made.boxes], np.int32))  # fmt: skip
    write_shard(path, made.tiles, np.stack([made.labels, made.groups], 1))


def read_shards(folder: Path) -> LabelledTiles:
    """All tiles of a folder that ``write_shards`` made, in memory. Raises ValueError if it is not one."""
    paths, _ = find_shards(folder)
    note = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    parts = []
    for path in (p for p in paths if p.name.startswith("scenes-")):
        try:
            tiles = np.load(path, allow_pickle=False)
            truth = np.load(path.with_suffix(".truth.npz"), allow_pickle=False)
            boxes = np.split(truth["boxes"], np.cumsum(truth["box_counts"])[:-1])
            more = truth["rates"], truth["front_ends"], truth["variants"]
            parts.append((tiles, *read_groups(path, len(tiles)).T, truth["snr_db"], boxes, *more))
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(f"{path}: cannot be read ({error}); remove it and make it again") from None
    if not parts:
        raise ValueError(f"{folder}: holds no scenes; make some with `radiofm synth tiles`")
    tiles, labels, groups, snr, boxes, rates, ends, variants = zip(*parts, strict=True)
    columns = [np.concatenate(part) for part in (tiles, labels, groups, snr)]
    return LabelledTiles(*columns, [b for part in boxes for b in part], np.concatenate(rates),
                         np.concatenate(ends), np.concatenate(variants), tuple(note["labels"]))  # fmt: skip
