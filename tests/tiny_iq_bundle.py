# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A small encoder of I/Q with random weights, which tells tones of different frequency apart, for tests."""

import numpy as np
import torch
from radiofm_ml import bundle, models
from radiofm_ml.models.iq_encoder import IQEncoderConfig

BLOCK = 64
TONES = (-0.3, -0.1, 0.1, 0.3)  # cycles per sample


def make_bundle(path, block: int = BLOCK, **config) -> bundle.Bundle:
    """A bundle in the folder ``path``; ``config`` are values of IQEncoderConfig."""
    torch.manual_seed(7)
    architecture = IQEncoderConfig(**{"filters": 16, "taps": 16, "lags": 4, "hidden": 16, "depth": 1,
                                      "embedding_size": 8, **config}).to_dict()
    return bundle.save(path, name="random-iq", model=models.build(architecture), architecture=architecture,
                       block=block, card="random weights")


def tones(which, seed: int = 0, block: int = BLOCK) -> np.ndarray:
    """Blocks of TONES, named by their numbers, in noise, one behind the other. complex64 (n * block,)."""
    rng = np.random.default_rng(seed)
    n = np.arange(block)
    clean = np.exp(2j * np.pi * (np.array(TONES)[list(which), None] * n + rng.random((len(which), 1))))
    noise = rng.normal(0, 0.02, (len(which), block, 2)).view(np.complex128)[..., 0]
    return (clean + noise).astype(np.complex64).ravel()
