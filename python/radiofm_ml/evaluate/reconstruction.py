# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How well a pre-trained model fills in what is hidden of a spectrogram (arXiv 2411.09996).

The published measure: visible patches are pasted into the prediction, both pictures are averaged over 3 x 3
pixels and cut at the mean of the original plus half its standard deviation; accuracy is the share of equal
cells. Visible cells are right by construction, so the same share of the hidden cells alone is given beside
it, and the same for two ways to fill in that have learned nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn import functional as F

from radiofm_ml.models.vit import ViT
from radiofm_ml.train.masks import masks
from radiofm_ml.train.objectives import Pixels, Pretraining, pick

RATIOS = tuple(r / 100 for r in range(20, 100, 5))
Filler = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def unpatch(encoder: ViT, patches: torch.Tensor) -> torch.Tensor:
    """(N, T, patch size) -> (N, tile_rows, tile_cols), the inverse of ``encoder.patches``."""
    c, (down, across) = encoder.config, encoder.config.grid
    x = patches.reshape(-1, down, across, c.patch_rows, c.patch_cols).transpose(2, 3)
    return x.reshape(-1, c.tile_rows, c.tile_cols)


def hidden_pixels(encoder: ViT, hidden: torch.Tensor) -> torch.Tensor:
    """bool (N, tile_rows, tile_cols), true in the patches int64 (N, ·)."""
    size = encoder.config.patch_rows * encoder.config.patch_cols
    shape = len(hidden), len(encoder.positions), size
    return unpatch(encoder, torch.zeros(shape).scatter(1, hidden[..., None].expand(-1, -1, size), 1.0)) > 0


def pasted(encoder: ViT, tiles: torch.Tensor, filled: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """Tiles whose patches are ``filled`` (N, T, patch size) but for the visible ones: (N, rows, cols)."""
    visible = pick(encoder.patches(tiles), keep)
    index = keep[..., None].expand(-1, -1, filled.shape[-1])
    return unpatch(encoder, filled.scatter(1, index, visible))


def model_filler(model: Pretraining) -> Filler:
    """The model's own prediction. Raises ValueError for one that was not trained to predict pixels.

    A model of normalised patches predicts their shape only; mean and spread are then those of the original.
    """
    term = model.terms["pixels"] if "pixels" in model.terms else None
    if not isinstance(term, Pixels):
        raise ValueError("this run did not learn to predict pixels: pre-train with --objective pixels")

    def fill(tiles: torch.Tensor, keep: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            filled = term.decoder(model.encoder.tokens(tiles, keep), keep)
        if term.normalised:
            target = model.encoder.patches(tiles)
            filled = filled * (target.var(-1, keepdim=True) + 1e-6).sqrt() + target.mean(-1, keepdim=True)
        return pasted(model.encoder, tiles, filled, keep)

    return fill


def nearest_filler(encoder: ViT) -> Filler:
    """A hidden patch is a copy of the nearest visible one, on the grid of patches."""
    down, across = encoder.config.grid
    rows, cols = torch.meshgrid(torch.arange(down), torch.arange(across), indexing="ij")
    places = torch.stack([rows.flatten(), cols.flatten()], 1).float()
    distance = torch.cdist(places, places)

    def fill(tiles: torch.Tensor, keep: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        to_visible = distance[:, keep].transpose(0, 1)  # (N, T, kept)
        nearest = keep.gather(1, to_visible.argmin(2))
        return unpatch(encoder, pick(encoder.patches(tiles), nearest))

    return fill


def mean_filler(encoder: ViT) -> Filler:
    """Every hidden pixel is the mean of the visible ones."""

    def fill(tiles: torch.Tensor, keep: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        patches = encoder.patches(tiles)
        mean = pick(patches, keep).mean((1, 2), keepdim=True)
        return pasted(encoder, tiles, mean.expand_as(patches).contiguous(), keep)

    return fill


def reconstruction_accuracy(
    filled: torch.Tensor, originals: torch.Tensor, hidden: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The published accuracy of each tile, and that of its hidden cells alone: float32 (N,) both.

    filled, originals: (N, rows, cols). hidden: bool (N, rows, cols); a cell is hidden if most of it is.
    """
    pooled, truth, covered = (F.avg_pool2d(x[:, None].float(), 3)[:, 0].flatten(1) for x in
                              (filled, originals, hidden))  # fmt: skip
    threshold = truth.mean(1, keepdim=True) + 0.5 * truth.std(1, keepdim=True)
    equal = ((pooled > threshold) == (truth > threshold)).float()
    unseen = (covered > 0.5).float()
    return equal.mean(1), (equal * unseen).sum(1) / unseen.sum(1).clamp_min(1)


def accuracy_curves(
    encoder: ViT,
    fillers: Mapping[str, Filler],
    tiles: torch.Tensor,
    kinds: Sequence[str],
    ratios: Sequence[float] = RATIOS,
    seed: int = 0,
    track: Callable = lambda items, label: items,
) -> dict:
    """Accuracy over mask ratio: {'ratios': [...], 'curves': {kind: {method: {'all', 'hidden': [...]}}}}.

    Every method fills in the same masks. tiles: float32 (N, rows, cols), model-ready.
    """
    curves = {kind: {name: {"all": [], "hidden": []} for name in fillers} for kind in kinds}
    plan = [(kind, ratio) for kind in kinds for ratio in ratios]
    for kind, ratio in track(plan, "filling in"):
        generator = torch.Generator().manual_seed(seed)
        keep, hidden = masks(kind, len(tiles), encoder.config.grid, ratio, generator)
        where = hidden_pixels(encoder, hidden)
        for name, fill in fillers.items():
            filled = torch.cat([fill(*part) for part in zip(*(x.split(64) for x in (tiles, keep, hidden)),
                                                            strict=True)])  # fmt: skip
            scores = reconstruction_accuracy(filled, tiles, where)
            for key, score in zip(("all", "hidden"), scores, strict=True):
                curves[kind][name][key].append(round(score.mean().item(), 5))
    return {"ratios": list(ratios), "tiles": len(tiles), "curves": curves}
