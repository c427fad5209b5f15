# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""``radiofm watch``: what is normal is learned from recordings, kept in a file; what is new is said once."""

import json

import numpy as np
import pytest
import signal_scene as scenes
from command import printed, radiofm
from radiofm_ml.embeddings import Embeddings
from radiofm_ml.engines import open_engine
from radiofm_ml.fewshot import FewShot, group_file
from radiofm_ml.fewshot.groups import Groups
from radiofm_ml.fewshot.kinship import Kinship
from radiofm_ml.signals import SignalEncoder
from radiofm_ml.survey.watching import Post, groups_beside
from radiofm_ml.watch import state
from radiofm_ml.watch.settings import Settings
from radiofm_ml.watch.watch import Watch
from sigmf_files import write_recording

SECONDS, RATE = 2.4, scenes.RATE
NARROW, MIDDLE, WIDE = (-300e3, 12e3), (-100e3, 40e3), (200e3, 200e3)
OFTEN = "100"  # false alarms an hour, so that seconds are enough to learn


def pulses(kind, step=0.1, since=0.02, until=SECONDS - 0.08):
    seconds = {NARROW: 0.06, WIDE: 0.02}.get(kind, 0.04)
    return [(int(at * RATE), int((at + seconds) * RATE), *kind) for at in np.arange(since, until, step)]


def record(base, *emissions, seed=1, **about):
    iq = scenes.scene([e for part in emissions for e in part], int(SECONDS * RATE), seed)
    return scenes.record(base, iq, **about)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A bundle, two recordings in which narrow and middling signals come, one in which wide ones come, too,
    one in which the middling ones have moved, and one in which they do not come."""
    folder = tmp_path_factory.mktemp("watch")
    scenes.signal_bundle(folder / "model")
    both = pulses(NARROW), pulses(MIDDLE, since=0.06)
    record(folder / "monday", *both)
    record(folder / "tuesday", *both, seed=2)
    dated = [{"core:sample_start": 0, "core:frequency": scenes.CENTRE,
              "core:datetime": "2026-05-04T10:00:00.25Z"}]
    record(folder / "wide", *both, pulses(WIDE, 0.07, since=1.0), seed=3, captures=dated)
    record(folder / "moved", both[0], pulses((350e3, 40e3), since=0.06), seed=4)
    record(folder / "quiet", both[0], seed=5)
    return folder


def watch(world, kept, *names, code=0, more=()):
    return radiofm("watch", kept, *(world / f"{name}.sigmf-meta" for name in names), "-m", world / "model",
                   *more, code=code)


def news(world, kept, name) -> list[dict]:
    """The alarms of a recording, by JSON, with an exit status that fits."""
    status, out, _ = printed("watch", kept, world / f"{name}.sigmf-meta", "-m", world / "model", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == (3 if lines else 0)
    return lines


@pytest.fixture
def kept(world, tmp_path):
    """A watch that has learned from Monday."""
    path = tmp_path / "home.json"
    assert watch(world, path, "monday", more=["--normal", "--false-alarms", OFTEN]) == ""
    return path


# -- learning, then saying ---------------------------------------------------------------------------------
def test_a_day_like_any_other_is_no_news(world, kept):
    learned = state.load(kept)
    assert not learned.learning and learned.listened == pytest.approx(SECONDS)
    assert learned.settings.learn == pytest.approx(SECONDS) and learned.settings.false_alarms == 100
    assert {label for label in learned.labels if "cell" not in label} == {"unknown 1", "unknown 2"}
    assert len(group_file.load(kept.with_name("home.groups.safetensors"))) == 2
    assert watch(world, kept, "tuesday") == ""
    assert state.load(kept).listened == pytest.approx(2 * SECONDS)


def test_a_new_group_with_time_frequency_and_date(world, kept):
    (alarm,) = news(world, kept, "wide")
    assert (alarm["kind"], alarm["label"]) == ("new", "unknown 3")
    assert alarm["freq_lower"] == pytest.approx(scenes.CENTRE + 100e3, abs=5e3)
    assert alarm["freq_upper"] == pytest.approx(scenes.CENTRE + 300e3, abs=5e3)
    assert 0.99 < alarm["since"] < alarm["time"] < 1.7 and "heard" in alarm["reason"]
    assert alarm["datetime"].startswith("2026-05-04T10:00:01.")
    assert alarm["recording"] == str(world / "wide.sigmf-meta")
    assert news(world, kept, "wide") == []  # it is said once


def test_a_known_group_on_a_new_frequency(world, kept):
    found = {(a["kind"], a["label"]): a for a in news(world, kept, "moved")}
    middle = next(label for label in ("unknown 1", "unknown 2") if ("moved", label) in found)
    assert set(found) == {("moved", middle), ("silent", middle)}
    assert found["moved", middle]["freq_lower"] == pytest.approx(scenes.CENTRE + 330e3, abs=5e3)
    assert found["moved", middle]["datetime"] is None


def test_one_that_has_gone_silent(world, kept):
    (alarm,) = news(world, kept, "quiet")
    assert alarm["kind"] == "silent" and "not heard for" in alarm["reason"]
    assert alarm["since"] < 0.01 < alarm["time"] < SECONDS  # it was heard last in the recording before


def test_the_table_and_the_exit_status(world, kept):
    status, out, _ = printed("watch", kept, world / "tuesday.sigmf-meta", world / "wide.sigmf-meta", "-m",
                             world / "model")
    assert status == 3 and "wide.sigmf-meta" in out and "tuesday" not in out
    assert "│ new   │ unknown 3 │ 433." in out and "2026-05-04 10:00:01." in out


def test_taught_labels_are_known_by_their_names(world, tmp_path):
    taught, kept = tmp_path / "taught.safetensors", tmp_path / "home.json"
    radiofm("enroll", taught, "wide", world / "wide.sigmf-meta", "-m", world / "model", "--at",
            f"1.005,{scenes.CENTRE + 200e3}")
    watch(world, kept, "monday", more=["--normal", "-p", taught, "--false-alarms", OFTEN])
    status, out, _ = printed("watch", kept, world / "wide.sigmf-meta", "-m", world / "model", "-p", taught,
                             "--json")
    assert status == 3 and [json.loads(line)["label"] for line in out.splitlines()] == ["wide"]


# -- the file ----------------------------------------------------------------------------------------------
def test_learning_goes_on_with_the_next_recordings(world, tmp_path):
    kept = tmp_path / "home.json"
    status, _, said = printed("watch", kept, world / "monday.sigmf-meta", "-m", world / "model", "--learn",
                              "4.0", "--false-alarms", OFTEN)
    assert status == 0 and "has learned for 2.400 of 4 s" in said
    assert watch(world, kept, "tuesday") == ""  # the time to learn is that of the file
    learned = state.load(kept)
    assert not learned.learning and learned.settings.learn == 4.0 and learned.pause == pytest.approx(0.04)
    assert news(world, kept, "wide")


def test_settings_that_are_named_anew(world, kept):
    watch(world, kept, "tuesday", more=["--false-alarms", "5", "--tolerance", "1e3", "--learn", "9"])
    changed = state.load(kept)
    assert (changed.settings.false_alarms, changed.settings.tolerance) == (5.0, 1e3)
    assert changed.settings.learn == pytest.approx(SECONDS)
    before = kept.read_bytes()
    assert "learned with a pause of 0.024 s, not 0.1 s" in watch(world, kept, "tuesday", code=1,
                                                                more=["--pause", "0.1"])
    assert "has learned already" in watch(world, kept, "tuesday", code=1, more=["--normal"])
    assert kept.read_bytes() == before


def test_too_little_learned_is_said(world, tmp_path):
    _, _, said = printed("watch", tmp_path / "w.json", world / "monday.sigmf-meta", "-m", world / "model",
                         "--normal", "--pause", "0.2")
    assert "too little was learned for alarms of what is new at 0.1 an hour; learn longer" in said


def test_a_group_that_is_named_is_no_news(world, kept, tmp_path):
    taught = tmp_path / "taught.safetensors"
    listed = radiofm("groups", kept)
    assert "unknown 1" in listed and "unknown 2" in listed
    assert "'unknown 1' is 'my remote' now, taught with" in radiofm("name", taught, "unknown 1", "my remote",
                                                                    kept)
    assert watch(world, kept, "tuesday", more=["-p", taught]) == ""
    learned = state.load(kept)
    assert "my remote" in learned.labels and "unknown 1" not in learned.labels
    assert "name it alone" in radiofm("name", taught, "unknown 2", "x", kept, kept, code=1)


def test_a_recording_that_fails_was_not_heard(world, kept, tmp_path):
    write_recording(tmp_path / "bad", np.ones(5000, np.complex64))  # states no rate
    before = state.load(kept)
    text = radiofm("watch", kept, tmp_path / "bad.sigmf-meta", world / "tuesday.sigmf-meta", "-m",
                   world / "model", code=1)
    assert "bad.sigmf-meta: states no sample rate" in text and "1 of 2 recordings failed" in text
    assert state.load(kept).listened == pytest.approx(before.listened + SECONDS)


@pytest.mark.parametrize(("name", "content", "words"), [
    ("home.json", "{}", "holds no watch; choose another name"), ("home.txt", None, "must end in .json"),
    ("home.json", '{"format": "radiofm-watch", "format_version": 1}', "damaged"),
    ("no/home.json", None, "does not exist; create it")])
def test_what_is_no_watch_stays(world, tmp_path, name, content, words):
    path = tmp_path / name
    if content:
        path.write_text(content)
    assert words in watch(world, path, "monday", code=1)
    assert path.read_text() == content if content else not path.exists()


def test_groups_of_something_else_stay(world, kept):
    groups_beside(kept).write_bytes(b"x")
    assert "home.groups.safetensors: " in watch(world, kept, "tuesday", code=1)
    kept.unlink()
    assert "is not there, and home.groups.safetensors is" in watch(world, kept, "tuesday", code=1)
    assert groups_beside(kept).read_bytes() == b"x"


def test_another_model_is_refused(world, kept, tmp_path):
    groups = group_file.load(groups_beside(kept))
    groups.model = "other@12345678/signals"
    group_file.save(groups, groups_beside(kept))
    assert "has learned with other@12345678/signals, this is" in watch(world, kept, "tuesday", code=1)


def test_a_folder_without_recordings(world, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no SigMF recordings" in radiofm("watch", tmp_path / "w.json", tmp_path / "empty", code=1)


# -- groups that change --------------------------------------------------------------------------------------
SIZE = 4


@pytest.fixture
def post(world):
    encoder = SignalEncoder(open_engine(world / "model"))
    few = FewShot.for_bundle(encoder.engine.bundle, signals=True)
    size = few.prototypes.embedding_size
    groups = Groups(size, Kinship(1.0, "none", None), model=encoder.id)
    return Post(Watch(Settings(learn=1000.0, pause=1.0, false_alarms=100.0)), few, groups)


def heard(post, places, start, step=10.0):
    """Signals of 0.1 s at 1 samples/s times 1e3, at places along the first axis."""
    count, size = len(places), post.groups.embedding_size
    vectors = np.zeros((count, size), np.float32)
    vectors[:, 0] = places
    at = ((start + step * np.arange(count)) * 1e3).astype(np.int64)
    return post.hear(Embeddings(
        vectors, at, np.full(count, 100), np.full(count, 1e3), np.full(count, 1e6), np.full(count, 1e6),
        np.full(count, 1.1e6), post.groups.model, np.full(count, 10.0), np.full(count, 1e5), ""))


def test_what_has_no_group_yet_is_a_label_of_its_own(post):
    assert heard(post, [0.0, 50.0], 0.0) == []
    assert sorted(post.watch.labels) == ["unknown, cell 1", "unknown, cell 2"]
    assert heard(post, [0.0, 0.0], 50.0) == []
    assert sorted(post.watch.labels) == ["unknown 1", "unknown, cell 2"]
    assert post.watch._labels["unknown 1"].visits == 3


def test_a_group_that_goes_into_another_takes_its_past_along(post):
    heard(post, [0.0] * 40 + [1.3] * 40, 0.0)
    assert sorted(post.watch.labels) == ["unknown 1", "unknown 2"]
    post.watch.end_learning()
    found = heard(post, [0.65] * 80, 900.0)
    assert [a.label for a in found if a.kind != "silent"] == []
    assert len(post.groups) == len([label for label in post.watch.labels if label.startswith("unknown ")])
