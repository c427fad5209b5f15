# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A small encoder with random weights, for tests."""

import numpy as np
import torch
from radiofm_ml import bundle, models
from radiofm_ml.models.vit import ViTConfig
from radiofm_ml.pictures import NUMBERS, PictureSpec
from radiofm_ml.spectrogram import SpectrogramSpec

SPEC = SpectrogramSpec(fft_size=64, hop=32, rows=32, tile_rows=32, tile_cols=64)


def make_bundle(path, spec: SpectrogramSpec = SPEC, signals: bool = False, **config) -> bundle.Bundle:
    """A bundle in the folder ``path``; signals: that reads them, too; ``config`` are values of ViTConfig."""
    torch.manual_seed(7)
    values = {"tile_rows": spec.tile_rows, "tile_cols": spec.tile_cols, "patch_rows": 8, "patch_cols": 8,
              "dim": 64, "depth": 3, "heads": 4, **config}
    architecture = ViTConfig(**values).to_dict()
    model = models.build(architecture)
    size = models.embedding_size(architecture)
    # what was measured counts as much as what a network with random weights sees
    weight = np.eye(size + NUMBERS)
    reads = bundle.Signals(PictureSpec(spec.tile_rows // 2, spec.tile_cols // 2), np.zeros(size), weight,
                           np.zeros(len(weight))) if signals else None
    return bundle.save(path, name="random", model=model, architecture=architecture, spec=spec,
                       card="random weights", signals=reads)
