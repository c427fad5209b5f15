# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Bundles: what is saved comes back, and what is damaged is refused with the file and the key."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import torch
from radiofm_ml import bundle as bundles
from radiofm_ml.bundle import BundleError
from radiofm_ml.models.vit import ViT, ViTConfig
from radiofm_ml.spectrogram import MSM_PUBLISHED, SpectrogramSpec
from safetensors.torch import load_file, save_file

SPEC = SpectrogramSpec(fft_size=32, hop=16, rows=16, tile_rows=16, tile_cols=32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(0)
    config = ViTConfig(tile_rows=16, tile_cols=32, patch_rows=8, patch_cols=8, dim=16, depth=1, heads=2)
    return bundles.save(
        tmp_path_factory.mktemp("bundles") / "toy",
        name="toy",
        model=ViT(config),
        architecture=config.to_dict(),
        spec=SPEC,
        card="# toy\n",
        labels=["a", "b"],
        prototypes=np.eye(2, 16, dtype=np.float32),
        half=False,
    )


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved.path, tmp_path / "copy")


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    for key, value in changes.items():
        if value is None:
            del config[key]
        else:
            config[key] = value
    (folder / "config.json").write_text(json.dumps(config))


def test_round_trip(saved):
    again = bundles.load(saved.path)
    assert again.id == saved.id and again.name == "toy" and len(again.id.split("@")[1]) == 8
    assert again.spec == SPEC and again.labels == ["a", "b"] and again.embedding_size == 16
    tiles = torch.randn(3, 16, 32)
    assert torch.equal(again.model(tiles), saved.model(tiles))
    np.testing.assert_array_equal(again.prototypes, np.eye(2, 16))
    assert not any(p.requires_grad for p in again.model.parameters()) and not again.model.training


def test_half_precision_is_close(saved, tmp_path):
    half = bundles.save(
        tmp_path / "half",
        name="toy",
        model=saved.model,
        spec=SPEC,
        card="",
        architecture=saved.config["architecture"],
    )
    tiles = torch.randn(3, 16, 32)
    torch.testing.assert_close(half.model(tiles), saved.model(tiles), atol=2e-2, rtol=2e-2)
    size = (half.path / "model.safetensors").stat().st_size
    assert size < 0.6 * (saved.path / "model.safetensors").stat().st_size


def test_id_follows_the_content(saved, copy):
    edit(copy, licence="MIT")
    assert bundles.load(copy).id != saved.id


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": 99}, "format_version"),
        ({"format_version": True}, "format_version"),
        ({"name": None}, "'name' is missing"),
        ({"name": 3}, "'name' must be str"),
        ({"embedding_size": 17}, "embedding_size"),
        ({"labels": ["a", "a"]}, "labels"),
        ({"labels": "ab"}, "labels"),
        ({"calibration": []}, "calibration"),
        ({"architecture": {"kind": "resnet"}}, "kind must be one of"),
        ({"architecture": {"kind": "vit", "dimension": 3}}, "unknown key 'dimension'"),
        ({"architecture": {"kind": "vit", "dim": "many"}}, "dim must be"),
        ({"architecture": {"kind": "vit", "dim": 10**9}}, "dim must be"),
        ({"spectrogram": {"fft_size": 4}}, "fft_size"),
        ({"spectrogram": {"fft_sise": 64}}, "fft_sise"),
        ({"spectrogram": []}, "'spectrogram' must be dict"),
        ({"spectrogram": None}, "'spectrogram' .* or key 'iq' .*, neither is there"),
        ({"iq": {"block": 64}}, "both are there"),
    ],
)
def test_bad_config(copy, changes, words):
    edit(copy, **changes)
    with pytest.raises(BundleError, match=words) as error:
        bundles.load(copy)
    assert "config.json" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\xff\xfe"])
def test_config_that_is_no_object(copy, text):
    (copy / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match="config.json"):
        bundles.load(copy)


@pytest.mark.parametrize("file", bundles.FILES)
def test_missing_file(copy, file):
    (copy / file).unlink()
    with pytest.raises(BundleError, match=f"{file}: missing"):
        bundles.load(copy)


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
def test_truncated_weights(copy, keep):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        bundles.load(copy)


def test_a_pickle_is_not_opened(copy):
    torch.save({"model.cls": torch.zeros(1)}, copy / "model.safetensors")
    with pytest.raises(BundleError, match="not a safetensors file"):
        bundles.load(copy)


def change_tensors(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("model.norm.weight"), "'model.norm.weight' is missing"),
        (lambda t: t.update({"model.extra": torch.zeros(2)}), "'model.extra' is not part"),
        (lambda t: t.update({"model.norm.weight": torch.zeros(3)}), r"'model.norm.weight' is \(3,\)"),
        (lambda t: t.update({"model.norm.bias": torch.full((16,), torch.nan)}), "NaN"),
    ],
)
def test_weights_of_another_model(copy, change, words):
    change_tensors(copy, change)
    with pytest.raises(BundleError, match=words):
        _ = bundles.load(copy).model


def test_names_resolve(saved):
    assert bundles.resolve(saved.path / "config.json") == saved.path
    with pytest.raises(BundleError, match="no such bundle"):
        bundles.resolve("no-such-name")
    with pytest.raises(BundleError, match="Hugging Face"):
        bundles.resolve("owner/no-such-name")


def test_a_calibration_stands_beside_the_bundle_and_leaves_its_id(saved, copy):
    assert saved.calibration == {} and not (copy / bundles.CALIBRATION).exists()
    table = {"levels": [0.5], "rows": [{"shots": 1}, {"shots": 2}]}
    given = bundles.save_calibration(bundles.load(copy), {**table, "model": "of another"})
    assert given.id == saved.id and given.calibration == {**table, "model": saved.id}
    options = {"name": "toy", "model": saved.model, "architecture": saved.config["architecture"],
               "spec": SPEC, "card": "# toy\n"}
    made = bundles.save(copy, **options, calibration=table, half=False)
    assert made.calibration == {**table, "model": made.id} and "calibration" not in made.config
    assert bundles.save(copy, **options).calibration == {}  # other weights: what was measured is of no use


def test_an_older_bundle_brings_its_calibration_in_the_config(copy):
    edit(copy, calibration={"format_version": 1})
    old = bundles.load(copy)
    assert old.calibration == {"format_version": 1}
    assert bundles.save_calibration(old, {"format_version": 2}).calibration["format_version"] == 2


@pytest.mark.parametrize(("content", "words"), [
    (b"", "not valid JSON"), (b"[]", "must hold a JSON object"), (b"\xff", "not valid JSON"),
    (b"[" * 100_000, "not valid JSON"), (b"{}", "key 'model' is None"),
    (b'{"model": "toy@00000000"}', "'toy@00000000', the bundle is toy@.*radiofm calibrate")])
def test_a_bad_calibration_is_refused(copy, content, words):
    (copy / bundles.CALIBRATION).write_bytes(content)
    with pytest.raises(BundleError, match=f"calibration.json: .*{words}") as error:
        bundles.load(copy)
    assert "\n" not in str(error.value)


def test_shipped_bundles_load():
    for name in bundles.shipped():
        bundle = bundles.load(name)
        assert bundle.name == name and (bundle.path / "README.md").read_text().startswith("#")
        embedding = bundle.model(torch.zeros(1, *(bundle.shape or (bundle.block, 2))))
        assert embedding.shape == (1, bundle.embedding_size) and torch.isfinite(embedding).all()
        assert (bundle.path / "model.safetensors").stat().st_size < 15e6


def test_spec_survives_json():
    for spec in (SPEC, MSM_PUBLISHED, SpectrogramSpec(window=("kaiser", 8.0))):
        assert SpectrogramSpec.from_dict(json.loads(json.dumps(asdict(spec)))) == spec
