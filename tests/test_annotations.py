# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""SigMF annotations: merging, cutting, keeping what is there, and files that are valid at every moment."""

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import sigmf
from hypothesis import given, settings
from hypothesis import strategies as st
from radiofm_ml import atomic
from radiofm_ml.sigmf import annotations
from radiofm_ml.sigmf.annotations import GENERATOR, AnnotationError, AnnotationWriter
from radiofm_ml.sigmf.recording import find_recordings, open_recording, parse_datetime
from radiofm_ml.sigmf.times import format_datetime
from sigmf_files import ramp, write_recording


def validate(path: Path) -> dict:
    """The metadata, after the sigmf package found nothing wrong with them or the data's checksum."""
    sigmf.sigmffile.fromfile(path).validate()
    return json.loads(path.read_text())


def ours(path: Path) -> list[tuple]:
    """(start, count, label) of our annotations."""
    return [
        (a["core:sample_start"], a["core:sample_count"], a["core:label"])
        for a in validate(path)["annotations"]
        if a.get("core:generator") == GENERATOR
    ]


@pytest.fixture
def recording(tmp_path):
    path = write_recording(
        tmp_path / "x",
        ramp(10_000),
        sample_rate=1e6,
        captures=[
            {"core:sample_start": 0, "core:frequency": 100e6},
            {"core:sample_start": 4000, "core:frequency": 100e6, "core:datetime": "2024-01-01T00:00:00Z"},
            {"core:sample_start": 6000, "core:frequency": 200e6},
        ],
        annotations=[{"core:sample_start": 2500, "core:sample_count": 5, "core:label": "by hand"}],
    )
    with open_recording(path) as recording:
        yield recording


# -- merging ----------------------------------------------------------------------------------------
def test_equal_neighbours_become_one(recording, tmp_path):
    with AnnotationWriter(tmp_path / "y", recording) as writer:
        for start, label, confidence in ((0, "a", 0.9), (1000, "a", 0.5), (2000, "b", 0.7), (3000, "a", 0.6)):
            assert writer.add(start, 1000, label, confidence=confidence) == 1
        writer.add(3900, 300, "a", confidence=0.2)  # overlaps, and goes on into the next capture
    assert ours(tmp_path / "y.sigmf-meta") == [(0, 2000, "a"), (2000, 1000, "b"), (3000, 1200, "a")]
    notes = [a for a in validate(tmp_path / "y.sigmf-meta")["annotations"] if "radiofm:confidence" in a]
    assert [a["radiofm:confidence"] for a in notes] == pytest.approx(
        [0.7, 0.7, (600 + 0.2 * 300) / 1300], abs=1e-6
    )
    assert [a["radiofm:decisions"] for a in notes] == [2, 1, 2]
    assert [a["radiofm:unknown"] for a in notes] == [False] * 3


def test_gap_ends_an_annotation(recording, tmp_path):
    for gap, wanted in ((0, [(0, 100, "a"), (110, 100, "a")]), (10, [(0, 210, "a")])):
        with AnnotationWriter(tmp_path / "y", recording, merge_gap=gap) as writer:
            writer.add(0, 100, "a")
            writer.add(110, 100, "a")
        assert ours(writer.path) == wanted


def test_boxes_beside_one_another_merge_each_for_itself(recording, tmp_path):
    """Two carriers and a burst in one of them, tile by tile; then something else takes a carrier's place."""
    with AnnotationWriter(tmp_path / "y", recording) as writer:
        for k in range(3):
            writer.add(100 * k, 110, "lte", freq_lower=10.0, freq_upper=20.0)
            writer.add(100 * k, 110, "nr", freq_lower=30.0, freq_upper=40.0 + k)
            writer.add(100 * k + 20, 30, "burst", freq_lower=12.0, freq_upper=14.0)
        writer.add(300, 110, "nr", freq_lower=10.0, freq_upper=20.0)
        writer.add(400, 110, "lte", freq_lower=10.0, freq_upper=20.0)
    keys = "core:label", "core:sample_start", "core:sample_count", "core:freq_upper_edge"
    made = sorted(tuple(a[key] for key in keys) for a in validate(tmp_path / "y.sigmf-meta")["annotations"]
                  if a.get("core:generator") == GENERATOR)
    assert made == [
        ("burst", 20, 30, 14.0),
        ("burst", 120, 30, 14.0),
        ("burst", 220, 30, 14.0),
        ("lte", 0, 310, 20.0),
        ("lte", 400, 110, 20.0),
        ("nr", 0, 310, 42.0),
        ("nr", 300, 110, 20.0),
    ]


def test_merge_off(recording, tmp_path):
    with AnnotationWriter(tmp_path / "y", recording, merge=False) as writer:
        writer.add(0, 100, "a")
        writer.add(100, 100, "a")
    assert ours(writer.path) == [(0, 100, "a"), (100, 100, "a")]


def test_models_and_tasks_do_not_interrupt_one_another(recording, tmp_path):
    with AnnotationWriter(tmp_path / "y", recording) as writer:
        for start in (0, 100, 200):
            writer.add(start, 100, "a", model="m@1", task="type")
            writer.add(start, 100, "2", model="m@1", task="count")
    assert ours(writer.path) == [(0, 300, "a"), (0, 300, "2")]
    note = validate(writer.path)["annotations"][0]
    assert note["radiofm:model"] == "m@1" and note["radiofm:task"] == "type"


def test_bands_unite_and_apart_ones_stay_apart(recording, tmp_path):
    with AnnotationWriter(tmp_path / "y", recording) as writer:
        writer.add(0, 100, "a", freq_lower=1e6, freq_upper=3e6)
        writer.add(100, 100, "a", freq_lower=2e6, freq_upper=4e6)
        writer.add(200, 100, "a", freq_lower=7e6, freq_upper=8e6)
    edges = [
        (a["core:freq_lower_edge"], a["core:freq_upper_edge"])
        for a in validate(writer.path)["annotations"][:2]
    ]
    assert edges == [(1e6, 4e6), (7e6, 8e6)]


def test_the_parts_of_a_signal_are_one_annotation(recording, tmp_path):
    """Whatever lies between them, also where they overlap or leave a gap; what the last says counts, and
    neighbours of the same label stay apart."""
    out = tmp_path / "out.sigmf-meta"
    with AnnotationWriter(out, recording) as writer:
        known = {"freq_lower": 100.1e6, "freq_upper": 100.2e6}
        writer.add(0, 1000, "a", **known, signal="7", ended=False, confidence=0.3)
        writer.add(1000, 10, "b", freq_lower=99.8e6, freq_upper=99.9e6, signal="8")
        writer.add(1100, 900, "a", **known, signal="7", ended=False, unknown=True)
        writer.add(1900, 1000, "b", freq_lower=100.0e6, freq_upper=100.15e6, signal="7", confidence=0.9)
        writer.add(2900, 100, "b", **known, signal="9")
        writer.add(3000, 100, "b", **known, signal="7")  # the number is taken anew
    assert ours(out) == [(0, 2900, "b"), (1000, 10, "b"), (2900, 100, "b"), (3000, 100, "b")]
    first = validate(out)["annotations"][0]
    assert (first["core:freq_lower_edge"], first["core:freq_upper_edge"]) == (100.0e6, 100.2e6)
    assert first["radiofm:confidence"] == 0.9


def test_parts_are_cut_where_the_frequency_changes(recording, tmp_path):
    out = tmp_path / "out.sigmf-meta"
    with AnnotationWriter(out, recording) as writer:
        for start in (4000, 5000, 6000):
            writer.add(start, 1500, "a", freq_lower=199e6, freq_upper=201e6, signal="x", ended=start == 6000)
    assert ours(out) == [(4000, 2000, "a"), (6000, 1500, "a")]


def test_unknown_is_never_written_as_the_nearest_label(recording, tmp_path):
    with AnnotationWriter(tmp_path / "y", recording) as writer:
        writer.add(0, 100, "fm", confidence=0.9)
        writer.add(100, 100, "fm", confidence=0.1, unknown=True)
        writer.add(300, 100, "am", confidence=0.1, unknown=True)
        writer.add(400, 100, "fm", confidence=0.1, unknown=True)
    assert ours(writer.path) == [(0, 100, "fm"), (100, 100, "unknown"), (300, 200, "unknown")]
    notes = validate(writer.path)["annotations"]
    assert notes[1]["radiofm:unknown"] is True and notes[1]["radiofm:nearest"] == "fm"
    assert "radiofm:nearest" not in notes[2]  # they did not agree on one


@settings(max_examples=100, deadline=None)
@given(
    decisions=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 5), st.integers(0, 2)), max_size=30),
    data=st.data(),
)
def test_merging_covers_exactly_what_was_decided(tmp_path_factory, decisions, data):
    path = tmp_path_factory.mktemp("merge") / "y"
    painted, at, total = {}, 0, {"a": 0, "b": 0}
    with AnnotationWriter(path, info={"core:datatype": "cf32_le", "core:metadata_only": True}) as writer:
        for label, length, gap in decisions:
            at += gap
            writer.add(at, length, label, confidence=length / 10)
            painted.update({at + i: label for i in range(length)})
            total[label] += length
            at += length
    notes = json.loads(writer.path.read_text())["annotations"]
    covered = {
        n["core:sample_start"] + i: n["core:label"] for n in notes for i in range(n["core:sample_count"])
    }
    assert covered == painted and sum(n["core:sample_count"] for n in notes) == len(painted)
    assert sum(n["radiofm:decisions"] for n in notes) == len(decisions)
    for one, two in zip(notes, notes[1:], strict=False):
        end = one["core:sample_start"] + one["core:sample_count"]
        assert end <= two["core:sample_start"]
        assert end < two["core:sample_start"] or one["core:label"] != two["core:label"]


# -- places in the recording ------------------------------------------------------------------------
def test_cut_where_the_frequency_changes(recording, tmp_path):
    """The edges given are those of the last sample; without edges the whole band is meant."""
    with AnnotationWriter(tmp_path / "y", recording) as writer:
        assert writer.add(3000, 4000, "a", freq_lower=199.9e6, freq_upper=200.1e6, confidence=0.5) == 2
        writer.add(7000, 500, "b")
    notes = [a for a in validate(writer.path)["annotations"] if a.get("core:generator") == GENERATOR]
    keys = ("core:sample_start", "core:sample_count", "core:freq_lower_edge", "core:freq_upper_edge")
    assert [tuple(n[k] for k in keys) for n in notes] == [
        (3000, 3000, 99.9e6, 100.1e6),
        (6000, 1000, 199.9e6, 200.1e6),
        (7000, 500, 199.5e6, 200.5e6),
    ]
    assert [n["radiofm:confidence"] for n in notes[:2]] == [0.5, 0.5]


def test_unknown_frequency_is_baseband(tmp_path):
    path = write_recording(
        tmp_path / "x",
        ramp(100),
        sample_rate=1e6,
        captures=[{"core:sample_start": 0}, {"core:sample_start": 50}],
    )
    with AnnotationWriter(tmp_path / "y", open_recording(path)) as writer:
        assert writer.add(0, 100, "a") == 1
    assert validate(writer.path)["annotations"][0]["core:freq_lower_edge"] == -500e3


def test_no_rate_no_edges(tmp_path):
    with AnnotationWriter(
        tmp_path / "y", open_recording(write_recording(tmp_path / "x", ramp(100)))
    ) as writer:
        writer.add(0, 50, "a")
        writer.add(50, 50, "a")
    (note,) = validate(writer.path)["annotations"]
    assert "core:freq_lower_edge" not in note and note["core:sample_count"] == 100


def test_ends_with_the_recording(recording, tmp_path):
    with AnnotationWriter(tmp_path / "y", recording) as writer:
        assert writer.add(9000, 5000, "a") == 1
        assert writer.add(10_000, 1, "a") == 0
    assert ours(writer.path) == [(9000, 1000, "a")]


def test_split_recording(tmp_path):
    path = write_recording(tmp_path / "x", ramp(100), offset=5000, captures=[{"core:sample_start": 5000}])
    with AnnotationWriter(tmp_path / "y", open_recording(path)) as writer:
        writer.add(10, 20, "a")
    assert ours(writer.path) == [(5010, 20, "a")]
    assert [a.sample_start for a in open_recording(tmp_path / "y").annotations] == [10]


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (dict(sample_start=-1), "no stretch"),
        (dict(sample_count=0), "no stretch"),
        (dict(sample_start=2**63 - 1), "no stretch"),
        (dict(label=5), "label is text"),
        (dict(label="a\nb"), "control characters"),
        (dict(label="\x1b[2J"), "control characters"),
        (dict(label="\ud800"), "control characters or halves"),
        (dict(label=2000 * "a"), "at most 1024"),
        (dict(model="m\x00"), "control characters"),
        (dict(task=2000 * "a"), "at most 1024"),
        (dict(freq_lower=1.0), "both frequency edges"),
        (dict(freq_lower=2.0, freq_upper=1.0), "ascending"),
        (dict(freq_lower=1.0, freq_upper=float("nan")), "finite"),
        (dict(freq_lower=1.0, freq_upper=1e13), "finite"),
        *((dict(confidence=value), "confidence") for value in (float("nan"), -0.1, 1.1, 97.0, 1e308)),
    ],
)
def test_values_that_no_annotation_holds(recording, tmp_path, values, match):
    with AnnotationWriter(tmp_path / "y", recording) as writer:
        with pytest.raises(ValueError, match=match):
            writer.add(**{"sample_start": 0, "sample_count": 5, "label": "a", **values})
    assert ours(writer.path) == []


# -- what is there already --------------------------------------------------------------------------
def test_keeps_what_others_wrote_and_replaces_its_own(recording, tmp_path):
    out = tmp_path / "y.sigmf-meta"
    for label in ("first", "second"):
        with AnnotationWriter(
            out, recording, generator="gr-radiofm 0.0.9" if label == "first" else GENERATOR
        ) as w:
            w.add(0, 100, label)
        meta = json.loads(out.read_text())
        assert [a["core:label"] for a in meta["annotations"]] == [label, "by hand"]
    meta["annotations"].append({"core:sample_start": 5000, "core:label": "added later"})
    meta["annotations"].append(
        {"core:sample_start": 5001, "core:generator": "gr-radiofmx 1", "core:label": "other"}
    )
    out.write_text(json.dumps(meta))
    with AnnotationWriter(out, recording) as writer:
        writer.add(3000, 100, "third")
    labels = ["by hand", "third", "added later", "other"]
    assert [a["core:label"] for a in validate(out)["annotations"]] == labels
    with AnnotationWriter(out, recording, replace=True) as writer:
        writer.add(0, 100, "alone")
    assert [a["core:label"] for a in validate(out)["annotations"]] == ["alone"]


def test_annotations_of_other_data_are_not_taken_over(tmp_path):
    write_recording(tmp_path / "y", ramp(10), sha512="0" * 128, annotations=[{"core:sample_start": 0}])
    recording = open_recording(write_recording(tmp_path / "x", ramp(20), sha512="1" * 128))
    (tmp_path / "y.sigmf-data").unlink()
    with pytest.raises(AnnotationError, match="y.sigmf-meta: is there and was written by something else"):
        AnnotationWriter(tmp_path / "y", recording, data="none")
    with AnnotationWriter(tmp_path / "y", recording, data="none", overwrite=True):
        pass
    assert json.loads((tmp_path / "y.sigmf-meta").read_text())["annotations"] == []


def test_in_place(recording, tmp_path):
    """The recording's own metadata may be the output, also through a link; everything else in it stays."""
    before = json.loads((tmp_path / "x.sigmf-meta").read_text())
    (tmp_path / "link.sigmf-meta").symlink_to("x.sigmf-meta")
    os.chmod(tmp_path / "x.sigmf-meta", 0o640)
    for _ in range(2):
        with AnnotationWriter(tmp_path / "link.sigmf-meta", open_recording(recording.path)) as writer:
            writer.add(0, 100, "a")
    assert (tmp_path / "link.sigmf-meta").is_symlink() and writer.path.stat().st_mode & 0o777 == 0o640
    after = validate(tmp_path / "x.sigmf-meta")
    assert [a.pop("core:label") for a in after["annotations"]] == ["a", "by hand"]
    assert after["captures"] == before["captures"]
    extensions = after["global"].pop("core:extensions")
    assert after["global"] == before["global"] and [e["name"] for e in extensions] == ["radiofm"]


def test_declares_its_extension_beside_others(tmp_path):
    other = {"name": "antenna", "version": "1.0.0", "optional": True}
    path = write_recording(tmp_path / "x", ramp(10), extensions=[other])
    for _ in range(2):
        with AnnotationWriter(path, open_recording(path)):
            pass
    assert [e["name"] for e in validate(path)["global"]["core:extensions"]] == ["antenna", "radiofm"]


def test_nothing_is_touched_before_start(recording, tmp_path):
    AnnotationWriter(tmp_path / "y", recording)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.sigmf-data", "x.sigmf-meta"]


def test_refuses_what_it_cannot_write(recording, tmp_path):
    (tmp_path / "text.sigmf-meta").write_text("my notes")
    (tmp_path / "dir.sigmf-meta").mkdir()
    for name, match in (
        ("text", "is there, but is not SigMF metadata"),
        ("no/folder", "does not exist; create it"),
        ("dir", "cannot be written here"),
        ("y.sigmf", "not written into archives"),
    ):
        with pytest.raises(AnnotationError, match=match) as caught:
            AnnotationWriter(tmp_path / name, recording)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "text.sigmf-meta").read_text() == "my notes"
    with pytest.raises(ValueError, match="data must be one of"):
        AnnotationWriter(tmp_path / "y", recording, data="teleport")
    with pytest.raises(ValueError, match="give the recording"):
        AnnotationWriter(tmp_path / "y")


# -- finding the samples ----------------------------------------------------------------------------
def annotate(path, out, **options):
    recording = open_recording(path)
    with AnnotationWriter(out, recording, **options) as writer:
        writer.add(0, 5, "a")
    validate(writer.path)
    return json.loads(writer.path.read_text())["global"]


def test_in_the_same_folder(tmp_path):
    """The data file is named, nothing is copied."""
    path = write_recording(tmp_path / "x", ramp(10))
    assert annotate(path, tmp_path / "y")["core:dataset"] == "x.sigmf-data"
    assert not (tmp_path / "y.sigmf-data").exists()
    np.testing.assert_array_equal(open_recording(tmp_path / "y").read(), ramp(10))
    with pytest.raises(AnnotationError, match="x.sigmf-meta: is there and was written by something else"):
        annotate(tmp_path / "y", tmp_path / "x.sigmf-meta")
    assert "core:dataset" not in annotate(tmp_path / "y", tmp_path / "x.sigmf-meta", overwrite=True)


@pytest.mark.parametrize("mode", ["auto", "link", "copy"])
def test_in_another_folder(tmp_path, mode):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "out").mkdir()
    path = write_recording(folder / "x", ramp(10))
    for _ in range(2):  # a second run finds what it made
        assert "core:dataset" not in annotate(path, tmp_path / "out" / "y", data=mode)
    data = tmp_path / "out" / "y.sigmf-data"
    assert data.is_symlink() == (mode != "copy")
    if mode != "copy":
        assert os.readlink(data) == "../in/x.sigmf-data"
    np.testing.assert_array_equal(open_recording(tmp_path / "out" / "y").read(), ramp(10))
    annotate(path, tmp_path / "out" / "y", data="copy")
    assert not data.is_symlink() and data.stat().st_size == 80


def test_without_samples(tmp_path):
    path = write_recording(tmp_path / "x", ramp(10))
    assert annotate(path, tmp_path / "y", data="none")["core:metadata_only"] is True
    assert find_recordings(tmp_path) == [path]
    assert "core:metadata_only" not in annotate(path, tmp_path / "y")


def test_from_an_archive(tmp_path):
    x = ramp(10)
    path = write_recording(tmp_path / "x", x)
    with tarfile.open(tmp_path / "a.sigmf", "w") as tar:
        for name in ("x.sigmf-meta", "x.sigmf-data"):
            tar.add(tmp_path / name, name)
            os.unlink(tmp_path / name)
    del path
    for _ in range(2):
        annotate(tmp_path / "a.sigmf", tmp_path / "a")
    np.testing.assert_array_equal(open_recording(tmp_path / "a.sigmf-meta").read(), x)
    annotate(tmp_path / "a.sigmf", tmp_path / "b", data="none")
    assert not (tmp_path / "b.sigmf-data").exists()
    with pytest.raises(AnnotationError, match="nothing can link into an archive"):
        annotate(tmp_path / "a.sigmf", tmp_path / "c", data="link")


def test_a_dataset_of_another_format(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    path = write_recording(
        tmp_path / "x",
        b"H" * 44 + ramp(10).tobytes(),
        dataset="voice.wav",
        captures=[{"core:sample_start": 0, "core:header_bytes": 44}],
    )
    assert annotate(path, tmp_path / "y")["core:dataset"] == "voice.wav"
    assert annotate(path, folder / "y")["core:dataset"] == "y.wav"
    assert annotate(path, folder / "z", data="copy")["core:dataset"] == "z.wav"
    for name in (tmp_path / "y", folder / "y", folder / "z"):
        np.testing.assert_array_equal(open_recording(name).read(), ramp(10))


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_other_samples_are_never_overwritten(tmp_path, mode):
    (tmp_path / "out").mkdir()
    path = write_recording(tmp_path / "x", ramp(10))
    for content in (b"mine", b"\0" * 80):
        (tmp_path / "out" / "y.sigmf-data").write_bytes(content)
        with pytest.raises(AnnotationError, match="y.sigmf-data: is there and holds other samples"):
            annotate(path, tmp_path / "out" / "y", data=mode)
        assert (tmp_path / "out" / "y.sigmf-data").read_bytes() == content


def test_a_link_that_leads_nowhere_is_made_anew(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "y.sigmf-data").symlink_to("gone")
    annotate(write_recording(tmp_path / "x", ramp(10)), tmp_path / "out" / "y")
    assert len(open_recording(tmp_path / "out" / "y")) == 10


@pytest.mark.parametrize("name", ["rec 10.15\u202fPM", "zero\u200bwidth", "back\\slash", "tab\t",
                                  os.fsdecode(b"x\xff"), "a" * 244, "é" * 122])
@pytest.mark.parametrize("place", ["{}", "out", "folder/{}"])
def test_names_that_files_may_have(tmp_path, name, place):
    """What is written is found again, whatever the recording is called."""
    (tmp_path / "folder").mkdir()
    path = write_recording(tmp_path / name, ramp(10))
    out = tmp_path / (place.format(name) + ".sigmf-meta")
    for label in ("a", "b"):  # the second run waits beside
        with AnnotationWriter(out, open_recording(path)) as writer:
            writer.add(0, 10, label)
        again = open_recording(out)
        assert [a.label for a in again.annotations] == [label]
        np.testing.assert_array_equal(again.read(), ramp(10))
    assert not [p for p in out.parent.iterdir() if p.name.startswith(".")]


# -- something else changes the file meanwhile -------------------------------------------------------
def by_hand(path: Path) -> None:
    meta = json.loads(path.read_text())
    meta["annotations"].append({"core:sample_start": 7, "core:sample_count": 1, "core:label": "by hand"})
    path.write_text(json.dumps(meta))


@pytest.mark.parametrize("when", ["before a write", "before the end"])
@pytest.mark.parametrize("before", [False, True], ids=["in place", "beside"])
def test_what_is_edited_meanwhile_is_kept(tmp_path, when, before):
    """And so is what was decided: the next run goes on with it, and has both."""
    path = write_recording(tmp_path / "x", ramp(100))
    if before:  # so that this run waits beside until its end
        with AnnotationWriter(path, open_recording(path)) as writer:
            writer.add(0, 10, "earlier")
    with pytest.raises(AnnotationError, match="x.sigmf-meta: was changed by something else") as caught, \
            AnnotationWriter(path, open_recording(path), settings="s") as writer:
        writer.add(0, 50, "ours", position=50)
        by_hand(path)
        if when == "before a write":
            writer.flush()
    assert "run it again to go on" in str(caught.value)
    assert "by hand" in [a.label for a in open_recording(path).annotations]
    with AnnotationWriter(path, open_recording(path), settings="s") as writer:
        assert writer.position == 50
    labels = [a.label for a in open_recording(path).annotations]
    assert sorted(labels) == ["by hand", "ours"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.sigmf-data", "x.sigmf-meta"]


def test_of_two_runs_none_undoes_the_other(tmp_path):
    """The first that is complete stays, also when the other one is interrupted after it."""
    path, out = write_recording(tmp_path / "x", ramp(100)), tmp_path / "y.sigmf-meta"
    one = AnnotationWriter(out, open_recording(path), settings="s")
    one.start()
    one.add(0, 10, "a", position=10)
    one.flush()
    other = AnnotationWriter(out, open_recording(path), settings="s")  # goes on with it, while it is written
    one.add(10, 90, "b", position=100)
    one.close()
    with pytest.raises(AnnotationError, match="was changed by something else"):
        other.start()
    other.interrupt()
    meta = validate(out)
    assert [a["core:label"] for a in meta["annotations"]] == ["a", "b"]
    assert "radiofm:incomplete" not in meta["global"]


# -- a recording that is being written --------------------------------------------------------------
def test_captures_of_a_growing_recording(tmp_path):
    (tmp_path / "y.sigmf-data").write_bytes(ramp(100).tobytes())
    info = {"core:datatype": "cf32_le", "core:sample_rate": 10.0}
    with AnnotationWriter(tmp_path / "y", info=info) as writer:
        writer.add_capture(0, 1e6, (1_700_000_000, 0.123456789))
        writer.add_capture(0, 2e6, (1_700_000_000, 0.999999999999))
        writer.add_capture(50)
        writer.add(40, 20, "a")
        writer.set_sample_rate(20.0)
        writer.add(60, 10, "a")
        with pytest.raises(ValueError, match="before the last one"):
            writer.add_capture(10)
    meta = validate(writer.path)
    assert meta["captures"] == [
        {"core:sample_start": 0, "core:frequency": 2e6, "core:datetime": "2023-11-14T22:13:21.000000000Z"},
        {"core:sample_start": 50},
    ]
    edges = [(a["core:sample_start"], a["core:freq_lower_edge"]) for a in meta["annotations"]]
    assert edges == [(40, 2e6 - 5), (50, -10.0)] and meta["global"]["core:sample_rate"] == 20.0


@pytest.mark.parametrize(("frequency", "when"), [(float("nan"), None), (float("inf"), None), (1e300, None),
                                                 (None, (5403559341571466134, 0.0)), (None, (2**64 - 1, 0.0)),
                                                 (None, (5, float("nan"))), (None, (5, 1.5))])
def test_a_refused_capture_changes_nothing(tmp_path, frequency, when):
    with AnnotationWriter(tmp_path / "y", info={"core:datatype": "cf32_le"}) as writer:
        writer.add_capture(0, 5.0, (7, 0.5))
        with pytest.raises(ValueError, match="must lie"):
            writer.add_capture(0, frequency, when)
        for rate in (0.0, -1.0, float("nan"), float("inf"), 1e300):
            with pytest.raises(ValueError, match="sample rate"):
                writer.set_sample_rate(rate)
    meta = json.loads(writer.path.read_text())
    assert meta["captures"] == [{"core:sample_start": 0, "core:frequency": 5.0,
                                 "core:datetime": "1970-01-01T00:00:07.500000000Z"}]
    assert "core:sample_rate" not in meta["global"]


def test_what_others_wrote_and_is_no_number_is_left_out(recording, tmp_path, caplog):
    """A bare NaN, as some programs write it, does not stop the writer."""
    nan, inf = float("nan"), float("inf")
    recording.meta["global"]["other:gain"] = nan
    recording.meta["captures"][0]["other:place"] = [1.0, inf]
    recording.meta["annotations"][0] |= {"other:snr": nan, "other:more": {"a": inf, "b": 1}}
    with AnnotationWriter(tmp_path / "y", recording) as writer:
        writer.add(0, 10, "a")
    meta = validate(writer.path)
    assert "NaN" not in writer.path.read_text()
    assert "other:gain" not in meta["global"] and "other:place" not in meta["captures"][0]
    by_hand = next(a for a in meta["annotations"] if a["core:label"] == "by hand")
    assert by_hand["other:more"] == {"b": 1} and "other:snr" not in by_hand
    assert len(caplog.messages) == 1 and "other:gain" in caplog.messages[0]


# -- full disks ---------------------------------------------------------------------------------------
def own_recording(tmp_path, **options):
    writer = AnnotationWriter(tmp_path / "y", info={"core:datatype": "cf32_le", "core:sample_rate": 1e6},
                              **options)
    writer.add_capture(0)
    return writer


def test_room_is_kept_and_given_back(tmp_path, monkeypatch):
    """With no byte left on the disk the metadata can be written, again and again."""
    writer = own_recording(tmp_path)
    writer.keep_room()
    writer.start()
    held = list(tmp_path.glob(".y.sigmf-meta.room*"))
    assert len(held) == 1 and held[0].stat().st_size >= 1 << 18

    def full(file, offset, length):
        if os.fstat(file).st_size < offset + length:
            raise OSError(28, "No space left on device")

    real_fallocate, real_write = os.posix_fallocate, atomic.write_bytes
    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(atomic, "write_bytes", lambda *_, **__: full(0, 0, 1 << 60))
    writer.add(0, 10, "a")
    writer.flush()
    assert not writer.has_room  # nothing more fits
    assert ours(writer.path) == [(0, 10, "a")]
    writer.add(10, 10, "b")
    with pytest.raises(AnnotationError, match="No space left"):
        writer.flush()
    monkeypatch.setattr(os, "posix_fallocate", real_fallocate)
    monkeypatch.setattr(atomic, "write_bytes", real_write)
    writer.flush()
    assert writer.has_room
    writer.close()
    assert ours(writer.path) == [(0, 10, "a"), (10, 10, "b")]
    assert [p.name for p in tmp_path.iterdir()] == ["y.sigmf-meta"]


def test_no_room_at_all(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(AnnotationError, match="y.sigmf-meta: cannot be written: No space left"):
        own_recording(tmp_path).keep_room()
    assert not list(tmp_path.iterdir())


def test_annotations_end_where_the_samples_do(tmp_path):
    with own_recording(tmp_path) as writer:
        writer.add_capture(50, 7.0)
        for start in (0, 20, 40, 60):
            writer.add(start, 15, str(start))
        assert writer.set_end(48) == 2  # what the capture cut off counts, too
        assert writer.add(45, 10, "x") == 1
        assert writer.add(48, 10, "y") == 0
    assert ours(writer.path) == [(0, 15, "0"), (20, 15, "20"), (40, 8, "40"), (45, 3, "x")]
    assert len(json.loads(writer.path.read_text())["captures"]) == 1
    writer.set_end(None)
    with writer:
        writer.add(60, 10, "z")
    assert ours(writer.path)[-1] == (60, 10, "z")


def test_a_later_pass_cuts_an_earlier_one(recording, tmp_path):
    with AnnotationWriter(tmp_path / "y", recording) as writer:
        writer.add(0, 100, "a", freq_lower=1.0, freq_upper=2.0)
        writer.add(0, 100, "a", freq_lower=1.0, freq_upper=2.0, task="t")
        writer.begin_pass()
        writer.add(40, 20, "b", freq_lower=1.0, freq_upper=1.5)
        writer.add(40, 20, "c", freq_lower=1.6, freq_upper=2.0)
        writer.add(90, 20, "a", freq_lower=1.0, freq_upper=2.0)
    assert sorted(ours(writer.path)) == [(0, 40, "a"), (0, 100, "a"), (40, 20, "b"), (40, 20, "c"),
                                         (60, 30, "a"), (90, 20, "a")]


def test_captures_belong_to_a_recording_that_is_written(recording, tmp_path):
    with pytest.raises(ValueError, match="not to a finished one"):
        AnnotationWriter(tmp_path / "y", recording).add_capture(0)


def test_info_that_breaks_the_schema(tmp_path):
    with pytest.raises(AnnotationError, match="would break the SigMF schema.*sample_rate"):
        AnnotationWriter(tmp_path / "y", info={"core:datatype": "cf32_le", "core:sample_rate": -1.0})


@pytest.mark.parametrize("moment", [(0, 0.0), (1_709_251_199, 0.999999999), (-1, 0.25)])
def test_datetime_there_and_back(moment):
    assert parse_datetime(format_datetime(moment)) == moment


# -- valid at every moment --------------------------------------------------------------------------
def test_valid_from_the_start_and_after_every_flush(recording, tmp_path):
    writer = AnnotationWriter(tmp_path / "y", recording, flush_count=3, flush_seconds=1e9)
    writer.start()
    assert ours(writer.path) == []
    seen = []
    for k in range(7):
        writer._cost = 0.0  # a slow disk puts writes off
        writer.add(100 * k, 100, str(k))
        seen.append(len(ours(writer.path)))
    assert seen == [0, 0, 3, 3, 3, 6, 6]
    writer.close()
    assert len(ours(writer.path)) == 7
    writer.add(5000, 10, "late")
    assert len(ours(writer.path)) == 7
    writer.start()
    assert len(ours(writer.path)) == 8


def test_time_makes_it_write(recording, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(annotations.time, "monotonic", lambda: now[0])
    writer = AnnotationWriter(tmp_path / "y", recording, flush_seconds=5)
    writer.start()
    writer.add(0, 10, "a")
    now[0] = 4.9
    writer.poll()
    assert ours(writer.path) == []
    now[0] = 5.0
    writer.poll()
    assert ours(writer.path) == [(0, 10, "a")]


def test_failed_write_keeps_the_file_and_loses_nothing(recording, tmp_path, monkeypatch):
    writer = AnnotationWriter(tmp_path / "y", recording)
    writer.start()
    writer.add(0, 10, "a")
    writer.flush()
    writer.add(10, 10, "b")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(AnnotationError, match="y.sigmf-meta: cannot be written: No space left"):
            writer.flush()
    assert ours(writer.path) == [(0, 10, "a")]
    writer.close()
    assert ours(writer.path) == [(0, 10, "a"), (10, 10, "b")]
    assert not list(tmp_path.glob(".*.part"))


def test_many_threads(recording, tmp_path):
    with AnnotationWriter(tmp_path / "y", recording, flush_count=5) as writer:
        threads = [
            threading.Thread(
                target=lambda k=k: [writer.add(10 * i, 10, str(i % 7), task=str(k)) for i in range(200)]
            )
            for k in range(4)
        ]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert len(ours(writer.path)) == 800


DYING = """
import os, signal, sys
from radiofm_ml import atomic
from radiofm_ml.sigmf import annotations
from radiofm_ml.sigmf.recording import open_recording

class Dying:
    def __init__(self, *arguments, **options):
        self.file = open(*arguments, **options)
    def __enter__(self):
        return self
    def __exit__(self, *_):
        self.file.close()
    def write(self, text):
        self.file.write(text[:len(text) // 2])
        self.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

writer = annotations.AnnotationWriter(sys.argv[2], open_recording(sys.argv[1]))
writer.start()
for k in range(100):
    writer.add(k, 1, str(k))
writer.flush()
writer.add(1000, 1, "never written")
atomic.open = Dying
writer.flush()
"""


def run_child(script: str, *arguments: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


@pytest.mark.parametrize("in_place", [False, True])
def test_killed_in_the_middle_of_a_write(tmp_path, in_place):
    path = write_recording(tmp_path / "x", ramp(9000))
    out = path if in_place else tmp_path / "y.sigmf-meta"
    with run_child(DYING, path, out) as child:
        assert child.wait() == -signal.SIGKILL
    assert ours(out) == [(k, 1, str(k)) for k in range(100)]


CRASHING = """
import itertools, sys
from radiofm_ml.sigmf.annotations import AnnotationWriter
from radiofm_ml.sigmf.recording import open_recording
with AnnotationWriter(sys.argv[2], open_recording(sys.argv[1]), flush_count=1, flush_seconds=1e-6) as writer:
    writer.__dict__["_cost"] = 0.0
    print("ready", flush=True)
    for k in itertools.count():
        writer.add(k % 9000, 1, str(k))
"""


def test_valid_after_kill_9(tmp_path):
    """Killed at any moment, the file holds a whole state, and what the recording held before."""
    path = write_recording(
        tmp_path / "x", ramp(9000), annotations=[{"core:sample_start": 1, "core:label": "hand"}]
    )
    counts = []
    for k in range(2):
        out = path if k % 2 else tmp_path / "y.sigmf-meta"
        child = run_child(CRASHING, path, out)
        assert child.stdout.readline() == b"ready\n"
        while child.poll() is None and out.stat().st_size < 2000 * (k + 2):
            pass
        for _ in range(random.Random(k).randrange(20_000)):
            pass
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        labels = [a["core:label"] for a in validate(out)["annotations"]]
        assert "hand" in labels
        counts.append(len(labels))
    assert min(counts) > 5


def test_on_every_real_recording(data_dir, tmp_path):
    for path in find_recordings(data_dir / "iq"):
        with open_recording(path) as recording:
            out = tmp_path / path.name
            with AnnotationWriter(out, recording) as writer:
                half = recording.n_samples // 2
                writer.add(0, half, "first", confidence=0.5)
                writer.add(half, recording.n_samples, "second", confidence=0.5)
            notes = validate(out)["annotations"]
            labels = [a["core:label"] for a in notes if a.get("core:generator") == GENERATOR]
            assert labels == ["first", "second"]
            assert len(notes) == len(recording.annotations) + 2
            assert open_recording(out).n_samples == recording.n_samples
