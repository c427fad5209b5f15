# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Bundles whose encoder reads blocks of raw I/Q, and that nothing takes one kind of bundle for the other."""

import json
import shutil
from dataclasses import asdict, dataclass

import numpy as np
import pytest
import torch
from radiofm_ml import bundle as bundles
from radiofm_ml import models
from radiofm_ml.bundle import BundleError
from radiofm_ml.cli.app import app
from radiofm_ml.engines import cpu_has_bf16, open_engine
from sigmf_files import write_recording
from tiny_bundle import make_bundle
from torch import nn
from typer.testing import CliRunner

BLOCK, D = 64, 12


@dataclass(frozen=True)
class TinyConfig:
    embedding_size: int = D

    @classmethod
    def from_dict(cls, values: dict):
        return cls(**values)


class Tiny(nn.Module):
    """(N, L, 2) -> (N, D): one convolution and the mean over time."""

    def __init__(self, config: TinyConfig):
        super().__init__()
        self.convolution = nn.Conv1d(2, 16, 5)
        self.out = nn.Linear(16, config.embedding_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.convolution(x.transpose(1, 2))).mean(2))


@pytest.fixture(scope="module", autouse=True)
def architecture():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models._KINDS, "tiny-iq", (Tiny, TinyConfig))
        yield {"kind": "tiny-iq", **asdict(TinyConfig())}


@pytest.fixture(scope="module")
def saved(architecture, tmp_path_factory):
    torch.manual_seed(0)
    return bundles.save(tmp_path_factory.mktemp("bundles") / "iq", name="tiny-iq", model=Tiny(TinyConfig()),
                        architecture=architecture, block=BLOCK, card="# tiny", half=False)


@pytest.fixture(scope="module")
def of_tiles(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("tiles"))


@pytest.fixture(scope="module")
def blocks():
    return np.random.default_rng(1).normal(size=(37, BLOCK, 2)).astype(np.float32).view(np.complex64)[..., 0]


def test_round_trip(saved, of_tiles):
    again = bundles.load(saved.path)
    assert (again.spec, again.block, again.reads, again.id) == (None, BLOCK, "iq", saved.id)
    config = json.loads((saved.path / "config.json").read_text())
    assert config["iq"] == {"block": BLOCK} and "spectrogram" not in config
    assert (of_tiles.block, of_tiles.reads) == (None, "tiles") and of_tiles.spec is not None
    assert "iq" not in of_tiles.config


@pytest.mark.parametrize(("iq", "words"), [
    ({}, "iq: block must be a whole number of samples from 1"),
    ({"block": 0}, "block must be"), ({"block": True}, "block must be"), ({"block": 64.0}, "block must be"),
    ({"block": 10**9}, "block must be"), ({"block": 64, "rate": 1}, "iq: unknown key 'rate'"),
    (64, "key 'iq' must be dict"),
])
def test_bad_config(saved, tmp_path, iq, words):
    copy = shutil.copytree(saved.path, tmp_path / "copy")
    file = copy / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "iq": iq}))
    with pytest.raises(BundleError, match=words) as error:
        bundles.load(copy)
    assert str(file) in str(error.value) and "\n" not in str(error.value)


def test_save_wants_one_kind_of_input(saved, of_tiles, tmp_path, architecture):
    for given in ({}, {"spec": of_tiles.spec, "block": BLOCK}):
        with pytest.raises(ValueError, match="give spec, .* or block"):
            bundles.save(tmp_path / "no", name="x", model=saved.model, architecture=architecture, card="",
                         **given)
    assert not (tmp_path / "no").exists()


def test_embeddings_are_the_models(saved, blocks):
    """The network sees I and Q last, in the memory order of complex64; 37 blocks are two passes."""
    pairs = np.stack([blocks.real, blocks.imag], -1)
    with torch.inference_mode():
        expected = saved.model(torch.from_numpy(pairs)).numpy()
    opened = open_engine(saved, precision="fp32")
    assert (opened.spec, opened.block, opened.embedding_size) == (None, BLOCK, D)
    embeddings = opened.embed(blocks)
    assert embeddings.dtype == np.float32 and embeddings.shape == (37, D)
    np.testing.assert_allclose(embeddings, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(opened.embed(blocks.astype(np.complex128)), embeddings, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(opened.embed(np.repeat(blocks, 2, 0)[::2]), embeddings, rtol=1e-4, atol=1e-6)
    assert opened.embed(blocks[:0]).shape == (0, D)


@pytest.mark.skipif(not cpu_has_bf16(), reason="this CPU has no bf16 arithmetic")
def test_bf16_keeps_the_embeddings(saved, blocks):
    a, b = (open_engine(saved, precision=p).embed(blocks) for p in ("bf16", "fp32"))
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() >= 0.999 and not np.array_equal(a, b)


@pytest.mark.parametrize("value", [np.nan, np.inf, complex(1, -np.inf), complex(np.nan, 1), 3e38, -3e38j])
def test_bad_values_stay_in_their_block(saved, blocks, value):
    opened = open_engine(saved)
    expected, bad = opened.embed(blocks), blocks.copy()
    bad[3] = value
    bad[5, 7] = value
    embeddings = opened.embed(bad)
    assert np.isfinite(embeddings).all()
    good = [i for i in range(len(blocks)) if i not in (3, 5)]
    np.testing.assert_array_equal(embeddings[good], expected[good])
    np.testing.assert_array_equal(bad[3], np.full(BLOCK, value, np.complex64))  # input untouched


def test_what_is_not_finite_counts_as_zero(saved, blocks):
    opened = open_engine(saved)
    bad, zero = blocks[:2].copy(), blocks[:2].copy()
    bad[0, 3], bad[1, 60] = complex(np.nan, 2), complex(1, np.inf)
    zero[0, 3], zero[1, 60] = 2j, 1
    np.testing.assert_array_equal(opened.embed(bad), opened.embed(zero))


@pytest.mark.parametrize("given", [
    np.zeros((2, BLOCK, 2), np.float32), np.zeros((2, BLOCK), np.float32), np.zeros(BLOCK, np.complex64),
    np.zeros((2, BLOCK - 1), np.complex64), np.zeros((1, 2, BLOCK), np.complex64),
])
def test_other_shapes_are_refused(saved, given):
    with pytest.raises(ValueError, match=r"I/Q must be complex, \(N, 64\), for tiny-iq@"):
        open_engine(saved).embed(given)


def test_tokens_are_not_to_be_had(saved, blocks):
    with pytest.raises(ValueError, match="no tokens of layer 1; there are: none"):
        open_engine(saved).embed_with_tokens(blocks, [1])


def test_an_architecture_that_does_not_take_the_blocks(saved, tmp_path, architecture):
    bundles.save(tmp_path, name="short", model=saved.model, architecture=architecture, block=3, card="")
    with pytest.raises(BundleError, match="config.json: the architecture does not take the blocks of 3 I/Q"):
        open_engine(tmp_path)


def test_one_kind_is_not_taken_for_the_other(saved, of_tiles):
    for load in (bundles.load, open_engine):
        with pytest.raises(BundleError, match="reads blocks of raw I/Q, .* spectrogram tiles is needed"):
            load(saved.path, reads="tiles")
        with pytest.raises(BundleError, match="reads spectrogram tiles, .* blocks of raw I/Q is needed"):
            load(of_tiles.path, reads="iq")
        load(saved, reads="iq"), load(of_tiles, reads="tiles")


@pytest.mark.parametrize("command", [
    ["embed", "in.sigmf-meta", "out.npz"], ["annotate", "in.sigmf-meta", "-o", "out.sigmf-meta"],
    ["enroll", "out.safetensors", "label", "in.sigmf-meta"],
    ["evaluate", "{bundle}", "."], ["finetune", "identification", "."],
])
def test_commands_on_tiles_refuse_it_in_one_line(saved, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / "in", np.zeros(100, np.complex64))
    before = sorted(tmp_path.iterdir())
    words = [word.format(bundle=saved.path) for word in command]
    if "evaluate" not in words:
        words += ["--model", str(saved.path)]
    result = CliRunner().invoke(app, words)
    said = f"{result.output} {result.exception}"
    assert result.exit_code != 0 and "reads blocks of raw I/Q, a bundle that reads spectrogram" in said
    assert sorted(tmp_path.iterdir()) == before


def test_info(saved):
    result = CliRunner().invoke(app, ["info", str(saved.path)])
    assert result.exit_code == 0 and "64 samples of raw I/Q" in result.output and "tile" not in result.output
