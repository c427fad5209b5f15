# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What every inference engine is: tiles or blocks of I/Q in, embeddings and tokens out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radiofm_ml.bundle import Bundle

MAX_TILE_VALUE = 1e4  # far above any real tile, and safe to square and sum in float32
MAX_SAMPLE = 1e15  # the same for I/Q, in whatever unit it comes
_MAX_BATCH = 32  # tiles or blocks in one pass; bounds the memory of a pass


class EngineError(RuntimeError):
    """An engine that cannot run here; one line that says what to do."""


class Engine:
    """A bundle's encoder, ready to run. Subclasses fill in ``available``, ``__init__`` and ``_run``.

    name    as in ``ENGINES``, with the precision: 'torch-bf16'
    bundle  the bundle whose encoder it runs
    spec    the tiles that it reads, None where it reads none
    shape   rows and columns of the tiles, or pictures of signals, that it reads; None where it reads I/Q
    block   samples in a block that it reads, None where it reads tiles or pictures
    layers  whose tokens it can give: 0 (before the first block) to the number of blocks; none at all
            where the engine or the encoder cannot
    """

    name = ""
    layers = range(0)

    def __init__(self, bundle: Bundle):
        self.bundle = bundle
        self.spec, self.block, self.shape = bundle.spec, bundle.block, bundle.shape
        self.embedding_size = bundle.embedding_size

    @staticmethod
    def available() -> bool:
        """Is everything here that this engine needs?"""
        raise NotImplementedError

    def _run(self, inputs: np.ndarray) -> np.ndarray:
        """float32 (n, tile_rows, tile_cols) or (n, block, 2), finite, 1 <= n <= 32 -> float32 (n, D)."""
        raise NotImplementedError

    def _run_with_tokens(self, tiles: np.ndarray, layers: list[int]) -> tuple[np.ndarray, list[np.ndarray]]:
        """As ``_run``, and the tokens before each of ``layers``, float32 (n, 1 + T, dim)."""
        raise NotImplementedError

    def embed(self, inputs: np.ndarray) -> np.ndarray:
        """Embeddings, float32 (N, D), of model-ready tiles or pictures, or of blocks of I/Q. N may be 0.

        Tiles and pictures: float32 (N, rows, cols) or (N, rows*cols); NaN counts as 0 and infinite or
        absurdly large values as +-1e4. I/Q: complex64 (N, block), in any unit; what is not finite counts
        as 0. So one bad value spoils neither its own embedding nor its neighbours'. Safe to call from
        several threads. Raises ValueError for another shape.
        """
        inputs = self._checked(inputs)
        embeddings = np.empty((len(inputs), self.embedding_size), np.float32)
        for i in range(0, len(inputs), _MAX_BATCH):
            embeddings[i:i + _MAX_BATCH] = self._run(self._clean(inputs[i:i + _MAX_BATCH]))
        return embeddings

    def embed_with_tokens(self, tiles: np.ndarray,
                          layers: Sequence[int]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Embeddings as ``embed``, and for each of ``layers`` the tokens before that block, in one pass.

        Tokens: float32 (N, 1 + T, dim), the CLS token first, not normalised; layer ``depth`` stands for those
        behind the last block. Raises ValueError for another shape, and for a layer that is not in ``layers``
        of this engine.
        """
        layers = sorted(set(layers))
        for layer in layers:
            if layer not in self.layers:
                has = f"0 to {self.layers[-1]}" if self.layers else "none"
                raise ValueError(f"engine {self.name} of {self.bundle.id} has no tokens of layer {layer}; "
                                 f"there are: {has}")
        if not layers:
            return self.embed(tiles), {}
        tiles = self._checked(tiles)
        if not len(tiles):
            return self.embed(tiles), {layer: np.empty((0, 0, 0), np.float32) for layer in layers}
        parts = [self._run_with_tokens(self._clean(tiles[i:i + _MAX_BATCH]), layers)
                 for i in range(0, len(tiles), _MAX_BATCH)]
        tokens = {layer: np.concatenate([part[1][k] for part in parts]) for k, layer in enumerate(layers)}
        return np.concatenate([part[0] for part in parts]), tokens

    def _checked(self, inputs: np.ndarray) -> np.ndarray:
        shape, block = self.shape, self.block
        if block is not None:
            blocks = np.asarray(inputs)
            if blocks.shape[1:] != (block,) or not np.iscomplexobj(blocks):
                raise ValueError(f"I/Q must be complex, (N, {block}), for {self.bundle.id}, "
                                 f"got {blocks.dtype} {blocks.shape}")
            return np.ascontiguousarray(blocks, np.complex64)
        tiles = np.asarray(inputs, np.float32)
        rows, cols = shape
        if tiles.shape[1:] not in (shape, (rows * cols,)):
            raise ValueError(f"tiles must be (N, {rows}, {cols}) or (N, {rows * cols}) for {self.bundle.id}, "
                             f"got {tiles.shape}")
        return tiles.reshape(-1, rows, cols)

    def _clean(self, inputs: np.ndarray) -> np.ndarray:
        """What the network is given."""
        return clean_tiles(inputs) if self.block is None else clean_iq(inputs)


def clean_tiles(tiles: np.ndarray) -> np.ndarray:
    """A copy of tiles that a model can be given: NaN is 0, what is absurdly large +-1e4."""
    clean = np.nan_to_num(tiles, nan=0.0)
    return np.clip(clean, -MAX_TILE_VALUE, MAX_TILE_VALUE, out=clean)


def clean_iq(blocks: np.ndarray) -> np.ndarray:
    """Blocks, complex64 (N, L), as a network takes them: float32 (N, L, 2), I and Q last, in which what is
    not finite is 0 and what is absurdly large +-1e15. The samples themselves where all of them are sound."""
    values = np.require(blocks, np.complex64, "CW").view(np.float32).reshape(*blocks.shape, 2)
    if is_sound(blocks):
        return values
    clean = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(clean, -MAX_SAMPLE, MAX_SAMPLE, out=clean)


def is_sound(samples: np.ndarray) -> bool:
    """Are all samples finite, and none absurdly large? One quick pass: their energy tells."""
    return bool(np.vdot(samples, samples).real < MAX_SAMPLE**2)
