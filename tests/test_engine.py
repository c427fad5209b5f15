# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Engines: the same embeddings at any batch size, precision and thread count, and no trace left in torch."""

import threading

import numpy as np
import pytest
import torch
from radiofm_ml import engines as engine
from radiofm_ml.engines import BundleError, EngineError, cpu_has_bf16, open_engine, torch_threads
from radiofm_ml.spectrogram import SpectrogramSpec
from tiny_bundle import SPEC, make_bundle


@pytest.fixture(scope="module")
def random_bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def tiles():
    return np.random.default_rng(1).normal(0.0, 1.0, (37, 32, 64)).astype(np.float32)


def cosine(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_fp32_is_the_model(random_bundle, tiles):
    with torch.inference_mode():
        expected = random_bundle.model(torch.from_numpy(tiles)).numpy()
    embeddings = open_engine(random_bundle, precision="fp32").embed(tiles)
    assert embeddings.dtype == np.float32 and embeddings.shape == (37, 64)
    np.testing.assert_allclose(embeddings, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not cpu_has_bf16(), reason="this CPU has no bf16 arithmetic")
@pytest.mark.parametrize("config", [{}, {"read_out": "cls"}, {"read_out": "frequency"}, {"projection": 24}])
def test_bf16_keeps_the_embeddings(tmp_path, tiles, config):
    loaded = make_bundle(tmp_path, **config)
    fast, exact = open_engine(loaded, precision="bf16"), open_engine(loaded, precision="fp32")
    assert (fast.name, exact.name) == ("torch-bf16", "torch-fp32")
    a, b = fast.embed(tiles), exact.embed(tiles)
    assert cosine(a, b).min() >= 0.999
    assert not np.array_equal(a, b)  # it did run in another precision


@pytest.mark.skipif(not cpu_has_bf16(), reason="this CPU has no bf16 arithmetic")
def test_bf16_on_real_recordings(tmp_path, data_dir):
    """Centred, as few-shot classifiers see them: what is left after the part that all tiles share."""
    from radiofm_ml.sigmf.recording import open_recording
    from radiofm_ml.spectrogram import tiles_from_iq

    spec = SpectrogramSpec()
    loaded = make_bundle(tmp_path, spec, dim=192, depth=6, heads=6, patch_rows=16, patch_cols=16)
    found = [open_recording(path) for path in sorted((data_dir / "iq").glob("*/*.sigmf-meta"))[::12]]
    samples = [torch.from_numpy(recording.read(0, 2 * spec.stride + spec.fft_size)) for recording in found]
    tiles = torch.cat([tiles_from_iq(iq, spec) for iq in samples]).numpy()
    assert len(tiles) > 10
    a = open_engine(loaded, precision="bf16").embed(tiles)
    b = open_engine(loaded, precision="fp32").embed(tiles)
    assert cosine(a, b).min() >= 0.9999
    assert cosine(a - b.mean(0), b - b.mean(0)).min() >= 0.995


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.skipif(
    not cpu_has_bf16(), reason="this CPU has no bf16 arithmetic"))])
def test_batch_size_does_not_matter(random_bundle, tiles, precision):
    opened = open_engine(random_bundle, precision=precision)
    together = opened.embed(tiles)
    for size in (1, 5, 16, 32):
        apart = np.concatenate([opened.embed(tiles[i:i + size]) for i in range(0, len(tiles), size)])
        assert cosine(together, apart).min() >= 0.99999
        np.testing.assert_allclose(together, apart, atol={"fp32": 1e-4, "bf16": 2e-2}[precision])


def test_flat_tiles_and_none(random_bundle, tiles):
    opened = open_engine(random_bundle)
    np.testing.assert_array_equal(opened.embed(tiles.reshape(37, -1)), opened.embed(tiles))
    assert opened.embed(tiles[:0]).shape == (0, 64)
    assert opened.embed(tiles.astype(np.float64)).dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38])
def test_bad_values_stay_in_their_tile(random_bundle, tiles, value):
    opened = open_engine(random_bundle)
    expected = opened.embed(tiles)
    bad = tiles.copy()
    bad[3] = value
    bad[5, 4, 7] = value
    embeddings = opened.embed(bad)
    assert np.isfinite(embeddings).all()
    good = [i for i in range(len(tiles)) if i not in (3, 5)]
    np.testing.assert_array_equal(embeddings[good], expected[good])
    assert np.array_equal(bad[3], np.full((32, 64), value, np.float32), equal_nan=True)  # input untouched


@pytest.mark.parametrize("shape", [(32, 64), (2, 64, 32), (2, 2047), (2, 1, 32, 64), (0, 5)])
def test_other_shapes_are_refused(random_bundle, shape):
    with pytest.raises(ValueError, match=r"tiles must be \(N, 32, 64\) or \(N, 2048\)"):
        open_engine(random_bundle).embed(np.zeros(shape, np.float32))


def test_torch_is_left_as_it_was(random_bundle, tiles):
    before = torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()
    opened = open_engine(random_bundle, threads=before[0] + 3)
    opened.embed(tiles)
    with pytest.raises(ValueError):
        opened.embed(tiles[:, :1])
    assert (torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()) == before
    assert random_bundle.model.blocks[0].mlp[0].weight.dtype == torch.float32  # packing took a copy
    assert isinstance(random_bundle.model.blocks[0].mlp[0], torch.nn.Linear)


def test_threads_hold_inside_and_not_after():
    """Two uses that overlap, the second begun while the first holds: both see theirs, none stays."""
    before = torch.get_num_threads()
    inside, seen, go = threading.Event(), {}, threading.Event()

    def other():
        with torch_threads(before + 2):
            seen["other"] = torch.get_num_threads()
            inside.set()
            assert go.wait(30)
        seen["other after"] = torch.get_num_threads()

    thread = threading.Thread(target=other)
    with torch_threads(before + 1):
        thread.start()
        assert inside.wait(30)
        seen["here"] = torch.get_num_threads()
    seen["here after"] = torch.get_num_threads()
    go.set()
    thread.join(30)
    fresh = threading.Thread(target=lambda: seen.update(fresh=torch.get_num_threads()))
    fresh.start()
    fresh.join(30)
    assert seen == {"other": before + 2, "here": before + 1,
                    "here after": before, "other after": before, "fresh": before}


def test_one_engine_in_several_threads(random_bundle, tiles):
    opened = open_engine(random_bundle)
    expected, got = opened.embed(tiles), {}
    threads = [threading.Thread(target=lambda i=i: got.update({i: opened.embed(tiles)})) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 4
    for value in got.values():
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("arguments, message", [
    ({"engine": "abacus"}, "engine must be one of auto, torch"),
    ({"threads": 0}, "threads must be a whole number"),
    ({"threads": True}, "threads must be a whole number"),
    ({"precision": "fp8"}, "precision must be one of auto, fp32, bf16"),
])
def test_bad_arguments(random_bundle, arguments, message):
    with pytest.raises(ValueError, match=message):
        open_engine(random_bundle, **arguments)


def test_an_engine_of_ones_own(random_bundle, tiles, monkeypatch):
    """The seam for other engines: a class in ENGINES; 'auto' passes over what is not installed."""

    class Missing(engine.TorchEngine):
        @staticmethod
        def available():
            return False

    class Sums(engine.Engine):
        name = "sums"

        def __init__(self, loaded, threads, precision):
            super().__init__(loaded)

        @staticmethod
        def available():
            return True

        def _run(self, tiles):
            return np.repeat(tiles.sum((1, 2))[:, None], self.embedding_size, 1)

    monkeypatch.setattr(engine, "ENGINES", {"missing": Missing, "sums": Sums, "torch": engine.TorchEngine})
    opened = open_engine(random_bundle)
    assert opened.name == "sums"
    np.testing.assert_allclose(opened.embed(tiles)[:, 0], tiles.sum((1, 2)), rtol=1e-5, atol=1e-3)
    with pytest.raises(EngineError, match="engine 'missing' is not installed"):
        open_engine(random_bundle, engine="missing")


def test_a_bundle_whose_parts_do_not_fit(tmp_path):
    make_bundle(tmp_path, SPEC, tile_rows=64)
    with pytest.raises(BundleError, match="config.json: the architecture does not take the 32x64 tiles"):
        open_engine(tmp_path)


def test_no_such_bundle(tmp_path):
    with pytest.raises(BundleError, match="no such bundle"):
        open_engine(tmp_path / "nothing")


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.skipif(
    not cpu_has_bf16(), reason="this CPU has no bf16 arithmetic"))])
def test_tokens_of_layers_come_with_the_same_embeddings(random_bundle, tiles, precision):
    """37 tiles are two passes. The model goes on from any layer's tokens to the same embedding."""
    opened = open_engine(random_bundle, precision=precision)
    assert list(opened.layers) == [0, 1, 2, 3]
    embeddings, tokens = opened.embed_with_tokens(tiles, [3, 1])
    np.testing.assert_array_equal(embeddings, opened.embed(tiles))
    assert sorted(tokens) == [1, 3]
    tolerance = {"fp32": 1e-4, "bf16": 5e-2}[precision]
    with torch.inference_mode():
        for layer, values in tokens.items():
            assert values.dtype == np.float32 and values.shape == (37, 1 + 32, 64)
            x = torch.from_numpy(values)
            for block in random_bundle.model.blocks[layer:]:
                x = block(x)
            np.testing.assert_allclose(random_bundle.model.finish(x).numpy(), embeddings, atol=tolerance)
    embeddings, tokens = opened.embed_with_tokens(tiles, [])
    assert tokens == {} and len(embeddings) == 37
    embeddings, tokens = opened.embed_with_tokens(tiles[:0], [2])
    assert embeddings.shape == (0, 64) and len(tokens[2]) == 0


def test_a_layer_that_is_not_there(random_bundle, tiles):
    for layer in (-1, 4):
        with pytest.raises(ValueError, match=f"no tokens of layer {layer}; there are: 0 to 3"):
            open_engine(random_bundle).embed_with_tokens(tiles, [layer])
