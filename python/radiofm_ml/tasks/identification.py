# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Signal identification from synthetic I/Q: labelled tiles of receivers and transmissions that no training
tile has.

The folder holds two parts, made with other receivers and other seeds:

    radiofm synth tiles DATA/train --on --front-ends 0:100 --seed 1 --count 4000
    radiofm synth tiles DATA/test --on --front-ends 100:150 --seed 2 --count 1000

A part may have more sets beside it, in folders whose names go on with a dash (``train-tuned``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from radiofm_ml.data.shards import find_shards, unpack
from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.synth.dataset import LabelledTiles, read_shards
from radiofm_ml.synth.signals import all_classes
from radiofm_ml.tasks import TaskData, TaskError

PARTS = ("train", "test")
SNRS_DB = {"0 to 10 dB": (0, 10), "10 to 20 dB": (10, 20), "above 20 dB": (20, np.inf)}
# The sample rate over the least at which the kind is generated: how far the receiver is zoomed out.
RATE_RATIOS = {"1 to 2": (0, 2), "2 to 4": (2, 4), "4 to 8": (4, 8), "above 8": (8, np.inf)}
MIN_SNR_DB = 0.0  # weaker ones are left out, as the published task has none
_CURE = "make them with 'radiofm synth tiles', see 'radiofm_ml.tasks.identification'"


class PackedTiles:
    """Tiles as shards hold them, given as float32 (n, 1, tile_rows, tile_cols)."""

    def __init__(self, tiles: np.ndarray, spec: SpectrogramSpec):
        self.tiles, self.spec = tiles, spec
        self.shape = len(tiles), 1, *tiles.shape[1:]

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, index) -> np.ndarray:
        return unpack(self.tiles[index], self.spec).numpy()[:, None]


def load(folder: Path, spec: SpectrogramSpec, seed: int = 0) -> TaskData:
    """Read both parts; the split is theirs, ``seed`` is not used. Raises TaskError."""
    folder = Path(folder)
    sets = {
        part: [_read(f, spec) for f in (folder / part, *sorted(folder.glob(f"{part}-*")))] for part in PARTS
    }
    names = sets["train"][0].names
    if any(values.names != names for part in PARTS for values in sets[part]):
        raise TaskError(f"{folder}: its sets have other labels; {_CURE}")
    front_ends = {part: np.unique(np.concatenate([v.front_ends for v in sets[part]])) for part in PARTS}
    shared = np.intersect1d(*front_ends.values())
    if len(shared):
        raise TaskError(f"{folder}: receiver {shared[0]} is in train and in test; {_CURE}")
    kept = [(f"{part}{number} ", v, np.flatnonzero(v.snr_db >= MIN_SNR_DB))
            for part in PARTS for number, v in enumerate(sets[part])]  # fmt: skip
    used, snr_db, rates = (np.concatenate([getattr(v, name)[index] for _, v, index in kept])
                           for name in ("labels", "snr_db", "rates"))  # fmt: skip
    groups = np.concatenate([np.char.add(name, v.groups[index].astype(str)) for name, v, index in kept])
    present = np.unique(used)  # 'noise' is one of the names of sets that are not --on
    kinds = all_classes()
    least = np.array([kinds[name].rates[0] if name in kinds else np.nan for name in names])
    conditions = {
        "SNR": _between(snr_db, SNRS_DB),
        "sample rate over the kind's least": _between(rates / least[used], RATE_RATIOS),
    }
    count = sum(len(index) for name, _, index in kept if name.startswith("train"))
    return TaskData(
        "signal", "classification",
        PackedTiles(np.concatenate([v.tiles[index] for _, v, index in kept]), spec),
        np.searchsorted(present, used), tuple(names[i] for i in present), groups,
        {"train": np.arange(count), "test": np.arange(count, len(used))}, tiles=True,
        rates=rates, conditions=conditions,
        facts={"train_tiles": count, "receivers": {part: len(ends) for part, ends in front_ends.items()},
               "transmissions": {"train": len(np.unique(groups[:count])),
                                 "test": len(np.unique(groups[count:]))},
               "least_snr_db": MIN_SNR_DB, "split": "other receivers and other seeds"})  # fmt: skip


def _between(values: np.ndarray, bounds: dict[str, tuple[float, float]]) -> dict[str, np.ndarray]:
    return {name: (values >= low) & (values < high) for name, (low, high) in bounds.items()}


def _read(folder: Path, spec: SpectrogramSpec) -> LabelledTiles:
    try:
        _, made_with = find_shards(folder)
        values = read_shards(folder)
    except (OSError, ValueError) as error:
        raise TaskError(f"{folder}: no labelled tiles ({error}); {_CURE}") from None
    theirs, ours = made_with.to_dict(), spec.to_dict()
    for key in theirs:
        if theirs[key] != ours[key]:
            raise TaskError(f"{folder}: tiles were made with {key} {theirs[key]}, the model's have "
                            f"{ours[key]}; 'radiofm synth tiles OUT --model MODEL' makes such")  # fmt: skip
    return values
