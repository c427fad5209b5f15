# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Synthetic streams, shards, and pre-training that can be interrupted."""

import json

import numpy as np
import pytest
import torch
from radiofm_ml.models.vit import ViTConfig
from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_iq
from radiofm_ml.synth.streams import random_stream
from radiofm_ml.synth.waveforms import FAMILIES
from radiofm_ml.train import shards
from radiofm_ml.train.export import export
from radiofm_ml.train.pretrain import PretrainConfig, pretrain
from radiofm_ml.train.shards import ShardReader, pack, prepare, unpack

SPEC = SpectrogramSpec(fft_size=32, hop=32, rows=16, tile_rows=16, tile_cols=32)
VIT = ViTConfig(tile_rows=16, tile_cols=32, patch_rows=4, patch_cols=8, dim=16, depth=1, heads=2)
CONFIG = PretrainConfig(steps=8, batch_size=16, warmup=2, decoder_dim=16, decoder_depth=1, seed=3)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_TILES", 64)


def losses(folder):
    return {r["step"]: r["loss"] for r in map(json.loads, (folder / "log.jsonl").read_text().splitlines())}


@pytest.mark.parametrize("family", FAMILIES)
def test_streams_are_finite_and_reproducible(family):
    a, b = (random_stream(20000, np.random.default_rng([1, 2]), family) for _ in range(2))
    assert a.iq.dtype == np.complex64 and len(a.iq) == 20000 and np.isfinite(a.iq).all()
    np.testing.assert_array_equal(a.iq, b.iq)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"noise"}))
def test_emitters_have_unit_power_while_on(family):
    from radiofm_ml.synth.waveforms import waveform

    x = np.abs(np.concatenate([waveform(family, 40000, np.random.default_rng(s)) for s in range(4)])) ** 2
    assert 0.3 < x[x > 1e-2 * x.max()].mean() < 6


def test_pack_keeps_a_quarter_of_a_decibel():
    tiles = tiles_from_iq(torch.randn(SPEC.stride * 4, dtype=torch.complex64), SPEC)
    again = unpack(pack(tiles, SPEC), SPEC)
    assert (again - tiles).abs().max() * SPEC.std <= 70 / 255 / 2 + 1e-4


def test_shards_are_made_once_and_only_what_is_missing(tmp_path, small_shards):
    paths = prepare(tmp_path, SPEC, 130, seed=1)
    assert [p.name for p in paths] == [f"synthetic-0000{i}.npy" for i in range(3)]
    before = [p.read_bytes() for p in paths]
    paths[1].unlink()
    prepare(tmp_path, SPEC, 130, seed=1)
    assert [p.read_bytes() for p in paths] == before
    with pytest.raises(ValueError, match="another spec or seed"):
        prepare(tmp_path, SPEC, 130, seed=2)


def test_reader_covers_an_epoch(tmp_path, small_shards):
    paths = prepare(tmp_path, SPEC, 128, seed=1)
    reader = ShardReader(paths, SPEC, 16, seed=0)
    assert len(reader) == 8 and reader.batch(0).shape == (16, 16, 32)
    assert torch.equal(reader.batch(11), ShardReader(paths, SPEC, 16, seed=0).batch(11))
    assert not torch.equal(reader.batch(0), reader.batch(8))


def test_damaged_shard_is_named(tmp_path, small_shards):
    path = prepare(tmp_path, SPEC, 64, seed=1)[0]
    np.save(path, np.zeros((4, 3, 3), np.uint8))
    with pytest.raises(ValueError, match="synthetic-00000"):
        ShardReader([path], SPEC, 2, seed=0)


def test_resume_gives_the_same_losses(tmp_path, small_shards):
    reader = ShardReader(prepare(tmp_path / "shards", SPEC, 128, seed=1), SPEC, 16, seed=0)
    pretrain(tmp_path / "whole", VIT, SPEC, CONFIG, reader)
    pretrain(tmp_path / "parts", VIT, SPEC, CONFIG, reader, stop_after=5)
    pretrain(tmp_path / "parts", VIT, SPEC, CONFIG, reader)
    whole, parts = losses(tmp_path / "whole"), losses(tmp_path / "parts")
    assert list(whole) == list(range(8))
    assert whole == parts
    with pytest.raises(ValueError, match="other settings"):
        pretrain(tmp_path / "parts", VIT, SPEC, PretrainConfig(steps=9), reader)


def test_export_makes_a_usable_bundle(tmp_path, small_shards):
    paths = prepare(tmp_path / "shards", SPEC, 128, seed=1)
    pretrain(tmp_path / "run", VIT, SPEC, CONFIG, ShardReader(paths, SPEC, 16, seed=0))
    bundle = export(
        tmp_path / "run", tmp_path / "bundle", "toy", paths, "# toy\n", projection=8, streams_per_family=6
    )
    assert bundle.embedding_size == 8 and bundle.prototypes.shape == (len(FAMILIES), 8)
    assert bundle.labels == list(FAMILIES) and bundle.calibration["metrics"]["euclidean"]
    assert bundle.config["provenance"]["training"]["step"] == 8
    assert np.isfinite(bundle.model(torch.randn(2, 16, 32)).numpy()).all()


def test_export_needs_a_run(tmp_path):
    with pytest.raises(ValueError, match=r"run\.json is missing"):
        export(tmp_path, tmp_path / "bundle", "toy", [], "")


def test_recordings_of_held_out_sessions_are_left_out(tmp_path, data_dir):
    from radiofm_ml.data.recording import find_recordings

    sessions = {
        json.loads(p.read_text())["global"]["rfcorpus:session"]
        for p in (data_dir / "iq").rglob("*.sigmf-meta")
    }
    out = [s for s in sessions if shards.held_out(s)]
    assert 0.2 < len(out) / len(sessions) < 0.5
    assert len(find_recordings(data_dir / "iq")) >= 187
