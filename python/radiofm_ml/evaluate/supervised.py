# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The supervised baseline: a small CNN, from scratch, with the labels that the prototypes get."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def small_cnn(n_labels: int) -> nn.Module:
    """Four strided convolutions, mean and maximum over the picture, one linear layer (about 0.1 M
    parameters)."""

    def stage(before: int, after: int, stride: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(before, after, 5, stride, 2), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
        )

    return nn.Sequential(
        stage(1, 16, 4),
        stage(16, 32, 2),
        stage(32, 48, 2),
        stage(48, 48, 2),
        _Pool(),
        nn.Linear(96, n_labels),
    )


class _Pool(nn.Module):
    def forward(self, x):
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


def train_and_predict(
    tiles: torch.Tensor, support: list[np.ndarray], seed: int, steps: int = 120, batch_size: int = 32
) -> np.ndarray:
    """Train on the tiles of ``support`` (indices, an entry a label) and predict the label number of every
    tile.

    Augmented as pre-training is: mirrored spectra, and circular shifts, here of any length, in frequency and
    time.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    members = np.concatenate(support)
    targets = torch.from_numpy(np.repeat(np.arange(len(support)), [len(s) for s in support]))
    model = small_cnn(len(support))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        chosen = rng.choice(len(members), min(batch_size, len(members)), replace=False)
        batch = torch.stack([_augment(tiles[members[i]], rng) for i in chosen])[:, None]
        loss = nn.functional.cross_entropy(model(batch), targets[chosen], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(t[:, None]).argmax(1) for t in tiles.split(64)]).numpy()


def _augment(tile: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    tile = tile.flip(1) if rng.random() < 0.5 else tile
    return tile.roll((int(rng.integers(tile.shape[0])), int(rng.integers(-32, 33))), (0, 1))
