# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A head of any kind, ready to run on what the encoder's pass gives.

    engine = open_head("radiofm-small/segmentation")
    engine.layers                                   # (8, -1): tokens behind the last block, and the tile
    probabilities = engine.predict({8: tokens, -1: tiles})

Heads that begin at the embedding read no layers, but the embedding.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike

from radiofm_ml import bundle as bundles
from radiofm_ml import heads
from radiofm_ml.engines import accelerate, torch_threads
from radiofm_ml.heads.boxes import Box, box_band, box_samples, find_boxes
from radiofm_ml.heads.error import HeadError

if TYPE_CHECKING:
    from radiofm_ml.heads.head import Head
    from radiofm_ml.heads.tuned import TunedHead

TILE = -1  # the layer that is the tile itself


class HeadEngine:
    """A head and all it needs.

    head     a ``heads.Head`` or a ``heads.tuned.TunedHead``, attached
    layers   what it reads: () for the embedding; L for tokens before block L, ``TILE`` for the tile
    shapes   of each layer: (rows, columns)
    spec     of the bundle's tiles; None for a head on embeddings

    Where the head has a ``rate``, ``predict`` needs the sample rates, too.
    """

    def __init__(self, head: Head | TunedHead, bundle: bundles.Bundle | None = None, threads: int = 1,
                 precision: str = "auto"):
        self.head, self.spec, self._threads = head, None, threads
        self.layers, self.shapes = (), {}
        if head.input == "embedding":
            return
        if head.config.front is not None:
            raise HeadError(f"head '{head.task}' reads arrays of {head.config.front.channels} channels, "
                            "not tiles of a stream; it works on files only")
        head.attach(bundle)
        if head.decoder is not None and bundle.spec.time_axis != "down":
            raise HeadError(f"head '{head.task}' finds boxes in tiles whose time runs down; those of "
                            f"'{bundle.id}' run across")
        if head.config.lora:
            head.merge()
        self.spec = bundle.spec
        vit = head.config.vit
        tokens = {} if head.input == "tile" else {head.from_layer: (1 + vit.grid[0] * vit.grid[1], vit.dim)}
        tile = {TILE: (vit.tile_rows, vit.tile_cols)} if head.input == "tile" or head.reads_tile else {}
        self.shapes = {**tokens, **tile}
        self.layers = tuple(self.shapes)
        accelerate(head, precision)

    def predict(self, inputs: np.ndarray | dict[int, np.ndarray],
                rates: ArrayLike | None = None) -> np.ndarray:
        """Probabilities or numbers (N, K), or (N, K, rows, columns) of a segmentation.

        inputs: embeddings float32 (N, D), or of each of ``layers`` a float32 (N, *shape). rates: of the N
        tiles in samples/s; read by a head that knows the rate, which raises ValueError without.
        """
        if not self.layers:
            return self.head(inputs, rates)
        values = [torch.from_numpy(inputs[layer]) for layer in self.layers]
        with torch_threads(self._threads):
            return self.head.predict(*values, rates=rates)

    def boxes(self, probabilities: np.ndarray, min_pixels: int = 16) -> list[Box]:
        """Boxes of one picture of a segmentation, float (K, rows, columns); the first label is the
        background."""
        return find_boxes(probabilities, min_pixels=min_pixels)

    def place(self, box: Box) -> tuple[int, int, tuple[float, float]]:
        """(first sample from the tile's first on, count, band in fractions of the sample rate) of a box."""
        return (*box_samples(box.row_start, box.row_stop, self.spec),
                box_band(box.col_start, box.col_stop, self.spec))


def open_head(ref: str | os.PathLike, bundle: str | os.PathLike | bundles.Bundle = "", threads: int = 1,
              precision: str = "auto") -> HeadEngine:
    """Load a head and, where it needs one, its bundle.

    ref      what ``heads.load`` takes
    bundle   of the head; '' for the one that it lies in (``BUNDLE/heads/NAME``), else the shipped one that it
             was trained on

    Raises HeadError for a head that cannot be used, BundleError for a bundle.
    """
    head = heads.load(ref)
    if head.input == "embedding":
        return HeadEngine(head)
    if not bundle:
        parent = heads.folder(ref).resolve().parent
        inside = parent.name == "heads" and (parent.parent / "config.json").is_file()
        bundle = parent.parent if inside else head.model.partition("@")[0]
    if not bundle:
        raise HeadError(f"{ref}: does not say which model it is for; name its bundle")
    return HeadEngine(head, bundles.load(bundle, bundles.TILES), threads, precision)
