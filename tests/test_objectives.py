# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The terms of the pre-training loss, each against its definition."""

import dataclasses

import pytest
import torch
from radiofm_ml.models.vit import ViT, ViTConfig, pooled
from radiofm_ml.train.masks import masks
from radiofm_ml.train.objectives import Batch, Classify, Contrast, Latent, Pixels, Pretraining

CONFIG = ViTConfig(tile_rows=16, tile_cols=32, patch_rows=4, patch_cols=8, dim=16, depth=2, heads=4)
DECODER = {"dim": 16, "depth": 1, "heads": 2}


def make_batch(n=4, ratio=0.5, seed=0, **values):
    generator = torch.Generator().manual_seed(seed)
    keep, hidden = masks("random", n, CONFIG.grid, ratio, generator)
    none = torch.full((n,), -1)
    return Batch(
        **{
            "tiles": torch.randn(n, 16, 32, generator=generator),
            "keep": keep,
            "hidden": hidden,
            "labels": none,
            "groups": none,
            **values,
        }
    )


def value(term, encoder, batch):
    return term(encoder, encoder.tokens(batch.tiles, batch.keep), batch)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ViT(CONFIG)


def test_hidden_patches_do_not_reach_the_encoder(encoder):
    batch = make_batch(1, 0.75)
    changed = encoder.patches(batch.tiles).clone()
    changed[0, batch.hidden[0]] = 100.0
    changed = changed.reshape(1, 4, 4, 4, 8).transpose(2, 3).reshape(1, 16, 32)
    torch.testing.assert_close(
        encoder.tokens(batch.tiles, batch.keep), encoder.tokens(changed, batch.keep)
    )


@pytest.mark.parametrize("normalised", [False, True])
def test_pixels_is_the_mean_square_on_hidden_patches(encoder, normalised):
    term, batch = Pixels(encoder, normalised, **DECODER), make_batch()
    prediction = term.decoder(encoder.tokens(batch.tiles, batch.keep), batch.keep)
    target = encoder.patches(batch.tiles)
    if normalised:
        target = (target - target.mean(-1, keepdim=True)) / target.std(-1, keepdim=True)
    expected = torch.stack(
        [(prediction[i, batch.hidden[i]] - target[i, batch.hidden[i]]).square().mean() for i in range(4)]
    ).mean()
    torch.testing.assert_close(value(term, encoder, batch), expected)


def test_latent_targets_are_the_normed_mean_of_the_last_blocks(encoder):
    batch, term = make_batch(), Latent(encoder, layers=2, **DECODER)
    found = encoder.tokens_before(batch.tiles, [1, 2])
    norm = torch.nn.functional.layer_norm
    expected = norm(sum(norm(found[i][:, 1:], (16,)) for i in (1, 2)) / 2, (16,))
    for i in range(4):
        torch.testing.assert_close(term.targets(batch)[i], expected[i, batch.hidden[i]])


def test_latent_teacher_may_see_the_hidden_part_only(encoder):
    batch, term = make_batch(1), Latent(encoder, whole=False, **DECODER)
    before = term.targets(batch)
    patches = encoder.patches(batch.tiles).clone()
    patches[0, batch.keep[0]] = 7.0
    tiles = patches.reshape(1, 4, 4, 4, 8).transpose(2, 3).reshape(1, 16, 32)
    changed = dataclasses.replace(batch, tiles=tiles)
    torch.testing.assert_close(term.targets(changed), before)
    whole = Latent(encoder, whole=True, **DECODER)
    assert not torch.allclose(whole.targets(changed), whole.targets(batch), atol=1e-3)


def test_teacher_follows_and_is_not_trained(encoder):
    term = Latent(encoder, **DECODER)
    value(term, encoder, make_batch()).backward()
    assert all(p.grad is None for p in term.teacher.parameters())
    assert all(p.grad is not None for p in term.decoder.parameters())
    start = encoder.patch_embed.weight.detach().clone()
    with torch.no_grad():
        encoder.patch_embed.weight += 1.0
    term.follow(encoder, 0.9)
    torch.testing.assert_close(term.teacher.patch_embed.weight, start + 0.1)


def test_contrast_is_supcon(encoder):
    groups = torch.tensor([5, 5, 2, 5, -1, -1])
    batch, term = make_batch(6, groups=groups), Contrast(encoder, temperature=0.2)
    z = torch.nn.functional.normalize(term.project(pooled(encoder.tokens(batch.tiles, batch.keep))), dim=1)
    total = []
    for i in (0, 1, 3):  # the others have no partner: tiles without a group belong to nothing
        others = [j for j in range(6) if j != i]
        partition = torch.stack([(z[i] @ z[j] / 0.2).exp() for j in others]).sum()
        partners = [j for j in others if groups[j] == groups[i]]
        total.append(-torch.stack([((z[i] @ z[p] / 0.2).exp() / partition).log() for p in partners]).mean())
    torch.testing.assert_close(value(term, encoder, batch), torch.stack(total).mean())


def test_contrast_without_partners_is_nothing(encoder):
    term = Contrast(encoder)
    loss = value(term, encoder, make_batch(groups=torch.arange(4)))
    loss.backward()
    assert loss == 0 and all(p.grad.isfinite().all() for p in encoder.patch_embed.parameters())


def test_gradients_stay_finite_for_a_blank_tile(encoder):
    term = Contrast(encoder)
    batch = make_batch(tiles=torch.zeros(4, 16, 32), groups=torch.zeros(4, dtype=torch.int64))
    value(term, encoder, batch).backward()
    assert all(p.grad.isfinite().all() for p in encoder.patch_embed.parameters())


def test_classify_reads_labelled_tiles_only(encoder):
    labels = torch.tensor([2, -1, 0, -1])
    batch, term = make_batch(labels=labels), Classify(encoder, 3)
    logits = term.head(pooled(encoder.tokens(batch.tiles, batch.keep)))
    expected = torch.nn.functional.cross_entropy(logits[[0, 2]], labels[[0, 2]])
    torch.testing.assert_close(value(term, encoder, batch), expected)
    assert value(term, encoder, make_batch()) == 0


def test_loss_is_the_weighted_sum(encoder):
    batch = make_batch(labels=torch.tensor([0, 1, 1, 0]), groups=torch.tensor([0, 1, 1, 0]))
    terms = {"latent": (1.0, Latent(encoder, **DECODER)), "contrast": (0.3, Contrast(encoder))}
    terms["classify"] = 0.5, Classify(encoder, 2)
    values = Pretraining(encoder, terms)(batch)
    expected = values["latent"] + 0.3 * values["contrast"] + 0.5 * values["classify"]
    torch.testing.assert_close(values["loss"], expected)
    assert 0 < values["spread"] < 1


def test_masked_modeling_learns():
    """Each column has a level of its own: any visible patch of a column tells the hidden ones."""
    torch.manual_seed(0)
    encoder = ViT(CONFIG)
    model = Pretraining(encoder, {"pixels": (1.0, Pixels(encoder, dim=32, depth=1, heads=2))})
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    none = torch.full((16,), -1)
    for _ in range(150):
        levels = torch.randn(16, 1, 4, generator=generator).repeat_interleave(8, 2)
        drawn = masks("random", 16, CONFIG.grid, 0.5, generator)
        loss = model(Batch(levels.expand(16, 16, 32), *drawn, none, none))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3  # variance 1; a hidden column, 1 in 16, cannot be told
