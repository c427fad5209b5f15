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


def test_whole_evaluation(tmp_path):
    """Tones against noise, four sessions each: everything but the sample rate tells them apart."""
    rng = np.random.default_rng(0)
    rows = []
    for session in range(4):
        for label in ("tone", "noise"):
            n = SPEC.stride * 3 + 32
            iq = rng.standard_normal(2 * n).astype(np.float32).view(np.complex64)
            if label == "tone":
                iq = iq + 10 * np.exp(2j * np.pi * 0.1 * np.arange(n)).astype(np.complex64)
            write_recording(tmp_path / f"{label}{session}", iq.astype(np.complex64), sample_rate=1e6)
            rows.append(
                {
                    "label": label,
                    "session": f"{label}-{session}",
                    "file": f"{label}{session}.sigmf-data",
                    "sample_rate": 1e6,
                }
            )
    with (tmp_path / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
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
