# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Descriptors of tiles: they tell textures apart and do not mind where a texture lies."""

import numpy as np
import pytest
import torch
from radiofm_ml.models.vit import ViT, ViTConfig
from radiofm_ml.train.descriptors import count, describe
from radiofm_ml.train.objectives import Batch, Describe
from radiofm_ml.train.pretrain import PretrainConfig

ROWS, COLS = 64, 128


def noise(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (np.log10(rng.exponential(1.0, (1, ROWS, COLS))) - 0.6).astype(np.float32)


def with_block(seed: int, row: int, col: int) -> np.ndarray:
    tile = noise(seed)
    tile[:, row : row + 8, col : col + 12] += 2.0
    return tile


def test_shape_and_finiteness():
    made = describe(np.concatenate([noise(0), np.full((1, ROWS, COLS), -2.6, np.float32)]))
    assert made.shape == (2, count(ROWS, COLS)) and made.dtype == np.float32
    assert np.isfinite(made).all()


def test_a_moved_picture_is_described_nearly_alike():
    """A block elsewhere changes less than a block that is not there; all but the middle of the energy."""
    here, there, nowhere = with_block(1, 5, 10), with_block(1, 40, 90), noise(1)
    keep = np.r_[0:96, 112 : count(ROWS, COLS)]  # 96:112 are the quantiles of the energy's middle
    a, b, c = (describe(t)[0, keep] for t in (here, there, nowhere))
    assert np.linalg.norm(a - b) < 0.7 * np.linalg.norm(a - c)


def test_rolled_tiles_have_the_same_modulation_spectrum():
    tile = with_block(4, 20, 50)
    rolled = np.roll(tile, (13, 31), (1, 2))
    n = 6 * 7  # bands of the 2-D spectrum of a 64 x 128 tile, the last descriptors
    np.testing.assert_allclose(describe(tile)[0, -n:], describe(rolled)[0, -n:], atol=1e-3)


def test_the_term_is_learned_and_its_gradient_reaches_the_encoder():
    torch.manual_seed(0)
    vit = ViTConfig(ROWS, COLS, 16, 16, 32, 2, 2)
    encoder = ViT(vit)
    term = Describe(encoder, count(ROWS, COLS))
    made = [with_block(s, 8 * s % 56, 10) if s % 2 else noise(s) for s in range(8)]
    tiles = torch.from_numpy(np.concatenate(made))
    keep = torch.arange(16).repeat(8, 1)
    batch = Batch(tiles, keep, keep + 16, torch.full((8,), -1), torch.full((8,), -1))
    learner = torch.optim.Adam([*encoder.parameters(), *term.parameters()], 3e-3)
    losses = []
    for _ in range(60):
        loss = term(encoder, encoder.tokens(tiles, keep), batch)
        learner.zero_grad()
        loss.backward()
        learner.step()
        losses.append(loss.item())
    assert encoder.patch_embed.weight.grad.abs().max() > 0
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[5:10])


def test_mask_ratio_range_is_checked():
    with pytest.raises(ValueError, match="mask_ratio_max must lie"):
        PretrainConfig(mask_ratio=0.7, mask_ratio_max=0.3)
