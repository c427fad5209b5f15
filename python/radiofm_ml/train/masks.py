# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Which patches are hidden: masks on the patch grid, every tile of a batch with the same number hidden.

Uniformly random masks are the published ones (arXiv 2411.09996). A spectrogram's neighbours tell much of a
single hidden patch; hidden bands and blocks ask for more (SpecAugment, arXiv 1904.08779; I-JEPA, 2301.08243;
LatentWave, 2606.06373).

All kinds work alike: each patch of a tile gets a place in the order of hiding, and the first of that
order are hidden. Bands and blocks are hidden whole, one after the other; the last one is cut, line by
line, so that the ratio is met exactly.
"""

from __future__ import annotations

import math

import torch

from radiofm_ml.train.settings import MASK_KINDS

BAND = 2.0  # mean thickness of a band in patches
BLOCK_AREA, BLOCK_ASPECT = (0.15, 0.2), (0.75, 1.5)  # of I-JEPA's targets; aspect is rows over columns
BLOCKS = 48  # enough to cover a tile at any ratio


def masks(
    kind: str, n: int, grid: tuple[int, int], ratio: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks of ``n`` tiles: indices int64 (n, kept) and (n, hidden), hidden being ``ratio`` of the patches.

    kind: 'random' patches; 'time', bands of rows; 'frequency', bands of columns; 'block', rectangles;
    'mixed', one of these for each tile. grid: patches down and across. At least one patch is kept and
    one hidden. Raises ValueError for an unknown kind.
    """
    if kind not in MASK_KINDS:
        raise ValueError(f"mask must be one of {', '.join(MASK_KINDS)}, got {kind!r}")
    patches = grid[0] * grid[1]
    order = _order(kind, n, grid, generator)
    hidden = patches - min(max(1, math.floor(patches * (1 - ratio) + 1e-9)), patches - 1)
    return order[:, hidden:], order[:, :hidden]


def _order(kind: str, n: int, grid: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """int64 (n, patches): the order in which patches are hidden."""
    if kind == "random":
        return torch.rand(n, grid[0] * grid[1], generator=generator).argsort(1)
    if kind == "mixed":
        orders = torch.stack([_order(k, n, grid, generator) for k in MASK_KINDS[:-1]])
        return orders[torch.randint(len(orders), (n,), generator=generator), torch.arange(n)]
    if kind == "block":
        return _blocks(n, grid, generator).argsort(dim=1, stable=True)
    lines, length = grid if kind == "time" else grid[::-1]
    bands = _bands(n, lines, generator).repeat_interleave(length, 1)
    order = bands.argsort(dim=1, stable=True)  # stable: line by line within a band
    return order if kind == "time" else order % length * lines + order // length


def _bands(n: int, lines: int, generator: torch.Generator) -> torch.Tensor:
    """float32 (n, lines): lines of one band share a random value."""
    starts = torch.rand(n, lines, generator=generator) < 1 / BAND
    return torch.rand(n, lines + 1, generator=generator).gather(1, starts.cumsum(1))


def _blocks(n: int, grid: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """float32 (n, patches): the number of the first of ``BLOCKS`` random rectangles that a patch lies in.

    Patches in none come last, in random order.
    """

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, BLOCKS, 1, generator=generator)

    area, aspect = uniform(*BLOCK_AREA) * grid[0] * grid[1], uniform(*BLOCK_ASPECT)
    inside = torch.ones(n, BLOCKS, 1, 1, dtype=torch.bool)
    for axis, size in enumerate((torch.sqrt(area * aspect), torch.sqrt(area / aspect))):
        size = size.round().clamp(min(2, grid[axis]), grid[axis])
        over = ((size - 1) / 2).floor()  # beyond the edge, or the edges would be hidden too seldom
        start = (uniform(0, 1) * (grid[axis] - size + 2 * over + 1)).floor() - over
        line = torch.arange(grid[axis])
        inside = inside & ((line >= start) & (line < start + size)).unsqueeze(3 - axis)
    covered = inside.flatten(2)
    first = torch.where(covered.any(1), covered.int().argmax(1), BLOCKS).float()
    return first + (first == BLOCKS) * torch.rand(first.shape, generator=generator)
