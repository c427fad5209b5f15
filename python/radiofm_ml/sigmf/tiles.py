# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The tiles of a recording: one grid from its first sample to its last, the last one completed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from radiofm_ml.engines.threads import torch_threads
from radiofm_ml.sigmf.recording import Recording
from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_iq


def tile_batches(recording: Recording, spec: SpectrogramSpec,
                 batch: int = 16) -> Iterator[tuple[int, np.ndarray]]:
    """Every tile of a recording, the completed last one included, ``batch`` at a time.

    Yields (index of the first, float32 (n, tile_rows, tile_cols)). Raises RecordingError.
    """
    n_tiles = spec.n_tiles(recording.n_samples)
    for first in range(0, n_tiles, batch):
        tiles = np.empty((min(batch, n_tiles - first), spec.tile_rows, spec.tile_cols), np.float32)
        for i in range(len(tiles)):
            iq = recording.read((first + i) * spec.stride, spec.samples_per_tile)
            iq = np.resize(iq, spec.samples_per_tile)  # repeats a tail cyclically
            with torch_threads(1):
                tiles[i] = tiles_from_iq(torch.from_numpy(iq), spec)[0].numpy()
        yield first, tiles


def tile_frequency(recording: Recording, spec: SpectrogramSpec, tile: int) -> float | None:
    """Centre frequency of a tile: that of the last capture that begins before the next tile does."""
    return recording.capture_at(min((tile + 1) * spec.stride, recording.n_samples) - 1).frequency
