# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A kind of head is one object: what only it knows is in heads/kinds.py, and a new one needs nothing else."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from radiofm_ml import heads
from radiofm_ml.evaluate.finetuning import evaluate
from radiofm_ml.heads.kinds import KINDS, Decision, Regression
from radiofm_ml.heads.running import open_head
from radiofm_ml.tasks import TaskData, TaskError
from radiofm_ml.train.tuning import TuneConfig
from test_tuning import QUICK, stripes
from tiny_bundle import make_bundle

PYTHON = Path(__file__).resolve().parents[1] / "python"
KEPT_IN = PYTHON / "radiofm_ml" / "heads" / "kinds.py"


@pytest.mark.parametrize("file", sorted(str(p.relative_to(PYTHON)) for p in PYTHON.rglob("*.py")
                                        if p != KEPT_IN and not p.name.startswith("qa_")))
def test_nobody_asks_a_kind_for_its_name(file):
    for node in ast.walk(ast.parse((PYTHON / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            asked = {c.value for c in ast.walk(node) if isinstance(c, ast.Constant)} & KINDS.keys()
            assert not asked, f"{file}:{node.lineno} asks for {asked}; put it into the kind's class"


class Level(Regression):
    """How much, from 0 to 1: another finish, other metrics and other decisions than any that ships."""

    name = "level"
    baselines = frozenset({"mean"})
    curve_metric = "worst"

    def settings(self, head):
        return {"scale": list(head.scale), "offset": list(head.offset)}

    def finish(self, raw, head):
        return np.clip(super().finish(raw, head), 0, 1)

    def finish_tensor(self, raw, head):
        return super().finish_tensor(raw, head).clamp(0, 1)

    def outputs(self, data, train):
        return {"scale": (0.5,), "offset": (0.5,)}

    def measure(self, data, index, predicted):
        found = super().measure(data, index, predicted)
        return {**found, "metrics": {"worst": found["errors"][-1]}}

    def decisions(self, engine, finished, min_pixels):
        yield Decision(None, finished.round(1))


@pytest.fixture
def level(monkeypatch):
    monkeypatch.setitem(KINDS, "level", Level())


def test_a_new_kind_is_tuned_reported_saved_and_run(level, tmp_path):
    bundle = make_bundle(tmp_path / "bundle", dim=32, read_out="statistics", projection=16)
    data = stripes(48)
    share = data.inputs.reshape(48, -1).max(1, keepdims=True) / 10
    data = replace(data, kind="level", targets=share.astype(np.float32), labels=("share",))
    reports = evaluate(bundle, data, [TuneConfig("probe", "embedding"), replace(QUICK, method="lora")],
                       tmp_path / "out", counts=(8, None), seeds=(0,), baselines=("cnn", "mean", "rate"))
    report = reports["test"]
    assert report["kind"] == "level" and "chance" not in report
    assert {row["method"] for row in report["results"]} == {"probe", "lora", "mean of the training targets"}
    assert {row["metric"] for row in report["results"]} == {"worst"}
    assert (tmp_path / "out" / "learning_curves.png").exists()
    tiles = data.inputs[:4, 0]
    for method, begins in (("probe", "embedding"), ("lora", "tokens")):
        head = heads.load(tmp_path / "out" / "heads" / method)
        assert head.kind == "level" and head.input == begins
        engine = open_head(tmp_path / "out" / "heads" / method, bundle)
        values = engine.predict(inputs(bundle, engine, tiles))
        assert values.shape == (4, 1) and values.min() >= 0 and values.max() <= 1
        decision, = KINDS[head.kind].decisions(engine, values[0], 16)
        assert decision == Decision(None, values[0].round(1))


def inputs(bundle, engine, tiles):
    """What the engine's head reads of these tiles."""
    with torch.inference_mode():
        if not engine.layers:
            return bundle.model(torch.from_numpy(tiles)).numpy()
        found = bundle.model.tokens_before(torch.from_numpy(tiles), list(engine.layers))
    return {layer: value.numpy() for layer, value in found.items()}


def test_an_unknown_kind_is_refused_by_its_name(tmp_path):
    layer = np.zeros((2, 3), np.float32), np.zeros(2, np.float32)
    for kind in ("level", "segmentation"):  # the second needs a decoder, which a plain head has not
        with pytest.raises(heads.HeadError, match=f"must be one of classification, regression, got '{kind}'"):
            heads.Head(kind, "t", "", ("a", "b"), (layer,))
    with pytest.raises(TaskError, match="classification, regression, segmentation, got 'level'"):
        TaskData("t", "level", np.zeros((2, 1, 4, 4)), np.zeros(2), ("a", "b"), np.arange(2),
                 {"train": np.array([0]), "test": np.array([1])})
