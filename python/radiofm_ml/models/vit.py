# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Vision Transformer encoder for spectrogram tiles.

ViT: Dosovitskiy et al., arXiv 2010.11929; leaving patches out: He et al., arXiv 2111.06377; for radio
spectrograms: Aboulfotouh et al., arXiv 2411.09996. N tiles, T tokens (patches), D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import torch
from torch import nn
from torch.nn import functional as F

from radiofm_ml.arguments import is_number, is_whole

# encoder (dim, depth, heads); 'small' is the published 6.3 M encoder (arXiv 2511.15162), S, M and L those of
# 2411.09996
PRESETS = {
    "pico": (128, 4, 4),
    "tiny": (192, 6, 6),
    "small": (256, 8, 8),
    "S": (512, 12, 8),
    "M": (768, 12, 12),
    "L": (1024, 24, 16),
}
READ_OUTS = ("cls", "mean", "frequency", "statistics", "pooled")


@dataclass(frozen=True)
class ViTConfig:
    """Shape of an encoder.

    tile_rows, tile_cols     the tile; patch_rows, patch_cols must divide it
    dim, depth, heads        as in ``PRESETS``
    read_out   'cls' token, 'mean' of the patch tokens, or 'frequency': mean over time for each
               frequency patch, concatenated, so that the embedding keeps where the energy lies;
               'statistics': mean, standard deviation and maximum over the patches, concatenated,
               so that a short burst in a tile of noise is not averaged away; 'pooled': these and 'cls'
    projection length after a fitted linear map of the read-out (PCA whitening); 0 for none
    positions  'sincos' (fixed), or 'stored': a table among the weights, for encoders made elsewhere
    norm_eps   of the last normalisation; the blocks' are 1e-5
    """

    tile_rows: int = 128
    tile_cols: int = 256
    patch_rows: int = 16
    patch_cols: int = 16
    dim: int = 256
    depth: int = 8
    heads: int = 8
    mlp_ratio: float = 4.0
    read_out: str = "mean"
    projection: int = 0
    positions: str = "sincos"
    norm_eps: float = 1e-5

    def __post_init__(self):
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in ("mlp_ratio", "read_out", "positions", "norm_eps"):
                continue
            low = 0 if f.name == "projection" else 1
            if not is_whole(value, low, 65536):
                raise ValueError(f"{f.name} must be a whole number from {low} to 65536, got {value!r}")
        if not is_number(self.mlp_ratio, high=16) or self.mlp_ratio <= 0:
            raise ValueError(f"mlp_ratio must be a number up to 16, got {self.mlp_ratio!r}")
        if not is_number(self.norm_eps) or not 0 < self.norm_eps < 1:
            raise ValueError(f"norm_eps must be a number between 0 and 1, got {self.norm_eps!r}")
        if self.positions not in ("sincos", "stored"):
            raise ValueError(f"positions must be 'sincos' or 'stored', got {self.positions!r}")
        if self.read_out not in READ_OUTS:
            raise ValueError(f"read_out must be one of {', '.join(READ_OUTS)}, got {self.read_out!r}")
        if self.tile_rows % self.patch_rows or self.tile_cols % self.patch_cols:
            raise ValueError(
                f"patches of {self.patch_rows}x{self.patch_cols} do not divide "
                f"a {self.tile_rows}x{self.tile_cols} tile"
            )
        if self.dim % self.heads or self.dim % 4:
            raise ValueError(f"dim {self.dim} must be a multiple of 4 and of heads {self.heads}")

    @property
    def grid(self) -> tuple[int, int]:
        """Patches down (time) and across (frequency)."""
        return self.tile_rows // self.patch_rows, self.tile_cols // self.patch_cols

    @property
    def features(self) -> int:
        """Length of the read-out before the projection."""
        return self.dim * {"frequency": self.grid[1], "statistics": 3, "pooled": 4}.get(self.read_out, 1)

    @property
    def embedding_size(self) -> int:
        return self.projection or self.features

    @classmethod
    def from_dict(cls, values: dict) -> ViTConfig:
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown key {sorted(unknown)[0]!r}")
        return cls(**values)

    @classmethod
    def preset(cls, name: str, **values) -> ViTConfig:
        if name not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
        dim, depth, heads = PRESETS[name]
        return cls(dim=dim, depth=depth, heads=heads, **values)

    def to_dict(self) -> dict:
        return {"kind": "vit", **asdict(self)}


def sincos_positions(rows: int, cols: int, dim: int) -> torch.Tensor:
    """Fixed 2-D sine-cosine positions (rows*cols, dim): half the dimensions for time, half for frequency."""
    omega = 1.0 / 10000 ** (torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij")
    angles = [axis.flatten()[:, None] * omega for axis in (y, x)]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], 1).float()


def pooled(tokens: torch.Tensor) -> torch.Tensor:
    """Mean, deviation and maximum over the patches, and CLS: (N, 1 + T, dim) -> float32 (N, 4 * dim)."""
    cls, patches = tokens[:, 0].float(), tokens[:, 1:].float()
    spread = (patches.var(1, correction=0) + 1e-6).sqrt()
    return torch.cat([patches.mean(1), spread, patches.amax(1), cls], 1)


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, d = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if x.is_cuda or not torch.is_grad_enabled():
            y = F.scaled_dot_product_attention(q, k, v)
        else:  # torch's fused CPU kernel takes ten times as long backwards in bf16
            y = ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(n, t, d))


class Block(nn.Module):
    """Pre-norm transformer block.

    drop_path  in training, the probability with which a residual branch is left out for an example
    """

    drop_path = 0.0

    def __init__(self, dim: int, heads: int, mlp_ratio: float):
        super().__init__()
        hidden = int(dim * mlp_ratio)
        self.norm1, self.attention = nn.LayerNorm(dim), Attention(dim, heads)
        self.norm2, self.mlp = (
            nn.LayerNorm(dim),
            nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self._kept(self.attention(self.norm1(x)))
        return x + self._kept(self.mlp(self.norm2(x)))

    def _kept(self, branch: torch.Tensor) -> torch.Tensor:
        """The branch of the examples that keep it, scaled so that its mean remains."""
        if not self.training or not self.drop_path:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
        return branch * kept / (1 - self.drop_path)


def initialise(module: nn.Module) -> None:
    """Xavier-uniform linears, as in MAE."""
    for m in module.modules():
        if isinstance(m, nn.Linear):
            nn.init.xavier_uniform_(m.weight)
            nn.init.zeros_(m.bias)


class ViT(nn.Module):
    """Tile in, embedding out."""

    def __init__(self, config: ViTConfig):
        super().__init__()
        self.config = config
        self.patch_embed = nn.Linear(config.patch_rows * config.patch_cols, config.dim)
        self.cls = nn.Parameter(torch.zeros(1, 1, config.dim))
        positions = sincos_positions(*config.grid, config.dim)
        self.register_buffer("positions", positions, persistent=config.positions == "stored")
        self.blocks = nn.ModuleList(
            Block(config.dim, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.projection = (
            nn.Linear(config.features, config.projection) if config.projection else nn.Identity()
        )
        initialise(self)
        nn.init.normal_(self.cls, std=0.02)

    def patches(self, tiles: torch.Tensor) -> torch.Tensor:
        """(N, rows, cols) -> (N, T, patch_rows*patch_cols), tokens in reading order."""
        c, (down, across) = self.config, self.config.grid
        x = tiles.reshape(-1, down, c.patch_rows, across, c.patch_cols).transpose(2, 3)
        return x.reshape(-1, down * across, c.patch_rows * c.patch_cols)

    def stem(self, tiles: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens before the first block (N, 1 + T, dim), the CLS token first.

        keep: int64 (N, T_kept), the patches to encode (the others are left out, as in MAE); None for all.
        """
        x = self.patch_embed(self.patches(tiles)) + self.positions
        if keep is not None:
            x = x.gather(1, keep[..., None].expand(-1, -1, x.shape[-1]))
        return torch.cat([self.cls.expand(len(x), -1, -1), x], 1)

    def tokens(self, tiles: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Encoded tokens (N, 1 + T, dim), the CLS token first; ``keep`` as for ``stem``."""
        x = self.stem(tiles, keep)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def tokens_before(self, tiles: torch.Tensor, layers: Iterable[int]) -> dict[int, torch.Tensor]:
        """Tokens before block L for every L of ``layers``, in one pass that ends at the last of them.

        ``depth`` stands for those behind the last block. They are not normalised: what follows does that.
        """
        wanted, found, x = set(layers), {}, self.stem(tiles)
        for i in range(max(wanted) + 1):
            if i in wanted:
                found[i] = x
            if i < max(wanted):
                x = self.blocks[i](x)
        return found

    def read_out(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, 1 + T, dim) -> (N, features), before the projection."""
        if self.config.read_out == "cls":
            return tokens[:, 0]
        if self.config.read_out == "mean":
            return tokens[:, 1:].mean(1)
        if self.config.read_out == "statistics":
            patches = tokens[:, 1:].float()  # a spread of nearly equal values needs the digits
            return torch.cat([patches.mean(1), patches.std(1), patches.amax(1)], 1).to(tokens.dtype)
        if self.config.read_out == "pooled":
            return pooled(tokens).to(tokens.dtype)
        return tokens[:, 1:].unflatten(1, self.config.grid).mean(1).flatten(1)

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """Embeddings (N, embedding_size) of tiles (N, tile_rows, tile_cols)."""
        return self.projection(self.read_out(self.tokens(tiles)))

    def finish(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embeddings of the tokens behind the last block, as ``tokens_before`` gives them."""
        return self.projection(self.read_out(self.norm(tokens)))
