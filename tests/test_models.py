# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The encoder."""

import pytest
import torch
from radiofm_ml.models import build, embedding_size
from radiofm_ml.models.vit import (
    PRESETS,
    READ_OUTS,
    ViT,
    ViTConfig,
    sincos_positions,
)

CONFIG = ViTConfig(tile_rows=16, tile_cols=32, patch_rows=4, patch_cols=8, dim=16, depth=2, heads=4)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_small_is_the_published_size():
    """Blocks of 8x256 with mlp 1024 have 12*256**2 + 13*256 parameters each (6.32 M in all, arXiv
    2511.15162)."""
    blocks = ViT(ViTConfig.preset("small", tile_rows=224, tile_cols=224)).blocks
    assert parameters(blocks) == 8 * (12 * 256**2 + 13 * 256)


def test_presets_build():
    for name in ("tiny", "small", "S"):
        encoder = ViT(ViTConfig.preset(name))
        assert len(encoder.blocks) == PRESETS[name][1]
    with pytest.raises(ValueError, match="preset"):
        ViTConfig.preset("huge")


def test_patches_are_in_reading_order():
    tile = torch.arange(16 * 32).float().reshape(1, 16, 32)
    patches = ViT(CONFIG).patches(tile)
    assert patches.shape == (1, 16, 32)
    torch.testing.assert_close(patches[0, 1].reshape(4, 8), tile[0, :4, 8:16])
    torch.testing.assert_close(patches[0, 4].reshape(4, 8), tile[0, 4:8, :8])


def test_positions_tell_patches_apart():
    positions = sincos_positions(4, 8, 16)
    assert positions.shape == (32, 16)
    assert torch.cdist(positions, positions).fill_diagonal_(9).min() > 0.05
    torch.testing.assert_close(positions[:8, :8], positions[:1, :8].expand(8, 8))  # first half: time


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("projection", [0, 5])
def test_read_outs(read_out, projection):
    config = ViTConfig(**{**CONFIG.__dict__, "read_out": read_out, "projection": projection})
    assert embedding_size(config.to_dict()) == config.embedding_size
    embedding = build(config.to_dict()).eval()(torch.randn(3, 16, 32))
    assert embedding.shape == (3, config.embedding_size) and torch.isfinite(embedding).all()


def test_batch_does_not_matter():
    encoder = ViT(CONFIG).eval()
    tiles = torch.randn(5, 16, 32)
    one_by_one = torch.cat([encoder(t[None]) for t in tiles])
    torch.testing.assert_close(encoder(tiles), one_by_one, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"heads": 3},
        {"patch_rows": 5},
        {"dim": 0},
        {"read_out": "median"},
        {"depth": True},
        {"mlp_ratio": 0},
        {"projection": -1},
    ],
)
def test_impossible_shapes(values):
    with pytest.raises(ValueError, match="|".join([*values, "divide", "heads"])):
        ViTConfig(**{**CONFIG.__dict__, **values})
