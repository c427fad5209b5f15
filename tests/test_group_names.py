# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A group of the unknown gets a name: the file that groups are kept in, annotations, and the commands."""

import json
from pathlib import Path

import numpy as np
import pytest
from command import radiofm
from radiofm_ml import atomic
from radiofm_ml.fewshot import PrototypeError, PrototypeSet, group_file
from radiofm_ml.fewshot.groups import Groups
from radiofm_ml.fewshot.kinship import Kinship
from radiofm_ml.sigmf.annotations import AnnotationError, AnnotationWriter
from radiofm_ml.sigmf.recording import open_recording
from radiofm_ml.sigmf.renaming import rename_unknown
from safetensors.numpy import load_file, safe_open, save_file
from sigmf_files import write_recording
from test_groups import blobs, heard

SIZE = 16
BEFORE = {"core:sample_start": 5, "core:sample_count": 9, "core:label": "unknown 1",
          "core:comment": "by hand"}  # fmt: skip


def refused(message: str, *arguments, folder: Path) -> None:
    assert message in radiofm(*arguments, code=1, folder=folder)


def some_groups(seed=1, kinds=3, normalisation="cl2n"):
    x, kind = blobs(np.random.default_rng(seed), kinds, 12)
    mean = np.full(SIZE, 0.05) if normalisation == "cl2n" else None
    groups = Groups(SIZE, Kinship(0.4, normalisation, mean), model="m@12345678")
    return groups, heard(groups, x), x, kind


def annotated(folder: Path, groups: Groups, cells, late: int = 1) -> Path:
    """A recording with an annotation for every signal, written as they are called then; the last ``late`` of
    each, and those before there was a group, only by their cell."""
    path = folder / "a"
    write_recording(path, np.zeros(100_000, np.complex64), sample_rate=1e6, annotations=[BEFORE])
    recording = open_recording(path)
    labels = groups.labels(cells)
    with AnnotationWriter(path, recording, merge=False) as writer:
        for i, (cell, label) in enumerate(zip(cells, labels, strict=True)):
            plain = i < late
            writer.add(100 * i + 10, 50, "wifi", freq_lower=-1e3, freq_upper=1e3, confidence=0.9,
                       unknown=True, group="" if plain else label, cell=int(cell) if plain or i % 2 else 0)
        writer.add(99_000, 50, "wifi", confidence=0.8)
    return path.with_name("a.sigmf-meta")


def entries(path):
    return json.loads(path.read_text())["annotations"]


# -- the file of groups ------------------------------------------------------------------------------------
@pytest.mark.parametrize("normalisation", ["cl2n", "l2", "none"])
def test_groups_come_back_as_they_were(tmp_path, normalisation):
    groups, cells, x, _ = some_groups(normalisation=normalisation)
    groups.name(1, "lora", PrototypeSet(SIZE, "m@12345678"))
    path = group_file.path_beside(tmp_path / "taught.safetensors")
    assert path == tmp_path / "taught.groups.safetensors"
    group_file.save(groups, path)
    found = group_file.load(path)
    assert found.labels(cells) == groups.labels(cells) and found.named == {1: "lora"}
    assert found.model == "m@12345678" and found.least == groups.least and len(found) == 2
    for one, other in zip(groups, found, strict=True):
        assert (one.number, one.count, one.first, one.last, one.mark) == (
            other.number, other.count, other.first, other.last, other.mark)
        assert np.array_equal(one.vector, other.vector)
    more = blobs(np.random.default_rng(9), 5, 6)[0]
    assert found.labels(heard(found, more)) == groups.labels(heard(groups, more))
    group_file.save(found, path)


def test_a_file_that_is_something_else_stays(tmp_path):
    groups = some_groups()[0]
    taught = PrototypeSet(SIZE)
    taught.set("a", np.zeros(SIZE))
    taught.save(tmp_path / "taught.safetensors")
    before = (tmp_path / "taught.safetensors").read_bytes()
    with pytest.raises(PrototypeError, match="holds no groups"):
        group_file.save(groups, tmp_path / "taught.safetensors")
    assert (tmp_path / "taught.safetensors").read_bytes() == before
    (tmp_path / "x.safetensors").write_bytes(b"rubbish")
    for name, message in (("x.safetensors", "not a file of groups"), ("none.safetensors", "no such file")):
        with pytest.raises(PrototypeError, match=f"{name}: {message}"):
            group_file.load(tmp_path / name)
    with pytest.raises(PrototypeError, match="must end in"):
        group_file.path_beside("taught.npz")
    with pytest.raises(PrototypeError, match="must end in"):
        group_file.path_beside("taught.groups.safetensors")


def damaged(tmp_path, change):
    groups = some_groups()[0]
    groups.name(1, "lora", PrototypeSet(SIZE))
    path = tmp_path / "x.groups.safetensors"
    group_file.save(groups, path)
    with safe_open(path, "np") as file:
        header = json.loads(file.metadata()["radiofm"])
    tensors = {name: np.array(value) for name, value in load_file(path).items()}
    change(header, tensors)
    save_file(tensors, path, {"radiofm": json.dumps(header)})
    return path


@pytest.mark.parametrize("change", [
    lambda h, t: h.update(format="x"), lambda h, t: h.update(format_version=2), lambda h, t: h.pop("moved"),
    lambda h, t: h.update(model=3), lambda h, t: h.update(least=0), lambda h, t: h["cells"].pop(),
    lambda h, t: h["cells"][0].pop(), lambda h, t: h["cells"][0].__setitem__(1, 0),
    lambda h, t: h["cells"][0].__setitem__(6, []), lambda h, t: h["cells"][0].__setitem__(6, [True]),
    lambda h, t: h["cells"][1].__setitem__(0, h["cells"][0][0]), lambda h, t: h.update(next_cell=1),
    lambda h, t: h.update(next_number=1), lambda h, t: h.update(forgotten=-1),
    lambda h, t: h.update(named=[[1, "unknown"]]), lambda h, t: h.update(named=[[1, 2]]),
    lambda h, t: h.update(merged=[[1, "a"]]), lambda h, t: h.update(moved=[[5, 6], [6, 5]]),
    lambda h, t: h["kinship"].update(apart=0), lambda h, t: h["kinship"].update(normalisation="l2"),
    lambda h, t: t.update(total=t["total"][:, :8].copy()), lambda h, t: t.update(kept=t["kept"][1:].copy()),
    lambda h, t: t["total"].__setitem__((0, 0), np.nan), lambda h, t: t.pop("total"),
    lambda h, t: t.update(kept=t["kept"].astype(np.float64)), lambda h, t: t.pop("mean")])
def test_a_damaged_file_is_refused(tmp_path, change):
    with pytest.raises(PrototypeError, match=r"x\.groups\.safetensors: "):
        group_file.load(damaged(tmp_path, change))


# -- annotations -------------------------------------------------------------------------------------------
def test_annotations_say_group_and_cell(tmp_path):
    groups, cells, *_ = some_groups()
    path = annotated(tmp_path, groups, cells)
    written = entries(path)
    ours = [e for e in written if "core:generator" in e]
    assert ours[0]["core:label"] == "unknown" and ours[0]["radiofm:cell"] == int(cells[0])
    assert ours[1]["core:label"] == groups.labels(cells[1])[0] and ours[1]["radiofm:cell"] == int(cells[1])
    assert "radiofm:cell" not in ours[2] and ours[2]["radiofm:nearest"] == "wifi" and BEFORE in written
    assert ours[-1]["radiofm:unknown"] is False and ours[-1]["core:label"] == "wifi"


def test_what_has_a_name_now_gets_it_and_all_else_stays(tmp_path):
    groups, cells, _, kind = some_groups()
    path = annotated(tmp_path, groups, cells)
    before = json.loads(path.read_text())
    number = int(groups.numbers(cells)[0])
    groups.name(number, "lora", PrototypeSet(SIZE))
    mine = kind == kind[0]
    assert rename_unknown(path, groups.name_now) == mine.sum()
    after = json.loads(path.read_text())
    assert after["global"] == before["global"] and after["captures"] == before["captures"]
    changed = 0
    for old, new in zip(before["annotations"], after["annotations"], strict=True):
        if new["core:label"] == "lora":
            changed += 1
            gone = {"radiofm:confidence", "radiofm:nearest", "radiofm:cell"}
            assert new == {**{k: v for k, v in old.items() if k not in gone}, "core:label": "lora",
                           "radiofm:unknown": False}
        else:
            assert new == old
    assert changed == mine.sum() and BEFORE in after["annotations"]
    open_recording(path)
    stamp = path.stat().st_mtime_ns
    assert rename_unknown(path, groups.name_now) == 0 and path.stat().st_mtime_ns == stamp


def test_a_file_that_is_being_annotated_is_left(tmp_path):
    groups, cells, *_ = some_groups()
    path = annotated(tmp_path, groups, cells)
    meta = json.loads(path.read_text())
    meta["global"]["radiofm:incomplete"] = True
    atomic.write_json(path, meta)
    with pytest.raises(AnnotationError, match="left incomplete; run that again"):
        rename_unknown(path, lambda label, cell: "lora")
    assert json.loads(path.read_text()) == meta


@pytest.mark.parametrize(("content", "message"), [
    ("[]", "is not SigMF metadata"), ("{", "not valid JSON"), ('{"global": {}}', "no annotations"),
    ('{"global": {"core:datatype": "cf32_le", "core:version": "1.2.0"}, "captures": 3, "annotations": [{'
     '"core:sample_start": 0, "core:label": "unknown 1", "radiofm:unknown": true, "core:generator": '
     '"gr-radiofm 0.1.0"}]}', "would break the SigMF schema")])
def test_what_is_no_metadata_is_left(tmp_path, content, message):
    path = tmp_path / "x.sigmf-meta"
    path.write_text(content)
    with pytest.raises(AnnotationError, match=rf"x\.sigmf-meta: .*{message}"):
        rename_unknown(path, lambda label, cell: "lora")
    assert path.read_text() == content
    for name in ("x.sigmf-data", "none.sigmf-meta"):
        with pytest.raises(AnnotationError, match=name):
            rename_unknown(tmp_path / name, lambda label, cell: "lora")


# -- commands ----------------------------------------------------------------------------------------------
@pytest.fixture
def folder(tmp_path):
    groups, cells, x, kind = some_groups()
    group_file.save(groups, tmp_path / "taught.groups.safetensors")
    annotated(tmp_path, groups, cells)
    return tmp_path


def test_naming_teaches_and_renames(folder):
    labels = [e["core:label"] for e in entries(folder / "a.sigmf-meta") if "core:generator" in e]
    count = labels.count("unknown 1")
    radiofm("name", "taught.safetensors", "unknown 1", "lora", "a.sigmf-meta", folder=folder)
    taught = PrototypeSet(SIZE)
    taught.load(folder / "taught.safetensors")
    assert taught.labels == ("lora",) and taught["lora"].shots == 12 and taught.model == "m@12345678"
    named = [e["core:label"] for e in entries(folder / "a.sigmf-meta")].count("lora")
    assert count < 13 and named == 12
    # again with another file: only that one changes
    annotated(folder, *some_groups()[:2])
    radiofm("name", "taught.safetensors", "unknown 1", "lora", "a.sigmf-meta", folder=folder)
    taught.load(folder / "taught.safetensors")
    assert taught["lora"].shots == 12
    assert [e["core:label"] for e in entries(folder / "a.sigmf-meta")].count("lora") == 12
    # a second group of the same kind adds to what is taught
    radiofm("name", "taught.safetensors", "unknown 2", "lora", folder=folder)
    taught.load(folder / "taught.safetensors")
    assert taught["lora"].shots == 24
    assert "'unknown 1' is 'lora' now" in radiofm("groups", "taught.safetensors", folder=folder)


@pytest.mark.parametrize(("arguments", "message"), [
    (["taught.safetensors", "unknown 9", "lora"], "there is no 'unknown 9'; there are 'unknown 1'"),
    (["taught.safetensors", "lora", "wifi"], "names no group of the unknown"),
    (["taught.safetensors", "unknown 1", "unknown 2"], "would be taken for a group"),
    (["other.safetensors", "unknown 1", "lora"], "other.safetensors: has no groups (other.groups."),
    (["taught.safetensors", "unknown 1", "lora", "none.sigmf-meta"], "none.sigmf-meta")])
def test_a_name_that_cannot_be_given_changes_nothing(folder, arguments, message):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    refused(message, "name", *arguments, folder=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_groups_check(tmp_path):
    x, kind = blobs(np.random.default_rng(5), 8, 10)
    other = np.random.default_rng(6).standard_normal((80, 3))
    np.savez(tmp_path / "signals.npz", embedding=x, label=[f"kind {k}" for k in kind], random=other,
             physical=x[:, :8])
    text = radiofm("groups-check", "signals.npz", "--kinds", "4", "--scenes", "2", "--normalisation", "none",
                   "--out", "report.json", folder=tmp_path)
    rows = {row["method"]: row for row in json.loads((tmp_path / "report.json").read_text())["rows"]}
    assert rows["groups"]["information"] == pytest.approx(1.0) and rows["groups"]["groups"] == 4.0
    assert rows["k-means, told the number"]["information"] > 0.8
    assert rows["random: groups"]["information"] < 0.5 and "physical: groups" in rows and "groups" in text
    refused("too few for scenes of 10", "groups-check", "signals.npz", folder=tmp_path)
    refused("none.npz: no such file", "groups-check", "none.npz", folder=tmp_path)


def test_watch_check(tmp_path):
    radiofm("watch-check", "--runs", "1", "--rates", "1", "--out", "report.json", folder=tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["false_alarms"]) == 4 and {row["kind"] for row in report["changes"]} == {
        "new", "moved", "silent"}
    refused("--rates must be numbers", "watch-check", "--rates", "x", folder=tmp_path)
