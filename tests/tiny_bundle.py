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


def make_bundle(path, spec: SpectrogramSpec = SPEC, signals: int = 0, **config) -> bundle.Bundle:
    """A bundle in the folder ``path``; ``config`` are values of ViTConfig. signals: values of an embedding of
    a signal, 0 for a bundle that reads none."""
    torch.manual_seed(7)
    values = {"tile_rows": spec.tile_rows, "tile_cols": spec.tile_cols, "patch_rows": 8, "patch_cols": 8,
              "dim": 64, "depth": 3, "heads": 4, **config}
    architecture = ViTConfig(**values).to_dict()
    reads = None
    if signals:
        rng = np.random.default_rng(8)
        reads = bundle.Signals(PictureSpec(rows=spec.tile_rows // 2, cols=spec.tile_cols // 2),
                               rng.standard_normal(values["dim"]).astype(np.float32),
                               rng.standard_normal((signals, values["dim"] + NUMBERS)).astype(np.float32),
                               rng.standard_normal(signals).astype(np.float32))
    return bundle.save(path, name="random", model=models.build(architecture), architecture=architecture,
                       spec=spec, card="random weights", signals=reads)
