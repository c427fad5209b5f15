# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A trained head on disk: from a bundle's embedding, tokens or tile to a class, to numbers, or to a picture
of labels.

    head.safetensors   its weights
    head.json          what it is for, whose embeddings it reads, and where it begins ('input')

    head = heads.load(path)
    head.input                      'embedding': a ``Head``, numpy only, called with embeddings
                                    'tokens', 'tile': a ``heads.tuned.TunedHead``, which carries what tuning
                                    changed of the encoder and needs torch

A plain head's tensors are layers.0.weight, layers.0.bias, layers.1.weight …, (out, in) as in torch.nn.Linear,
and 'mean' for 'cl2n'. A head of either form may know the receiver's sample rate (``rate``): it is then called
with it, too. The name of the second file differs from a bundle's config.json, so that a head may lie
in a bundle's folder. Needs numpy, and safetensors to read and write.
"""

from radiofm_ml.heads.error import HeadError
from radiofm_ml.heads.files import folder, load, save
from radiofm_ml.heads.fit import fit_linear
from radiofm_ml.heads.head import Head

__all__ = ["Head", "HeadError", "fit_linear", "folder", "load", "save"]
