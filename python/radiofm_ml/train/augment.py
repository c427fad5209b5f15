# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Changes of a tile that leave its signal what it is. All work on the 8-bit tiles of a shard."""

from __future__ import annotations

import functools

import numpy as np
from scipy.stats import gamma

from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.train.settings import AugmentationSettings


class Augmentation(AugmentationSettings):
    """The changes, at random."""

    def __call__(self, tile: np.ndarray, spec: SpectrogramSpec, rng: np.random.Generator) -> np.ndarray:
        """A changed copy of a tile, uint8 (tile_rows, tile_cols).

        The same numbers are drawn whatever is switched on, but for the noise, drawn last.
        """
        u = rng.random(7)
        rows, cols = tile.shape
        if u[0] < self.mirror:
            tile = tile[:, ::-1]
        shift_rows, shift_cols = (
            round((2 * v - 1) * share * size)
            for v, share, size in ((u[1], self.time_roll, rows), (u[2], self.frequency_roll, cols))
        )
        tile = np.roll(tile, (shift_rows, shift_cols), (0, 1))
        if self.noise_db and u[3] < 0.5:
            tile = add_noise(tile, 2 * u[3] * self.noise_db, spec, rng)
        low, step = spec.clip_db[0], (spec.clip_db[1] - spec.clip_db[0]) / 255
        if self.gain_db:
            shifted = np.arange(256) + round((2 * u[4] - 1) * self.gain_db / step)
            tile = shifted.clip(0, 255).astype(np.uint8)[tile]
        if self.erase:
            count = int(u[5] * (self.erase * rows + 1))
            start = int(u[6] * (rows - count + 1))
            tile[start : start + count] = round(-low / step)
        return tile


def add_noise(
    tile: np.ndarray, loss_db: float, spec: SpectrogramSpec, rng: np.random.Generator
) -> np.ndarray:
    """The tile as it would be at a signal-to-noise ratio lower by ``loss_db``. uint8 in and out.

    The power of noise in a bin of averaged rows follows a gamma distribution. A tile's floor is a
    quantile of it, from which the mean power of the noise follows; so much is added, in random phase to
    what is there, that noise grows by ``loss_db``, and the floor is moved back to 0 dB.
    """
    low, step = spec.clip_db[0], (spec.clip_db[1] - spec.clip_db[0]) / 255
    growth = 10 ** (loss_db / 10)
    added = rng.standard_gamma(spec.averaging, tile.shape, np.float32)
    added *= np.float32((growth - 1) / gamma.ppf(max(spec.floor_quantile, 0.01), spec.averaging))
    there = _powers(low, step)[tile]
    turn = np.cos(np.float32(2 * np.pi) * rng.random(tile.shape, np.float32))
    power = there + added + 2 * np.sqrt(there * added / np.float32(spec.averaging)) * turn
    power = np.maximum(power, np.float32(1e-6))
    values = (10 * np.log10(power) - np.float32(loss_db + low)) / np.float32(step)
    return values.round().clip(0, 255).astype(np.uint8)


@functools.cache
def _powers(low: float, step: float) -> np.ndarray:
    """float32 (256,): power over the floor of each 8-bit value."""
    return (10 ** ((low + step * np.arange(256)) / 10)).astype(np.float32)
