# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tiles on disk: 8-bit shards, written once, read by memory map.

A shard is ``NAME-00000.npy``, uint8 (n, tile_rows, tile_cols); ``spec.json`` beside the shards says how
the tiles were made. One step is 1/255 of the clip range, 0.4 dB at the default spec.
``NAME-00000.groups.npy``, int64 (n, 2), says of each tile which label it has (an index into the list
``labels`` of ``spec.json``) and which source it comes from, a recording or a synthetic stream, counted
within one NAME; -1 for none. A shard without this file has neither.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from radiofm_ml.atomic import replacing
from radiofm_ml.spectrogram import SpectrogramSpec

SHARD_TILES = 1024  # of a full shard


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


def unpack(tiles: np.ndarray | torch.Tensor, spec: SpectrogramSpec) -> torch.Tensor:
    """uint8 to float32 model-ready tiles, on the device that they are on."""
    low, high = _limits(spec)
    return torch.as_tensor(tiles).float() * ((high - low) / 255) + low


def write_array(path: Path, array: np.ndarray) -> None:
    """Write, then rename: a file that has its name is whole."""
    with replacing(path, durable=False) as part, part.open("wb") as file:
        np.save(file, array)


def write_shard(path: Path, tiles: np.ndarray, groups: np.ndarray) -> None:
    """A shard and its groups; the shard's own file comes last, and says that both are there."""
    write_array(groups_path(path), groups)
    write_array(path, tiles)


def groups_path(shard: Path) -> Path:
    return shard.with_suffix(".groups.npy")


def read_groups(shard: Path, n: int) -> np.ndarray:
    """Label and source of the shard's ``n`` tiles, int64 (n, 2). Raises ValueError for a file that does not
    fit."""
    path = groups_path(shard)
    if not path.exists():
        return np.full((n, 2), -1)
    groups = np.load(path, allow_pickle=False)
    labels = len(shard_labels(shard))
    fits = groups.dtype == np.int64 and groups.shape == (n, 2)
    if not fits or groups.min() < -1 or groups[:, 0].max() >= labels:
        raise ValueError(
            f"{path}: must hold int64 ({n}, 2), labels below {labels} and sources; make the shards again"
        )
    return groups


def shard_labels(shard: Path) -> list[str]:
    """Names of the labels that a shard's groups count."""
    note = shard.parent / "spec.json"
    return json.loads(note.read_text(encoding="utf-8")).get("labels", []) if note.exists() else []


def hold_pictures(shards: list[Path]) -> bool:
    """Do any of these hold pictures of signals, rather than tiles?"""
    notes = {shard.parent / "spec.json" for shard in shards}
    return any("picture" in json.loads(note.read_text(encoding="utf-8")) for note in notes if note.exists())


def find_shards(folder: Path) -> tuple[list[Path], SpectrogramSpec]:
    """The shards of a folder, in order, and the spec that they were made with. Raises ValueError for none."""
    paths = sorted(p for p in folder.glob("*-[0-9][0-9][0-9][0-9][0-9].npy"))
    try:
        note = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
        spec = SpectrogramSpec.from_dict(note["spec"])
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder}: no spec.json that says how shards were made ({error})") from None
    if not paths:
        raise ValueError(f"{folder}: no shards (NAME-00000.npy); `radiofm synth` makes some")
    return paths, spec
