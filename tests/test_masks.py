# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Masks are what they say."""

import pytest
import torch
from radiofm_ml.train.masks import MASK_KINDS, masks

GRID, PATCHES = (8, 6), 48


def hidden_maps(kind, n, ratio, seed=0):
    """bool (n, rows, cols), true where hidden."""
    _, hidden = masks(kind, n, GRID, ratio, torch.Generator().manual_seed(seed))
    return torch.zeros(n, PATCHES, dtype=torch.bool).scatter(1, hidden, True).view(n, *GRID)


@pytest.mark.parametrize("kind", MASK_KINDS)
@pytest.mark.parametrize("ratio", [0.2, 0.3, 0.5, 0.75, 0.9])
def test_masks_split_the_patches_at_the_ratio(kind, ratio):
    keep, hidden = masks(kind, 50, GRID, ratio, torch.Generator().manual_seed(3))
    assert hidden.shape == (50, -int(-PATCHES * ratio // 1)) and keep.dtype == torch.int64
    assert (torch.cat([keep, hidden], 1).sort(1).values == torch.arange(PATCHES)).all()
    assert len({tuple(row.tolist()) for row in hidden.sort(1).values}) > 4


@pytest.mark.parametrize("kind", MASK_KINDS)
def test_masks_depend_on_the_generator_only(kind):
    assert torch.equal(hidden_maps(kind, 9, 0.6, seed=1), hidden_maps(kind, 9, 0.6, seed=1))
    assert not torch.equal(hidden_maps(kind, 9, 0.6, seed=1), hidden_maps(kind, 9, 0.6, seed=2))


@pytest.mark.parametrize("ratio", [0.01, 0.999])
def test_something_is_always_kept_and_hidden(ratio):
    keep, hidden = masks("random", 2, (4, 4), ratio, torch.Generator())
    assert min(keep.shape[1], hidden.shape[1]) == 1


@pytest.mark.parametrize("kind, across", [("time", 2), ("frequency", 1)])
@pytest.mark.parametrize("ratio", [0.4, 0.6, 0.8])
def test_bands_hide_whole_lines(kind, across, ratio):
    maps = hidden_maps(kind, 200, ratio)
    share = maps.float().mean(across)
    assert ((share == 0) | (share == 1)).sum(1).min() >= share.shape[1] - 1, "one line at most is cut"
    # a hidden line has a hidden neighbour more often than among lines drawn one by one
    lines = (share == 1).float()
    together = (lines[:, 1:] * lines[:, :-1]).mean() / lines.mean() ** 2
    assert together > 1.05
    assert lines.mean(0).min() > 0.5 * lines.mean(), "every line gets its turn"


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.75])
def test_blocks_are_hidden_whole(ratio):
    maps = hidden_maps("block", 200, ratio).float()[:, None]
    squares = torch.nn.functional.max_pool2d(-maps, 2, 1) == -1  # corners of hidden 2 by 2 squares
    inside = torch.nn.functional.conv_transpose2d(squares.float(), torch.ones(1, 1, 2, 2)) > 0
    outside = (maps - inside.float()).flatten(1).sum(1)
    assert outside.max() <= GRID[1] // 2 + 1, "all but what is left of a cut block lies in squares"
    random = hidden_maps("random", 200, ratio).float()[:, None]
    assert neighbours(maps) > neighbours(random) + 0.05
    assert maps.mean(0).min() > 0.3 * ratio, "every patch gets its turn"


def neighbours(maps):
    """Share of hidden patches whose lower neighbour is hidden too."""
    return (maps[:, :, 1:] * maps[:, :, :-1]).sum() / maps[:, :, :-1].sum()


def test_mixed_has_every_kind():
    maps = hidden_maps("mixed", 400, 0.5)
    rows, cols = (maps.float().mean(axis) for axis in (2, 1))
    bands = [((share == 0) | (share == 1)).all(1).float().mean() for share in (rows, cols)]
    assert all(0.15 < share < 0.35 for share in bands)


def test_unknown_mask():
    with pytest.raises(ValueError, match="mask must be one of random, time"):
        masks("stripes", 1, GRID, 0.5, torch.Generator())
