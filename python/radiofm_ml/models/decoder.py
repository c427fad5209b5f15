# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The small transformer that fills in hidden patches during pre-training (arXiv 2111.06377, 2411.09996)."""

from __future__ import annotations

import torch
from torch import nn

from radiofm_ml.models.vit import Block, ViTConfig, initialise, sincos_positions


class PatchDecoder(nn.Module):
    """From the encoded visible patches to a value for every patch.

    dim, depth, heads   of the decoder, which may be much smaller than the encoder
    outputs             numbers to predict of each patch: its pixels, or a latent vector
    """

    def __init__(self, vit: ViTConfig, outputs: int, dim: int = 128, depth: int = 4, heads: int = 8):
        super().__init__()
        self.embed = nn.Linear(vit.dim, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.register_buffer("positions", sincos_positions(*vit.grid, dim), persistent=False)
        self.blocks = nn.ModuleList(Block(dim, heads, 4.0) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.predict = nn.Linear(dim, outputs)
        initialise(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, tokens: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        """Predictions (N, T, outputs) for every patch.

        tokens: (N, 1 + T_kept, encoder dim), the CLS token, which is not used, first.
        keep: int64 (N, T_kept), which patches they are.
        """
        x = self.embed(tokens[:, 1:])
        full = self.mask_token.to(x.dtype).repeat(len(x), len(self.positions), 1)
        full = full.scatter(1, keep[..., None].expand(-1, -1, x.shape[-1]), x) + self.positions
        for block in self.blocks:
            full = block(full)
        return self.predict(self.norm(full))
