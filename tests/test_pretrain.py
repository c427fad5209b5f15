# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Synthetic streams, shards, and pre-training that can be interrupted."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import radiofm_ml
import torch
from radiofm_ml.cli.app import app
from radiofm_ml.data.shards import pack, read_groups, shard_labels, unpack, write_shard
from radiofm_ml.models.vit import ViTConfig
from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_iq
from radiofm_ml.synth.signals import all_classes
from radiofm_ml.synth.streams import random_stream
from radiofm_ml.synth.waveforms import FAMILIES
from radiofm_ml.train import shards
from radiofm_ml.train.export import export
from radiofm_ml.train.pretrain import PretrainConfig, pretrain
from radiofm_ml.train.reader import ShardReader
from radiofm_ml.train.shards import prepare
from safetensors.torch import load_file, save_file
from torch.distributed import TCPStore
from typer.testing import CliRunner

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


def test_pack_keeps_half_a_step_of_its_range():
    tiles = tiles_from_iq(torch.randn(SPEC.stride * 4, dtype=torch.complex64), SPEC)
    again = unpack(pack(tiles, SPEC), SPEC)
    low, high = SPEC.clip_db
    assert (again - tiles).abs().max() * SPEC.std <= (high - low) / 255 / 2 + 1e-4


def test_shards_are_made_once_and_only_what_is_missing(tmp_path, small_shards):
    paths = prepare(tmp_path, SPEC, 130, seed=1)
    assert [p.name for p in paths] == [f"synthetic-0000{i}.npy" for i in range(3)]
    before = [p.read_bytes() for p in paths]
    paths[1].unlink()
    prepare(tmp_path, SPEC, 130, seed=1)
    assert [p.read_bytes() for p in paths] == before
    with pytest.raises(ValueError, match="another spec or seed"):
        prepare(tmp_path, SPEC, 130, seed=2)


def test_groups_name_family_and_stream(tmp_path, small_shards):
    first, second = (read_groups(path, 64) for path in prepare(tmp_path, SPEC, 128, seed=1))
    assert shard_labels(tmp_path / "synthetic-00000.npy") == list(FAMILIES)
    assert first[:, 1].tolist() == np.repeat(np.arange(8), 8).tolist() and second[0, 1] == 8
    assert all(len(set(first[i : i + 8, 0])) == 1 for i in range(0, 64, 8)) and len(set(first[:, 0])) > 1


def test_damaged_shard_is_named(tmp_path, small_shards):
    path = prepare(tmp_path, SPEC, 64, seed=1)[0]
    np.save(path, np.zeros((4, 3, 3), np.uint8))
    with pytest.raises(ValueError, match="synthetic-00000"):
        ShardReader([path], SPEC, 2, seed=0)


@pytest.mark.parametrize(
    "values",
    [
        {"norm_pixels": True},
        {"objective": "latent", "mask": "mixed", "momentum": 0.9, "contrast": 0.2, "classify": 0.1},
    ],
    ids=["pixels", "latent"],
)
def test_resume_gives_the_same_losses(tmp_path, small_shards, values):
    paths = prepare(tmp_path / "shards", SPEC, 128, seed=1)
    config = replace(CONFIG, **values)
    reader = ShardReader(paths, SPEC, 16, seed=0, grouping="label" if config.contrast else None)
    pretrain(tmp_path / "whole", VIT, SPEC, config, reader)
    pretrain(tmp_path / "parts", VIT, SPEC, config, reader, stop_after=5)
    with (tmp_path / "parts" / "log.jsonl").open("a") as log:  # steps after the checkpoint, and a torn line
        log.write('{"step": 5, "loss": 9.0}\n{"step": 6, "lo')
    model = pretrain(tmp_path / "parts", VIT, SPEC, config, reader)
    whole, parts = losses(tmp_path / "whole"), losses(tmp_path / "parts")
    assert list(whole) == list(range(8))
    assert whole == parts
    saved = [load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "parts")]
    assert all(torch.equal(saved[0][key], saved[1][key]) for key in saved[0])
    if config.objective == "latent":
        assert any("teacher" in key for key in saved[0])
        teacher, encoder = model.terms["latent"].teacher, model.encoder
        assert not torch.equal(teacher.patch_embed.weight, encoder.patch_embed.weight)
    with pytest.raises(ValueError, match="other settings"):
        pretrain(tmp_path / "parts", VIT, SPEC, replace(config, steps=9), reader)


def test_log_has_the_terms_and_the_pace(tmp_path, small_shards):
    reader = ShardReader(prepare(tmp_path / "shards", SPEC, 64, seed=1), SPEC, 16, seed=0)
    config, seen = replace(CONFIG, classify=0.1, steps=2), []
    pretrain(tmp_path / "run", VIT, SPEC, config, reader, on_step=seen.append)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert seen == lines and [line["step"] for line in lines] == [0, 1]
    for line in lines:
        assert line["loss"] == pytest.approx(line["pixels"] + 0.1 * line["classify"], rel=1e-5)
        assert 0 <= line["wait"] <= 1 and line["tiles_per_s"] > 0 and 0 < line["spread"] < 1


def test_decay_is_for_matrices_and_the_rate_as_published():
    config = PretrainConfig(steps=100, batch_size=64, base_rate=1e-3, warmup=10)
    assert config.rate(9) == pytest.approx(1e-3 * 64 / 256) and config.rate(0) == pytest.approx(2.5e-5)
    assert config.rate(55) == pytest.approx(1.25e-4) and config.rate(100) == pytest.approx(0)


def test_loss_that_is_not_finite_ends_the_run(tmp_path, small_shards):
    reader = ShardReader(prepare(tmp_path / "shards", SPEC, 64, seed=1), SPEC, 16, seed=0)
    pretrain(tmp_path / "run", VIT, SPEC, CONFIG, reader, stop_after=2)
    file = tmp_path / "run" / "checkpoint.safetensors"
    tensors = load_file(file)
    tensors["model.encoder.cls"][:] = torch.nan
    save_file(tensors, file, metadata={"step": "2"})
    with pytest.raises(FloatingPointError, match="step 2: the loss is not finite"):
        pretrain(tmp_path / "run", VIT, SPEC, CONFIG, reader)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"mask": "stripes"}, "mask must be one of"),
        ({"objective": "guess"}, "objective must be one of"),
        ({"objective_weight": 0}, "one at least more"),
        ({"mask_ratio": 1.0}, "mask_ratio must lie"),
    ],
)
def test_settings_are_checked(values, message):
    with pytest.raises(ValueError, match=message):
        PretrainConfig(**values)


def test_terms_need_what_they_read(tmp_path, small_shards):
    reader = ShardReader(prepare(tmp_path / "shards", SPEC, 64, seed=1), SPEC, 16, seed=0)
    with pytest.raises(ValueError, match="needs a reader with grouping"):
        pretrain(tmp_path / "run", VIT, SPEC, replace(CONFIG, contrast=1.0), reader)
    with pytest.raises(ValueError, match="batches of 16, not 8"):
        pretrain(tmp_path / "run", VIT, SPEC, replace(CONFIG, batch_size=8), reader)


def torchrun_cannot_start() -> str:
    """Why not; empty if it can."""
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        return "torchrun waits for ever where this computer's name has no address: give it one in /etc/hosts"
    try:
        TCPStore("127.0.0.1", 0, 1, True)
    except RuntimeError as error:
        return f"torchrun cannot start: {error}"
    return ""


def with_torchrun(command: list[str], environment: dict) -> list[subprocess.Popen]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [subprocess.Popen([sys.executable, *torchrun, *command], env=environment, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)]


def by_hand(command: list[str], environment: dict) -> list[subprocess.Popen]:
    """As docs/pretraining.md says it, for where torchrun cannot start."""
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        port = str(any_port.getsockname()[1])
    environment = environment | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2",
                                 "USE_LIBUV": "0"}
    return [subprocess.Popen([sys.executable, *command], env=environment | {"RANK": rank, "LOCAL_RANK": rank},
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for rank in ("0", "1")]


@pytest.mark.parametrize("start", [pytest.param(with_torchrun, marks=pytest.mark.skipif(
    bool(torchrun_cannot_start()), reason=torchrun_cannot_start())), by_hand])
def test_two_processes_share_the_batches_of_one(start, tmp_path):
    """The command line in two processes, Gloo, float32: losses differ by the order of sums only."""
    spec, folder = SpectrogramSpec(), tmp_path / "shards"
    folder.mkdir()
    rng = np.random.default_rng(0)
    groups = np.stack([np.arange(24) % 3, np.arange(24) // 2], 1).astype(np.int64)
    levels = rng.integers(40, 160, (24, 1, 256)) + rng.integers(-20, 20, (24, 128, 256))
    write_shard(folder / "synthetic-00000.npy", levels.astype(np.uint8), groups)
    (folder / "spec.json").write_text(json.dumps({"spec": spec.to_dict(), "labels": ["a", "b", "c"]}))
    options = ["--shards", str(folder), "--preset", "tiny", "--batch-size", "8", "--steps", "3", "--warmup=1"]
    options += ["--objective", "latent", "--contrast", "0.5", "--classify", "0.5", "--precision", "float32"]
    options += ["--no-bundle", "--decoder-dim", "32"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(radiofm_ml.__file__).parents[1])
    processes = start(["-m", "radiofm_ml.cli", "pretrain", str(tmp_path / "two"), *options], environment)
    try:
        for process in processes:
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output[-2000:]
    finally:
        for process in processes:
            process.kill()
    result = CliRunner().invoke(app, ["pretrain", str(tmp_path / "one"), *options])
    assert result.exit_code == 0, result.output
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert len(one) == 3
    for a, b in zip(one, two, strict=True):
        for term in ("loss", "latent", "contrast", "classify"):
            assert a[term] == pytest.approx(b[term], rel=2e-5), (a["step"], term)


def test_export_makes_a_usable_bundle(tmp_path, small_shards):
    paths = prepare(tmp_path / "shards", SPEC, 128, seed=1)
    pretrain(tmp_path / "run", VIT, SPEC, CONFIG, ShardReader(paths, SPEC, 16, seed=0))
    bundle = export(
        tmp_path / "run", tmp_path / "bundle", "toy", paths, "# toy\n", projection=8, each=2, episodes=2
    )
    kinds = [*all_classes(), "noise"]
    assert bundle.embedding_size == 8 and bundle.prototypes.shape == (len(kinds), 8)
    assert bundle.labels == kinds and sorted(bundle.calibration["normalisations"]) == ["cl2n", "l2"]
    assert bundle.config["provenance"]["training"]["step"] == 8
    assert np.isfinite(bundle.model(torch.randn(2, 16, 32)).numpy()).all()


def test_export_needs_a_run(tmp_path):
    with pytest.raises(ValueError, match=r"run\.json is missing"):
        export(tmp_path, tmp_path / "bundle", "toy", [], "")


def test_recordings_of_held_out_sessions_are_left_out(tmp_path, data_dir):
    from radiofm_ml.sigmf.recording import find_recordings

    sessions = {
        json.loads(p.read_text())["global"]["rfcorpus:session"]
        for p in (data_dir / "iq").rglob("*.sigmf-meta")
    }
    out = [s for s in sessions if shards.held_out(s)]
    assert 0.2 < len(out) / len(sessions) < 0.5
    assert len(find_recordings(data_dir / "iq")) >= 187
