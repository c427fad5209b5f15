# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""DeepBeam's network (Polese, Restuccia, Melodia, MobiHoc 2021, arXiv 2012.14350), as published.

    input                                             (blocks, 2048, 2), I and Q last, as they are in the file
    7 x: convolution of 64 kernels (1, 7), 'same', linear; max-pooling (1, 2)       2048 -> 1024 ... -> 16
    flatten                                           blocks x 16 x 64
    2 x: dense 128, linear; dense, one logit for each beam

Max-pooling is the only non-linearity; there is no normalisation, of the input either. Sizes are those of the
authors' launch scripts, which are the paper's (Figure 4), not of their argument parser. Weights begin as in
Keras: Glorot uniform, biases zero. Kernels have height 1, so that blocks meet in the first dense layer only.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class DeepBeam(nn.Module):
    """Beams, or angles, of raw I/Q.

    classes   beams or angles to decide between
    blocks    blocks of I/Q in an example
    kernels, kernel, layers   kernels of a convolution, their length (odd), convolutions
    dense     outputs of each of the two hidden dense layers
    length    samples in a block

    Parameters: 324,184 for 24 beams, 322,636 for 12, 321,733 for 5; 848,472 for 24 beams and 5 blocks.
    """

    def __init__(self, classes: int, blocks: int = 1, kernels: int = 64, kernel: int = 7, layers: int = 7,
                 dense: int = 128, length: int = 2048):
        super().__init__()
        if min(classes, blocks, kernels, kernel, layers, dense) < 1:
            raise ValueError("classes, blocks, kernels, kernel, layers and dense must be at least 1")
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        if length < 2**layers:
            raise ValueError(f"length must be at least {2**layers}, for {layers} max-poolings by 2, "
                             f"got {length}")
        self.config = {"classes": classes, "blocks": blocks, "kernels": kernels, "kernel": kernel,
                       "layers": layers, "dense": dense, "length": length}
        self.convolutions = nn.ModuleList(
            nn.Conv2d(kernels if i else 2, kernels, (1, kernel), padding=(0, kernel // 2))
            for i in range(layers))
        self.hidden = nn.ModuleList([nn.Linear(blocks * (length >> layers) * kernels, dense),
                                     nn.Linear(dense, dense)])
        self.head = nn.Linear(dense, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        # Channels last: twice as fast as Conv1d here, and the order that Keras flattens in.
        self.to(memory_format=torch.channels_last)

    def convolve(self, x: torch.Tensor) -> torch.Tensor:
        """What the first dense layer sees, (N, blocks x positions x kernels); ``x`` as in ``forward``."""
        if x.ndim == 3:
            x = x[:, None]
        blocks, length = self.config["blocks"], self.config["length"]
        if x.ndim != 4 or x.shape[1:] != (blocks, length, 2):
            raise ValueError(f"DeepBeam takes (N, {blocks}, {length}, 2), got {tuple(x.shape)}")
        n = len(x)
        x = x.reshape(n * blocks, 1, length, 2).permute(0, 3, 1, 2)  # channels last without a copy
        for convolution in self.convolutions:
            x = F.max_pool2d(convolution(x), (1, 2))
        return x.permute(0, 2, 3, 1).reshape(n, -1)  # block, then position, then kernel: as in Keras

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the last dense layer sees, (N, dense); ``x`` as in ``forward``."""
        x = self.convolve(x)
        for dense in self.hidden:
            x = dense(x)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, float32 (N, classes).

        x   float32 (N, blocks, length, 2); or (N, length, 2) for a block an example. Complex64 (N, blocks,
            length) is ``torch.view_as_real`` of it. Raises ValueError on another shape.
        """
        return self.head(self.features(x)).float()
