# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The signals of recordings: found, embedded, named, grouped, counted, drawn; and taught by."""

import csv
import json
import os
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import signal_scene as scenes
from command import radiofm
from PIL import Image
from radiofm_ml.detect.settings import Settings
from radiofm_ml.embeddings import EmbeddingFile, Embeddings, EmbeddingsError
from radiofm_ml.engines import open_engine
from radiofm_ml.fewshot import FewShot
from radiofm_ml.fewshot.groups import Groups
from radiofm_ml.pipeline import embed_recording
from radiofm_ml.plots import style
from radiofm_ml.sigmf.recording import open_recording
from radiofm_ml.signals import SignalEncoder
from radiofm_ml.survey import shots
from radiofm_ml.survey.naming import name_signals
from radiofm_ml.survey.report import Line, table
from radiofm_ml.survey.run import find
from radiofm_ml.survey.signals import Detection, rows, signals_of, source_of, write_signals
from sigmf_files import write_recording

SENT = sorted([*scenes.NARROW, *scenes.WIDE, *scenes.MIDDLE])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a bundle, a recording of the scene, and one of noise."""
    folder = tmp_path_factory.mktemp("survey")
    scenes.signal_bundle(folder / "model")
    scenes.record(folder / "band")
    return folder


@pytest.fixture(scope="module")
def encoder(world):
    return SignalEncoder(open_engine(world / "model"))


@pytest.fixture(scope="module")
def found(world, encoder) -> Embeddings:
    """The rows of the scene's signals, by start."""
    with open_recording(world / "band") as recording:
        made = rows(list(signals_of(recording, encoder)), recording, encoder)
    order = np.argsort(made.sample_start)
    return replace(made, **{name: value[order] for name, value in vars(made).items()
                            if isinstance(value, np.ndarray)})


def kind(frequency: float) -> str:
    """Of what was sent at a frequency from the centre."""
    return {-300e3: "narrow", 200e3: "wide", -100e3: "middle"}[frequency]


KINDS = [kind(frequency) for _, _, frequency, _ in SENT]


# -- from a recording to signals -------------------------------------------------------------------------
def test_every_signal_once_at_its_place(found):
    assert len(found) == len(SENT)
    for i, (start, stop, frequency, width) in enumerate(SENT):
        assert found.sample_start[i] == pytest.approx(start, abs=9000)
        assert found.sample_start[i] + found.sample_count[i] == pytest.approx(stop, abs=9000)
        middle = (found.freq_lower_edge[i] + found.freq_upper_edge[i]) / 2
        assert middle == pytest.approx(scenes.CENTRE + frequency, abs=2000)
        assert found.bandwidth[i] == pytest.approx(0.95 * width, rel=0.1)
        assert found.snr[i] == pytest.approx(19, abs=1.5)
    assert (found.rx_freq == scenes.CENTRE).all() and (found.sample_rate == scenes.RATE).all()


def test_the_embedding_holds_what_is_physical(found, encoder):
    """The last numbers of this bundle's embeddings are bandwidth, duration, duty and kurtosis."""
    assert found.model == encoder.id and found.embedding.shape == (len(SENT), encoder.embedding_size)
    np.testing.assert_allclose(found.embedding[:, -4], np.log10(found.bandwidth), atol=1e-4)
    np.testing.assert_allclose(10**found.embedding[:, -3], found.sample_count / scenes.RATE, rtol=0.05)


def test_a_long_signal_is_one_and_its_parts_add_up(tmp_path, encoder):
    iq = scenes.scene([(100_000, 2_700_000, 100e3, 30e3)], 3_000_000)
    with open_recording(scenes.record(tmp_path / "long", iq)) as recording:
        (whole,) = signals_of(recording, encoder, Detection(Settings(longest=5.0)))
        (parted,) = signals_of(recording, encoder, Detection(Settings(longest=1.1)), batch=2)
    for signal in (whole, parted):
        assert signal.evidence.duration == pytest.approx(2.6, abs=0.05)
        assert signal.box.sample_count == pytest.approx(2_600_000, abs=20_000)
        assert signal.evidence.bandwidth == pytest.approx(0.95 * 30e3, rel=0.1)
    assert parted.evidence.looks > whole.evidence.looks


def test_signals_hold_on_where_the_frequency_changes(tmp_path, encoder):
    captures = [{"core:sample_start": 0, "core:frequency": 100e6},
                {"core:sample_start": 350_000, "core:frequency": 200e6}]
    with open_recording(scenes.record(tmp_path / "two", captures=captures)) as recording:
        made = rows(list(signals_of(recording, encoder)), recording, encoder)
    stop = made.sample_start + made.sample_count
    np.testing.assert_array_equal(made.rx_freq, np.where(stop <= 350_000, 100e6, 200e6))
    assert (np.abs(made.freq_lower_edge - made.rx_freq) < 0.5e6).all()


def test_memory_does_not_grow_with_the_recording(tmp_path, encoder):
    def peak(samples: int) -> int:
        emissions = [(at, at + 20_000, 200e3, 100e3) for at in range(100_000, samples - 50_000, 400_000)]
        path = scenes.record(tmp_path / str(samples), scenes.scene(emissions, samples), datatype="cf32_le")
        with open_recording(path) as recording:
            tracemalloc.start()
            write_signals(tmp_path / "x.npz", recording, encoder)
            size = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return size

    assert peak(4_500_000) < 1.2 * peak(1_500_000)


# -- files of embeddings ---------------------------------------------------------------------------------
def test_embed_writes_a_row_a_signal(world, tmp_path, found, encoder):
    os.makedirs(tmp_path / "in" / "sub")
    for name in ("band.sigmf-meta", "band.sigmf-data"):
        os.link(world / name, tmp_path / "in" / "sub" / name)
    radiofm("embed", "--signals", tmp_path / "in", tmp_path / "out", "-m", world / "model")
    made = Embeddings.load(tmp_path / "out" / "sub" / "band.npz")
    order = np.argsort(made.sample_start)
    for name in ("embedding", "sample_start", "sample_count", "snr", "bandwidth", "freq_lower_edge"):
        np.testing.assert_allclose(getattr(made, name)[order], getattr(found, name), rtol=1e-4, atol=1e-4)
    assert made.model == encoder.id and made.of_signals
    with np.load(tmp_path / "out" / "sub" / "band.npz") as arrays:
        assert {"embedding", "sample_start", "sample_count", "sample_rate", "rx_freq", "freq_lower_edge",
                "freq_upper_edge", "snr", "model"} <= set(arrays)


def test_files_of_tiles_are_as_they_were(world, tmp_path, encoder):
    with open_recording(world / "band") as recording:
        tiles = embed_recording(recording, encoder.engine)
    tiles.save(tmp_path / "tiles.npz")
    again = Embeddings.load(tmp_path / "tiles.npz")
    assert not again.of_signals and again.snr is None and len(again) == len(tiles)
    with np.load(tmp_path / "tiles.npz") as arrays:
        assert not {"snr", "bandwidth", "source"} & set(arrays)
    np.savez(tmp_path / "odd.npz", **{**vars(again), "snr": np.zeros(3), "bandwidth": np.zeros(3)})
    with pytest.raises(EmbeddingsError, match="'snr' has shape"):
        Embeddings.load(tmp_path / "odd.npz")
    np.savez(tmp_path / "other.npz", **{name: np.zeros(1) for name in ("model", "embedding", "snr")})
    with pytest.raises(EmbeddingsError, match="nothing that would be written"):
        EmbeddingFile(tmp_path / "other.npz", 4, "m")


def test_a_bundle_without_signals_says_so(world, tmp_path):
    text = radiofm("embed", "--signals", world / "band.sigmf-meta", tmp_path / "x.npz", "-m", "radiofm-small",
                   code=1)
    assert "a bundle that reads pictures of signals is needed here" in text


# -- names and groups ------------------------------------------------------------------------------------
@pytest.fixture
def few(encoder, found) -> FewShot:
    """Taught two of the three kinds."""
    few = FewShot.for_bundle(encoder.engine.bundle, signals=True)
    for label in ("narrow", "wide"):
        few.prototypes.enroll(label, found.embedding[[k == label for k in KINDS]][:3])
    return few


def test_a_classifier_of_signals(encoder, world):
    few = FewShot.for_bundle(encoder.engine.bundle, signals=True)
    assert few.prototypes.model == encoder.id and few.prototypes.embedding_size == encoder.embedding_size
    assert few.normalisation == "none" and few.calibrated and few.labels == ()
    tiles = FewShot.for_bundle(encoder.engine.bundle)
    assert tiles.prototypes.model == encoder.engine.bundle.id and not tiles.calibrated


def test_names(found, few):
    (names,) = name_signals([found], few, Groups.of(few))
    assert names.labels == [k if k != "middle" else "unknown 1" for k in KINDS]
    assert names.unknown.tolist() == [k == "middle" for k in KINDS]
    assert ((names.cell > 0) == names.unknown).all() and (names.confidence > 0.5).all()


def test_groups_go_on_over_recordings(found, encoder):
    few = FewShot.for_bundle(encoder.engine.bundle, signals=True)
    first, second = name_signals([found, found], few, Groups.of(few))
    assert first.labels == second.labels and len(set(first.labels)) == 3
    assert len({(label, k) for label, k in zip(first.labels, KINDS, strict=True)}) == 3
    assert np.isnan(first.confidence).all() and first.unknown.all() and set(first.nearest) == {""}


def test_the_table(found, few):
    (names,) = name_signals([found], few, Groups.of(few))
    lines = table([found, found], [names, names])
    assert [(line.label, line.count, line.recordings) for line in lines] == [
        ("wide", 10, 2), ("narrow", 8, 2), ("unknown 1", 8, 2)]
    narrow = np.array([k == "narrow" for k in KINDS])
    assert lines[1].seconds == pytest.approx(2 * found.sample_count[narrow].sum() / scenes.RATE)
    assert lines[1].freq_lower_edge == found.freq_lower_edge[narrow].min()
    assert lines[1].freq_upper_edge == found.freq_upper_edge[narrow].max()
    assert lines[1].snr == pytest.approx(np.median(found.snr[narrow]))
    assert table([], []) == []


# -- the command -----------------------------------------------------------------------------------------
def annotations(path) -> list[dict]:
    return json.loads(path.read_text())["annotations"]


def survey(world, out, *more, source="band.sigmf-meta", **run) -> str:
    return radiofm("survey", world / source, "-o", out, "-m", world / "model", *more, **run)


def test_survey_writes_annotations_table_and_picture(world, tmp_path, found, encoder):
    printed = survey(world, tmp_path / "out")
    notes = annotations(tmp_path / "out" / "band.sigmf-meta")
    assert len(notes) == len(SENT)
    for i, note in enumerate(notes):
        assert note["core:sample_start"] == found.sample_start[i]
        assert note["core:sample_count"] == found.sample_count[i]
        assert note["core:freq_lower_edge"] == pytest.approx(found.freq_lower_edge[i])
        assert note["radiofm:unknown"] is True and note["radiofm:model"] == encoder.id
        assert note["radiofm:snr_db"] == pytest.approx(found.snr[i], abs=0.01)
        assert note["core:comment"] == f"SNR {found.snr[i]:.1f} dB"
        assert note["radiofm:bandwidth"] == pytest.approx(found.bandwidth[i], rel=1e-3)
    by_kind = {k: {n["core:label"] for n, of in zip(notes, KINDS, strict=True) if of == k} for k in KINDS}
    assert sorted(map(len, by_kind.values())) == [1, 1, 1]
    assert set.union(*by_kind.values()) == {"unknown 1", "unknown 2", "unknown 3"}
    made = Embeddings.load(tmp_path / "out" / "band.npz")
    for note in notes:
        assert made.sample_start[note["radiofm:signal"]] == note["core:sample_start"]

    lines = list(csv.DictReader(open(tmp_path / "out" / "table.csv")))
    assert [line["label"] for line in lines] == ["unknown 1", "unknown 2", "unknown 3"]
    assert sum(int(line["count"]) for line in lines) == len(SENT) and lines[0]["confidence"] == ""
    assert all(line["label"] in printed for line in lines)
    picture = np.asarray(Image.open(tmp_path / "out" / "waterfall.png").convert("RGB")).astype(int)
    for colour in style.PALETTE[:3]:
        rgb = [int(colour[i:i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(picture - rgb).max(-1) < 12).sum() > 200


def test_run_again_with_more_taught_only_names_are_new(world, tmp_path):
    out, taught = tmp_path / "out", tmp_path / "taught.safetensors"
    survey(world, out)
    found_at = os.stat(out / "band.npz").st_mtime_ns
    start = next(start for start, _, frequency, _ in SENT if kind(frequency) == "wide") / scenes.RATE
    for label, frequency, at in (("wide", 200e3, start), ("narrow", -300e3, 0.12)):
        radiofm("enroll", taught, label, world / "band.sigmf-meta", "-m", world / "model",
                "--at", f"{at + 0.005},{scenes.CENTRE + frequency}")
    survey(world, out, "-p", taught)
    assert os.stat(out / "band.npz").st_mtime_ns == found_at
    labels = [note["core:label"] for note in annotations(out / "band.sigmf-meta")]
    assert labels == [k if k != "middle" else "unknown 1" for k in KINDS]
    survey(world, out, "-p", taught, "--min-level-db", 4)
    assert os.stat(out / "band.npz").st_mtime_ns != found_at


def test_what_is_found_depends_on(world, tmp_path, encoder):
    path = scenes.record(tmp_path / "x", scenes.scene([], 40_000))
    with open_recording(path) as recording:
        sources = {source_of(recording, encoder, how) for how in (
            Detection(), Detection(fft_size=512), Detection(Settings(pause=0.1)))}
    scenes.record(tmp_path / "x", scenes.scene([], 40_001))
    with open_recording(path) as recording:
        sources.add(source_of(recording, encoder, Detection()))
    assert len(sources) == 4


def test_a_folder_goes_on_after_an_interruption(world, tmp_path, encoder):
    os.makedirs(tmp_path / "in" / "deep")
    for name in ("in/a", "in/deep/b", "in/deep/c"):
        for ending in (".sigmf-meta", ".sigmf-data"):
            os.link(world / f"band{ending}", tmp_path / f"{name}{ending}")
    (tmp_path / "in" / "broken.sigmf-meta").write_text("{}")
    from radiofm_ml.sigmf.jobs import plan

    jobs = plan(tmp_path / "in", tmp_path / "out", ".sigmf-meta")
    (tmp_path / "out").mkdir()
    work = find(jobs, encoder, Detection())
    assert next(work).error is None  # the first one; then it is interrupted
    work.close()
    before = os.stat(tmp_path / "out" / "a.npz").st_mtime_ns
    text = radiofm("survey", tmp_path / "in", "-o", tmp_path / "out", "-m", world / "model", code=1)
    assert "holds files that 'radiofm survey' did not write" in text
    text = radiofm("survey", tmp_path / "in", "-o", tmp_path / "out", "-m", world / "model", "--overwrite",
                   code=1)
    assert "broken.sigmf-meta" in text and "1 of 4 recordings failed" in text.replace("\n", " ")
    assert os.stat(tmp_path / "out" / "a.npz").st_mtime_ns == before
    for name in ("a", "deep/b", "deep/c"):
        assert len(annotations(tmp_path / "out" / f"{name}.sigmf-meta")) == len(SENT)
        assert (tmp_path / "out" / f"{name}.png").is_file()
    lines = list(csv.DictReader(open(tmp_path / "out" / "table.csv")))
    assert {line["recordings"] for line in lines} == {"3"}


def test_survey_writes_over_nothing_of_others(world, tmp_path):
    out = tmp_path / "out"
    survey(world, out)
    (out / "table.csv").write_text("mine,1\n")
    assert "nothing that would be written here" in survey(world, out, code=1)
    assert (out / "table.csv").read_text() == "mine,1\n"
    survey(world, out, "--overwrite")
    assert (out / "table.csv").read_text().startswith("label,count,seconds,")
    Image.new("RGB", (4, 4)).save(out / "waterfall.png")
    assert "waterfall.png" in survey(world, out, code=1)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    assert "did not write" in survey(world, other, code=1)


def test_a_band_without_signals(world, tmp_path):
    scenes.record(world / "quiet", scenes.scene([], 300_000))
    assert "no signals" in survey(world, tmp_path / "out", source="quiet.sigmf-meta")
    assert annotations(tmp_path / "out" / "quiet.sigmf-meta") == []
    assert (tmp_path / "out" / "table.csv").read_text().count("\n") == 1
    assert (tmp_path / "out" / "waterfall.png").is_file()


def test_a_recording_without_a_rate(world, tmp_path):
    scenes.record(world / "timeless", scenes.scene([], 50_000), sample_rate=None)
    meta = json.loads((world / "timeless.sigmf-meta").read_text())
    del meta["global"]["core:sample_rate"]
    (world / "timeless.sigmf-meta").write_text(json.dumps(meta))
    assert "states no sample rate" in survey(world, tmp_path / "out", source="timeless.sigmf-meta", code=1)


def test_naming_a_group_of_a_survey(world, tmp_path):
    out, taught = tmp_path / "out", tmp_path / "taught.safetensors"
    survey(world, out)
    before = annotations(out / "band.sigmf-meta")
    pixels = (out / "waterfall.png").read_bytes()
    group = next(n["core:label"] for n, k in zip(before, KINDS, strict=True) if k == "middle")
    printed = radiofm("name", taught, group, "my remote", out)
    assert "4 annotations renamed" in printed
    after = annotations(out / "band.sigmf-meta")
    for old, new, k in zip(before, after, KINDS, strict=True):
        assert new["core:label"] == ("my remote" if k == "middle" else old["core:label"])
        assert new["radiofm:unknown"] == (k != "middle")
    lines = list(csv.DictReader(open(out / "table.csv")))
    assert lines[0]["label"] == "my remote" and lines[0]["count"] == "4" and len(lines) == 3
    assert (out / "waterfall.png").read_bytes() != pixels
    survey(world, out, "-p", taught)  # it is taught: the same comes out again
    labels = [n["core:label"] for n in annotations(out / "band.sigmf-meta")]
    assert [label == "my remote" for label in labels] == [k == "middle" for k in KINDS]


# -- teaching --------------------------------------------------------------------------------------------
def enroll(world, taught, label, *more, source="band.sigmf-meta", **run) -> str:
    return radiofm("enroll", taught, label, world / source, "-m", world / "model", *more, **run)


def prototypes(encoder, path) -> FewShot:
    return FewShot.for_bundle(encoder.engine.bundle, path, signals=True)


def test_the_signal_at_a_place(world, tmp_path, encoder, found):
    taught = tmp_path / "t.safetensors"
    start, _, frequency, _ = scenes.MIDDLE[1]
    place = f"{start / scenes.RATE + 0.01},{scenes.CENTRE + frequency}"
    printed = enroll(world, taught, "here", "--at", place)
    assert "taught" in printed
    vector = prototypes(encoder, taught).prototypes["here"].vector
    np.testing.assert_allclose(vector, found.embedding[SENT.index(scenes.MIDDLE[1])], rtol=1e-4, atol=1e-4)


def test_no_signal_at_a_place(world, tmp_path):
    text = enroll(world, tmp_path / "t.safetensors", "x", "--at", "0.41,433.2e6", code=1)
    assert "no signal at 0.41 s, 433.2 MHz; the nearest are" in text
    assert re.search(r"nearest are \S+ to \S+ s, 433\.09\d\d to 433\.30\d\d MHz;", text)  # in its band
    assert not (tmp_path / "t.safetensors").exists()


@pytest.mark.parametrize(("at", "words"), [
    ("1", "SECONDS,HZ"), ("a,b", "SECONDS,HZ"), ("-1,2", "SECONDS,HZ"), ("nan,3", "SECONDS,HZ")])
def test_places_that_are_none(world, tmp_path, at, words):
    assert words in enroll(world, tmp_path / "t.safetensors", "x", f"--at={at}", code=1)


def test_annotations_as_shots(world, tmp_path, encoder, found):
    notes = [{"core:sample_start": start, "core:sample_count": stop - start, "core:label": kind(frequency),
              "core:freq_lower_edge": scenes.CENTRE + frequency - width / 2,
              "core:freq_upper_edge": scenes.CENTRE + frequency + width / 2}
             for start, stop, frequency, width in SENT]
    notes += [{"core:sample_start": 5, "core:sample_count": 5000, "core:label": "unknown 2"},
              {"core:sample_start": 9, "core:sample_count": 5000, "core:label": "elsewhere",
               "core:freq_lower_edge": 1e9, "core:freq_upper_edge": 1.1e9}]
    scenes.record(world / "boxed", annotations=sorted(notes, key=lambda n: n["core:sample_start"]))
    taught = tmp_path / "t.safetensors"
    enroll(world, taught, "", "--from-annotations", "--shots", 0, source="boxed.sigmf-meta")
    few = prototypes(encoder, taught)
    assert {p.label: p.shots for p in few.prototypes} == {"wide": 5, "narrow": 4, "middle": 4}
    decided = few.predict(found.embedding)
    assert [few.labels[i] for i in decided.index] == KINDS
    enroll(world, tmp_path / "one.safetensors", "middle", "--from-annotations", "--shots", 2,
           source="boxed.sigmf-meta")
    assert [(p.label, p.shots) for p in prototypes(encoder, tmp_path / "one.safetensors").prototypes] == [
        ("middle", 2)]
    assert "no annotation is called 'nothing'" in enroll(
        world, taught, "nothing", "--from-annotations", source="boxed.sigmf-meta", code=1)


def test_the_strongest_signals_of_recordings(world, tmp_path, encoder, found):
    """Of a recording in which one kind is on, less the one that is unlike them."""
    emissions = [*scenes.MIDDLE, scenes.WIDE[1], (120_000, 160_000, -100e3, 40e3)]
    scenes.record(world / "mostly", scenes.scene(emissions))
    scenes.record(world / "silent", scenes.scene([], 300_000))
    taught = tmp_path / "t.safetensors"
    printed = radiofm("enroll", taught, "middle", world / "mostly.sigmf-meta", world / "silent.sigmf-meta",
                      "-m", world / "model", "--shots", 5)
    assert printed.count("│ taught") == 5 and printed.count("unlike the others") == 1
    few = prototypes(encoder, taught)
    assert few.prototypes["middle"].shots == 5
    near = ((found.embedding - few.prototypes["middle"].vector)**2).sum(1)
    assert {KINDS[i] for i in np.argsort(near)[:4]} == {"middle"}
    text = radiofm("enroll", taught, "x", world / "silent.sigmf-meta", "-m", world / "model", code=1)
    assert "no signal was found" in text


def test_what_is_unlike_the_others():
    rng = np.random.default_rng(0)
    near = rng.standard_normal((6, 8)) * 0.1
    far = np.vstack([near, np.full((1, 8), 3.0)])
    assert shots.outliers(far).tolist() == [False] * 6 + [True]
    assert not shots.outliers(near).any() and not shots.outliers(far[4:]).any()
    assert not shots.outliers(np.zeros((5, 8))).any()


def test_signals_and_tiles_do_not_mix(world, tmp_path):
    tiles, signals = tmp_path / "tiles.safetensors", tmp_path / "signals.safetensors"
    enroll(world, tiles, "band", "--tiles", "--shots", 2)
    enroll(world, signals, "wide", "--shots", 2)  # a model that reads signals teaches signals
    enroll(world, tiles, "band", "--shots", 1)  # the file says what it is
    assert "prototypes here belong to" in enroll(world, tiles, "x", "--signals", code=1)
    assert "prototypes here belong to" in survey(world, tmp_path / "out", "-p", tiles, code=1)
    assert "prototypes here belong to" in radiofm(
        "annotate", world / "band.sigmf-meta", "-o", tmp_path / "x.sigmf-meta", "-p", signals, "-m",
        world / "model", code=1)
    assert "not --tiles" in enroll(world, signals, "x", "--tiles", "--from-annotations", code=1)
    assert "not both" in enroll(world, signals, "x", "--from-annotations", "--at", "1,2", code=1)
    assert "takes annotations" in enroll(world, signals, "", code=1)


@pytest.mark.parametrize("count", [1, 3])
def test_a_recording_of_a_few_samples(world, tmp_path, count):
    write_recording(tmp_path / "tiny", np.ones(count, np.complex64), sample_rate=1e6)
    text = radiofm("survey", tmp_path / "tiny.sigmf-meta", "-o", tmp_path / "out", "-m", world / "model")
    assert "no signals" in text
    assert (tmp_path / "out" / "waterfall.png").is_file()


def test_a_table_of_somebody_else_stays_and_nothing_is_done(world, tmp_path):
    survey(world, tmp_path / "out")
    before = (tmp_path / "out" / "band.sigmf-meta").read_bytes()
    (tmp_path / "out" / "table.csv").write_text("my,own\n")
    text = survey(world, tmp_path / "out", "--false-alarm-rate", "0.2", code=1)
    assert "table.csv: is there and is nothing that would be written here" in text and "finding" not in text
    assert (tmp_path / "out" / "table.csv").read_text() == "my,own\n"
    assert (tmp_path / "out" / "band.sigmf-meta").read_bytes() == before


def test_where_every_recording_fails_the_earlier_table_stays(world, tmp_path):
    survey(world, tmp_path / "out")
    before = (tmp_path / "out" / "table.csv").read_text()
    write_recording(tmp_path / "bad", np.ones(100, np.complex64))  # states no rate
    radiofm("survey", tmp_path / "bad.sigmf-meta", "-o", tmp_path / "out", "-m", world / "model", code=1)
    assert (tmp_path / "out" / "table.csv").read_text() == before


def test_the_table_leaves_labels_room_on_80_columns(monkeypatch, capsys):
    from radiofm_ml.cli.survey import _show

    monkeypatch.setenv("COLUMNS", "80")
    _show([Line("unknown 1", 15, 0.603, 936.3633e6, 1939.3555e6, 6.6, 0.97, 2)], 2)
    shown = capsys.readouterr().out
    assert "unknown 1" in shown and "936.3633 to 1939.3555" in shown
