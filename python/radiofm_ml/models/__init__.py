# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Networks, built from the ``architecture`` object of a bundle."""

from __future__ import annotations

import torch

from radiofm_ml.models.iq_encoder import IQEncoder, IQEncoderConfig
from radiofm_ml.models.vit import ViT, ViTConfig

_KINDS = {"vit": (ViT, ViTConfig), "iq-cnn": (IQEncoder, IQEncoderConfig)}


def _config(architecture: dict):
    kind = architecture.get("kind")
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    network, config = _KINDS[kind]
    values = {key: value for key, value in architecture.items() if key != "kind"}
    return network, config.from_dict(values)


def build(architecture: dict) -> torch.nn.Module:
    """Network with fresh weights. Raises ValueError naming what is wrong."""
    network, config = _config(architecture)
    return network(config)


def embedding_size(architecture: dict) -> int:
    """Length of the embedding that this architecture gives. Raises ValueError."""
    return _config(architecture)[1].embedding_size
