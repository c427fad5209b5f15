# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The tiles of a recording: one grid from its first sample to its last, the last one completed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from radiofm_ml.engines.threads import torch_threads
from radiofm_ml.sigmf.recording import Recording
from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_iq


def tile_batches(recording: Recording, spec: SpectrogramSpec, batch: int = 16,
                 first: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Every tile of a recording from number ``first`` on, the completed last one included, ``batch`` at a
    time.

    Yields (index of the first, float32 (n, tile_rows, tile_cols)). Raises RecordingError.
    """
    n_tiles = spec.n_tiles(recording.n_samples)
    for at in range(first, n_tiles, batch):
        yield at, read_tiles(recording, spec, range(at, min(at + batch, n_tiles)))


def read_tiles(recording: Recording, spec: SpectrogramSpec, indices: Sequence[int]) -> np.ndarray:
    """The tiles of these numbers, float32 (n, tile_rows, tile_cols). Raises RecordingError."""
    tiles = np.empty((len(indices), spec.tile_rows, spec.tile_cols), np.float32)
    for tile, index in zip(tiles, indices, strict=True):
        iq = recording.read(index * spec.stride, spec.samples_per_tile)
        iq = np.resize(iq, spec.samples_per_tile)  # repeats a tail cyclically
        with torch_threads(1):
            tile[:] = tiles_from_iq(torch.from_numpy(iq), spec)[0].numpy()
    return tiles


def tile_frequency(recording: Recording, spec: SpectrogramSpec, tile: int) -> float | None:
    """Centre frequency of a tile: that of the last capture that begins before the next tile does."""
    return recording.capture_at(min((tile + 1) * spec.stride, recording.n_samples) - 1).frequency
