# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Low-rank adaptation of the queries and values of an encoder's attention.

LoRA: Hu et al., arXiv 2106.09685 (W + alpha/r B A, B = 0 to begin with); rank-stabilised scale alpha/sqrt(r):
Kalajdzievski, arXiv 2312.03732. On q and v, as for wireless foundation models in arXiv 2511.15162.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import nn

from radiofm_ml.arguments import is_number, is_whole
from radiofm_ml.models.vit import ViT


@dataclass(frozen=True)
class LoraConfig:
    """rank of the additions; their scale is alpha/sqrt(rank) if ``stabilised``, else alpha/rank."""

    rank: int = 32
    alpha: float = 64.0
    stabilised: bool = True

    def __post_init__(self):
        if not is_whole(self.rank, 1, 4096):
            raise ValueError(f"LoRA: rank must be a whole number from 1 to 4096, got {self.rank!r}")
        if not is_number(self.alpha) or self.alpha <= 0:
            raise ValueError(f"LoRA: alpha must be a finite number above 0, got {self.alpha!r}")
        if not isinstance(self.stabilised, bool):
            raise ValueError(f"LoRA: stabilised must be true or false, got {self.stabilised!r}")

    @property
    def scale(self) -> float:
        return self.alpha / (math.sqrt(self.rank) if self.stabilised else self.rank)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> LoraConfig:
        """Raises ValueError for unknown, missing or ill-typed keys."""
        if not isinstance(values, dict) or set(values) != {"rank", "alpha", "stabilised"}:
            raise ValueError("LoRA: must be an object with rank, alpha and stabilised")
        return cls(**values)


class LoraQV(nn.Module):
    """A fused ``qkv`` layer (dim -> 3 dim) with low-rank additions to q and v.

    lora_a  (2, rank, dim): into the low rank, for q and for v
    lora_b  (2, dim, rank): out of it
    """

    def __init__(self, qkv: nn.Linear, config: LoraConfig):
        super().__init__()
        dim = qkv.in_features
        self.base, self.scale = qkv, config.scale
        self.lora_a = nn.Parameter(torch.randn(2, config.rank, dim) / math.sqrt(config.rank))
        self.lora_b = nn.Parameter(torch.zeros(2, dim, config.rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = (x @ self.lora_a.flatten(0, 1).T).unflatten(-1, (2, -1))
        q, v = ((low[..., i, :] @ self.lora_b[i].T) * self.scale for i in (0, 1))
        y = self.base(x)
        return y + torch.cat([q, torch.zeros_like(q), v], -1).to(y.dtype)

    def merged(self) -> nn.Linear:
        """One linear layer that computes the same."""
        q, v = (self.lora_b @ self.lora_a) * self.scale
        linear = nn.Linear(self.base.in_features, self.base.out_features, device="meta")
        weight = self.base.weight + torch.cat([q, torch.zeros_like(q), v])
        linear.weight = nn.Parameter(weight.detach(), requires_grad=False)
        linear.bias = nn.Parameter(self.base.bias.detach().clone(), requires_grad=False)
        return linear


def add_lora(vit: ViT, first: int, config: LoraConfig) -> None:
    """Put additions into blocks ``first`` and later; at first they change nothing."""
    for block in vit.blocks[first:]:
        block.attention.qkv = LoraQV(block.attention.qkv, config)


def merge_lora(vit: ViT) -> None:
    """Work the additions into the weights: the same function at the speed of the plain encoder."""
    for block in vit.blocks:
        if isinstance(block.attention.qkv, LoraQV):
            block.attention.qkv = block.attention.qkv.merged()
