# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""From recordings to embeddings and annotations, one or a folder of them."""

import json
import math

import numpy as np
import pytest
import torch
from radiofm_ml import embeddings as embeddings_module
from radiofm_ml.embeddings import EmbeddingFile, Embeddings, EmbeddingsError, band_edges
from radiofm_ml.engines import open_engine
from radiofm_ml.fewshot import FewShot
from radiofm_ml.pipeline import annotate_all, annotate_recording, embed_all, embed_recording, tile_batches
from radiofm_ml.sigmf.annotations import AnnotationWriter
from radiofm_ml.sigmf.jobs import JobError, plan
from radiofm_ml.sigmf.recording import RecordingError, open_recording
from radiofm_ml.spectrogram import tiles_from_iq
from sigmf_files import write_recording
from tiny_bundle import SPEC, make_bundle

RATE = 1e6


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return open_engine(make_bundle(tmp_path_factory.mktemp("bundle"), read_out="frequency"))


def samples(n, seed=0, tone=None):
    rng = np.random.default_rng(seed)
    iq = 0.01 * (rng.normal(size=n) + 1j * rng.normal(size=n))
    if tone is not None:
        iq += np.exp(2j * np.pi * tone * np.arange(n))
    return iq.astype(np.complex64)


def record(base, iq, **info):
    info = {"sample_rate": RATE, **info}
    return write_recording(base, iq, **{key: value for key, value in info.items() if value is not None})


# -- tiles -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("extra", [-9999, -1, 0, 1, 16 * 32 - 1, 16 * 32, 16 * 32 + 1, 32 * 32 - 1, 32 * 32])
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_tiles_are_those_of_the_padded_recording(tmp_path, extra, batch):
    n = max(1, 4 * SPEC.stride + (SPEC.fft_size - SPEC.hop) + extra)
    iq = samples(n)
    recording = open_recording(record(tmp_path / "r", iq))
    padded, start = SPEC.padded_length(n), SPEC.tail_start(n)
    tail = [iq[start + (i - start) % (n - start)] for i in range(n, padded)]  # the rule, sample by sample
    padded = np.concatenate([iq, np.array(tail, np.complex64)])
    expected = tiles_from_iq(torch.from_numpy(padded), SPEC).numpy()
    firsts, tiles = zip(*tile_batches(recording, SPEC, batch), strict=True)
    assert list(firsts) == list(range(0, len(expected), batch))
    np.testing.assert_array_equal(np.concatenate(tiles), expected)
    assert len(expected) == SPEC.n_tiles(n)


# -- embeddings --------------------------------------------------------------------------------------------
def test_embed_recording(tmp_path, engine):
    n = 5 * SPEC.stride + 700
    captures = [{"core:sample_start": 0, "core:frequency": 100e6},
                {"core:sample_start": 2 * SPEC.stride + 5, "core:frequency": 200e6},
                {"core:sample_start": 4 * SPEC.stride}]
    recording = open_recording(record(tmp_path / "r", samples(n, tone=0.25), captures=captures))
    seen = []
    embedded = embed_recording(recording, engine, 4, lambda done, total: seen.append((done, total)))
    assert seen == [(4, 6), (6, 6)]
    assert embedded.embedding.shape == (6, 512) and embedded.embedding.dtype == np.float32
    assert embedded.sample_start.tolist() == [k * SPEC.stride for k in range(6)]
    assert embedded.sample_count.tolist() == [SPEC.samples_per_tile] * 5 + [700]
    assert embedded.sample_start.dtype == embedded.sample_count.dtype == np.int64
    assert embedded.sample_rate.tolist() == [RATE] * 6
    np.testing.assert_array_equal(embedded.rx_freq, [100e6, 100e6, 200e6, 200e6, np.nan, np.nan])
    centre = (embedded.freq_lower_edge + embedded.freq_upper_edge) / 2
    np.testing.assert_allclose(centre, np.array([100e6, 100e6, 200e6, 200e6, 0, 0]) + 0.25 * RATE,
                               atol=RATE / SPEC.fft_size)  # baseband where no frequency is known
    assert embedded.model == engine.bundle.id
    tiles = np.concatenate([tiles for _, tiles in tile_batches(recording, SPEC)])
    np.testing.assert_allclose(embedded.embedding, engine.embed(tiles), atol=2e-2)


def test_batch_size_does_not_matter(tmp_path, engine):
    recording = open_recording(record(tmp_path / "r", samples(9 * SPEC.stride)))
    one, many = embed_recording(recording, engine, 1), embed_recording(recording, engine, 16)
    a, b = one.embedding, many.embedding
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.99999
    np.testing.assert_array_equal(one.sample_start, many.sample_start)


def test_shorter_than_a_tile_without_a_rate(tmp_path, engine):
    embedded = embed_recording(open_recording(record(tmp_path / "r", samples(10), sample_rate=None)), engine)
    assert embedded.embedding.shape == (1, 512) and np.isfinite(embedded.embedding).all()
    assert (embedded.sample_start.tolist(), embedded.sample_count.tolist()) == ([0], [10])
    assert np.isnan([embedded.sample_rate, embedded.rx_freq, embedded.freq_lower_edge]).all()


def test_bad_samples_do_not_spoil_the_rest(tmp_path, engine):
    iq = samples(4 * SPEC.stride)
    clean = embed_recording(open_recording(record(tmp_path / "clean", iq)), engine).embedding
    iq[SPEC.stride + 500:SPEC.stride + 510] = [np.nan, np.inf, -np.inf, 1e38, complex(np.nan, 1)] * 2
    bad = embed_recording(open_recording(record(tmp_path / "bad", iq)), engine).embedding
    assert np.isfinite(bad).all()
    np.testing.assert_array_equal(bad[[0, 2, 3]], clean[[0, 2, 3]])


# -- the file ----------------------------------------------------------------------------------------------
def test_save_and_load(tmp_path, engine):
    embedded = embed_recording(open_recording(record(tmp_path / "r", samples(3 * SPEC.stride))), engine)
    path = tmp_path / "r.npz"
    path.write_text("something older")
    with pytest.raises(EmbeddingsError, match="r.npz: is there"):
        embedded.save(path)
    assert path.read_text() == "something older"
    embedded.save(path, overwrite=True)
    embedded.save(path)  # its own
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["embedding"].shape == (3, 512) and arrays["embedding"].dtype == np.float32
        assert arrays["sample_start"].dtype == arrays["sample_count"].dtype == np.int64
        assert str(arrays["model"]) == engine.bundle.id
    back = Embeddings.load(path)
    for name in ("embedding", "sample_start", "sample_count", "sample_rate", "rx_freq",
                 "freq_lower_edge", "freq_upper_edge", "model"):
        np.testing.assert_array_equal(getattr(back, name), getattr(embedded, name))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.npz", "r.sigmf-data", "r.sigmf-meta"]


def test_an_empty_file_is_a_file(tmp_path):
    file = EmbeddingFile(tmp_path / "none.npz", 5, "m@1")
    file.close()
    file.close()
    assert Embeddings.load(tmp_path / "none.npz").embedding.shape == (0, 5)


def test_a_file_in_pieces(tmp_path, engine):
    embedded = embed_recording(open_recording(record(tmp_path / "r", samples(2000))), engine)
    file = EmbeddingFile(tmp_path / "x.npz", engine.embedding_size, engine.bundle.id)
    for _ in range(3):
        file.add(embedded)
    file.close()
    before = Embeddings.load(tmp_path / "x.npz")
    np.testing.assert_array_equal(before.embedding, np.tile(embedded.embedding, (3, 1)))
    file = EmbeddingFile(tmp_path / "x.npz", engine.embedding_size, engine.bundle.id)
    file.add(embedded)
    file.discard()
    file.close()
    assert len(Embeddings.load(tmp_path / "x.npz")) == len(before)


def test_failure_to_write_keeps_what_was_there(tmp_path, engine, monkeypatch):
    embedded = embed_recording(open_recording(record(tmp_path / "r", samples(2000))), engine)
    path = tmp_path / "r.npz"
    embedded.save(path)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(embeddings_module.np, "savez", full)
    with pytest.raises(EmbeddingsError, match=r"r.npz: cannot be written: No space left"):
        embedded.save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name, message", [
    ("", "must end in .npz"), ("folder.npz", "is a folder"), ("no/x.npz", "does not exist; create it")])
def test_where_files_cannot_be(tmp_path, name, message):
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(EmbeddingsError, match=message):
        EmbeddingFile(tmp_path / name, 5, "m@1")


@pytest.mark.parametrize("arrays", [
    None, {}, {"embedding": np.zeros((2, 3))}, "pickle", "long",
])
def test_files_that_are_not_embeddings(tmp_path, arrays):
    path = tmp_path / "x.npz"
    good = {name: np.zeros((2, 3) if name == "embedding" else 2) for name, _ in embeddings_module._COLUMNS}
    if arrays is None:
        path.write_bytes(b"PK\x03\x04 not really")
    elif arrays == "pickle":
        np.savez(path, **{**good, "model": np.array({"a": 1}, object)})
    elif arrays == "long":
        np.savez(path, **{**good, "sample_rate": np.zeros(3), "model": "m"})
    else:
        np.savez(path, **arrays)
    with pytest.raises(EmbeddingsError, match="x.npz: not an .npz of embeddings"):
        Embeddings.load(path)
    with pytest.raises(EmbeddingsError, match="no such file"):
        Embeddings.load(tmp_path / "y.npz")


def test_band_edges():
    assert band_edges((-0.25, 0.5), 1000.0, 1e6) == (999_750.0, 1_000_500.0)
    assert band_edges((-0.25, 0.5), 1000.0, None) == (-250.0, 500.0)
    assert all(math.isnan(edge) for edge in band_edges((-0.25, 0.5), None, 1e6))


# -- annotations -------------------------------------------------------------------------------------------
def taught(engine, tmp_path):
    """A classifier that knows a tone below and one above DC."""
    few = FewShot(engine.embedding_size, model=engine.bundle.id)
    for label, tone in (("low", -0.2), ("high", 0.3)):
        recording = open_recording(record(tmp_path / f"teach-{label}", samples(6 * SPEC.stride, 9, tone)))
        few.prototypes.enroll(label, embed_recording(recording, engine).embedding[:5])
    return few


def test_annotate_recording(tmp_path, engine):
    iq = np.concatenate([samples(3 * SPEC.stride, 1, -0.2), samples(2 * SPEC.stride + 600, 2, 0.3)])
    captures = [{"core:sample_start": 0, "core:frequency": 100e6},
                {"core:sample_start": 3 * SPEC.stride, "core:frequency": 101e6}]
    recording = open_recording(record(tmp_path / "r", iq, captures=captures))
    out = tmp_path / "out.sigmf-meta"
    with AnnotationWriter(out, recording) as writer:
        assert annotate_recording(recording, engine, taught(engine, tmp_path), writer, task="tones") == 6
    found = json.loads(out.read_text())["annotations"]
    # the last tile of the first capture reaches into the second one and is cut there
    assert [(a["core:label"], a["core:sample_start"]) for a in found] == [
        ("low", 0), ("low", 3 * SPEC.stride), ("high", 3 * SPEC.stride)]
    low, _, high = found
    assert high["core:sample_start"] + high["core:sample_count"] == len(iq)
    assert high["radiofm:model"] == engine.bundle.id and high["radiofm:task"] == "tones"
    for entry, frequency in ((low, 99.8e6), (high, 101.3e6)):
        middle = (entry["core:freq_lower_edge"] + entry["core:freq_upper_edge"]) / 2
        assert abs(middle - frequency) < 2 * RATE / SPEC.fft_size
        assert 0 < entry["radiofm:confidence"] <= 1


def test_annotate_without_anything_taught(tmp_path, engine):
    recording = open_recording(record(tmp_path / "r", samples(3000)))
    with AnnotationWriter(tmp_path / "out.sigmf-meta", recording) as writer:
        annotate_recording(recording, engine, FewShot(engine.embedding_size), writer)
    found = json.loads((tmp_path / "out.sigmf-meta").read_text())["annotations"]
    assert {a["core:label"] for a in found} == {"unknown"}


# -- folders -----------------------------------------------------------------------------------------------
@pytest.fixture
def folder(tmp_path):
    """Three recordings, two of them sound."""
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    record(source / "a", samples(3000))
    record(source / "sub" / "b.v1", samples(4000))
    record(source / "sub" / "broken", samples(10), datatype="cf99_le")
    return source


def test_a_folder_mirrors_its_recordings(tmp_path, folder, engine):
    outcomes = list(embed_all(folder, tmp_path / "out", engine))
    assert [(o.job.recording.name, o.result) for o in outcomes if o.error is None] == [
        ("a.sigmf-meta", 3), ("b.v1.sigmf-meta", 4)]
    errors = [o.error for o in outcomes if o.error]
    assert len(errors) == 1 and "broken.sigmf-meta: unknown datatype 'cf99_le'" in errors[0]
    out = tmp_path / "out"
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert written == ["a.npz", "sub/b.v1.npz"]
    assert len(Embeddings.load(out / "sub" / "b.v1.npz")) == 4


def test_annotate_a_folder(tmp_path, folder, engine):
    few = taught(engine, tmp_path)
    outcomes = list(annotate_all(folder, tmp_path / "out", engine, lambda: few, merge=False))
    assert [o.error is None for o in outcomes] == [True, True, False]
    meta = json.loads((tmp_path / "out" / "sub" / "b.v1.sigmf-meta").read_text())
    assert len(meta["annotations"]) == 4
    assert not (tmp_path / "out" / "sub" / "broken.sigmf-meta").exists()


def test_failures_of_the_work_are_outcomes_too(folder, tmp_path, engine):
    (tmp_path / "out" / "a.npz").mkdir(parents=True)
    outcomes = list(embed_all(folder, tmp_path / "out", engine))
    assert "a.npz: is a folder; name a file ending in .npz" in outcomes[0].error and outcomes[1].result == 4


def test_one_recording(tmp_path, folder, engine):
    assert [o.result for o in embed_all(folder / "a.sigmf-meta", tmp_path / "one.npz", engine)] == [3]
    assert len(Embeddings.load(tmp_path / "one.npz")) == 3
    (tmp_path / "there").mkdir()
    list(embed_all(folder / "a", tmp_path / "there", engine))
    assert (tmp_path / "there" / "a.npz").is_file()
    [outcome] = embed_all(folder / "sub" / "broken", tmp_path / "b.npz", engine)
    assert "broken.sigmf-meta" in outcome.error and not (tmp_path / "b.npz").exists()


def test_plans_that_cannot_be(tmp_path, folder):
    with pytest.raises(JobError, match="for the folder .* name a folder"):
        plan(folder, folder / "a.sigmf-meta", ".npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(JobError, match="holds no SigMF recordings"):
        plan(tmp_path / "empty", tmp_path / "out", ".npz")
    with pytest.raises(RecordingError, match="no such recording"):
        plan(tmp_path / "nothing", tmp_path / "out", ".npz")


def test_outputs_inside_the_source_are_no_recordings(folder, engine):
    list(annotate_all(folder, folder / "out", engine, lambda: FewShot(engine.embedding_size)))
    again = plan(folder, folder / "out", ".sigmf-meta")
    assert [job.recording.name for job in again] == ["a.sigmf-meta", "b.v1.sigmf-meta", "broken.sigmf-meta"]


# -- real recordings ---------------------------------------------------------------------------------------
def test_real_recordings_of_every_sample_type(data_dir, engine, tmp_path):
    shortest = {}
    for path in (data_dir / "iq").glob("*/*.sigmf-meta"):
        recording = open_recording(path)
        if recording.n_samples < shortest.get(recording.datatype, recording).n_samples + 1:
            shortest[recording.datatype] = recording
    assert set(shortest) == {"cu8", "ci8", "ci16_le", "cf32_le"}
    for recording in shortest.values():
        embedded = embed_recording(recording, engine)
        assert len(embedded) == SPEC.n_tiles(recording.n_samples)
        assert np.isfinite(embedded.embedding).all()
        assert (embedded.freq_upper_edge > embedded.freq_lower_edge).all()
