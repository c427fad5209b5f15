# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""From recordings to embeddings and annotations, one or a folder of them."""

import io
import json
import math
import random
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import sigmf
import torch
from radiofm_ml import embeddings as embeddings_module
from radiofm_ml.embeddings import EmbeddingFile, Embeddings, EmbeddingsError, band_edges
from radiofm_ml.engines import open_engine
from radiofm_ml.fewshot import FewShot
from radiofm_ml.pipeline import (
    annotate_all,
    annotate_jobs,
    annotate_recording,
    embed_all,
    embed_jobs,
    embed_recording,
    shots_of,
    tile_batches,
)
from radiofm_ml.sigmf import folders, jobs
from radiofm_ml.sigmf.annotations import AnnotationWriter
from radiofm_ml.sigmf.jobs import JobError, plan
from radiofm_ml.sigmf.recording import Recording, RecordingError, open_recording
from radiofm_ml.sigmf.tile_choice import choose, labelled_tiles
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
    np.testing.assert_array_equal(embedded.rx_freq, [100e6, 100e6, 200e6, 200e6, 0, 0])  # baseband
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


# -- interrupted ------------------------------------------------------------------------------------------
@pytest.fixture
def long(tmp_path):
    """A recording of 21 tiles with two tones by turns, two centre frequencies and an annotation by hand."""
    tones = [samples(4 * SPEC.stride, k, (-0.2, 0.3)[k % 2]) for k in range(5)]
    captures = [{"core:sample_start": 0, "core:frequency": 100e6},
                {"core:sample_start": 9 * SPEC.stride + 100, "core:frequency": 101e6}]
    return record(tmp_path / "long", np.concatenate([*tones, samples(700)]), captures=captures,
                  annotations=[{"core:sample_start": 5, "core:sample_count": 7, "core:label": "by hand"}])


class Interrupted:
    """An engine that is interrupted in its nth batch."""

    def __init__(self, engine, after):
        self._engine, self._left = engine, after

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def embed(self, tiles):
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return self._engine.embed(tiles)


def annotate_one(source, target, engine, few, batch=4, **options):
    [outcome] = annotate_all(source, target, engine, lambda: few, batch=batch, **options)
    assert outcome.error is None, outcome.error
    return json.loads(target.read_text())


def own(meta):
    return [a for a in meta["annotations"] if "radiofm:decisions" in a]


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("in_place", [False, True])
def test_an_interrupted_run_goes_on(tmp_path, engine, long, in_place, merge):
    """In the end the file is that of a run that was never interrupted, to the last digit."""
    few, whole = taught(engine, tmp_path), tmp_path / "whole.sigmf-meta"
    expected = annotate_one(long, whole, engine, few, merge=merge)
    by_hand = {"core:sample_start": 5, "core:sample_count": 7, "core:label": "by hand"}
    assert "radiofm:incomplete" not in expected["global"] and "radiofm:resume" not in expected["global"]
    out = long if in_place else tmp_path / "out.sigmf-meta"
    for after in (2, 1, 0):
        with pytest.raises(KeyboardInterrupt):
            list(annotate_all(long, out, Interrupted(engine, after), lambda: few, batch=4, merge=merge))
        there = json.loads(out.read_text())
        assert there["global"]["radiofm:incomplete"] is True
        assert sum(a["radiofm:decisions"] for a in own(there)) in (8, 9, 12, 13)  # and one that was cut
        assert by_hand in there["annotations"]
        sigmf.sigmffile.SigMFFile(metadata=there).validate()
    counting = Counting(engine)
    found = annotate_one(long, out, counting, few, merge=merge)
    assert counting.tiles == 21 - 12
    assert found["annotations"] == expected["annotations"] and found["captures"] == expected["captures"]
    assert not [key for key in found["global"] if key in ("radiofm:incomplete", "radiofm:resume")]


class Counting(Interrupted):
    def __init__(self, engine):
        super().__init__(engine, 10**9)
        self.tiles = 0

    def embed(self, tiles):
        self.tiles += len(tiles)
        return super().embed(tiles)


@pytest.mark.parametrize("in_place", [False, True])
def test_what_was_complete_stays_until_the_next_is(tmp_path, engine, long, in_place):
    few, out = taught(engine, tmp_path), long if in_place else tmp_path / "out.sigmf-meta"
    annotate_one(long, out, engine, few, task="first")
    before = out.read_bytes()
    for after in (0, 2, 2):
        with pytest.raises(KeyboardInterrupt):
            list(annotate_all(long, out, Interrupted(engine, after), lambda: few, batch=4, task="second"))
        assert out.read_bytes() == before
    beside = tmp_path / f".{out.name}.incomplete"
    assert json.loads(beside.read_text())["global"]["radiofm:incomplete"] is True
    counting = Counting(engine)
    found = annotate_one(long, out, counting, few, task="second")
    assert counting.tiles == 21 - 16 and not beside.exists()
    assert {a["radiofm:task"] for a in own(found)} == {"second"}
    assert len(own(found)) == len(own(json.loads(before)))


@pytest.mark.parametrize("change", ["settings", "taught", "data", "edited", "batch"])
def test_only_the_same_run_goes_on(tmp_path, engine, long, change):
    few, out, batch, task = taught(engine, tmp_path), tmp_path / "out.sigmf-meta", 4, "t"
    with pytest.raises(KeyboardInterrupt):
        list(annotate_all(long, out, Interrupted(engine, 2), lambda: few, batch=4, task="t"))
    if change == "settings":
        task = "another"
    elif change == "taught":
        few.prototypes.rename("low", "deep")
    elif change == "data":
        data = long.with_suffix(".sigmf-data")
        data.write_bytes(data.read_bytes()[:-8])
    elif change == "edited":
        meta = json.loads(out.read_text())
        meta["global"]["radiofm:resume"]["growing"] = [[99, 1, "x"]]
        out.write_text(json.dumps(meta))
    else:
        batch = 3  # where it goes on does not matter
    counting = Counting(engine)
    found = annotate_one(long, out, counting, few, batch, task=task)
    assert counting.tiles == (21 - 6 if change == "batch" else 21)
    assert {a["radiofm:task"] for a in own(found)} == {task} and "radiofm:incomplete" not in found["global"]
    fresh = annotate_one(long, tmp_path / "fresh.sigmf-meta", engine, few, batch, task=task)
    labels = [[(a["core:label"], a["core:sample_start"]) for a in own(meta)] for meta in (found, fresh)]
    assert labels[0] == labels[1]


def test_replace_keeps_what_others_wrote_until_it_is_complete(tmp_path, engine, long):
    few, before = taught(engine, tmp_path), long.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        list(annotate_all(long, long, Interrupted(engine, 2), lambda: few, batch=4, replace=True))
    assert long.read_bytes() == before
    assert len(own(annotate_one(long, long, engine, few, replace=True))) > 3


def test_interrupted_embeddings_leave_the_old_ones(tmp_path, engine, long):
    out = tmp_path / "out.npz"
    list(embed_all(long, out, engine, 4))
    before, names = out.read_bytes(), sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        list(embed_all(long, out, Interrupted(engine, 2), 4))
    assert out.read_bytes() == before and sorted(tmp_path.iterdir()) == names


# -- folders that others fill ------------------------------------------------------------------------------
ODD = [ValueError("two\nlines"), zipfile.BadZipFile("bad"), tarfile.ReadError("bad"), struct.error("bad"),
       RecursionError(), OverflowError("big"), KeyError("x"), zlib.error("bad"), EOFError(), IndexError("i"),
       MemoryError(), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), AssertionError(), NotImplementedError(),
       AttributeError("none"), OSError(36, "File name too long"), StopIteration()]


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["find_container", "archive_members", "open_recording"])
def test_no_error_of_one_recording_ends_the_folder(tmp_path, engine, monkeypatch, error, place):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        record(tmp_path / "in" / name, samples(3000))
    (tmp_path / "in" / "bad.sigmf").write_bytes(b"x")
    module = jobs if place == "open_recording" else folders
    real = getattr(module, place)

    def broken(path, *arguments):
        if "bad" in str(path) or place == "find_container" and path.name.startswith("a"):
            raise error
        return real(path, *arguments)

    monkeypatch.setattr(module, place, broken)
    outcomes = list(embed_all(tmp_path / "in", tmp_path / "out", engine))
    [wrong] = [outcome.error for outcome in outcomes if outcome.error]
    assert "bad.sigmf" in wrong and "\n" not in wrong and len(outcomes) == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.npz", "b.npz"]


def test_damaged_archives_and_absurd_names(tmp_path, engine):
    source = tmp_path / "in"
    source.mkdir()
    record(source / "good", samples(3000))
    (source / "a.sigmf.zip").write_bytes(b"PK\x03\x04" + bytes(300))
    (source / "b.sigmf").write_bytes(random.Random(0).randbytes(3500))
    (source / "d.sigmf.gz").write_bytes(b"\x1f\x8b\x08" + bytes(100))
    (source / "e.sigmf-meta").write_text(json.dumps({
        "global": {"core:datatype": "cf32_le", "core:version": "1.2.0", "core:dataset": "x" * 300},
        "captures": [], "annotations": []}))
    (source / "f.sigmf-meta").write_text("[" * 100_000)
    with zipfile.ZipFile(source / "g.sigmf.zip", "w") as archive:
        archive.writestr("x.sigmf-meta", b"{}")
    cut = (source / "g.sigmf.zip").read_bytes()
    (source / "g.sigmf.zip").write_bytes(cut[:20] + bytes(30) + cut[50:])
    outcomes = {o.job.recording.name: o for o in embed_all(source, tmp_path / "out", engine)}
    assert sorted(outcomes) == ["a.sigmf.zip", "b.sigmf", "d.sigmf.gz", "e.sigmf-meta", "f.sigmf-meta",
                                "g.sigmf.zip", "good.sigmf-meta"]
    for name, outcome in outcomes.items():
        assert (outcome.error is None) == (name == "good.sigmf-meta"), outcome
        assert outcome.error is None or name in outcome.error


def archive_of(path, names):
    about = {"core:datatype": "cf32_le", "core:version": "1.2.0"}
    meta = {"global": about, "captures": [], "annotations": []}
    with tarfile.open(path, "w") as tar:
        for name in names:
            for suffix, data in ((".sigmf-meta", json.dumps(meta).encode()),
                                 (".sigmf-data", samples(3000).tobytes())):
                member = tarfile.TarInfo(name + suffix)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def test_names_of_members_are_no_paths(tmp_path):
    """Whatever they are: every output lies in the target, each in a place of its own."""
    source, target = tmp_path / "up" / "in", tmp_path / "up" / "out"
    source.mkdir(parents=True)
    record(source / "good", samples(3000))
    archive_of(source / "two.sigmf", ["../../N1", "/abs/N2", "a/../../N3", "./N4", "x/N5", "N5", "..",
                                      "x//N6", "deep/two.sigmf/../../../N7", "N5.sigmf/N8"])
    archive_of(source / "one.sigmf", ["../../../N9"])
    jobs = plan(source, target, ".npz")
    assert len(jobs) == 12 and len({job.output for job in jobs}) == 12
    for job in jobs:
        assert job.output.resolve().is_relative_to(target.resolve()), job
        assert ".." not in job.output.parts
    assert target / "good.npz" in {job.output for job in jobs}


def test_an_archive_of_such_names_ends_nothing(tmp_path, engine):
    source = tmp_path / "up" / "in"
    source.mkdir(parents=True)
    record(source / "good", samples(3000))
    archive_of(source / "two.sigmf", ["../../N1", "/tmp/N2"])
    before = set(tmp_path.rglob("*"))
    outcomes = list(embed_all(source, tmp_path / "up" / "out", engine))
    assert len(outcomes) == 3 and (tmp_path / "up" / "out" / "good.npz").exists()
    made = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path / "up" / "out") for path in made)
    assert not Path("/tmp/N2.npz").exists()


def test_two_recordings_of_one_name_get_two_outputs(tmp_path, engine):
    for name in ("x.sigmf", "x.sigmf.gz", "x.sigmf.xz"):
        archive_of(tmp_path / name, ["y"])
    archive_of(tmp_path / "z.sigmf", ["x", "x.sigmf"])
    made = [str(job.output.relative_to(tmp_path / "out")) for job in plan(tmp_path, tmp_path / "out", ".npz")]
    assert made == ["x.npz", "x.sigmf.gz.npz", "x.sigmf.xz.npz", "z/x.npz", "z/x.sigmf.npz"]


def test_linked_folders_are_walked_once(tmp_path):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    record(source / "sub" / "a", samples(3000))
    record(tmp_path / "elsewhere" / "b", samples(3000))
    (source / "alias").symlink_to("sub")
    (source / "sub" / "loop").symlink_to("..")
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    (source / "linked-again").symlink_to(tmp_path / "elsewhere")
    (source / "gone").symlink_to("nowhere")
    found = folders.survey(source)
    assert found.recordings == [source / "linked" / "b.sigmf-meta", source / "sub" / "a.sigmf-meta"]
    assert [line.split(":")[0] for line in found.left_out] == [
        str(source / name) for name in ("alias", "linked-again", "sub/loop")]
    jobs = plan(source, tmp_path / "out", ".npz")
    assert [job.output for job in jobs] == [tmp_path / "out" / "linked" / "b.npz", tmp_path / "out/sub/a.npz"]
    assert jobs.left_out == found.left_out


def test_what_is_left_out_is_said(tmp_path, folder):
    (folder / "alone.sigmf-meta").write_text(json.dumps(
        {"global": {"core:datatype": "cf32_le", "core:version": "1.2.0", "core:metadata_only": True},
         "captures": [], "annotations": []}))
    assert plan(folder, tmp_path / "out", ".npz").left_out == [
        f"{folder / 'alone.sigmf-meta'}: metadata without samples"]


# -- shots -------------------------------------------------------------------------------------------------
def test_tiles_of_labels_are_those_that_they_cover(tmp_path):
    """Against the rule, tile by tile."""
    rng = np.random.default_rng(0)
    for trial in range(30):
        n = int(rng.integers(1, 40 * SPEC.stride))
        annotations = []
        for _ in range(int(rng.integers(0, 12))):
            start = int(rng.integers(0, n))
            annotations.append({"core:sample_start": start,
                                "core:sample_count": int(rng.integers(1, n - start + 2 * SPEC.stride)),
                                "core:label": str(rng.choice(["a", "b", "c", ""]))})
        annotations.sort(key=lambda a: a["core:sample_start"])
        recording = open_recording(record(tmp_path / f"r{trial}", np.zeros(n, np.complex64),
                                          annotations=annotations))
        expected = {}
        for k in range(SPEC.n_tiles(n)):
            start, covered = k * SPEC.stride, {}
            count = min(SPEC.samples_per_tile, n - start)
            for a in recording.annotations:
                overlap = min(start + count, a.sample_start + a.sample_count, n) - max(start, a.sample_start)
                if a.label and overlap > 0:
                    covered[a.label] = covered.get(a.label, 0) + overlap
            best = max(covered, key=covered.get, default="")
            if best and 2 * covered[best] >= count:
                expected.setdefault(best, []).append(k)
        assert {label: list(tiles) for label, tiles in labelled_tiles(recording, SPEC).items()} == expected


def test_shots_are_spread_evenly_and_nothing_else_is_read(tmp_path, engine, monkeypatch):
    record(tmp_path / "short", samples(3 * SPEC.stride + 32))
    record(tmp_path / "much", samples(64 * SPEC.stride + 32, 1))
    paths = [tmp_path / "short.sigmf-meta", tmp_path / "much.sigmf-meta"]
    assert choose([range(3), range(64)], 7) == [(0, 0), (1, 0), (0, 2), (1, 32), (0, 1), (1, 16), (1, 48)]
    assert sorted(choose([range(3), range(5)], 0)) == [(0, i) for i in range(3)] + [(1, i) for i in range(5)]
    read = []
    real = Recording.read
    monkeypatch.setattr(Recording, "read", lambda self, start=0, count=None: (
        read.append((self.path.name, start // SPEC.stride)), real(self, start, count))[1])
    taught, outcomes = shots_of(paths, engine, "x", 7)
    assert sorted(read) == [("much.sigmf-meta", k) for k in (0, 16, 32, 48)] + [
        ("short.sigmf-meta", k) for k in (0, 1, 2)]
    assert taught["x"].shape == (7, engine.embedding_size) and not any(o.error for o in outcomes)
    direct = embed_recording(open_recording(paths[1]), engine).embedding[32]
    np.testing.assert_allclose(taught["x"][3], direct, atol=2e-2)


def test_a_bad_recording_does_not_stop_teaching(tmp_path, engine):
    record(tmp_path / "a", samples(4000))
    record(tmp_path / "b", samples(10), datatype="cf99_le")
    taught, outcomes = shots_of([tmp_path / "a.sigmf-meta", tmp_path / "b.sigmf-meta"], engine, "x", 3)
    assert len(taught["x"]) == 3 and outcomes[0].error is None and "b.sigmf-meta" in outcomes[1].error


def test_unknown_and_empty_annotations_teach_nothing(tmp_path, engine):
    entries = [{"core:sample_start": 0, "core:sample_count": 9000, "core:label": label}
               for label in (" tone ", "unknown", " ", "")]
    path = record(tmp_path / "a", samples(9000), annotations=[entries[1], entries[2], entries[0], entries[3]])
    taught, _ = shots_of([path], engine, "", 2)
    assert {label: len(vectors) for label, vectors in taught.items()} == {"tone": 2}


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


def test_another_channel_is_another_recording(engine, tmp_path):
    """Commands read the channel that they are told to, as the alone recording of it."""
    rng = np.random.default_rng(7)
    one, other = (rng.standard_normal((2, 3 * SPEC.samples_per_tile)) * 0.1).astype(np.complex64)
    both = write_recording(tmp_path / "both", np.stack([one, other], 1).ravel(), num_channels=2)
    alone = write_recording(tmp_path / "alone", other)
    for path, channel, name in ((both, 1, "a.npz"), (alone, 0, "b.npz"), (both, 0, "c.npz")):
        jobs = plan(path, tmp_path / name, ".npz", channel)
        assert [outcome.error for outcome in embed_jobs(jobs, engine)] == [None]
    a, b, c = (Embeddings.load(tmp_path / name).embedding for name in ("a.npz", "b.npz", "c.npz"))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)
    shots, outcomes = shots_of([both], engine, "x", 2, channel=1)
    np.testing.assert_allclose(shots["x"], b[[0, -1]], atol=1e-5)
    (failed,) = embed_jobs(plan(alone, tmp_path / "d.npz", ".npz", 1), engine)
    assert str(alone) in failed.error and "channel" in failed.error


def test_annotations_of_one_channel_leave_those_of_another(engine, tmp_path):
    rng = np.random.default_rng(8)
    iq = (rng.standard_normal((3 * SPEC.samples_per_tile, 2)) * 0.1).astype(np.complex64)
    both = write_recording(tmp_path / "both", iq.ravel(), num_channels=2)
    few = FewShot(engine.embedding_size)
    few.prototypes.enroll("x", rng.standard_normal((5, engine.embedding_size)))
    out = tmp_path / "out.sigmf-meta"
    for channel in (0, 1, 0):
        (outcome,) = annotate_jobs(plan(both, out, ".sigmf-meta", channel), engine, lambda: few, merge=False)
        assert outcome.error is None
    tiles = SPEC.n_tiles(len(iq))
    said = [a["radiofm:channel"] for a in own(json.loads(out.read_text()))]
    assert sorted(said) == [0] * tiles + [1] * tiles
    assert [len(open_recording(out, channel).annotations) for channel in (0, 1)] == [tiles, tiles]
    with AnnotationWriter(out, open_recording(both), replace=True) as writer:
        writer.add(0, SPEC.stride, "named", model="m")
    assert "radiofm:channel" not in own(json.loads(out.read_text()))[0]
