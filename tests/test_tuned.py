# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Heads that carry parts of the encoder: what comes back from disk, what is shared, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from radiofm_ml import heads
from radiofm_ml.heads import HeadError
from radiofm_ml.heads.rates import RateCode
from radiofm_ml.heads.tuned import TunedHead, resize
from radiofm_ml.heads.tuned_config import FrontConfig, TunedConfig
from radiofm_ml.models.lora import LoraConfig
from safetensors.numpy import load_file, save_file
from tiny_bundle import make_bundle

LORA = LoraConfig(4, 8.0)
FRONT = FrontConfig(3, (0.5, 0.0, -1.0), (1.0, 2.0, 3.0))
FORMS = {
    "norm and layers": {"from_layer": 3},
    "last blocks": {"from_layer": 1, "hidden": (5,)},
    "lora": {"from_layer": 0, "lora": LORA},
    "lora on the last blocks": {"from_layer": 2, "lora": LORA},
    "tokenizer": {"from_layer": 3, "tokenizer": True},
    "everything": {"from_layer": 0, "tokenizer": True, "front": FRONT},
    "front and lora": {"from_layer": 1, "lora": LORA, "front": FRONT},
    "sample rate": {"from_layer": 3, "rate": RateCode()},
    "sample rate and lora": {"from_layer": 1, "lora": LORA, "hidden": (5,), "rate": RateCode(count=9)},
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


def tuned(bundle, **changes) -> TunedHead:
    """A head as training leaves it: the bundle's weights, those that it owns changed."""
    vit = replace(bundle.model.config, read_out="statistics")
    options = {"kind": "classification", "task": "signal", "model": bundle.id, "labels": ("a", "b", "c"),
               "vit": vit, "temperature": 2.0}
    head = TunedHead(TunedConfig(**{**options, **changes})).start_from(bundle.model)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in head.named_parameters():
            if head.owns(name):
                value += 0.1 * torch.randn(value.shape, generator=generator)
    return head.eval().requires_grad_(False)


def inputs(head, bundle, n=3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    if head.config.front:
        return torch.randn(n, 3, 20, 90, generator=generator)
    tiles = torch.randn(n, 32, 64, generator=generator)
    return tiles if head.input == "tile" else bundle.model.tokens_before(
        tiles, [head.from_layer])[head.from_layer]


@pytest.mark.parametrize("form", FORMS)
def test_a_head_comes_back_from_disk_and_predicts_the_same(tmp_path, bundle, form):
    head = tuned(bundle, **FORMS[form])
    x = inputs(head, bundle)
    rates = (1e4, 1e6, 5e7)  # not read where the head has no 'rate'
    expected = head.predict(x, rates=rates)
    assert expected.shape == (3, 3) and np.allclose(expected.sum(1), 1, atol=1e-5)
    heads.save(tmp_path, head)
    loaded = heads.load(tmp_path)
    assert (loaded.input, loaded.from_layer, loaded.config) == (head.input, head.from_layer, head.config)
    if form not in ("norm and layers", "last blocks", "everything", "sample rate"):
        with pytest.raises(HeadError, match="attach"):
            loaded.predict(x)
    np.testing.assert_array_equal(loaded.attach(bundle).predict(x, rates=rates), expected)
    np.testing.assert_allclose(loaded.merge().predict(x, rates=rates), expected, atol=1e-5)


def test_the_sample_rate_reaches_the_outputs_and_is_asked_for(bundle):
    head = tuned(bundle, **FORMS["sample rate"])
    x = inputs(head, bundle)
    low, high = (head.predict(x, rates=np.full(3, rate)) for rate in (1e4, 1e7))
    assert np.abs(low - high).max() > 1e-3
    for missing in (None, [1e6]):
        with pytest.raises(ValueError, match="'signal' needs the sample rate of each of 3 tiles"):
            head.predict(x, rates=missing)
    with pytest.raises(ValueError, match="above 0"):
        head.predict(x, rates=[1e6, 0.0, 1e6])
    with pytest.raises(HeadError, match="'rate': a decoder"):
        replace(head.config, kind="segmentation", decoder={"kind": "pixels"})


def test_a_file_holds_what_was_tuned_and_no_more(tmp_path, bundle):
    def stored(**form):
        heads.save(tmp_path, tuned(bundle, **form))
        return set(load_file(tmp_path / "head.safetensors"))

    layers = {f"layers.{name}" for name in ("centre", "spread", "linear.0.weight", "linear.0.bias")}
    always = layers | {"encoder.norm.weight", "encoder.norm.bias"}
    assert stored(**FORMS["norm and layers"]) == always
    assert stored(**FORMS["lora on the last blocks"]) == always | {
        f"encoder.blocks.2.attention.qkv.lora_{part}" for part in "ab"}
    assert stored(**FORMS["tokenizer"]) == always | {
        "encoder.cls", "encoder.patch_embed.weight", "encoder.patch_embed.bias"}
    blocks = stored(**FORMS["last blocks"])
    assert {name.split(".")[2] for name in blocks if "blocks" in name} == {"1", "2"}


def test_shared_blocks_are_the_bundles_own(tmp_path, bundle):
    head = tuned(bundle, **FORMS["last blocks"])
    heads.save(tmp_path, head)
    loaded = heads.load(tmp_path).attach(bundle)
    assert loaded.encoder.blocks[0] is bundle.model.blocks[0]
    assert loaded.encoder.blocks[1] is not bundle.model.blocks[1]
    before = bundle.model(torch.ones(1, 32, 64))
    lora = tuned(bundle, **FORMS["lora"]).attach(bundle).merge()
    assert lora.encoder.blocks[0] is not bundle.model.blocks[0]
    assert torch.equal(bundle.model(torch.ones(1, 32, 64)), before)


def test_a_regression_is_scaled(bundle):
    head = tuned(bundle, kind="regression", labels=("x", "y"), unit="m", scale=(2.0, 3.0), offset=(1.0, -1.0),
                 from_layer=2)
    x = inputs(head, bundle)
    np.testing.assert_allclose(head.predict(x), head(x).numpy() * [2, 3] + [1, -1], rtol=1e-5)


def test_a_front_standardises_averages_and_resizes(bundle):
    head = TunedHead(TunedConfig("classification", "activity", "", ("a", "b"), bundle.model.config, 3,
                                 front=FRONT))
    x = torch.randn(2, 3, 20, 90)
    mean, std = (torch.tensor(v)[:, None, None] for v in (FRONT.mean, FRONT.std))
    expected = resize(((x - mean) / std), (32, 64)).mean(1)
    torch.testing.assert_close(head.tiles(x).detach(), expected, atol=1e-5, rtol=1e-4)


def test_input_of_the_wrong_shape_is_refused(bundle):
    wrong_ones = {"last blocks": (2, 32, 64), "tokenizer": (2, 33, 64), "everything": (2, 2, 9, 9)}
    for form, wrong in wrong_ones.items():
        with pytest.raises(ValueError, match="of shape"):
            tuned(bundle, **FORMS[form]).attach(bundle).predict(torch.zeros(wrong))


def test_another_bundle_is_refused(tmp_path, bundle):
    other = make_bundle(tmp_path, depth=2)
    with pytest.raises(HeadError, match="for model"):
        tuned(bundle, **FORMS["lora"]).attach(other)
    head = TunedHead(replace(tuned(bundle, **FORMS["lora"]).config, model=""))
    with pytest.raises(HeadError, match="depth"):
        head.attach(other)


@pytest.mark.parametrize(("changes", "reason"), [
    ({"from_layer": 4}, "from_layer"), ({"from_layer": -1}, "from_layer"),
    ({"from_layer": True}, "from_layer"), ({"from_layer": 3, "lora": LORA}, "lora"),
    ({"kind": "other"}, "kind"), ({"labels": ("a",)}, "two labels"), ({"hidden": (0,)}, "hidden"),
    ({"decoder": {"kind": "pixels"}}, "decoder"), ({"kind": "segmentation"}, "decoder"),
    ({"tokenizer": 1}, "tokenizer"), ({"temperature": 0.0}, "temperature")])
def test_a_head_that_makes_no_sense_is_refused(bundle, changes, reason):
    with pytest.raises(HeadError, match=reason):
        tuned(bundle, **{"from_layer": 1, **changes})


@pytest.mark.parametrize(("changes", "reason"), [
    ({"from_layer": "1"}, "from_layer"), ({"from_layer": None}, "from_layer"), ({"lora": 3}, "lora"),
    ({"lora": {"rank": 4}}, "lora"), ({"lora": {"rank": 0, "alpha": 1.0, "stabilised": True}}, "rank"),
    ({"input": "tile"}, "input"), ({"input": "embedding"}, "embedding_size"), ({"architecture": {}}, "vit"),
    ({"architecture": {"kind": "vit", "dim": 65536, "heads": 8}}, "safetensors"), ({"hidden": [8]}, "tensor"),
    ({"front": {"channels": 2}}, "front"), ({"front": {"channels": 1, "mean": [0.0], "std": [0.0]}}, "std"),
    ({"decoder": {"kind": "x"}}, "decoder"), ({"format_version": 4}, "format_version"),
    ({"labels": [1, 2, 3]}, "labels")])
def test_damaged_json_is_refused_with_file_and_key(tmp_path, bundle, changes, reason):
    heads.save(tmp_path, tuned(bundle, **FORMS["last blocks"]))
    file = tmp_path / "head.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(HeadError, match=rf"head\.(json|safetensors): .*{reason}|{reason}: .*"):
        heads.load(tmp_path)


def test_damaged_weights_are_refused(tmp_path, bundle):
    heads.save(tmp_path, tuned(bundle, **FORMS["lora"]))
    file = tmp_path / "head.safetensors"
    whole = load_file(file)
    name = "encoder.blocks.1.attention.qkv.lora_a"
    for change, reason in (({name: np.zeros((2, 5, 64), np.float32)}, "lora_a"),
                           ({name: np.full((2, 4, 64), np.nan, np.float32)}, "finite"),
                           ({"encoder.blocks.0.mlp.0.weight": np.zeros(3, np.float32)}, "not part")):
        save_file({**whole, **change}, file)
        with pytest.raises(HeadError, match=rf"head\.safetensors: .*{reason}"):
            heads.load(tmp_path)
    save_file({key: value for key, value in whole.items() if key != name}, file)
    with pytest.raises(HeadError, match="lora_a' is missing"):
        heads.load(tmp_path)
