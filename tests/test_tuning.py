# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tuning: what each method trains and what it leaves alone, and that it learns what is there to learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from radiofm_ml import heads
from radiofm_ml.evaluate.fewshot_check import expected_calibration_error
from radiofm_ml.heads.kinds import KINDS
from radiofm_ml.heads.metrics import IGNORED
from radiofm_ml.tasks import TaskData, TaskError
from radiofm_ml.train import tuning
from radiofm_ml.train.frozen import Frozen
from radiofm_ml.train.tuning import TuneConfig, predict, tune
from tiny_bundle import make_bundle

QUICK = TuneConfig(epochs=1, min_steps=12, max_steps=12, batch_size=16, base_rate=0.05, rank=4, alpha=8.0,
                   last=1, label_smoothing=0.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"), dim=32, read_out="statistics", projection=16)


def score(data, predicted, index):
    return KINDS[data.kind].score(predicted, data.targets[index], data.labels)


def stripes(n=96, seed=0) -> TaskData:
    """Noise with a stripe in frequency, in time, or none; five examples a group."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 3
    tiles = rng.normal(size=(n, 1, 32, 64)).astype(np.float32)
    for tile, target in zip(tiles[:, 0], targets, strict=True):
        if target:
            tile[(slice(None), rng.integers(64)) if target == 1 else (rng.integers(32), slice(None))] += 4
    part = n * 2 // 3
    groups = np.array([f"{t} {i // 15}" for i, t in enumerate(targets)])
    split = {"train": np.flatnonzero(np.arange(n) // 15 < part // 15), "test": np.flatnonzero(
        np.arange(n) // 15 >= part // 15)}
    return TaskData("stripe", "classification", tiles, targets, ("none", "tone", "burst"), groups, split,
                    tiles=True)


def arrays(n=60) -> TaskData:
    """Three channels, not of a tile's size; the numbers are the level of the last channel's halves."""
    rng = np.random.default_rng(1)
    targets = rng.uniform(-30, 30, (n, 2)).astype(np.float32)
    x = rng.normal(size=(n, 3, 20, 24)).astype(np.float32) * 5 + 100
    x[:, 2, :, :12] += targets[:, :1, None]
    x[:, 2, :, 12:] += targets[:, 1:, None]
    return TaskData("level", "regression", x, targets, ("left", "right"), np.arange(n),
                    {"train": np.arange(n - 20), "test": np.arange(n - 20, n)}, unit="dB")


@pytest.fixture(scope="module")
def frozen(bundle):
    return Frozen(bundle.model, stripes())


TRAINED = {
    "probe": ("layers.",),
    "mlp": ("layers.",),
    "published-lp": ("layers.", "encoder.patch_embed.", "encoder.cls", "encoder.norm."),
    "last-k": ("layers.", "encoder.blocks.2.", "encoder.norm."),
    "lora": ("layers.", "encoder.blocks.*.attention.qkv.lora_"),
    "full": ("layers.", "encoder."),
}


@pytest.mark.parametrize("method", TRAINED)
def test_a_method_trains_its_part_and_nothing_else(bundle, frozen, method):
    before = {name: value.clone() for name, value in bundle.model.state_dict().items()}
    tuned = tune(frozen, frozen.data.splits["train"], replace(QUICK, method=method), bundle.id)
    for name, value in bundle.model.state_dict().items():
        assert torch.equal(value, before[name]), f"the bundle's {name} has changed"
    changed = set()
    for name, value in tuned.head.encoder.state_dict().items():
        source = before.get(name.replace("qkv.base.", "qkv."))
        if source is None or not torch.equal(value, source):
            changed.add(f"encoder.{name}")
    allowed = TRAINED[method]
    for name in changed:
        plain = ".".join("*" if part.isdigit() and method == "lora" else part for part in name.split("."))
        assert plain.startswith(allowed), f"{method} has changed {name}"
    starts = [part.split("*")[0] for part in allowed[1:]]
    for start in starts:
        assert any(name.startswith(start) for name in changed), f"{method} has not changed {start}"


@pytest.mark.parametrize("method", ["probe", "mlp", "last-k", "lora"])
def test_a_method_learns_and_its_head_says_the_same_from_disk(tmp_path, bundle, frozen, method):
    config, data = replace(QUICK, method=method), frozen.data
    if method == "mlp":  # the only one that does not begin with the fitted probe
        config = replace(config, min_steps=60, max_steps=60)
    test = data.splits["test"]
    tuned = tune(frozen, data.splits["train"], config, bundle.id)
    found = predict(tuned.head, frozen, config, test)
    assert score(data, found, test) > 0.6  # a third by chance
    heads.save(tmp_path, tuned.head)
    head = heads.load(tmp_path).attach(bundle)
    tiles = torch.from_numpy(data.inputs[test][:, 0])
    tokens = bundle.model.tokens_before(tiles, [head.from_layer])[head.from_layer]
    np.testing.assert_allclose(head.predict(tokens), found, atol=0.03)  # bf16 where the CPU has it


def rated(n=96) -> TaskData:
    """Tiles with a stripe or without, slow and fast, which differ in nothing but the sample rate."""
    data, rng = stripes(n), np.random.default_rng(7)
    fast = np.arange(n) // 15 % 2
    labels = tuple(f"{speed} {kind}" for speed in ("slow", "fast") for kind in ("noise", "stripe"))
    return replace(data, targets=(data.targets > 0) + 2 * fast, labels=labels,
                   rates=10 ** (rng.uniform(4, 5, n) + 2 * fast))


@pytest.mark.parametrize("method", ["probe", "mlp", "last-k", "lora", "full"])
def test_a_head_that_knows_the_sample_rate(tmp_path, bundle, method):
    data = rated()
    frozen, test = Frozen(bundle.model, data), data.splits["test"]
    config = replace(QUICK, method=method, know_rate=True)
    if method == "mlp":
        config = replace(config, min_steps=60, max_steps=60)
    tuned = tune(frozen, data.splits["train"], config, bundle.id)
    found = predict(tuned.head, frozen, config, test)
    fast = data.targets[test] // 2
    assert ((found[:, 2:].sum(1) > 0.5) == fast).mean() > 0.9
    heads.save(tmp_path, tuned.head)
    head = heads.load(tmp_path).attach(bundle)
    assert head.rate is not None
    tiles = torch.from_numpy(data.inputs[test][:, 0])
    x = tiles if head.input == "tile" else bundle.model.tokens_before(tiles, [head.from_layer])[
        head.from_layer]
    np.testing.assert_allclose(head.predict(x, rates=data.rates[test]), found, atol=0.03)


def test_the_sample_rate_is_withheld_unless_asked_for_and_refused_where_it_is_not_known(bundle, frozen):
    data = rated()
    head = tune(Frozen(bundle.model, data), data.splits["train"], replace(QUICK, method="probe"),
                bundle.id).head
    assert head.rate is None
    with pytest.raises(TaskError, match="no head can know the sample rate here"):
        tune(frozen, frozen.data.splits["train"], replace(QUICK, know_rate=True))
    with pytest.raises(TaskError, match="as many sample rates above 0"):
        replace(data, rates=data.rates[1:])
    plain = tune(Frozen(bundle.model, data), data.splits["train"],
                 TuneConfig("probe", "embedding", know_rate=True)).head
    assert isinstance(plain, heads.Head) and plain.rate is not None and plain.embedding_size == 16


def test_the_probe_on_the_embedding_says_how_sure_one_can_be():
    """Few examples, many values, classes that overlap: fitted to the end it is too sure, or too little."""
    rng = np.random.default_rng(0)
    targets = np.arange(900) % 3
    x = rng.normal(size=(900, 24)) + 0.7 * rng.normal(size=(3, 24))[targets]
    train, validation, test = np.arange(60), np.arange(60, 360), np.arange(360, 900)
    data = TaskData("overlap", "classification", np.zeros((900, 1, 8, 8), np.float32), targets,
                    ("a", "b", "c"), np.arange(900), {"train": train, "test": test}, tiles=True)
    head = tuning.fit_probe(data, lambda index: x[index], TuneConfig(), train, validation)
    assert head.temperature != 1.0
    assert tuning.fit_probe(data, lambda index: x[index], TuneConfig(), train).temperature == 1.0

    def error(head):
        found = head(x[test])
        return expected_calibration_error(found.max(1), found.argmax(1) == targets[test])

    def surprise(head):
        return -np.log(head(x[test])[np.arange(len(test)), targets[test]]).mean()

    plain = replace(head, temperature=1.0)
    assert surprise(head) < surprise(plain) and error(head) < 0.6 * error(plain) and error(head) < 0.06


def test_a_probe_on_the_embedding_is_a_plain_head(bundle, frozen):
    config, data = TuneConfig("probe", "embedding"), frozen.data
    head = tune(frozen, data.splits["train"], config, bundle.id).head
    assert isinstance(head, heads.Head) and head.labels == data.labels and head.model == bundle.id
    test = data.splits["test"]
    with torch.inference_mode():
        embeddings = bundle.model(torch.from_numpy(data.inputs[test][:, 0])).numpy()
    np.testing.assert_allclose(head(embeddings), predict(head, frozen, config, test), atol=0.05)


def test_the_same_seed_gives_the_same_head(bundle, frozen):
    train = frozen.data.splits["train"]

    def state(seed):
        return tune(frozen, train, replace(QUICK, method="lora", seed=seed)).head.own_state()

    first, again, other = state(0), state(0), state(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_best_state_by_the_validation_part_is_kept(monkeypatch, bundle, frozen):
    scores = iter([0.1, 0.9, *[0.3] * 6])
    states = []

    def noted(head, frozen, config, index):
        states.append({k: v.clone() for k, v in head.own_state().items()})
        return predict(head, frozen, config, index)

    monkeypatch.setattr(KINDS["classification"], "score", lambda *_: next(scores))
    monkeypatch.setattr(tuning, "predict", noted)
    train = frozen.data.splits["train"]
    tuned = tune(frozen, train[:-12], replace(QUICK, method="last-k"), validation=train[-12:])
    assert [h["validation"] for h in tuned.history if h["validation"] is not None] == [0.1, 0.9, *[0.3] * 6]
    assert all(torch.equal(tuned.head.own_state()[k], v) for k, v in states[1].items())
    assert tuned.head.config.temperature != 1.0


def test_frozen_parts_are_computed_once(bundle):
    data = stripes(24)
    frozen = Frozen(bundle.model, data)
    index = np.array([3, 1, 3, 7])
    with torch.inference_mode():
        expected = bundle.model.tokens_before(torch.from_numpy(data.inputs[index][:, 0]), [2])[2]
    np.testing.assert_allclose(frozen.tokens(2, index), expected, atol=0.05)
    kept = frozen.tokens(2, index)
    data.inputs[:] = 0
    assert torch.equal(frozen.tokens(2, index), kept)
    small = Frozen(bundle.model, data, limit=0)
    assert small.tokens(2, index).shape == kept.shape and not torch.equal(small.tokens(2, index), kept)


@pytest.mark.parametrize("method", ["probe", "lora", "published-lp", "scratch"])
def test_arrays_of_any_size_and_numbers_as_targets(tmp_path, bundle, method):
    data = arrays()
    frozen, config = Frozen(bundle.model, data), replace(QUICK, method=method)
    tuned = tune(frozen, data.splits["train"], config, bundle.id)
    assert tuned.head.input == "tile" and tuned.head.config.front.channels == 3
    test = data.splits["test"]
    found = predict(tuned.head, frozen, config, test)
    assert found.shape == (20, 2) and np.isfinite(found).all()
    if method == "probe":
        spread = np.linalg.norm(data.targets[test] - data.targets.mean(0), axis=1).mean()
        assert -score(data, found, test) < 0.8 * spread
    heads.save(tmp_path, tuned.head)
    again = heads.load(tmp_path).attach(bundle).predict(torch.from_numpy(data.inputs[test]))
    np.testing.assert_allclose(again, found, atol=2.0)


def test_adapter_is_trained_where_the_method_says_so(bundle):
    data = arrays()
    for method, trained in (("probe", False), ("last-k", False), ("lora", True), ("scratch", True)):
        head = tune(Frozen(bundle.model, data), data.splits["train"], replace(QUICK, method=method)).head
        weight = head.front.adapter.weight
        assert torch.equal(weight, torch.full_like(weight, 1 / 3)) != trained


def test_schedule_and_settings():
    config = TuneConfig(batch_size=64, base_rate=1e-3, warmup=0.1)
    assert config.rate(9, 100) == pytest.approx(2.5e-4) and config.rate(0, 100) == pytest.approx(2.5e-5)
    assert config.rate(99, 100) < 1e-6 and config.rate(55, 100) == pytest.approx(1.25e-4, rel=0.01)
    assert TuneConfig(epochs=10, min_steps=5, max_steps=50).steps(64) == 10
    for wrong in ({"method": "magic"}, {"read_out": "x"}, {"batch_size": 0}, {"drop_path": 1.0},
                  {"min_steps": 9, "max_steps": 8}):
        with pytest.raises(ValueError):
            TuneConfig(**wrong)


def test_layer_decay_and_weight_decay(bundle, frozen):
    config = replace(QUICK, method="full", layer_decay=0.5, weight_decay=0.1)
    head = tuning._build(frozen, config, "", frozen.data.splits["train"])
    names = {id(p): name for name, p in head.named_parameters()}
    for group in tuning._groups(head, config):
        for parameter in group["params"]:
            name = names[id(parameter)]
            place = int(name.split(".")[2]) + 1 if "blocks" in name else (
                0 if name.startswith(("encoder.patch_embed", "encoder.cls")) else 4)
            assert group["factor"] == 0.5 ** (4 - place)
            assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)


def test_drop_path_skips_branches_of_own_blocks_in_training_only(bundle, frozen):
    train = frozen.data.splits["train"]
    rates = {}
    for method in ("full", "scratch", "lora", "last-k", "published-lp"):
        head = tuning._build(frozen, replace(QUICK, method=method, drop_path=0.5), "", train)
        rates[method] = [block.drop_path for block in head.encoder.blocks]
    every = [0.0, 0.25, 0.5]
    assert rates == {"full": every, "scratch": every, "lora": every, "last-k": [0.0, 0.0, 0.5],
                     "published-lp": [0.0] * 3}
    block = head.encoder.blocks[2]
    block.drop_path = 0.5
    torch.manual_seed(0)
    x = torch.randn(1, 5, 32).expand(4000, 5, 32)
    with torch.no_grad():
        whole, dropped = block.eval()(x), block.train()(x)
    unchanged = (dropped == x).all(2).all(1)
    assert unchanged.float().mean() == pytest.approx(0.25, abs=0.03)  # both branches are left out
    with torch.no_grad():
        attended = block.attention(block.norm1(x[:1]))[0]
        block.mlp[2].weight.zero_(), block.mlp[2].bias.zero_()
        assert ((block(x) - x).mean(0) - attended).abs().max() < 0.05 * attended.abs().max()
    torch.testing.assert_close(whole, whole[:1].expand_as(whole))  # BLAS may round one row unlike another


def test_rare_pixels_count_more_where_it_is_asked_for(bundle):
    targets = np.zeros((8, 32, 64), np.uint8)
    targets[:, :, :16], targets[:, 0] = 1, IGNORED
    data = TaskData("parts", "segmentation", np.zeros((8, 1, 32, 64), np.float32), targets,
                    ("noise", "signal", "never"), np.arange(8),
                    {"train": np.arange(6), "test": np.arange(6, 8)}, tiles=True)
    np.testing.assert_allclose(KINDS["segmentation"].class_weights(data, data.splits["train"]), [2 / 3, 2, 0])
    raw = torch.zeros(1, 3, 32, 64)
    raw[:, 0] = 1.0  # for noise everywhere
    index = np.array([0])

    def loss(wanted):
        weighted = tuning._weighted(TuneConfig("probe", class_weights=wanted), data)
        return float(KINDS[data.kind].loss(data, data.splits["train"], weighted=weighted)(raw, index))

    right, wrong = np.log(np.e + 2) - 1, np.log(np.e + 2)
    assert loss(None) == loss(False) == pytest.approx(0.75 * right + 0.25 * wrong, rel=1e-5)
    assert loss(True) == pytest.approx((right + wrong) / 2, rel=1e-5)


def test_what_cannot_be_tuned_is_refused(bundle, frozen):
    data = frozen.data
    with pytest.raises(TaskError, match="no example of 'burst'"):
        tune(frozen, np.flatnonzero(data.targets < 2)[:9], QUICK)
    with pytest.raises(FloatingPointError, match="learning rate"):
        tune(frozen, data.splits["train"], replace(QUICK, method="full", base_rate=float("inf")))
    with pytest.raises(TaskError, match="tiles must be"):
        Frozen(bundle.model, replace(data, inputs=data.inputs[..., :32]))
    spoilt = arrays()
    spoilt.inputs[3] = np.nan
    with pytest.raises(TaskError, match="NaN"):
        Frozen(bundle.model, spoilt)
