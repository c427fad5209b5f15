# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Reconstruction, its measure, and the pictures of a model, of a tiny run made here."""

import csv
import json

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from radiofm_ml.cli.app import app
from radiofm_ml.data.shards import find_shards, unpack, write_shard
from radiofm_ml.evaluate import reconstruction
from radiofm_ml.evaluate.samples import sample_tiles
from radiofm_ml.models.vit import ViT, ViTConfig
from radiofm_ml.plots.embedding import principal_axes
from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.train.masks import masks
from radiofm_ml.train.pretrain import PretrainConfig, load_run, pretrain
from radiofm_ml.train.reader import ShardReader
from radiofm_ml.train.shards import held_out
from tiny_bundle import make_bundle
from typer.testing import CliRunner

SPEC = SpectrogramSpec(fft_size=32, hop=32, rows=24, tile_rows=24, tile_cols=32)
VIT = ViTConfig(tile_rows=24, tile_cols=32, patch_rows=6, patch_cols=8, dim=16, depth=1, heads=2)
CONFIG = PretrainConfig(steps=4, batch_size=16, warmup=1, decoder_dim=16, decoder_depth=1)
LABELS = ["fm", "lora", "vor"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Tiles with a band whose place tells the label."""
    folder, rng = tmp_path_factory.mktemp("shards"), np.random.default_rng(0)
    labels = np.arange(48) % 3
    tiles = rng.integers(50, 80, (48, 24, 32))
    for tile, label in zip(tiles, labels, strict=True):
        tile[:, 8 * label + 2 : 8 * label + 8] += 90
    groups = np.stack([labels, np.arange(48)], 1).astype(np.int64)
    (folder / "spec.json").write_text(json.dumps({"spec": SPEC.to_dict(), "labels": LABELS}))
    write_shard(folder / "scenes-00000.npy", tiles.astype(np.uint8), groups)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, shards):
    folder = tmp_path_factory.mktemp("run")
    pretrain(folder, VIT, SPEC, CONFIG, ShardReader(find_shards(shards)[0], SPEC, 16, seed=0))
    return folder


def call(*arguments):
    result = CliRunner().invoke(app, ["figures", *map(str, arguments)])
    assert result.exit_code == 0, result.output + str(result.exception)


def picture(path, width, height):
    pixels = imread(path)
    assert pixels.shape[0] > height and pixels.shape[1] > width
    assert len(np.unique(pixels[..., :3].reshape(-1, 3), axis=0)) > 100


def test_unpatch_is_the_inverse_of_patches():
    encoder, tiles = ViT(VIT), torch.randn(3, 24, 32)
    assert torch.equal(reconstruction.unpatch(encoder, encoder.patches(tiles)), tiles)
    hidden = torch.tensor([[0, 5], [1, 2], [14, 15]])
    where = reconstruction.hidden_pixels(encoder, hidden)
    assert where[0, :6, :8].all() and where[0, 6:12, 8:16].all() and where.sum() == 3 * 2 * 48


def test_accuracy_is_the_published_measure():
    rng = np.random.default_rng(0)
    original, filled = rng.normal(size=(2, 2, 9, 12)).astype(np.float32)
    hidden = np.zeros((2, 9, 12), bool)
    hidden[:, 3:6, 3:9] = True  # two cells of the 3 x 4
    pool = lambda x: x.reshape(2, 3, 3, 4, 3).mean((2, 4))  # noqa: E731
    for i in range(2):
        truth, made = pool(original)[i], pool(filled)[i]
        threshold = truth.mean() + 0.5 * truth.std(ddof=1)
        equal = (truth > threshold) == (made > threshold)
        every, unseen = reconstruction.reconstruction_accuracy(
            *(torch.from_numpy(x) for x in (filled, original, hidden))
        )
        assert every[i] == pytest.approx(equal.mean()) and unseen[i] == pytest.approx(equal[1, 1:3].mean())


def test_fillers_keep_what_is_visible(run):
    model, _, _ = load_run(run)
    encoder, tiles = model.encoder, torch.randn(5, 24, 32)
    keep, hidden = masks("random", 5, encoder.config.grid, 0.75, torch.Generator().manual_seed(0))
    where = reconstruction.hidden_pixels(encoder, hidden)
    fillers = [reconstruction.model_filler(model), reconstruction.nearest_filler(encoder),
               reconstruction.mean_filler(encoder)]  # fmt: skip
    for fill in fillers:
        filled = fill(tiles, keep, hidden)
        assert torch.equal(filled[~where], tiles[~where]) and not torch.equal(filled[where], tiles[where])
    for i in range(5):
        assert torch.allclose(filled[i][where[i]], tiles[i][~where[i]].mean())
    near = fillers[1](tiles, keep, hidden)
    patches, copies = encoder.patches(tiles), encoder.patches(near)
    for patch in hidden[0].tolist():
        distance = {k: (k // 4 - patch // 4) ** 2 + (k % 4 - patch % 4) ** 2 for k in keep[0].tolist()}
        nearest = [k for k, d in distance.items() if d == min(distance.values())]
        assert any(torch.equal(copies[0, patch], patches[0, k]) for k in nearest)


def test_model_of_normalised_patches_gets_their_mean_and_spread(shards, tmp_path):
    config = PretrainConfig(**{**CONFIG.__dict__, "norm_pixels": True})
    reader = ShardReader(find_shards(shards)[0], SPEC, 16, seed=0)
    model = pretrain(tmp_path, VIT, SPEC, config, reader).eval()
    tiles = torch.randn(2, 24, 32) * 3 + 5
    keep, hidden = masks("random", 2, VIT.grid, 0.5, torch.Generator().manual_seed(0))
    filled = model.encoder.patches(reconstruction.model_filler(model)(tiles, keep, hidden))
    plain = model.terms["pixels"].decoder(model.encoder.tokens(tiles, keep), keep)
    patch, wanted = model.encoder.patches(tiles)[0, hidden[0, 0]], plain[0, hidden[0, 0]]
    expected = wanted * patch.std() + patch.mean()
    torch.testing.assert_close(filled[0, hidden[0, 0]], expected, rtol=1e-3, atol=1e-4)


def test_runs_that_cannot_reconstruct_say_so(shards, run, tmp_path):
    reader = ShardReader(find_shards(shards)[0], SPEC, 16, seed=0)
    latent = PretrainConfig(**{**CONFIG.__dict__, "objective": "latent"})
    pretrain(tmp_path / "latent", VIT, SPEC, latent, reader, stop_after=1)
    model, _, record = load_run(tmp_path / "latent")
    assert record["step"] == 1
    with pytest.raises(ValueError, match="--objective pixels"):
        reconstruction.model_filler(model)
    with pytest.raises(ValueError, match=r"run\.json is missing"):
        load_run(tmp_path)
    (tmp_path / "old").mkdir()
    for name in ("run.json", "checkpoint.safetensors"):
        (tmp_path / "old" / name).write_bytes((run / name).read_bytes())
    note = json.loads((run / "run.json").read_text())
    del note["data"]
    (tmp_path / "old" / "run.json").write_text(json.dumps(note))
    with pytest.raises(ValueError, match="not a run of this version"):
        load_run(tmp_path / "old")


def test_samples_are_of_every_label_in_turn(shards):
    tiles, labels = sample_tiles(shards, SPEC, 12, seed=1)
    assert [sorted(labels[i : i + 3]) for i in range(0, 12, 3)] == [LABELS] * 4
    made = np.load(shards / "scenes-00000.npy")
    assert all((unpack(made, SPEC) == tile).all((1, 2)).any() for tile in tiles)
    tiles, labels = sample_tiles(shards, SPEC, 100, labels=["vor"])
    assert set(labels) == {"vor"} and len(tiles) == 16
    with pytest.raises(ValueError, match="no tile is labelled 'dab'; there are fm, lora, vor"):
        sample_tiles(shards, SPEC, 4, labels=["dab"])
    with pytest.raises(ValueError, match="another spec"):
        sample_tiles(shards, SpectrogramSpec(), 4)


def test_samples_of_recordings_are_of_unseen_sessions(data_dir, tmp_path):
    with (data_dir / "iq" / "index.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "adsb"]
    sessions = {held_out(row["session"]): row for row in rows}  # one that pre-training sees, one it does not
    with (tmp_path / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for unseen, row in sessions.items():
            place = data_dir / "iq" / row["file"]
            writer.writerow({**row, "label": "unseen" if unseen else "seen", "file": place})
    tiles, labels = sample_tiles(tmp_path, SpectrogramSpec(), 100)
    assert tiles.shape[1:] == (128, 256) and set(labels) == {"unseen"}
    assert set(sample_tiles(tmp_path, SpectrogramSpec(), 100, unseen=False)[1]) == {"seen", "unseen"}


def test_reconstructions(shards, run, tmp_path):
    call("reconstructions", tmp_path / "r.png", "--run", run, "--data", shards, "--count", 3,
         "--ratios", "0.3,0.8")  # fmt: skip
    picture(tmp_path / "r.png", 1000, 300)
    numbers = json.loads((tmp_path / "r.json").read_text())
    assert sorted(numbers["labels"]) == LABELS and list(numbers["accuracy"]) == ["0.3", "0.8"]
    assert all(0 <= a <= 1 for a in numbers["accuracy"]["0.8"]["hidden"])


def test_accuracy(shards, run, tmp_path):
    call("accuracy", tmp_path / "a.png", "--run", run, "--data", shards, "--count", 24,
         "--kinds", "random,time", "--ratios", "0.25,0.5,0.75")  # fmt: skip
    picture(tmp_path / "a.png", 600, 600)
    numbers = json.loads((tmp_path / "a.json").read_text())
    assert list(numbers["curves"]) == ["random", "time"] and numbers["tiles"] == 24
    assert list(numbers["curves"]["time"]) == ["pre-trained", "nearest visible patch", "mean of the visible"]
    nearest = numbers["curves"]["time"]["nearest visible patch"]
    assert min(nearest["hidden"]) > 0.9, "the bands go on in time: a copy of the same columns is right"
    assert all(a >= h - 1e-6 for a, h in zip(nearest["all"], nearest["hidden"], strict=True))


def test_pca(shards, tmp_path):
    make_bundle(tmp_path / "bundle", SPEC)
    call("pca", tmp_path / "p.png", "--model", tmp_path / "bundle", "--data", shards, "--count", 30,
         "--no-normalised")  # fmt: skip
    picture(tmp_path / "p.png", 700, 600)
    panel = json.loads((tmp_path / "p.json").read_text())["panels"][shards.name]
    assert len(panel["points"]) == len(panel["labels"]) == 30 and set(panel["labels"]) == set(LABELS)
    points = np.array(panel["points"])
    assert points[:, 0].var() > points[:, 1].var()
    np.testing.assert_allclose(principal_axes(points)[1], np.eye(2), atol=1e-3)


def test_confusion(tmp_path):
    from radiofm_ml.evaluate.reports import write_report

    matrices = {"scratch": np.array([[3, 1], [2, 2]]), "lora": np.array([[4, 0], [1, 3]]), "probe": np.eye(2)}
    write_report(tmp_path / "tuned", {"task": "toy", "labels": ["a", "b"]}, confusions=matrices)
    call("confusion", tmp_path / "c.png", "--report", tmp_path / "tuned", "--method", "scratch",
         "--method", "lora")  # fmt: skip
    picture(tmp_path / "c.png", 400, 300)
    numbers = json.loads((tmp_path / "c.json").read_text())
    assert numbers["confusion"] == {name: matrices[name].tolist() for name in ("scratch", "lora")}
    result = CliRunner().invoke(app, ["figures", "confusion", "x.png", "--report", str(tmp_path / "tuned"),
                                      "--method", "full"])  # fmt: skip
    assert isinstance(result.exception, ValueError) and "scratch" in str(result.exception)
