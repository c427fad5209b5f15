# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Heads on disk: what they compute, what comes back, and what is refused."""

import json

import numpy as np
import pytest
import torch
from radiofm_ml import heads
from radiofm_ml.heads import Head, HeadError, fit_linear
from radiofm_ml.heads.rates import RateCode
from safetensors.numpy import load_file, save_file


def layers(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    return tuple((rng.normal(size=(b, a)).astype(np.float32), rng.normal(size=b).astype(np.float32))
                 for a, b in zip(sizes, sizes[1:], strict=False))


def classifier(**changes) -> Head:
    values = {"kind": "classification", "task": "modulation", "model": "m@1", "labels": ("am", "fm", "ook"),
              "layers": layers(6, 5, 3), "temperature": 2.0}
    return Head(**{**values, **changes})


def position(**changes) -> Head:
    values = {"kind": "regression", "task": "position", "model": "m@1", "labels": ("x", "y"),
              "layers": layers(6, 2), "unit": "m", "scale": (40.0, 30.0), "offset": (1.0, 2.0)}
    return Head(**{**values, **changes})


def test_an_mlp_computes_what_torch_computes():
    head = classifier()
    network = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    with torch.no_grad():
        for module, (weight, bias) in zip((network[0], network[2]), head.layers, strict=True):
            module.weight.copy_(torch.from_numpy(weight))
            module.bias.copy_(torch.from_numpy(bias))
        x = torch.randn(10, 6, generator=torch.Generator().manual_seed(0))
        expected = torch.softmax(network(x) / 2.0, 1).numpy()
    np.testing.assert_allclose(head(x.numpy()), expected, rtol=1e-5)
    assert head.embedding_size == 6


def test_a_regression_is_scaled_and_normalised():
    x, mean = np.random.default_rng(1).normal(size=(10, 6)), np.full(6, 0.5, np.float32)
    (weight, bias), = layers(6, 2)
    centred = x - 0.5
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    expected = (unit @ weight.T + bias) * [40, 30] + [1, 2]
    np.testing.assert_allclose(position(normalisation="cl2n", mean=mean)(x), expected, rtol=1e-6)
    np.testing.assert_allclose(position(scale=(3.0,), offset=(0.0,))(x), (x @ weight.T + bias) * 3, rtol=1e-6)


@pytest.mark.parametrize("head", [classifier(), position(), position(unit="", scale=(2.0,)),
                                  classifier(normalisation="cl2n", mean=np.ones(6, np.float32))])
def test_a_head_comes_back_from_disk(tmp_path, head):
    saved = heads.save(tmp_path / "head", head)
    loaded = heads.load(tmp_path / "head" / "head.json")
    x = np.random.default_rng(2).normal(size=(4, 6))
    for other in (saved, loaded):
        np.testing.assert_array_equal(other(x), head(x))
        for name in ("kind", "task", "model", "labels", "activation", "normalisation", "temperature", "unit",
                     "scale", "offset"):
            assert getattr(other, name) == getattr(head, name)


# -- the sample rate ---------------------------------------------------------------------------------------
def test_bumps_tell_rates_apart_and_stay_at_the_ends():
    code = RateCode()
    rates = np.geomspace(4e3, 8e7, 300)
    values = code(rates)
    assert values.shape == (300, code.count) and values.dtype == np.float32
    steps = np.linalg.norm(np.diff(values, axis=0), axis=1)
    assert steps.min() > 0.5 * steps.max() > 0  # smooth, and as fine everywhere
    centre = 10 ** np.linspace(code.low, code.high, code.count)[5]
    assert code([centre]).argmax() == 5 and code([centre]).max() == pytest.approx(code.height)
    np.testing.assert_array_equal(code([1.0, 1e12]), code([10**code.low, 10**code.high]))
    for wrong in ([0.0], [-1e6], [np.nan], [np.inf], 1e6):
        with pytest.raises(ValueError, match="finite numbers above 0"):
            code(wrong)


def test_a_linear_head_that_knows_the_rate_tells_what_the_embedding_does_not(tmp_path):
    """The classes differ in a value and, two and two, in nothing but the rate."""
    rng = np.random.default_rng(4)
    kind = np.arange(400) % 4
    x = rng.normal(size=(400, 6)) * 0.3 + (kind // 2)[:, None]
    rates = 10 ** (rng.uniform(4, 5.5, 400) + 2 * (kind % 2))
    targets = np.array(["ais", "bluetooth", "morse", "wifi"])[kind]
    half = slice(200)
    blind = fit_linear(x[half], targets[half], task="signal")
    head = heads.save(tmp_path, fit_linear(x[half], targets[half], task="signal", rates=rates[half]))
    assert head.embedding_size == 6 and head.rate == RateCode() and blind.rate is None
    right = head(x[200:], rates[200:]).argmax(1) == kind[200:]
    assert right.mean() > 0.95 > 0.7 > (blind(x[200:]).argmax(1) == kind[200:]).mean()
    for missing in (None, rates[:9]):
        with pytest.raises(ValueError, match="'signal' needs the sample rate of each of 10 tiles"):
            head(x[:10], missing)


def test_a_head_of_an_older_format_knows_no_rate(tmp_path):
    head = heads.save(tmp_path, classifier())
    file = tmp_path / "head.json"
    config = json.loads(file.read_text())
    del config["rate"]
    file.write_text(json.dumps({**config, "format_version": 2}))
    x = np.random.default_rng(5).normal(size=(3, 6))
    assert heads.load(tmp_path).rate is None
    np.testing.assert_array_equal(heads.load(tmp_path)(x), head(x))


@pytest.mark.parametrize("rate", [{}, [], 3, {**RateCode().to_dict(), "count": 2.5},
                                  {**RateCode().to_dict(), "width": 0}, {**RateCode().to_dict(), "low": 9.0},
                                  {**RateCode().to_dict(), "more": 1}, {**RateCode().to_dict(), "count": 6}])
def test_a_damaged_rate_is_refused(tmp_path, rate):
    heads.save(tmp_path, classifier())
    file = tmp_path / "head.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "rate": rate}))
    with pytest.raises(HeadError, match=r"head\.json: key 'rate'"):
        heads.load(tmp_path)


def test_it_may_lie_in_a_bundle_folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    heads.save(tmp_path, classifier())
    assert (tmp_path / "config.json").read_text() == "{}"


@pytest.mark.parametrize(("make", "changes", "reason"), [
    (classifier, {"kind": "segmentation"}, "kind"), (classifier, {"task": ""}, "task"),
    (classifier, {"labels": ("a", "b")}, "labels"), (classifier, {"labels": ("a", "a", "b")}, "labels"),
    (classifier, {"labels": ("a", "", "b")}, "labels"), (classifier, {"labels": (1, 2, 3)}, "labels"),
    (classifier, {"temperature": 0.0}, "temperature"),
    (classifier, {"temperature": float("nan")}, "temperature"),
    (classifier, {"layers": layers(6, 1), "labels": ("a",)}, "two labels"),
    (classifier, {"activation": "exec"}, "activation"), (classifier, {"normalisation": "x"}, "normalisation"),
    (classifier, {"normalisation": "cl2n"}, "mean"), (classifier, {"mean": np.zeros(6)}, "mean"),
    (classifier, {"normalisation": "cl2n", "mean": np.zeros(5)}, "mean"),
    (classifier, {"layers": ()}, "layer"),
    (classifier, {"layers": layers(6, 5)[:1] + layers(4, 3)}, "layers.1"),
    (classifier, {"layers": ((np.zeros((3, 6)), np.zeros(2)),)}, "layers.0"),
    (position, {"unit": 3}, "unit"), (position, {"scale": (1.0, 2.0, 3.0)}, "scale"),
    (position, {"offset": (float("inf"),)}, "offset"), (position, {"scale": [1.0]}, "scale")])
def test_a_head_that_makes_no_sense_is_refused(make, changes, reason):
    with pytest.raises(HeadError, match=reason):
        make(**changes)


@pytest.mark.parametrize(("change", "reason"), [
    ({"format": "x"}, "format"), ({"format_version": 9}, "format_version"), ({"kind": 3}, "kind"),
    ({"kind": "lora"}, "kind"), ({"model": None}, "model"), ({"embedding_size": 7}, "embedding_size"),
    ({"embedding_size": True}, "embedding_size"), ({"labels": "abc"}, "labels"),
    ({"labels": [[], {}, 1]}, "labels"), ({"layers": 3}, "layers.2.weight"), ({"layers": 0}, "layers"),
    ({"layers": 10**9}, "layers"), ({"layers": 1}, "layers.1"), ({"normalisation": "cl2n"}, "mean"),
    ({"temperature": "hot"}, "temperature")])
def test_damaged_json_is_refused_with_file_and_key(tmp_path, change, reason):
    heads.save(tmp_path, classifier())
    file = tmp_path / "head.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(HeadError, match=rf"head\.(json|safetensors): .*{reason}"):
        heads.load(tmp_path)


def test_damaged_files_are_refused(tmp_path):
    with pytest.raises(HeadError, match="head.safetensors: missing"):
        heads.load(tmp_path)
    heads.save(tmp_path, classifier())
    weights = load_file(tmp_path / "head.safetensors")
    for change, reason in (({"layers.0.weight": np.full((5, 6), np.nan, np.float32)}, "finite"),
                           ({"layers.0.weight": np.zeros((5, 6), np.int32)}, "floating"),
                           ({"layers.0.weight": np.zeros((4, 6), np.float32)}, "layers.0"),
                           ({"layers.0.bias": np.zeros((5, 1), np.float32)}, "layers.0"),
                           ({"extra": np.zeros(1, np.float32)}, "extra")):
        save_file({**weights, **change}, tmp_path / "head.safetensors")
        with pytest.raises(HeadError, match=reason):
            heads.load(tmp_path)
    (tmp_path / "head.safetensors").write_bytes(b"\x80\x04 pickled")
    with pytest.raises(HeadError, match="not a safetensors file"):
        heads.load(tmp_path)
    for text in ("{", "[]", "[" * 100_000):
        (tmp_path / "head.json").write_text(text)
        with pytest.raises(HeadError, match="head.json"):
            heads.load(tmp_path)


def test_half_precision_weights_are_read(tmp_path):
    head = heads.save(tmp_path, classifier())
    half = {key: value.astype(np.float16) for key, value in load_file(tmp_path / "head.safetensors").items()}
    save_file(half, tmp_path / "head.safetensors")
    x = np.random.default_rng(3).normal(size=(4, 6))
    np.testing.assert_allclose(heads.load(tmp_path)(x), head(x), atol=0.01)


def test_fitted_classifier_separates_and_knows_how_sure_it_is():
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(3, 10)) * [0.01] * 5 + 7.0  # small differences on a large offset
    y = rng.integers(0, 3, 900)
    x = centres[y] + 0.04 * rng.normal(size=(900, 10))
    names = np.array(["am", "fm", "ook"])[y]
    head = fit_linear(x[:600], names[:600], task="modulation", model="m@1", penalty=1e-3)
    assert head.kind == "classification" and head.labels == ("am", "fm", "ook")
    p = head(x[600:])
    right = p.argmax(1) == y[600:]
    assert 0.6 < right.mean() < 0.999 and abs(p.max(1).mean() - right.mean()) < 0.06


def test_fitted_regression_finds_the_plane():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 6)) * 0.1 + 3
    y = x @ rng.normal(size=(6, 2)) * 50 + [100, -20]
    head = fit_linear(x, y, task="position", model="m@1", unit="m", labels=("x", "y"), penalty=1e-9)
    assert head.kind == "regression" and head.unit == "m"
    np.testing.assert_allclose(head(x), y, atol=1e-2)
    one = fit_linear(x, y[:, 0], task="angle", unit="deg", normalisation="cl2n")
    assert one.labels == ("value",) and one.mean is not None
    assert np.corrcoef(one(x)[:, 0], y[:, 0])[0, 1] > 0.9
