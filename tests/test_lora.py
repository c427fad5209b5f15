# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Low-rank additions: nothing at first, what the papers say afterwards, and the same when merged."""

import math

import pytest
import torch
from radiofm_ml.models.lora import LoraConfig, LoraQV, add_lora, merge_lora
from radiofm_ml.models.vit import ViT, ViTConfig

SHAPE = ViTConfig(tile_rows=16, tile_cols=32, patch_rows=8, patch_cols=8, dim=32, depth=3, heads=4)


def encoder() -> ViT:
    torch.manual_seed(1)
    return ViT(SHAPE).eval()


def stir(vit: ViT) -> None:
    for name, parameter in vit.named_parameters():
        if "lora_b" in name:
            torch.nn.init.normal_(parameter, std=0.1)


def test_additions_change_nothing_at_first():
    vit, tiles = encoder(), torch.randn(3, 16, 32)
    with torch.inference_mode():
        before = vit(tiles)
        add_lora(vit, 0, LoraConfig(4, 8.0))
        assert torch.equal(vit(tiles), before)
        stir(vit)
        assert (vit(tiles) - before).abs().max() > 1e-3


def test_merged_computes_the_same():
    vit, tiles = encoder(), torch.randn(3, 16, 32)
    add_lora(vit, 0, LoraConfig(4, 8.0))
    stir(vit)
    names = set(encoder().state_dict())
    with torch.inference_mode():
        apart = vit(tiles)
        merge_lora(vit)
        torch.testing.assert_close(vit(tiles), apart, atol=1e-5, rtol=1e-5)
    assert set(vit.state_dict()) == names


@pytest.mark.parametrize(("stabilised", "scale"), [(True, 8 / math.sqrt(4)), (False, 2.0)])
def test_queries_and_values_get_what_the_papers_say_and_keys_nothing(stabilised, scale):
    torch.manual_seed(2)
    qkv = torch.nn.Linear(32, 96)
    layer = LoraQV(qkv, LoraConfig(4, 8.0, stabilised))
    torch.nn.init.normal_(layer.lora_b)
    x = torch.randn(5, 7, 32)
    change = (layer(x) - qkv(x)).detach()
    for part, i in ((slice(0, 32), 0), (slice(64, 96), 1)):
        expected = scale * torch.einsum("or,rd,ntd->nto", layer.lora_b[i], layer.lora_a[i], x)
        torch.testing.assert_close(change[..., part], expected.detach(), atol=1e-4, rtol=1e-4)
    assert torch.equal(change[..., 32:64], torch.zeros(5, 7, 32))


def test_only_the_wanted_blocks_get_additions():
    vit = encoder()
    add_lora(vit, 2, LoraConfig(4, 8.0))
    added = [name for name, _ in vit.named_parameters() if "lora_" in name]
    assert sorted(added) == [f"blocks.2.attention.qkv.lora_{part}" for part in "ab"]
    small = sum(p.numel() for name, p in vit.named_parameters() if "lora_" in name)
    assert small == 2 * (2 * 32 * 4)


@pytest.mark.parametrize("changes", [{"rank": 0}, {"rank": True}, {"rank": 2.0}, {"alpha": 0.0},
                                     {"alpha": float("nan")}, {"alpha": "1"}, {"stabilised": 1}])
def test_settings_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValueError, match=f"LoRA: {next(iter(changes))}"):
        LoraConfig(**changes)
    good = LoraConfig().to_dict()
    assert LoraConfig.from_dict(good) == LoraConfig()
    with pytest.raises(ValueError, match="LoRA"):
        LoraConfig.from_dict({**good, "dropout": 0.1})
