# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The small transformer that says of every pixel of a tile what it shows, from a frozen encoder's tokens.

As arXiv 2411.09996 has it: two blocks as wide as the pre-training decoder, and a linear map to the pixels of
each patch. A token says what is in its patch, and only roughly where; so the decoder may see the patch's own
pixels beside it, which have the edges (``pixels``), and a small convolution over the tile may go over the
result (``detail``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from radiofm_ml.arguments import is_whole
from radiofm_ml.models.vit import Block, ViTConfig, initialise, sincos_positions

_LIMITS = {"dim": (4, 4096), "depth": (0, 64), "heads": (1, 64), "detail": (0, 256)}


@dataclass(frozen=True)
class PixelDecoderConfig:
    """Shape of a decoder.

    dim, depth, heads  of its transformer
    pixels             each token comes with linear maps of its patch's pixels and of what lies above and
                       below it: the mean over time of the tile's columns and of the tokens at this frequency,
                       so that a carrier is one thing from the start; false: the published decoder
    detail             features a pixel for two 3x3 convolutions, which see the tile too; 0 for none
    """

    dim: int = 128
    depth: int = 2
    heads: int = 8
    pixels: bool = True
    detail: int = 0

    def __post_init__(self):
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not is_whole(value, low, high):
                raise ValueError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
        if not isinstance(self.pixels, bool):
            raise ValueError(f"pixels must be true or false, got {self.pixels!r}")
        if self.dim % 4 or self.dim % self.heads:
            raise ValueError(f"dim {self.dim} must be a multiple of 4 and of heads {self.heads}")

    def to_dict(self) -> dict:
        return {"kind": "pixels", "dim": self.dim, "depth": self.depth, "heads": self.heads,
                "pixels": self.pixels, "detail": self.detail}


def build_decoder(values: dict, vit: ViTConfig, classes: int) -> PixelDecoder:
    """The decoder of a head.json. Raises ValueError naming what is wrong."""
    values = dict(values)
    if values.pop("kind", None) != "pixels":
        raise ValueError("kind must be 'pixels'")
    unknown = values.keys() - {*_LIMITS, "pixels"}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r}")
    return PixelDecoder(PixelDecoderConfig(**values), vit, classes)


class PixelDecoder(nn.Module):
    """Tokens to a score for each class at every pixel.

    reads_tile  it wants the tile beside the tokens
    """

    def __init__(self, config: PixelDecoderConfig, vit: ViTConfig, classes: int):
        super().__init__()
        self.config, self.vit = config, vit
        self.reads_tile = config.pixels or config.detail > 0
        self.embed = nn.Linear(vit.dim, config.dim)
        self.pixels = self.context = None
        if config.pixels:
            self.pixels = nn.Linear((vit.patch_rows + 1) * vit.patch_cols, config.dim)
            self.context = nn.Linear(vit.dim, config.dim)
        self.register_buffer("positions", sincos_positions(*vit.grid, config.dim), persistent=False)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads, 4.0) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim)
        features = config.detail or classes
        self.predict = nn.Linear(config.dim, vit.patch_rows * vit.patch_cols * features)
        initialise(self)
        self.refine = None
        if config.detail:
            self.refine = nn.Sequential(nn.Conv2d(features + 1, 2 * features, 3, padding=1), nn.GELU(),
                                        nn.Conv2d(2 * features, classes, 3, padding=1))

    def forward(self, tokens: torch.Tensor, tiles: torch.Tensor | None = None) -> torch.Tensor:
        """Scores (N, classes, tile_rows, tile_cols).

        tokens: (N, 1 + T, encoder dim), normalised, the CLS token, which is not used, first. tiles: float
        (N, tile_rows, tile_cols), where ``reads_tile``.
        """
        x = self.embed(tokens[:, 1:]) + self.positions
        if self.pixels is not None:
            x = x + self.pixels(self._pixels(tiles)) + self.context(self._over_time(tokens[:, 1:]))
        for block in self.blocks:
            x = block(x)
        x = self._picture(self.predict(self.norm(x)))
        if self.refine is not None:
            x = self.refine(torch.cat([x, tiles[:, None].to(x.dtype)], 1))
        return x

    def _patches(self, tiles: torch.Tensor) -> torch.Tensor:
        """(N, tile_rows, tile_cols) to (N, T, patch_rows*patch_cols), as ``ViT.patches``."""
        (down, across), v = self.vit.grid, self.vit
        x = tiles.unflatten(2, (across, v.patch_cols)).unflatten(1, (down, v.patch_rows)).transpose(2, 3)
        return x.flatten(3).flatten(1, 2)

    def _pixels(self, tiles: torch.Tensor) -> torch.Tensor:
        """(N, T, (patch_rows + 1)*patch_cols): each patch, and the mean over time of its columns."""
        down, across = self.vit.grid
        columns = tiles.mean(1).unflatten(1, (1, across, -1)).expand(-1, down, -1, -1).flatten(1, 2)
        return torch.cat([self._patches(tiles), columns], -1)

    def _over_time(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, dim) to the same: the mean of the tokens at the same frequency."""
        return tokens.unflatten(1, self.vit.grid).mean(1, keepdim=True).expand(
            -1, self.vit.grid[0], -1, -1).flatten(1, 2)

    def _picture(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, features*patch_rows*patch_cols) to (N, features, tile_rows, tile_cols)."""
        (down, across), v = self.vit.grid, self.vit
        x = x.unflatten(1, (down, across)).unflatten(-1, (-1, v.patch_rows, v.patch_cols))
        return x.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
