# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The shards that pre-training reads (``data.shards``): tiles of synthetic streams and of recordings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from radiofm_ml import atomic
from radiofm_ml.data.shards import SHARD_TILES, pack, write_shard
from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_iq
from radiofm_ml.synth.streams import place, random_stream
from radiofm_ml.synth.waveforms import FAMILIES

if TYPE_CHECKING:
    from radiofm_ml.sigmf.recording import Recording

STREAM_TILES = 8


def synthetic_shard(index: int, spec: SpectrogramSpec, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Shard ``index``: tiles of random streams, and their groups; the label is the main emitter's family.

    The same index and seed give the same tiles.
    """
    rng = np.random.default_rng([seed, index])
    n = spec.samples_per_tile + (STREAM_TILES - 1) * spec.stride
    tiles, groups, count = [], [], SHARD_TILES // STREAM_TILES
    for number in range(count):
        stream = random_stream(n, rng)
        tiles.append(pack(tiles_from_iq(torch.from_numpy(stream.iq), spec), spec))
        group = (list(FAMILIES).index(stream.family), index * count + number)
        groups.append(np.tile(np.int64(group), (len(tiles[-1]), 1)))
    return np.concatenate(tiles), np.concatenate(groups)


def held_out(session: str) -> bool:
    """One session in three never reaches pre-training, so that there are recordings to be judged on."""
    return int.from_bytes(hashlib.sha256(session.encode()).digest()[:4], "big") % 3 == 0


def session_of(recording: Recording) -> str:
    """The session that a recording's metadata names, in whichever extension (``*:session``), or ''."""
    values = recording.meta["global"]
    return next((str(value) for key, value in values.items() if key.endswith(":session")), "")


def recording_tiles(recording: Recording, spec: SpectrogramSpec, views: int,
                    seed: int) -> Iterator[np.ndarray]:
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


def prepare(
    folder: Path,
    spec: SpectrogramSpec,
    n_tiles: int,
    seed: int,
    recordings: Path | None = None,
    views: int = 4,
    track: Callable = lambda items, label: items,
) -> list[Path]:
    """Make what is missing of the shards of a run and return their paths.

    n_tiles: synthetic tiles, 0 for none. recordings: a folder of SigMF recordings (pre-training reads no
    labels); sessions that ``held_out`` names, and recordings without a session whose path it names, are
    left out. track: ``track(sequence, label)`` shows progress. Raises ValueError if the folder was made with
    another spec.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made_with = {"spec": spec.to_dict(), "seed": seed, "views": views, "labels": list(FAMILIES)}
    note = folder / "spec.json"
    if note.exists() and json.loads(note.read_text()) != json.loads(json.dumps(made_with)):
        raise ValueError(
            f"{note}: these shards were made with another spec or seed; choose another folder or remove it"
        )
    atomic.write_json(note, made_with)
    paths = [folder / f"synthetic-{i:05d}.npy" for i in range(-(-n_tiles // SHARD_TILES))]
    for i in track([i for i, path in enumerate(paths) if not path.exists()], "synthesising"):
        write_shard(paths[i], *synthetic_shard(i, spec, seed))
    if recordings is not None:
        done = folder / "recordings.json"  # written last: the shards are complete
        if not done.exists():
            shards = _recordings_shards(folder, recordings, spec, views, seed, track)
            atomic.write_json(done, {"shards": shards, "folder": str(recordings)}, indent=None)
        made = json.loads(done.read_text(encoding="utf-8"))
        if made["folder"] != str(recordings):
            raise ValueError(
                f"{done}: these shards are of {made['folder']}; choose another folder or remove it"
            )
        paths += [folder / f"recordings-{i:05d}.npy" for i in range(made["shards"])]
    return paths


def _recordings_shards(out: Path, folder: Path, spec, views: int, seed: int, track) -> int:
    """Write shards of about ``SHARD_TILES`` tiles; their number. A source is a recording."""
    from radiofm_ml.sigmf.recording import find_recordings, open_recording

    tiles, groups, shards = [], [], 0

    def write() -> None:
        nonlocal shards
        write_shard(out / f"recordings-{shards:05d}.npy", np.concatenate(tiles), np.concatenate(groups))
        tiles.clear(), groups.clear()
        shards += 1

    for number, path in enumerate(track(find_recordings(folder), "recordings")):
        recording = open_recording(path)
        if held_out(session_of(recording) or str(path.relative_to(folder))):
            continue
        for made in recording_tiles(recording, spec, views, seed + number):
            tiles.append(made)
            groups.append(np.tile(np.int64((-1, number)), (len(made), 1)))
            if sum(map(len, tiles)) >= SHARD_TILES:
                write()
    if tiles:
        write()
    if not shards:
        raise ValueError(f"{folder}: no recording is left for pre-training")
    return shards
