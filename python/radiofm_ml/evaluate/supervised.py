# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The supervised baseline: a small CNN, from scratch, with the labels that the prototypes get."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn


class SmallCNN(nn.Module):
    """Four strided convolutions, mean and maximum over the picture, one linear layer (about 0.1 M
    parameters), which may read ``beside`` numbers more."""

    def __init__(self, outputs: int, beside: int = 0):
        super().__init__()
        self.stages = nn.Sequential(
            _stage(1, 16, 4), _stage(16, 32, 2), _stage(32, 48, 2), _stage(48, 48, 2)
        )
        self.last = nn.Linear(96 + beside, outputs)

    def forward(self, tiles: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        """Outputs (N, outputs) of tiles (N, rows, cols) and beside (N, beside)."""
        x = self.stages(tiles[:, None])
        return self.last(torch.cat([x.mean((2, 3)), x.amax((2, 3)), beside], 1))


def _stage(before: int, after: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 5, stride, 2), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


def train_and_predict(
    tiles: torch.Tensor, support: list[np.ndarray], seed: int, steps: int = 120, batch_size: int = 32
) -> np.ndarray:
    """Train on the tiles of ``support`` (indices, an entry a label) and predict the label number of every
    tile.
    """
    targets = torch.from_numpy(np.repeat(np.arange(len(support)), [len(s) for s in support]))

    def loss(raw, chosen):
        return nn.functional.cross_entropy(raw, targets[chosen], label_smoothing=0.1)

    members = np.concatenate(support)
    return fit_and_apply(tiles, members, len(support), loss, seed, steps, batch_size).argmax(1).numpy()


def fit_and_apply(
    tiles: torch.Tensor,
    members: np.ndarray,
    outputs: int,
    loss: Callable[[torch.Tensor, np.ndarray], torch.Tensor],
    seed: int,
    steps: int = 120,
    batch_size: int = 32,
    augmented: bool = True,
    beside: torch.Tensor | None = None,
) -> torch.Tensor:
    """Train on the tiles ``members`` (indices) and return the raw outputs (N, outputs) of every tile.

    loss       of raw outputs and of the places in ``members`` that they belong to
    augmented  as pre-training is: mirrored spectra, and circular shifts, here of any length, in frequency and
               time
    beside     float (N, K) that the network sees of every tile besides
    """
    beside = torch.zeros(len(tiles), 0) if beside is None else beside
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = SmallCNN(outputs, beside.shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        chosen = rng.choice(len(members), min(batch_size, len(members)), replace=False)
        batch = tiles[members[chosen]]
        if augmented:
            batch = torch.stack([_augment(tile, rng) for tile in batch])
        value = loss(model(batch, beside[members[chosen]]), chosen)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(*part) for part in zip(tiles.split(64), beside.split(64), strict=True)])


def _augment(tile: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    tile = tile.flip(1) if rng.random() < 0.5 else tile
    return tile.roll((int(rng.integers(tile.shape[0])), int(rng.integers(-32, 33))), (0, 1))
