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


def make_bundle(path, spec: SpectrogramSpec = SPEC, signals: int | bool = 0, tiles: bool = True,
                **config) -> bundle.Bundle:
    """A bundle in the folder ``path``; ``config`` are values of ViTConfig. signals: values of an embedding of
    a signal, 0 for a bundle that reads none; True: what was measured counts in it as much as all the rest.
    tiles: it reads them, too."""
    torch.manual_seed(7)
    values = {"tile_rows": spec.tile_rows, "tile_cols": spec.tile_cols, "patch_rows": 8, "patch_cols": 8,
              "dim": 64, "depth": 3, "heads": 4, **config}
    architecture = ViTConfig(**values).to_dict()
    reads = None
    if signals:
        size, rng = values["dim"], np.random.default_rng(8)
        picture = PictureSpec(rows=spec.tile_rows // 2, cols=spec.tile_cols // 2)
        weight = np.eye(size + NUMBERS) if signals is True else rng.standard_normal((signals, size + NUMBERS))
        mean = np.zeros(size) if signals is True else rng.standard_normal(size)
        bias = np.zeros(len(weight)) if signals is True else rng.standard_normal(signals)
        reads = bundle.Signals(picture, *(value.astype(np.float32) for value in (mean, weight, bias)))
    return bundle.save(path, name="random", model=models.build(architecture), architecture=architecture,
                       spec=spec if tiles else None, card="random weights", signals=reads)
