# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Metadata that others wrote: what is read with a warning, and what is refused in one line."""

import json
import os
import socket

import numpy as np
import pytest
from radiofm_ml.sigmf import metadata_schema
from radiofm_ml.sigmf.annotations import AnnotationError, AnnotationWriter
from radiofm_ml.sigmf.recording import open_recording
from sigmf_files import broken, change, ramp, write_recording


def test_labels(tmp_path):
    notes = [
        {"core:sample_start": 0, "core:sample_count": 5, "core:label": "fm"},
        {"core:sample_start": 5, "core:sample_count": 5, "core:label": "fm"},
    ]
    path = write_recording(tmp_path / "x", ramp(10), annotations=notes)
    assert open_recording(path).label == "fm"
    meta = json.loads(path.read_text())
    meta["global"]["corpus:label"] = "broadcast"
    path.write_text(json.dumps(meta))
    assert open_recording(path).label == "broadcast"
    del meta["global"]["corpus:label"]
    meta["annotations"][1]["core:label"] = "am"
    path.write_text(json.dumps(meta))
    assert open_recording(path).label is None


def test_extensions_as_before_version_1(tmp_path):
    path = write_recording(tmp_path / "x", ramp(10), extensions={"antenna": "v0.9.0"})
    assert open_recording(path).meta["global"]["core:extensions"] == [
        {"name": "antenna", "version": "v0.9.0", "optional": True}
    ]


def test_missing_version_and_byte_order_mark(tmp_path):
    path = write_recording(tmp_path / "x", ramp(10))
    meta = json.loads(path.read_text())
    del meta["global"]["core:version"]
    path.write_text("\ufeff" + json.dumps(meta), encoding="utf-8")
    assert len(open_recording(path)) == 10


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[" * 500 + "]" * 500, "\xff\xfe", "{}{}",
                                  '{"global": 1' + 5000 * "0" + "}"])
def test_invalid_json(tmp_path, text):
    path = write_recording(tmp_path / "x", ramp(10))
    path.write_bytes(text.encode("latin1"))
    broken(path, "is not valid JSON")


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "{}", '{"global": []}', '{"global": {}}', "NaN",
                                  '{"global": NaN}'])
def test_not_sigmf(tmp_path, text):
    path = write_recording(tmp_path / "x", ramp(10))
    path.write_text(text)
    broken(path, "is not SigMF metadata|core:datatype")


@pytest.mark.parametrize(
    ("section", "value", "where"),
    [
        ("global", {"core:sample_rate": "2e6"}, "sample_rate"),
        ("global", {"core:sample_rate": 0}, "sample_rate"),
        ("global", {"core:sample_rate": 1e999}, "sample_rate"),
        ("global", {"core:offset": -1}, "offset"),
        ("global", {"core:num_channels": 0}, "num_channels"),
        ("global", {"core:trailing_bytes": 1.5}, "trailing_bytes"),
        ("captures", {}, "captures"),
        ("captures", [{}], "sample_start"),
        ("captures", [3], "captures"),
        ("captures", [{"core:sample_start": -4}], "sample_start"),
        ("captures", [{"core:sample_start": None}], ""),
        ("captures", [{"core:sample_start": 0, "core:frequency": "5"}], "frequency"),
        ("captures", [{"core:sample_start": 0, "core:header_bytes": -4}], "header_bytes"),
        ("annotations", [{"core:sample_start": 0, "core:label": 5}], "label"),
        ("annotations", "no", "annotations"),
    ],
)
def test_invalid_schema(tmp_path, section, value, where):
    path = write_recording(tmp_path / "x", ramp(10))
    meta = json.loads(path.read_text())
    if section == "global":
        meta["global"] |= value
    else:
        meta[section] = value
    path.write_text(json.dumps(meta).replace("Infinity", "1e999"))
    broken(path, f"breaks the SigMF schema at .*{where}")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", "", 7, "a\\b"])
def test_dataset_outside_the_folder_is_refused(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 80)
    path = write_recording(folder / "x", ramp(10))
    meta = json.loads(path.read_text())
    meta["global"]["core:dataset"] = name
    path.write_text(json.dumps(meta))
    broken(path, "core:dataset must name a file in the same folder")


# -- harmless: read with a warning --------------------------------------------------------------------
@pytest.mark.parametrize(("section", "values", "said"), [
    ("global", {"version": "v1.2.0"}, "core:version 'v1.2.0'"),
    ("global", {"version": " V1.0.0-rc1"}, "core:version"),
    ("global", {"version": "1.2"}, "core:version '1.2'"),
    ("global", {"version": 1.2}, "core:version 1.2"),
    ("global", {"version": ""}, "core:version ''"),
    ("global", {"version": None}, "does not say its core:version"),
    ("global", {"sha512": None}, "core:sha512 is empty"),
    ("global", {"sha512": ""}, "core:sha512 is empty"),
    ("global", {"sha512": "abc"}, "core:sha512 is not what"),
    ("global", {"sha512": 5}, "core:sha512"),
    ("global", {"author": ["me"]}, "core:author"),
    ("global", {"hw": 5}, "core:hw"),
    ("global", {"license": None}, "core:license"),
    ("global", {"description": None}, "core:description"),
    ("global", {"sample_rate": None}, "core:sample_rate is empty"),
    ("global", {"sample_rate": float("nan")}, "core:sample_rate is not a number"),
    ("global", {"num_channels": None}, "core:num_channels"),
    ("global", {"offset": None}, "core:offset"),
    ("global", {"dataset": None}, "core:dataset"),
    ("global", {"metadata_only": "no"}, "core:metadata_only"),
    ("global", {"geolocation": [1, 2]}, "core:geolocation"),
    ("global", {"geolocation": {"type": "point", "coordinates": [1, 2]}}, "core:geolocation"),
    ("global", {"geolocation": {"type": "Point", "coordinates": [None, "5N"]}}, "core:geolocation"),
    ("global", {"geolocation": {"type": "Point", "coordinates": [float("nan"), 5]}}, "core:geolocation"),
    ("global", {"x": {"y": [1, {"z": float("-inf")}]}}, "core:x"),
    ("global", {"extensions": None}, "core:extensions"),
    ("global", {"extensions": "antenna"}, "core:extensions"),
    ("global", {"extensions": [{"name": "antenna", "version": 1, "note": ""}, "signal"]}, "core:extensions"),
    ("captures", {"datetime": ""}, "core:datetime of the captures is empty"),
    ("captures", {"datetime": "yesterday"}, "core:datetime"),
    ("captures", {"datetime": 1706702400}, "core:datetime"),
    ("captures", {"datetime": None}, "core:datetime"),
    ("captures", {"frequency": None}, "core:frequency"),
    ("captures", {"frequency": float("nan")}, "core:frequency"),
    ("captures", {"global_index": None}, "core:global_index"),
    ("captures", {"header_bytes": None}, "core:header_bytes"),
    ("captures", {"geolocation": ""}, "core:geolocation"),
    ("annotations", {"label": None}, "core:label of the annotations is empty"),
    ("annotations", {"sample_count": None}, "core:sample_count"),
    ("annotations", {"comment": 5}, "core:comment"),
    ("annotations", {"uuid": None}, "core:uuid"),
    ("annotations", {"generator": {}}, "core:generator"),
    ("annotations", {"freq_lower_edge": None}, "core:freq_lower_edge"),
])
def test_harmless_deviations_warn_and_go_on(tmp_path, section, values, said):
    """And what is written of them keeps the schema."""
    path = write_recording(tmp_path / "x", ramp(10), annotations=[{"core:sample_start": 3}])
    recording = open_recording(change(path, section, **values))
    np.testing.assert_array_equal(recording.read(), ramp(10))
    assert sum(said in w for w in recording.warnings) == 1
    assert len(recording.annotations) == 1
    metadata_schema.check(recording.meta)
    with AnnotationWriter(tmp_path / "y.sigmf-meta", recording):
        pass
    again = open_recording(tmp_path / "y.sigmf-meta")
    assert len(again) == 10 and not again.warnings


def test_annotations_of_others_in_an_output_are_read_alike(tmp_path):
    recording = open_recording(write_recording(tmp_path / "x", ramp(10)))
    other = write_recording(tmp_path / "y", ramp(10), annotations=[
        {"core:sample_start": 3, "core:label": "theirs", "my:snr": float("nan")}],
        extensions=[{"name": "radiofm", "version": "1.0.0", "optional": True}])
    with AnnotationWriter(other, recording, data="none"):
        pass
    kept = json.loads(other.read_text(), parse_constant=pytest.fail)["annotations"]
    assert kept == [{"core:sample_start": 3, "core:label": "theirs"}]
    other.write_text("{}")
    with pytest.raises(AnnotationError, match="y.sigmf-meta: is there, but is not SigMF metadata"):
        AnnotationWriter(other, recording)


def test_what_is_wrong_in_many_annotations_is_said_once(tmp_path):
    notes = [{"core:sample_start": k, "core:comment": None, "core:label": "a"} for k in range(500)]
    recording = open_recording(write_recording(tmp_path / "x", ramp(600), annotations=notes))
    assert recording.warnings == ["core:comment of the annotations is empty; left out (500 times)"]


def test_unknown_keys_and_sections(tmp_path):
    path = write_recording(tmp_path / "x", ramp(10), captures=[{"core:sample_start": 0, "my:gain": None}],
                           something="new", extensions=[])
    meta = json.loads(path.read_text())
    path.write_text(json.dumps(meta | {"notes": [1], "captures": meta["captures"], "annotations": None}))
    recording = open_recording(path)
    assert recording.warnings == ["'notes' is no section of SigMF metadata; left out"]
    assert recording.meta["global"]["core:something"] == "new" and recording.annotations == []
    assert recording.meta["captures"][0]["my:gain"] is None


def test_whole_numbers_as_floats_are_whole_numbers(tmp_path):
    path = write_recording(tmp_path / "x", ramp(2000))
    path.write_text(path.read_text().replace(
        '"annotations": []', '"annotations": [{"core:sample_start": 1e3, "core:sample_count": 5e2}]'))
    recording = open_recording(path)
    start = recording.meta["annotations"][0]["core:sample_start"]
    assert (recording.annotations[0].sample_start, recording.annotations[0].sample_count) == (1000, 500)
    assert start == 1000 and isinstance(start, int) and not recording.warnings


def test_labels_are_stripped_and_unknown_is_none(tmp_path):
    notes = [{"core:sample_start": k, "core:label": label}
             for k, label in enumerate((" fm\t", "\n", "unknown", " Unknown "))]
    recording = open_recording(write_recording(tmp_path / "x", ramp(10), annotations=notes))
    assert [a.label for a in recording.annotations] == ["fm", "", "unknown", "Unknown"]
    assert [a.is_named for a in recording.annotations] == [True, False, False, False]
    path = write_recording(tmp_path / "y", ramp(10), annotations=notes[2:3])
    assert open_recording(path).label is None


def test_frequency_edges_that_are_alone_or_exchanged(tmp_path):
    lower, upper = "core:freq_lower_edge", "core:freq_upper_edge"
    recording = open_recording(write_recording(tmp_path / "x", ramp(10), annotations=[
        {"core:sample_start": 0, lower: 1.0, upper: 2}, {"core:sample_start": 1, upper: 2.0},
        {"core:sample_start": 2, lower: 5, upper: 3}]))
    assert [(a.freq_lower, a.freq_upper) for a in recording.annotations] == [(1, 2), (None, None), (3, 5)]
    assert len(recording.warnings) == 2


@pytest.mark.parametrize("extension", [{"optional": True}, {"optional": True, "name": "radiofm"},
                                       {"optional": False, "name": "radiofm"}, {}])
def test_extensions_that_need_not_be_known(tmp_path, extension):
    extension = {"name": "antenna", "version": "1.0.0", **extension}
    assert len(open_recording(write_recording(tmp_path / "x", ramp(10), extensions=[extension]))) == 10


# -- refused -------------------------------------------------------------------------------------------
def test_a_required_extension_that_is_not_known_is_named(tmp_path):
    extensions = [{"name": "radiofm", "version": "1.0.0", "optional": False},
                  {"name": "dvbs2", "version": "1.0.0", "optional": False}]
    broken(write_recording(tmp_path / "x", ramp(10), extensions=extensions), "requires the extension 'dvbs2'")


@pytest.mark.parametrize(("section", "values"), [
    ("captures", {"sample_start": float("nan")}),
    ("captures", {"frequency": float("inf")}),
    ("captures", {"frequency": 10**400}),
    ("captures", {"sample_start": "1000000.0"}),  # a number as text may mean anything: 1,000 and 1 k, too
    ("captures", {"sample_start": True}),
    ("captures", {"global_index": 1.5}),
    ("annotations", {"sample_start": float("inf")}),
    ("annotations", {"sample_count": -1}),
    ("annotations", {"freq_lower_edge": "100 MHz"}),
    ("global", {"num_channels": "2"}),
    ("global", {"sample_rate": float("inf")}),
    ("global", {"sample_rate": -float("inf")}),
    ("global", {"offset": 1e300}),
])
def test_what_the_samples_mean_is_not_guessed(tmp_path, section, values):
    path = write_recording(tmp_path / "x", ramp(10), annotations=[{"core:sample_start": 3}])
    (key,) = values
    broken(change(path, section, **values), f"breaks the SigMF schema at .*{key}")


def test_what_is_nested_deep_is_refused(tmp_path):
    path = write_recording(tmp_path / "x", ramp(10))
    inside = 1
    for _ in range(200):
        inside = {"a": [inside]}
    broken(change(path, nested=inside), "nested more than")


@pytest.mark.parametrize(("name", "why"), [
    ("x" * 300, "must name a file in the same folder"),
    ("é" * 200, "must name a file in the same folder"),
    ("a\nb", "must name a file in the same folder"),
    ("a\x00b", "must name a file in the same folder"),
    ("\ud800", "must name a file in the same folder"),
    ("x.sigmf-meta", "names metadata"),
    ("y.sigmf-meta", "names metadata"),
    ("folder", "is a folder"),
    ("fifo", "it is a FIFO"),
    ("device", "it is a device"),
    ("socket", "it is a socket"),
    ("loop", "symbolic links"),
    ("nowhere", "is missing"),
])
def test_datasets_that_are_no_files(tmp_path, monkeypatch, name, why):
    monkeypatch.chdir(tmp_path)  # names of sockets must be short
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("gone")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    write_recording(tmp_path / "y", ramp(10))
    broken(change(write_recording(tmp_path / "x", ramp(10)), dataset=name), f"x.sigmf-meta: .*{why}")


def test_metadata_too_large_for_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr("radiofm_ml.sigmf.container.MAX_METADATA", 100)
    broken(write_recording(tmp_path / "x", ramp(10)), "is larger than 100 bytes")
