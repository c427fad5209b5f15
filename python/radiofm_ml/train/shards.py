# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tiles on disk: 8-bit shards, written once, read by memory map.

A shard is ``NAME-00000.npy``, uint8 (n, tile_rows, tile_cols); ``spec.json`` beside the shards says how
the tiles were made. One step is 1/255 of the clip range, a quarter of a dB at the default spec.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_iq
from radiofm_ml.synth.streams import place, random_stream

SHARD_TILES = 1024
STREAM_TILES = 8


def _limits(spec: SpectrogramSpec) -> tuple[float, float]:
    if spec.reference != "noise_floor":
        raise ValueError(
            "shards need a spec with reference 'noise_floor', whose values are bounded by clip_db"
        )
    low, high = ((v - spec.mean) / spec.std for v in spec.clip_db)
    return low, high


def pack(tiles: torch.Tensor, spec: SpectrogramSpec) -> np.ndarray:
    """float32 model-ready tiles to uint8."""
    low, high = _limits(spec)
    return ((tiles - low) * (255 / (high - low))).round().clamp(0, 255).byte().numpy()


def unpack(tiles: np.ndarray, spec: SpectrogramSpec) -> torch.Tensor:
    """uint8 to float32 model-ready tiles."""
    low, high = _limits(spec)
    return torch.from_numpy(np.asarray(tiles)).float() * ((high - low) / 255) + low


def synthetic_shard(index: int, spec: SpectrogramSpec, seed: int) -> np.ndarray:
    """Shard ``index``: tiles of random streams. The same index and seed give the same tiles."""
    rng = np.random.default_rng([seed, index])
    n = spec.samples_per_tile + (STREAM_TILES - 1) * spec.stride
    streams = (random_stream(n, rng).iq for _ in range(SHARD_TILES // STREAM_TILES))
    return np.concatenate([pack(tiles_from_iq(torch.from_numpy(iq), spec), spec) for iq in streams])


def held_out(session: str) -> bool:
    """One session in three never reaches pre-training, so that there are recordings to be judged on."""
    return int.from_bytes(hashlib.sha256(session.encode()).digest()[:4], "big") % 3 == 0


def session_of(recording) -> str:
    """The session that a recording's metadata names, in whichever extension (``*:session``), or ''."""
    values = recording.meta["global"]
    return next((str(value) for key, value in values.items() if key.endswith(":session")), "")


def recording_tiles(recording, spec: SpectrogramSpec, views: int, seed: int) -> Iterator[np.ndarray]:
    """Tiles of one real recording: as it is, and ``views - 1`` times from another start, shifted in
    frequency."""
    rng = np.random.default_rng(seed)
    iq = recording.read(0, recording.n_samples)
    for view in range(views):
        x = (
            iq
            if view == 0
            else place(iq[int(rng.integers(0, min(len(iq) // 2, spec.stride) + 1)) :], rng.uniform(-0.3, 0.3))
        )
        padded = np.concatenate(
            [x, np.resize(x[spec.tail_start(len(x)) :], spec.padded_length(len(x)) - len(x))]
        )
        yield pack(tiles_from_iq(torch.from_numpy(padded), spec), spec)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write, then rename: a shard that has its name is whole."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, array)
    os.replace(partial, path)


def prepare(
    folder: Path,
    spec: SpectrogramSpec,
    n_tiles: int,
    seed: int,
    recordings: Path | None = None,
    views: int = 4,
    track=lambda items, label: items,
) -> list[Path]:
    """Make what is missing of the shards of a run and return their paths.

    recordings: a folder of SigMF recordings (pre-training reads no labels); sessions that ``held_out``
    names, and recordings without a session whose path it names, are left out.
    track: ``track(sequence, label)`` shows progress. Raises ValueError if the folder was made with another
    spec.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made_with = {"spec": spec.to_dict(), "seed": seed, "views": views}
    note = folder / "spec.json"
    if note.exists() and json.loads(note.read_text()) != json.loads(json.dumps(made_with)):
        raise ValueError(
            f"{note}: these shards were made with another spec or seed; choose another folder or remove it"
        )
    note.write_text(json.dumps(made_with, indent=2))
    paths = [folder / f"synthetic-{i:05d}.npy" for i in range(-(-n_tiles // SHARD_TILES))]
    for i in track([i for i, path in enumerate(paths) if not path.exists()], "synthesising"):
        write_array(paths[i], synthetic_shard(i, spec, seed))
    if recordings is not None:
        paths.append(folder / "recordings-00000.npy")
        if not paths[-1].exists():
            write_array(paths[-1], _recordings_shard(recordings, spec, views, seed, track))
    return paths


def _recordings_shard(folder: Path, spec, views: int, seed: int, track) -> np.ndarray:
    from radiofm_ml.data.recording import find_recordings, open_recording

    tiles = []
    for i, path in enumerate(track(find_recordings(folder), "recordings")):
        recording = open_recording(path)
        if not held_out(session_of(recording) or str(path.relative_to(folder))):
            tiles.extend(recording_tiles(recording, spec, views, seed + i))
    if not tiles:
        raise ValueError(f"{folder}: no recording is left for pre-training")
    return np.concatenate(tiles)


class ShardReader:
    """Endless random batches from shards; a position restores them exactly (``batch(step)`` is a pure
    function)."""

    def __init__(
        self,
        paths: list[Path],
        spec: SpectrogramSpec,
        batch_size: int,
        seed: int,
        copies: dict[str, int] | None = None,
    ):
        """copies: how many times a shard counts in an epoch, by the name before the dash ('recordings')."""
        self.spec, self.batch_size, self.seed = spec, batch_size, seed
        self.arrays = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        shape = (spec.tile_rows, spec.tile_cols)
        for path, array in zip(paths, self.arrays, strict=True):
            if array.dtype != np.uint8 or array.shape[1:] != shape:
                raise ValueError(
                    f"{path}: holds {array.dtype} {array.shape[1:]}, the spec needs uint8 {shape}; remove it"
                )
        weights = [(copies or {}).get(path.name.split("-")[0], 1) for path in paths]
        self.index = np.concatenate(
            [
                np.tile(np.stack([np.full(len(a), i), np.arange(len(a))], 1), (w, 1))
                for i, (a, w) in enumerate(zip(self.arrays, weights, strict=True))
            ]
        )

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.index) // self.batch_size

    def batch(self, step: int) -> torch.Tensor:
        """float32 (batch_size, tile_rows, tile_cols) of optimisation step ``step``, augmented."""
        epoch, at = divmod(step, len(self))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.index))
        rng = np.random.default_rng([self.seed, epoch, at])
        tiles = [
            self._augment(self.arrays[i][j], rng)
            for i, j in self.index[order[at * self.batch_size :][: self.batch_size]]
        ]
        return unpack(np.stack(tiles), self.spec)

    @staticmethod
    def _augment(tile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Mirror the spectrum (I and Q swapped) every other time, and move it by a few bins."""
        tile = tile[:, ::-1] if rng.random() < 0.5 else tile
        return np.roll(tile, int(rng.integers(-tile.shape[1] // 16, tile.shape[1] // 16 + 1)), 1)
