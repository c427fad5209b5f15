# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The identification benchmark: its splits do not leak, its scores are what they say."""

import csv

import numpy as np
import pytest
import torch
from radiofm_ml.evaluate.identification import (
    Benchmark,
    draw_episode,
    evaluate,
    groups_of,
    load_benchmark,
    prototype_accuracy,
    score,
)
from sigmf_files import write_recording
from tiny_bundle import SPEC, make_bundle


def bench(labels=3, sessions=4, recordings=2, tiles=3) -> Benchmark:
    table = [
        (label, session, recording)
        for label in range(labels)
        for session in range(sessions)
        for recording in range(recordings)
        for _ in range(tiles)
    ]
    label, session, recording = np.array(table).T
    return Benchmark(
        torch.zeros(len(table), 2, 2),
        np.array([f"l{v}" for v in label]),
        np.array([f"s{a}-{b}" for a, b in zip(label, session, strict=True)]),
        (label * sessions + session) * recordings + recording,
        np.ones(len(table)),
        np.array([f"s{a}-{b}" for a, b in zip(label, session, strict=True)]),
    )


def test_shots_and_queries_share_no_session():
    made = bench()
    rng = np.random.default_rng(0)
    for _ in range(20):
        support, queries = draw_episode(made, made.usable(), 5, rng)
        for k, (shots, asked) in enumerate(zip(support, queries, strict=True)):
            assert len(shots) == 5 and len(asked) == 12
            assert not set(made.sessions[shots]) & set(made.sessions[asked])
            assert set(made.labels[shots]) == set(made.labels[asked]) == {f"l{k}"}
            assert len(set(made.recordings[shots])) == 4  # two sessions of two recordings: all are used


def test_labels_with_one_session_are_left_out():
    made = bench(sessions=1)
    assert made.usable() == []


def test_splits_fall_back_on_receivers_and_recordings():
    rows = [
        {"label": label, "session": session, "receiver": receiver, "file": str(number)}
        for number, (label, session, receiver) in enumerate(
            ["asr", "atr", "bsp", "bsq", "csr", "csr"]  # label, session and receiver, a letter each
        )
    ]
    assert groups_of(rows) == ["s", "t", "p", "q", "4", "5"]


def test_score_weighs_recordings_and_labels_equally():
    """Label 0: one recording of 1 tile right, one of 3 tiles wrong -> 0.5; label 1: all right -> 1."""
    made = Benchmark(
        torch.zeros(5, 2, 2),
        np.array(["a"] * 4 + ["b"]),
        np.array(["x"] * 5),
        np.array([0, 1, 1, 1, 2]),
        np.ones(5),
        np.array(["x"] * 5),
    )
    everything, _ = score(np.array([0, 1, 1, 1, 1]), made, [np.arange(4), np.array([4])])
    assert everything == pytest.approx(0.75)


def test_features_that_tell_score_one_and_noise_scores_chance():
    made = bench()
    truth = np.unique(made.labels, return_inverse=True)[1]
    rng = np.random.default_rng(1)
    good = np.eye(3)[truth] + 0.01 * rng.standard_normal((len(truth), 3))
    assert prototype_accuracy(good, made, made.usable(), 1, 0, 10)[0] == 1.0
    noise = rng.standard_normal((len(truth), 8))
    assert abs(prototype_accuracy(noise, made, made.usable(), 5, 0, 100)[0] - 1 / 3) < 0.1


def write_benchmark(folder, sessions: int) -> None:
    """Recordings of tones and of noise, and their index."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    rows = []
    for session in range(sessions):
        for label in ("tone", "noise"):
            n = SPEC.stride * 3 + 32
            iq = rng.standard_normal(2 * n).astype(np.float32).view(np.complex64)
            if label == "tone":
                iq = iq + 10 * np.exp(2j * np.pi * 0.1 * np.arange(n)).astype(np.complex64)
            write_recording(folder / f"{label}{session}", iq.astype(np.complex64), sample_rate=1e6)
            rows.append(
                {
                    "label": label,
                    "session": f"{label}-{session}",
                    "file": f"{label}{session}.sigmf-data",
                    "sample_rate": 1e6,
                }
            )
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_whole_evaluation(tmp_path):
    """Tones against noise, four sessions each: everything but the sample rate tells them apart."""
    write_benchmark(tmp_path, sessions=4)
    result = evaluate(make_bundle(tmp_path / "model"), tmp_path, (2,), (0, 1), 5, 1)
    means = {r["method"]: r["mean"] for r in result["rows"] if r["queries"] == "all"}
    assert means["log power spectrum"] == 1.0 and means["random encoder"] == 1.0
    assert means["CNN from scratch"] > 0.6 and abs(means["sample rate alone"] - 0.5) < 0.01
    assert result["labels"] == ["noise", "tone"] and result["recordings"] == 8


def test_index_that_is_missing_or_incomplete(tmp_path):
    with pytest.raises(ValueError, match=r"index\.csv: missing"):
        load_benchmark(tmp_path, SPEC)
    (tmp_path / "index.csv").write_text("label,file\n")
    with pytest.raises(ValueError, match="column"):
        load_benchmark(tmp_path, SPEC)


def test_readouts_are_compared(tmp_path, monkeypatch):
    """A run of two steps, on the tones and noise above: every read-out gets its three numbers."""
    from radiofm_ml.evaluate import readouts
    from radiofm_ml.models.vit import READ_OUTS, ViTConfig
    from radiofm_ml.train import shards
    from radiofm_ml.train.pretrain import PretrainConfig, pretrain
    from radiofm_ml.train.reader import ShardReader

    monkeypatch.setattr(shards, "SHARD_TILES", 16)
    monkeypatch.setattr(readouts, "PROJECTIONS", ((0, 0.0), (4, 0.5)))
    write_benchmark(tmp_path / "data", sessions=6)
    paths = shards.prepare(tmp_path / "shards", SPEC, 32, seed=0)
    vit = ViTConfig(SPEC.tile_rows, SPEC.tile_cols, 8, 8, 32, 1, 2)
    reader = ShardReader(paths, SPEC, 8, 0)
    pretrain(tmp_path / "run", vit, SPEC, PretrainConfig(steps=2, batch_size=8, warmup=1), reader)
    rows = readouts.study(tmp_path / "run", tmp_path / "data", paths, (0,), 2, per_class=4)
    assert {(r["read_out"], r["projection"]) for r in rows} == {(r, p) for r in READ_OUTS for p in (0, 4)}
    assert all(0 <= r["synthetic"] <= 1 and 0.5 < r["real"] <= 1 for r in rows)
    best = [r["synthetic"] + r["real"] for r in rows]
    assert best == sorted(best, reverse=True)
