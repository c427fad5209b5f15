# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Import of WavesFM checkpoints, against a reference written here from the published description."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from radiofm_ml import bundle
from radiofm_ml.heads.boxes import tile_slices
from radiofm_ml.interop.wavesfm import SPECTROGRAM, CheckpointError, convert, import_checkpoint
from radiofm_ml.spectrogram import occupied_band, rows_from_iq, tiles_from_iq
from scipy.signal import ShortTimeFFT, get_window
from torch.nn import functional as F
from typer.testing import CliRunner


def random_state(dim=256, depth=8, patch=16, conditional=True, seed=0) -> dict[str, torch.Tensor]:
    """The tensors of a fine-tuning checkpoint, with random values in every one of them."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape, around=0.0, spread=0.1):
        return around + spread * torch.randn(*shape, generator=g)

    state = {
        "cls_token": draw(1, 1, dim),
        "norm.weight": draw(dim, around=1.0),
        "norm.bias": draw(dim),
        "vis_patch_embed.proj.weight": draw(dim, 1, patch, patch),
        "vis_patch_embed.proj.bias": draw(dim),
        "head.weight": draw(20, dim),
        "head.bias": draw(20),
    }
    for modality in ("vision", "iq") if conditional else ():
        state[f"mod_ln_scale.{modality}"] = draw(dim, around=1.0, spread=0.3)
        state[f"mod_ln_bias.{modality}"] = draw(dim, spread=0.3)
    shapes = {
        "attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim),
        "mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim),
    }  # fmt: skip
    for k in range(depth):
        for norm in ("norm1", "norm2"):
            state[f"blocks.{k}.{norm}.weight"] = draw(dim, around=1.0)
            state[f"blocks.{k}.{norm}.bias"] = draw(dim)
        for name, (rows, columns) in shapes.items():
            state[f"blocks.{k}.{name}.weight"] = draw(rows, columns, spread=1 / math.sqrt(columns))
            state[f"blocks.{k}.{name}.bias"] = draw(rows)
    return state


def reference(s: dict[str, torch.Tensor], pictures: torch.Tensor, heads: int) -> torch.Tensor:
    """Normalised tokens (N, 1 + T, D) of pictures (N, 1, side, side), CLS first: the published network."""
    x = F.conv2d(pictures, s["vis_patch_embed.proj.weight"], s["vis_patch_embed.proj.bias"],
                 stride=s["vis_patch_embed.proj.weight"].shape[-1])  # fmt: skip
    n, dim, down, across = x.shape
    positions = torch.zeros(down, across, dim, dtype=torch.float64)
    for row in range(down):
        for column in range(across):
            for k in range(dim // 4):
                rate = 10000 ** (-k / (dim // 4))
                for part, place in ((0, column), (1, row)):  # the column in the first half
                    positions[row, column, part * dim // 2 + k] = math.sin(place * rate)
                    positions[row, column, part * dim // 2 + dim // 4 + k] = math.cos(place * rate)
    x = x.permute(0, 2, 3, 1) + positions.float()
    x = torch.cat([s["cls_token"].expand(n, 1, dim), x.reshape(n, -1, dim)], 1)
    if "mod_ln_scale.vision" in s:
        x = x * s["mod_ln_scale.vision"] + s["mod_ln_bias.vision"]
    k = 0
    while f"blocks.{k}.norm1.weight" in s:
        p = {key.removeprefix(f"blocks.{k}."): v for key, v in s.items() if key.startswith(f"blocks.{k}.")}
        y = F.layer_norm(x, (dim,), p["norm1.weight"], p["norm1.bias"], 1e-5)
        q, key, v = F.linear(y, p["attn.qkv.weight"], p["attn.qkv.bias"]).chunk(3, -1)
        q, key, v = (a.unflatten(-1, (heads, dim // heads)) for a in (q, key, v))
        weights = torch.einsum("nthd,nshd->nhts", q, key) / math.sqrt(dim // heads)
        y = torch.einsum("nhts,nshd->nthd", weights.softmax(-1), v).flatten(2)
        x = x + F.linear(y, p["attn.proj.weight"], p["attn.proj.bias"])
        y = F.layer_norm(x, (dim,), p["norm2.weight"], p["norm2.bias"], 1e-5)
        y = F.gelu(F.linear(y, p["mlp.fc1.weight"], p["mlp.fc1.bias"]))
        x = x + F.linear(y, p["mlp.fc2.weight"], p["mlp.fc2.bias"])
        k += 1
    return F.layer_norm(x, (dim,), s["norm.weight"], s["norm.bias"], 1e-6)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A checkpoint of the 'small' preset and the bundle that the command makes of it."""
    from radiofm_ml.cli.app import app

    folder = tmp_path_factory.mktemp("wavesfm")
    state = random_state()
    checkpoint = {"model": state, "epoch": 99, "best_metric": 0.5, "args": {"lr": 1e-3, "task": "rfs"}}
    torch.save(checkpoint, folder / "c.pth")
    command = ["import-wavesfm", str(folder / "c.pth"), str(folder / "bundle"), "--name", "theirs"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0 and result.output.startswith("theirs@")
    return state, bundle.load(folder / "bundle")


def test_small_preset_gives_the_published_features(small):
    state, b = small
    assert b.embedding_size == 256 and b.config["licence"] == "NOASSERTION"
    pictures = torch.randn(2, 224, 224, generator=torch.Generator().manual_seed(1))
    tokens = reference(state, pictures[:, None], heads=8)
    torch.testing.assert_close(b.model.tokens(pictures), tokens, rtol=0, atol=1e-5)
    torch.testing.assert_close(b.model(pictures), tokens[:, 0], rtol=0, atol=1e-5)
    # each thing that is folded matters: without it the features are others
    for key in ("mod_ln_scale.vision", "mod_ln_bias.vision"):
        other = {**state, key: torch.ones(256) if "scale" in key else torch.zeros(256)}
        assert (reference(other, pictures[:1, None], 8)[0, 0] - tokens[0, 0]).abs().max() > 1e-2
    assert (b.model(pictures.mT) - tokens[:, 0]).abs().max() > 1e-2


@pytest.mark.parametrize("conditional", [True, False])
def test_pretraining_layout_and_mean(conditional):
    """With the tables, decoders and other modalities that pre-training stores; pooled over the patches."""
    state = random_state(dim=128, depth=2, patch=8, conditional=conditional, seed=3)
    extra = {
        "vis_pos_embed": torch.zeros(1, 17, 128), "vis_dec_pos_embed": torch.zeros(1, 17, 64),
        "mask_token": torch.zeros(1, 1, 64), "decoder_blocks.0.norm1.weight": torch.ones(64),
        "decoder_embed.weight": torch.zeros(64, 128), "vis_decoder_pred.weight": torch.zeros(64, 64),
        "iq_segment_embed.weight": torch.zeros(128, 2, 16), "iq_ant_embed.weight": torch.zeros(16, 128),
    }  # fmt: skip
    model = convert({**state, **extra}, pool="avg")
    pictures = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(2))
    tokens = reference(state, pictures[:, None], heads=4)
    torch.testing.assert_close(model(pictures), tokens[:, 1:].mean(1), rtol=0, atol=1e-5)


def test_engine_and_pictures_from_iq(small):
    """From I/Q to features: the published spectrogram (frequency down, time across), the bundle's tile, and
    the embedding that the engine gives."""
    from radiofm_ml.engines import open_engine

    state, b = small
    spec = b.spec
    assert spec == SPECTROGRAM
    rng = np.random.default_rng(5)
    n = spec.samples_per_tile
    chirp = np.exp(2j * np.pi * (0.05 + 0.1 * np.arange(n) / n) * np.arange(n))
    iq = (0.1 * chirp + 3e-2 * (rng.standard_normal(n) + 1j * rng.standard_normal(n))).astype(np.complex64)
    stft = ShortTimeFFT(get_window("hann", 1024), 512, 1, scale_to="magnitude", fft_mode="centered")
    theirs = stft.spectrogram(iq)[:, 1:1025]  # (frequency, time); column 0 begins before the samples do
    rows = rows_from_iq(torch.from_numpy(iq), spec)
    np.testing.assert_allclose(rows.T.numpy(), 10 * np.log10(theirs), atol=0.05)
    picture = torch.from_numpy((10 * np.log10(theirs + 1e-12) + 120) / 119.5).float()
    picture = F.interpolate(picture[None, None], (224, 224), mode="bicubic", antialias=True)
    picture = (picture - 0.451) / 0.043
    tile = tiles_from_iq(torch.from_numpy(iq), spec)
    assert tile.shape == (1, 224, 224)
    difference = (tile - picture[:, 0]).abs()
    assert difference.mean() < 2e-4 and difference.max() < 0.05  # where a bin of theirs is near its -120 dB
    embedding = open_engine(b, engine="torch", precision="fp32").embed(tile.numpy())
    expected = reference(state, tile[:, None], heads=8)[:, 0].numpy()
    np.testing.assert_allclose(embedding, expected, atol=1e-5)


def change(**tensors):
    """A small good state dict, changed; None takes a tensor out."""
    state = random_state(dim=128, depth=1, patch=16)
    for key, value in tensors.items():
        key = key.replace("__", ".")
        state.pop(key, None)
        if value is not None:
            state[key] = value
    return state


class Foreign:
    """Not weights."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"model": change(), "args": Foreign()}, "holds more than weights"),
        (Foreign(), "holds more than weights"),
        (change(cls_token=None), "'cls_token' is missing"),
        (change(blocks__0__mlp__fc1__bias=None), "'blocks.0.mlp.fc1.bias' is missing"),
        (change(mod_ln_bias__vision=None), "one is missing"),
        (change(layer4__0__conv1__weight=torch.ones(3)), "'layer4.0.conv1.weight' is not part"),
        (change(blocks__0__attn__qkv__lora_q__0__weight=torch.ones(2, 2)), "merge it"),
        (change(channel_adapter__weight=torch.ones(1, 3, 1, 1)), "several channels"),
        (change(vis_patch_embed__proj__weight=torch.ones(128, 3, 16, 16)), "(D, 1, P, P)"),
        (change(blocks__0__attn__proj__weight=torch.ones(128, 64)), "(128, 128) is needed"),
        (change(norm__bias=torch.full((128,), math.nan)), "NaN"),
        (change(mod_ln_scale__vision=torch.ones(1)), "must be (128,)"),
        ({"conv1.weight": torch.ones(3)}, "'vis_patch_embed.proj.weight' is missing"),
        (random_state(dim=64, depth=1), "say how many attention heads"),
        ({"model": {}}, "no state dict"),
        ([1, 2, 3], "no state dict"),
        ({"epoch": 3}, "is not a named tensor"),
    ],
)
def test_what_is_refused(tmp_path, content, words):
    file = tmp_path / "c.pth"
    torch.save(content, file)
    with pytest.raises(CheckpointError) as refused:
        import_checkpoint(file, tmp_path / "out")
    text = str(refused.value)
    assert words in text and str(file) in text and "\n" not in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04 cut off", b"\x80\x02K\x01."])
def test_files_that_are_no_checkpoints(tmp_path, content):
    file = tmp_path / "c.pth"
    file.write_bytes(content)
    with pytest.raises(CheckpointError) as refused:
        import_checkpoint(file, tmp_path / "out")
    assert str(file) in str(refused.value) and "\n" not in str(refused.value)


def test_truncated_checkpoint(tmp_path):
    file = tmp_path / "c.pth"
    torch.save(change(), file)
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="damaged"):
        import_checkpoint(file, tmp_path / "out")


def test_options_of_pretraining_are_read_as_values(tmp_path):
    """Pre-training stores its options as an argparse.Namespace; that is no reason to refuse the weights."""
    file = tmp_path / "c.pth"
    torch.save({"model": change(), "args": argparse.Namespace(lr=1e-3)}, file)
    b = import_checkpoint(file, tmp_path / "out", pool="avg")
    assert b.config["architecture"]["read_out"] == "mean" and b.config["architecture"]["heads"] == 4


def test_band_of_a_turned_tile():
    """A tile with time across tells the same band as the tile it was turned from."""
    across = replace(SPECTROGRAM, fft_size=64, hop=32, rows=64, tile_rows=64, tile_cols=32)
    down = replace(across, time_axis="down", tile_rows=32, tile_cols=64)
    rng = np.random.default_rng(1)
    n = across.samples_per_tile
    noise = 1e-3 * (rng.standard_normal(n) + 1j * rng.standard_normal(n))
    iq = torch.from_numpy((0.3 * np.exp(2j * np.pi * 0.2 * np.arange(n)) + noise).astype(np.complex64))
    turned, upright = tiles_from_iq(iq, across), tiles_from_iq(iq, down)
    torch.testing.assert_close(turned.mT, upright, rtol=0, atol=1e-4)
    lower, upper = occupied_band(turned[0].numpy(), across)
    assert (lower, upper) == occupied_band(upright[0].numpy(), down)
    assert 0.15 < lower < 0.2 < upper < 0.25
    with pytest.raises(ValueError, match="time_axis"):
        tile_slices(0, 100, 0.0, 0.1, across)
    with pytest.raises(ValueError, match="time_axis"):
        replace(SPECTROGRAM, time_axis="up")
