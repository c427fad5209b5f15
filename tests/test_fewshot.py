# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Few-shot: what was taught, distances, what they mean, and the stated false-alarm rate, measured."""

import copy
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from radiofm_ml import bundle as bundles
from radiofm_ml.fewshot import CENTRES, METRICS, NORMALISATIONS, FewShot, StreamMean, geometry
from radiofm_ml.fewshot.calibrating import LEVELS, calibrate
from radiofm_ml.fewshot.calibration import Calibration, around, p_values
from radiofm_ml.fewshot.prototypes import (
    MAX_LABELS,
    MAX_SUPPORT,
    MAX_UNDO,
    Prototype,
    PrototypeError,
    PrototypeSet,
)
from safetensors.numpy import save_file
from scipy.stats import binom

D = 24


def world(seed, n_labels: int, spread: float = 4.0):
    """draw(label, n) -> float32 (n, D): Gaussians of one shape, five different sizes, far from the origin."""
    rng = np.random.default_rng(seed)
    axes = np.exp(-np.arange(D) / 8.0)
    axes *= D / axes.sum()
    centres = rng.normal(size=(n_labels, D)) * spread + 3.0
    sizes = np.exp(rng.uniform(np.log(0.3), np.log(1.5), n_labels))

    def draw(label: int, n: int) -> np.ndarray:
        return (centres[label] + sizes[label] * rng.normal(size=(n, D)) * np.sqrt(axes)).astype(np.float32)

    return draw


def labelled(seed, n_labels: int, n: int, spread: float = 4.0):
    draw = world(seed, n_labels, spread)
    return np.concatenate([draw(k, n) for k in range(n_labels)]), np.repeat(np.arange(n_labels), n)


@pytest.fixture(scope="module")
def calibration() -> dict:
    x, y = labelled(1, 40, 60)
    return calibrate(x, y, "none", shots=(1, 5, 10), ways=(1, 3, 8), episodes=40)


def taught(draw, n_labels: int, shots: int, **options) -> FewShot:
    few = FewShot(D, **options)
    for k in range(n_labels):
        few.prototypes.enroll(f"label {k}", draw(k, shots))
    return few


# -- what was taught ------------------------------------------------------------------------------
@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_enroll_is_the_mean_of_all_shots_however_they_come(portions, seed):
    x = np.random.default_rng(seed).normal(size=(sum(portions), 5)).astype(np.float32) * 100
    prototypes = PrototypeSet(5)
    for part in np.split(x, np.cumsum(portions)[:-1]):
        result = prototypes.enroll("a", part)
    assert result is prototypes["a"] and result.shots == len(x)
    np.testing.assert_allclose(result.vector, x.mean(0), rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(result.support, x[-MAX_SUPPORT:])
    assert result.vector.dtype == result.support.dtype == np.float32


def test_set_remove_rename_clear_and_undo():
    p = PrototypeSet(3)
    p.enroll("a", [[1, 2, 3], [3, 4, 5]])
    p.set("b", [0, 0, 1], shots=7)
    assert p.labels == ("a", "b") and p["b"].shots == 7 and len(p["b"].support) == 0
    np.testing.assert_array_equal(p["a"].vector, [2, 3, 4])
    p.rename("a", "c")
    assert p.labels == ("c", "b")
    p.remove("c")
    assert p.labels == ("b",)
    p.clear()
    assert len(p) == 0
    for labels in (("b",), ("c", "b"), ("a", "b"), ("a",), ()):
        p.undo()
        assert p.labels == labels
    with pytest.raises(PrototypeError, match="nothing to undo"):
        p.undo()


def test_undo_is_bounded_and_a_beginning_cannot_be_undone():
    p = PrototypeSet(1)
    for i in range(MAX_UNDO + 10):
        p.set("a", [i], 1)
    assert p.undo_depth == MAX_UNDO
    for _ in range(MAX_UNDO):
        p.undo()
    assert p["a"].vector[0] == 9
    p.set("b", [0], 1)
    p.forget_history()
    with pytest.raises(PrototypeError, match="nothing to undo"):
        p.undo()


@pytest.mark.parametrize("change", [
    lambda p: p.enroll("a", np.zeros((2, 4))),
    lambda p: p.enroll("a", np.full((1, 3), np.nan)),
    lambda p: p.enroll("a", [[1, 2, np.inf]]),
    lambda p: p.enroll("a", [[1, 2, 1e300]]),
    lambda p: p.enroll("a", "abc"),
    lambda p: p.enroll("a", np.zeros((0, 3))),
    lambda p: p.enroll("a", np.zeros((1, 3)), model="other@0"),
    lambda p: p.enroll("unknown", np.zeros((1, 3))),
    lambda p: p.enroll("", np.zeros((1, 3))),
    lambda p: p.enroll(" a", np.zeros((1, 3))),
    lambda p: p.enroll("a\n", np.zeros((1, 3))),
    lambda p: p.enroll("x" * 129, np.zeros((1, 3))),
    lambda p: p.enroll(7, np.zeros((1, 3))),
    lambda p: p.set("a", [[1, 2, 3], [4, 5, 6]]),
    lambda p: p.set("a", [1, 2, 3], shots=0),
    lambda p: p.set("a", [1, 2, 3], shots=True),
    lambda p: p.set("a", [1, 2, 3], shots=2.0),
    lambda p: p.set("a", [1, 2, 3], shots=2**31),
    lambda p: p.set("a", [1, 2, 3], shots=1, support=np.zeros((2, 3))),
    lambda p: p.remove("z"),
    lambda p: p.rename("z", "y"),
    lambda p: p.rename("a", "b"),
    lambda p: p.rename("a", "a"),
    lambda p: p.rename("a", ""),
    lambda p: p.load_state({}),
    lambda p: p.load_state({**p.state(), "format_version": 2}),
    lambda p: p.load_state({**p.state(), "embedding_size": 4}),
    lambda p: p.load_state({**p.state(), "model": "other@0"}),
    lambda p: p.load_state({**p.state(), "model": 3}),
    lambda p: p.load_state({**p.state(), "mean": [1, 2]}),
    lambda p: p.load_state({**p.state(), "prototypes": None}),
    lambda p: p.load_state({**p.state(), "prototypes": [3]}),
    lambda p: p.load_state({**p.state(), "prototypes": [{}]}),
    lambda p: p.load_state({**p.state(), "prototypes": p.state()["prototypes"] * 2}),
])
def test_a_refused_change_changes_nothing(change):
    p = PrototypeSet(3, "own@1")
    p.enroll("a", [[1, 2, 3]])
    p.enroll("b", [[4, 5, 6]])
    before, depth = p.snapshot, p.undo_depth
    with pytest.raises(PrototypeError):
        change(p)
    assert p.snapshot is before and p.undo_depth == depth


def test_labels_are_bounded():
    p = PrototypeSet(1)
    for i in range(MAX_LABELS):
        p.set(str(i), [i])
    with pytest.raises(PrototypeError, match="remove one"):
        p.set("one more", [0])
    p.set("0", [5])  # one that is there may change


def test_the_first_model_decides_until_cleared():
    p = PrototypeSet(1)
    p.set("a", [1])
    assert p.model == ""
    p.enroll("a", [[2]], model="m@1")
    assert p.model == "m@1"
    with pytest.raises(PrototypeError, match="m@1"):
        p.enroll("a", [[2]], model="m@2")
    p.clear()
    p.enroll("a", [[2]], model="m@2")
    assert p.model == "m@2"


def test_state_goes_round_and_equal_states_are_no_change():
    p, q = PrototypeSet(3, "m@1", mean=[1, 1, 1]), PrototypeSet(3)
    p.enroll("a", np.random.default_rng(0).normal(size=(5, 3)))
    p.set("b", [1, 2, 3], 4)
    assert q.load_state(p.state())
    assert list(q) == list(p) and q.model == "m@1"
    np.testing.assert_array_equal(q.mean, [1, 1, 1])
    depth = q.undo_depth
    assert not q.load_state(p.state()) and q.undo_depth == depth
    q.undo()
    assert len(q) == 0 and q.mean is None and q.model == ""


# -- files ----------------------------------------------------------------------------------------
def test_a_file_brings_everything_back(tmp_path):
    p = PrototypeSet(3, "m@1", mean=[1, 2, 3])
    p.enroll("überwacht – A", np.random.default_rng(0).normal(size=(40, 3)))
    p.set("b", [1, 2, 3], 4)
    path = p.save(tmp_path / "x.safetensors")
    q = PrototypeSet(3)
    assert q.load(path) and list(q) == list(p) and q.model == "m@1"
    np.testing.assert_array_equal(q.mean, [1, 2, 3])
    empty = PrototypeSet(3).save(tmp_path / "empty.safetensors")
    assert q.load(empty) and len(q) == 0
    assert sorted(f.name for f in tmp_path.iterdir()) == ["empty.safetensors", "x.safetensors"]


def test_files_that_are_refused(tmp_path):
    p = PrototypeSet(3, "m@1")
    p.enroll("a", [[1, 2, 3]])
    good = p.save(tmp_path / "good.safetensors")
    content = good.read_bytes()
    bad = tmp_path / "bad.safetensors"
    for text, reason in ((content[:-4], "not a file"), (content[:5], "not a file"), (b"", "not a file"),
                         (b"\xff" * 64, "not a file")):
        bad.write_bytes(text)
        with pytest.raises(PrototypeError, match=f"bad.safetensors.*{reason}"):
            p.load(bad)
    save_file({"weight": np.zeros(3, np.float32)}, bad)
    with pytest.raises(PrototypeError, match="holds no prototypes"):
        p.load(bad)
    with pytest.raises(PrototypeError, match="holds no prototypes"):
        p.save(bad)  # what is no file of prototypes is not overwritten
    header = json.loads(_header(content)["radiofm"])
    tensors = {"prototypes": np.array([[1, 2, 3]], np.float32), "support": np.zeros((0, 3), np.float32)}
    for change, altered, reason in (
            ({"support": [1]}, {}, "damaged"), ({"labels": ["a", "b"]}, {}, "damaged"),
            ({"shots": ["x"]}, {}, "shots"),
            ({"model": "other@2"}, {}, "other@2"), ({"embedding_size": 5}, {}, "embedding_size"),
            ({}, {"prototypes": np.array([[1, np.nan, 3]], np.float32)}, "NaN"),
            ({}, {"prototypes": np.zeros((1, 3))}, "float32"),
            ({}, {"prototypes": np.zeros(3, np.float32)}, "2 axes"),
            ({}, {"prototypes": np.zeros((1, 4), np.float32)}, "3 values"),
            ({}, {"mean": np.zeros(4, np.float32)}, "mean")):
        save_file({**tensors, **altered}, bad, {"radiofm": json.dumps({**header, "support": [0], **change})})
        with pytest.raises(PrototypeError, match=reason):
            p.load(bad)
    for path in (tmp_path / "absent.safetensors", tmp_path / "x.npz", tmp_path / "no" / "x.safetensors"):
        with pytest.raises(PrototypeError, match=path.name):
            p.load(path)
    with pytest.raises(PrototypeError, match="cannot be written"):
        p.save(tmp_path / "no" / "x.safetensors")
    with pytest.raises(PrototypeError, match="must end in"):
        p.save(tmp_path / "x.pkl")
    assert list(p)[0].label == "a" and p.undo_depth == 1


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    p = PrototypeSet(3)
    p.set("a", [1, 2, 3])
    path = p.save(tmp_path / "x.safetensors")
    before = path.read_bytes()
    p.set("b", [1, 2, 3])
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(PrototypeError, match="No space left"):
        p.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def _header(content: bytes) -> dict:
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8:8 + size])["__metadata__"]


# -- distances ------------------------------------------------------------------------------------
def _prototypes(draw, n_labels: int, shots: int) -> list[Prototype]:
    p = PrototypeSet(D)
    for k in range(n_labels):
        p.enroll(str(k), draw(k, shots))
    return list(p)


def test_normalisations():
    x, mean = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([3.0, 0.0])
    np.testing.assert_array_equal(geometry.normalise(x, "none"), x)
    np.testing.assert_allclose(geometry.normalise(x, "l2"), [[0.6, 0.8], [0, 0]])
    np.testing.assert_allclose(geometry.normalise(x, "cl2n", mean), [[0, 1], [-1, 0]])


def test_distances_are_squared_euclidean_and_cosine():
    draw = world(2, 3)
    prototypes, x = _prototypes(draw, 3, 4), draw(0, 5)
    euclidean = geometry.fit(prototypes, "none").distances(x)
    direct = [[((a.astype(np.float64) - p.vector)**2).sum() for p in prototypes] for a in x]
    np.testing.assert_allclose(euclidean, direct, rtol=1e-9)
    cosine = geometry.fit(prototypes, "none", metric="cosine").distances(x)
    direct = [[1 - a @ p.vector / np.linalg.norm(a) / np.linalg.norm(p.vector) for p in prototypes]
              for a in x.astype(np.float64)]
    np.testing.assert_allclose(cosine, 2 * np.array(direct), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("normalisation", ["none", "l2", "cl2n"])
@pytest.mark.parametrize("source_scatter", [None, 2.0])
def test_leave_one_out_is_what_fitting_without_the_shot_gives(normalisation, source_scatter):
    draw, mean = world(3, 3), np.full(D, 2.5)
    prototypes = [*_prototypes(draw, 2, 4), *_prototypes(draw, 3, 2)[2:]]
    quick = geometry.fit(prototypes, normalisation, mean, source_scatter=source_scatter).loo
    slow = []
    for k, p in enumerate(prototypes):
        for i in range(p.shots):
            rest = np.delete(p.support, i, 0)
            less = Prototype(p.label, rest.mean(0, dtype=np.float64).astype(np.float32), p.shots - 1, rest)
            fitted = geometry.fit([*prototypes[:k], less, *prototypes[k + 1:]], normalisation, mean,
                                  source_scatter=source_scatter)
            slow.append(fitted.ratios(fitted.distances(p.support[i:i + 1]))[0, k])
    np.testing.assert_allclose(quick, np.sort(slow), rtol=1e-4)


def test_mahalanobis_knows_which_directions_matter():
    rng = np.random.default_rng(4)
    loud = np.r_[np.full(4, 12.0), np.full(D - 4, 1.0)]  # four directions carry noise and nothing else
    centres = np.c_[np.zeros((6, 4)), rng.normal(size=(6, D - 4)) * 1.2]

    def accuracy(metric: str, shots: int) -> float:
        few = FewShot(D, normalisation="none", metric=metric)
        for k, centre in enumerate(centres):
            few.prototypes.enroll(str(k), centre + loud * rng.normal(size=(shots, D)))
        return float(np.mean([(few.predict(centre + loud * rng.normal(size=(200, D))).index == k).mean()
                              for k, centre in enumerate(centres)]))

    assert accuracy("mahalanobis", 10) > accuracy("euclidean", 10) + 0.2


def test_mahalanobis_waits_for_five_shots_and_its_leave_one_out_is_close():
    draw = world(5, 4)
    assert geometry.fit(_prototypes(draw, 4, 4), "none", metric="mahalanobis").metric == "euclidean"
    prototypes = _prototypes(draw, 4, 8)
    fitted = geometry.fit(prototypes, "none", metric="mahalanobis")
    assert fitted.metric == "mahalanobis"
    slow = []
    for k, p in enumerate(prototypes):
        for i in range(p.shots):
            rest = np.delete(p.support, i, 0)
            less = Prototype(p.label, rest.mean(0), p.shots - 1, rest)
            again = geometry.fit([*prototypes[:k], less, *prototypes[k + 1:]], "none", metric="mahalanobis")
            slow.append(again.ratios(again.distances(p.support[i:i + 1]))[0, k])
    np.testing.assert_allclose(fitted.loo, np.sort(slow), rtol=0.15)  # shrinkage is held, not fitted again


@pytest.mark.parametrize("size", [2, 3, 8, 64])
@pytest.mark.parametrize("shots", [5, 6, 12, 32])
@pytest.mark.parametrize("labels", [1, 2, 5, 10])
def test_mahalanobis_of_what_scatters_alike_in_all_directions_is_euclidean(size, shots, labels):
    """Then shrinkage leaves next to nothing of the covariance, or nothing."""
    rng = np.random.default_rng([size, shots, labels])
    centres = rng.normal(size=(labels, size)) * 40
    prototypes = []
    for k, centre in enumerate(centres):
        x = (centre + rng.normal(size=(shots, size))).astype(np.float32)
        prototypes.append(Prototype(str(k), x.mean(0), shots, x))
    asked = (centres[:, None] + rng.normal(size=(labels, 4000 // labels, size))).reshape(-1, size)
    own = np.repeat(np.arange(labels), 4000 // labels)
    fitted = geometry.fit(prototypes, "none", metric="mahalanobis")
    assert fitted.metric == "mahalanobis" and (fitted.scatter > 0).all() and (fitted.loo > 0).all()
    ratios = fitted.ratios(fitted.distances(asked))[np.arange(len(own)), own]
    # The scatter is known from freedom x size squares, whose relative error is sqrt(2 / count).
    known = np.sqrt(2 / (labels * (shots - 1) * size))
    assert abs(np.log(ratios.mean())) < 4 * known + 0.35
    few = FewShot(size, normalisation="none", metric="mahalanobis", false_alarm_rate=0.2)
    for prototype in prototypes:
        few.prototypes.enroll(prototype.label, prototype.support)
    if not few.shots_missing:
        assert few.predict(asked).unknown.mean() < 0.2 + 3 * np.sqrt(0.16 / (labels * shots)) + 0.05


def test_saturated_shrinkage_says_what_the_euclidean_distance_says():
    draws = np.random.default_rng(0)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = (rng.normal(size=(6, 16)) + 30).astype(np.float32)
        prototypes = [Prototype("a", x.mean(0), 6, x)]
        fitted = geometry.fit(prototypes, "none", metric="mahalanobis")
        if np.allclose(fitted.whiten @ fitted.whiten.T, np.eye(16)):
            plain = geometry.fit(prototypes, "none")
            asked = draws.normal(size=(50, 16)) + 30
            np.testing.assert_allclose(fitted.distances(asked), plain.distances(asked), rtol=1e-6)
            np.testing.assert_allclose(fitted.scatter, plain.scatter * plain.loo.mean(), rtol=0.2)
            return
    raise AssertionError("no draw with saturated shrinkage")


def test_nothing_is_known_about_one_shot_each():
    few = taught(world(6, 3), 3, 1, normalisation="none")
    decision = few.predict(np.full((1, D), 1e3, np.float32))
    assert not decision.unknown[0] and decision.p_value[0] == 1.0 and np.isfinite(decision.scores).all()


def test_equal_shots_and_zero_vectors_stay_finite():
    few = FewShot(D, normalisation="l2")
    few.prototypes.enroll("a", np.ones((5, D)))
    few.prototypes.enroll("b", np.zeros((5, D)))
    for metric in ("euclidean", "cosine", "mahalanobis"):
        few.set_metric(metric)
        decision = few.predict(np.eye(D))
        assert np.isfinite(decision.probabilities).all() and np.isfinite(decision.p_value).all()


# -- decisions ------------------------------------------------------------------------------------
def test_predict_without_prototypes():
    decision = FewShot(D).predict(np.zeros((3, D)))
    assert decision.scores.shape == (3, 0) and (decision.index == -1).all() and decision.unknown.all()
    assert (decision.confidence() == 0).all()


def test_predict_labels_and_probabilities(calibration):
    draw = world(7, 5)
    few = taught(draw, 5, 5, calibration=calibration)
    assert few.calibrated and few.normalisation == "none"
    for k in range(5):
        decision = few.predict(draw(k, 20))
        assert (decision.index == k).all()
        np.testing.assert_allclose(decision.probabilities.sum(1), 1.0)
        assert (decision.confidence() <= 1).all()
    one, many = few.predict(draw(0, 1)[0]), few.predict(draw(0, 3))
    assert one.scores.shape == (1, 5) and many.scores.shape == (3, 5)
    with pytest.raises(PrototypeError, match=f"{D} values"):
        few.predict(np.zeros((2, D + 1)))


def test_centring_and_length_remove_what_a_front_end_adds():
    """A constant share in every embedding, and levels that differ: running mean and length cancel them."""
    rng = np.random.default_rng(8)
    centres, offset = rng.normal(size=(6, D)), 5.0 * rng.normal(size=D)

    def received(labels):
        level = np.exp(rng.uniform(-1.5, 1.5, (len(labels), 1)))
        return offset + level * (centres[labels] + 0.3 * rng.normal(size=(len(labels), D)))

    labels = rng.integers(0, 6, 300)
    right = {}
    for normalisation in ("none", "l2", "cl2n"):
        few = FewShot(D, normalisation=normalisation, centre="stream")
        few.observe(received(rng.integers(0, 6, 1000)))
        for k in range(6):
            few.prototypes.enroll(str(k), received([k] * 2))
        right[normalisation] = (few.predict(received(labels)).index == labels).mean()
    assert right["cl2n"] > 0.9 and right["cl2n"] > max(right["none"], right["l2"]) + 0.15


def test_cl2n_uses_the_mean_of_the_source_or_of_the_stream():
    rng = np.random.default_rng(18)
    x, y = labelled(19, 10, 30)
    table = calibrate(x, y, "cl2n", shots=(1,), ways=(1, 4), episodes=5, metrics=("euclidean",))
    few = FewShot(D, calibration=table)
    assert few.normalisation == "cl2n" and few.calibrated
    np.testing.assert_allclose(few.state()["mean"], x.mean(0), rtol=1e-5)
    few.observe(rng.normal(size=(1000, D)) + 50)
    np.testing.assert_allclose(few.state()["mean"], x.mean(0), rtol=1e-5)
    few.set_centre("stream")
    np.testing.assert_allclose(few.state()["mean"], (x.mean(0) * 64 + 50_000) / 1064, rtol=0.02)
    other = FewShot(D, calibration=table, centre="stream")
    other.prototypes.load_state(few.state())  # a mean that comes with prototypes is where the stream's begins
    np.testing.assert_array_equal(other.state()["mean"], few.state()["mean"])
    with pytest.raises(ValueError, match="needs the domain's mean"):
        FewShot(D).set_normalisation("cl2n")
    few = FewShot(D, normalisation="cl2n", centre="stream")
    with pytest.raises(ValueError, match="needs the domain's mean"):
        few.set_centre("source")


def test_a_mirror_decides_the_same_to_the_last_bit(calibration):
    draw = world(9, 4)
    few, mirror = taught(draw, 4, 7, calibration=calibration), FewShot(D, calibration=calibration)
    mirror.prototypes.load_state(few.state())
    for a, b in zip(few.predict(draw(2, 9)), mirror.predict(draw(2, 9)[:0]), strict=True):
        assert a.shape[1:] == b.shape[1:]
    x = draw(3, 9)
    for a, b in zip(few.predict(x), mirror.predict(x), strict=True):
        np.testing.assert_array_equal(a, b)


class Commands(RuleBasedStateMachine):
    """Whatever is taught, taken back or loaded, and however it is compared: decisions are numbers."""

    SIZE = 4
    LABELS = st.sampled_from(["a", "b", "c"])
    SEEDS = st.integers(0, 2**32 - 1)

    def __init__(self):
        super().__init__()
        self.few = FewShot(self.SIZE, normalisation="l2")

    def vectors(self, seed: int, n: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return (rng.normal(size=(n, self.SIZE)) * 10.0 ** rng.integers(-3, 4)).astype(np.float32)

    def refusable(self, change, *arguments) -> None:
        """Do it, or be refused with nothing changed."""
        before = self.few.prototypes.snapshot, self.few.normalisation, self.few.centre, self.few.metric
        try:
            change(*arguments)
        except ValueError:
            assert before == (self.few.prototypes.snapshot, self.few.normalisation, self.few.centre,
                              self.few.metric)

    @rule(label=LABELS, seed=SEEDS, n=st.integers(1, 7))
    def enroll(self, label, seed, n):
        self.refusable(self.few.prototypes.enroll, label, self.vectors(seed, n))

    @rule(label=LABELS, seed=SEEDS, shots=st.integers(1, 50))
    def set(self, label, seed, shots):
        self.refusable(self.few.prototypes.set, label, self.vectors(seed, 1), shots)

    @rule(label=LABELS)
    def remove(self, label):
        self.refusable(self.few.prototypes.remove, label)

    @rule(label=LABELS, new=LABELS)
    def rename(self, label, new):
        self.refusable(self.few.prototypes.rename, label, new)

    @rule()
    def undo(self):
        self.refusable(self.few.prototypes.undo)

    @rule()
    def clear(self):
        self.refusable(self.few.prototypes.clear)

    @rule(seed=SEEDS, n=st.integers(0, 3), mean=st.booleans())
    def load(self, seed, n, mean):
        other = PrototypeSet(self.SIZE, mean=self.vectors(seed + 1, 1) if mean else None)
        for k in range(n):
            other.enroll("abc"[k], self.vectors(seed + k, 1 + k))
        self.few.prototypes.load_state(other.state())

    @rule()
    def load_what_is_there(self):
        self.few.prototypes.load_state(self.few.state())

    @rule(value=st.sampled_from(NORMALISATIONS))
    def set_normalisation(self, value):
        self.refusable(self.few.set_normalisation, value)

    @rule(value=st.sampled_from(METRICS))
    def set_metric(self, value):
        self.refusable(self.few.set_metric, value)

    @rule(value=st.sampled_from(CENTRES))
    def set_centre(self, value):
        self.refusable(self.few.set_centre, value)

    @rule(seed=SEEDS, n=st.integers(1, 40))
    def observe(self, seed, n):
        x = self.vectors(seed, n)
        self.few.observe(x, self.few.predict(x))

    @invariant()
    def decisions_are_numbers(self):
        decision = self.few.predict(self.vectors(7, 5))
        for values in decision:
            assert np.isfinite(values).all()
        if len(self.few.labels):
            np.testing.assert_allclose(decision.probabilities.sum(1), 1.0)
        assert ((decision.p_value >= 0) & (decision.p_value <= 1)).all()
        mean = self.few.state()["mean"]
        assert mean is None or np.isfinite(mean).all()


TestCommands = Commands.TestCase
TestCommands.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_undo_across_a_loaded_mean_leaves_probabilities():
    other = PrototypeSet(3, mean=[1, 2, 3])
    other.enroll("b", np.eye(3))
    few = FewShot(3, normalisation="l2")
    few.prototypes.enroll("a", np.eye(3)[:2])
    few.prototypes.load_state(other.state())
    few.set_normalisation("cl2n")
    few.prototypes.undo()
    assert few.labels == ("a",) and few.prototypes.mean is None
    decision = few.predict(np.ones((1, 3)))
    assert decision.probabilities[0, 0] == 1.0 and np.isfinite(decision.p_value).all()
    np.testing.assert_array_equal(few.state()["mean"], [1, 2, 3])  # the one in use


def test_options_are_checked():
    for options in ({"normalisation": "L2"}, {"metric": "l1"}, {"centre": "x"}, {"false_alarm_rate": 0},
                    {"false_alarm_rate": 0.6}, {"false_alarm_rate": True}, {"false_alarm_rate": "1"},
                    {"normalisation": "cl2n"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            FewShot(D, **options)
    with pytest.raises(ValueError, match="embedding_size"):
        FewShot(0)


# -- the stated false-alarm rate --------------------------------------------------------------------
@pytest.mark.parametrize(("metric", "shots", "rate"), [
    ("euclidean", 5, 0.01), ("euclidean", 5, 0.05), ("euclidean", 10, 0.01), ("mahalanobis", 5, 0.01)])
def test_known_signals_are_called_unknown_at_the_stated_rate(calibration, metric, shots, rate):
    """Labels of sizes 1 to 5 and a source of other labels; one query a label and episode, so that they are
    independent but for the shots of an episode."""
    ways, episodes, alarms = 8, 250, 0
    by_size = np.zeros(2)
    for episode in range(episodes):
        draw = world([10, episode], ways)
        few = taught(draw, ways, shots, calibration=calibration, metric=metric, false_alarm_rate=rate)
        unknown = few.predict(np.concatenate([draw(k, 1) for k in range(ways)])).unknown
        alarms += unknown.sum()
        order = np.argsort([few.prototypes[name].support.std() for name in few.labels])
        by_size += unknown[order].reshape(2, -1).sum(1)
    low, high = binom.interval(0.999, ways * episodes, rate)
    assert low <= alarms <= high
    low, high = binom.interval(0.9999, ways * episodes // 2, rate)
    assert low <= by_size.min() and by_size.max() <= high  # tight labels and wide ones alike


@pytest.fixture(scope="module")
def by_labels() -> dict:
    x, y = labelled(51, 60, 40)
    return calibrate(x, y, "none", shots=(1, 2, 5), ways=(1, 2, 3, 5, 10), episodes=60)


def _p_values(table, metric: str, shots, queries: int, seed: int = 52) -> np.ndarray:
    """Of known signals: one of each label and episode. shots: of each label taught."""
    found = []
    for episode in range(-(-queries // len(shots))):
        draw = world([seed, *shots, episode], len(shots))
        few = FewShot(D, calibration=table, metric=metric)
        for k, n in enumerate(shots):
            few.prototypes.enroll(str(k), draw(k, n))
        found.append(few.predict(np.concatenate([draw(k, 1) for k in range(len(shots))])).p_value)
    return np.concatenate(found)


@pytest.mark.parametrize("metric", ["euclidean", "mahalanobis"])
@pytest.mark.parametrize("labels", [1, 2, 3, 5, 10])
def test_the_stated_rate_holds_for_every_number_of_labels(by_labels, metric, labels):
    p = _p_values(by_labels, metric, (5,) * labels, 1000 if labels < 5 else 2000)
    for rate in (0.01, 0.05):
        assert (p <= rate).sum() <= binom.ppf(0.9999, len(p), rate)
    if labels == 1:  # alone: no other label forgives
        assert (p <= 0.05).sum() >= binom.ppf(0.0001, len(p), 0.05)


def test_a_table_that_ignores_the_number_of_labels_breaks_the_bound(by_labels):
    """That the tests around this one can tell."""
    blind = json.loads(json.dumps(by_labels))
    table = blind["normalisations"]["none"]["metrics"]["mahalanobis"]
    table["ratios"] = [{**r, "labels": 1} for r in table["ratios"] if r["labels"] == 10]
    for shots in ((1, 5), (2, 5)):
        p, held = (_p_values(t, "mahalanobis", shots, 600) for t in (blind, by_labels))
        assert (p <= 0.05).sum() > binom.ppf(0.9999, len(p), 0.05) >= (held <= 0.05).sum()


@pytest.mark.parametrize("metric", ["euclidean", "mahalanobis"])
@pytest.mark.parametrize("shots", [(5, 2), (2, 5, 5), (1, 1, 5), (12, 5, 5, 2), (8, 1, 1, 1, 1, 20)])
def test_the_stated_rate_holds_where_labels_have_different_numbers_of_shots(by_labels, metric, shots):
    p = _p_values(by_labels, metric, shots, 1200)
    for rate in (0.01, 0.05):
        assert (p <= rate).sum() <= binom.ppf(0.9999, len(p), rate)


def test_fewer_shots_than_the_calibration_knows_make_nothing_unknown(calibration):
    table = _changed(calibration, *TABLE, "ratios",
                     value=[r for r in calibration["normalisations"]["none"]["metrics"]["euclidean"]["ratios"]
                            if r["shots"] > 1])
    few = taught(world(44, 3), 3, 1, calibration=table)
    assert not few.predict(np.full((1, D), 1e3, np.float32)).unknown[0]
    few.prototypes.enroll("label 0", world(44, 3)(0, 9))
    decision = few.predict(np.full((1, D), 1e3, np.float32))
    assert few.p_values(np.full((1, D), 1e3, np.float32))[0].tolist() == pytest.approx([0, 1, 1], abs=0.01)
    assert decision.p_value[0] == 1.0


def test_unknown_signals_are_caught(calibration):
    caught = []
    for episode in range(20):
        draw = world([11, episode], 11)
        few = taught(draw, 8, 5, calibration=calibration)
        caught.append(few.predict(np.concatenate([draw(k, 10) for k in (8, 9, 10)])).unknown.mean())
    assert np.mean(caught) > 0.95


def test_without_calibration_the_shots_alone_carry_the_rate():
    rate, ways, shots, episodes = 0.05, 6, 20, 150
    few = taught(world(12, ways), ways, 3, normalisation="none", false_alarm_rate=rate)
    assert few.shots_missing == 19 - ways * 3
    few.prototypes.enroll("label 0", world(12, ways)(0, 2))
    assert few.shots_missing == 0
    alarms = 0
    for episode in range(episodes):
        draw = world([13, episode], ways)
        few = taught(draw, ways, shots, normalisation="none", false_alarm_rate=rate)
        alarms += few.predict(np.concatenate([draw(k, 1) for k in range(ways)])).unknown.sum()
    assert 0 < alarms <= binom.ppf(0.999, ways * episodes, rate)


def test_probabilities_are_calibrated_on_held_out_episodes():
    """Labels that overlap, so that there is something to be unsure of. (One shot cannot tell a tight label
    from one five times as wide.)"""
    x, y = labelled(14, 40, 60, spread=0.5)
    table = calibrate(x, y, "l2", shots=(1, 5), ways=(1, 10), episodes=60, metrics=("euclidean",))
    for shots, bound in ((1, 0.1), (5, 0.05)):
        confidence, right = [], []
        for episode in range(60):
            draw = world([15, episode], 10, spread=0.5)
            few = taught(draw, 10, shots, calibration=table)
            truth = np.repeat(np.arange(10), 5)
            decision = few.predict(np.concatenate([draw(k, 5) for k in range(10)]))
            confidence.append(decision.probabilities.max(1))
            right.append(decision.index == truth)
        confidence, right = np.concatenate(confidence), np.concatenate(right)
        assert 0.3 < right.mean() < 0.95
        bins = np.minimum((confidence * 10).astype(int), 9)
        error = sum(abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
                    for b in np.unique(bins))
        assert error <= bound


def test_stream_mean_begins_with_the_prior_and_follows():
    rng = np.random.default_rng(2)
    mean = StreamMean(np.full(3, 10.0, np.float32))
    np.testing.assert_array_equal(mean.mean(3), [10, 10, 10])
    mean.update(np.zeros((64, 3)))
    np.testing.assert_allclose(mean.mean(3), [5, 5, 5])
    mean.update(rng.normal(size=(20000, 3)))
    np.testing.assert_allclose(mean.mean(3), 0.0, atol=0.1)
    assert StreamMean().mean(2).tolist() == [0, 0]


# -- calibration ------------------------------------------------------------------------------------
def test_calibration_goes_through_json_and_is_reproducible(calibration):
    again = json.loads(json.dumps(calibration))
    assert again == calibration
    x, y = labelled(1, 40, 60)
    part = calibrate(x, y, "none", shots=(5,), ways=(3, 8), episodes=40, metrics=("mahalanobis",))
    whole, = (n["metrics"]["mahalanobis"]["ratios"] for n in calibration["normalisations"].values())
    assert [r for r in whole if r["shots"] == 5 and r["labels"] > 1] == (
        part["normalisations"]["none"]["metrics"]["mahalanobis"]["ratios"])  # an entry depends on no other
    loaded = Calibration.from_dict(again, D)
    assert loaded.normalisation == "none" and sorted(loaded.sources) == ["none"]
    tables = loaded.sources["none"].tables
    assert sorted(tables) == ["euclidean", "mahalanobis"]
    assert {n: sorted(of) for n, of in tables["euclidean"].ratios.items()} == {
        1: [1], 5: [1, 3, 8], 10: [1, 3, 8]}
    assert {n: sorted(of) for n, of in tables["mahalanobis"].ratios.items()} == {
        1: [3, 8], 5: [1, 3, 8], 10: [1, 3, 8]}
    assert Calibration.from_dict({}, D) is None


@pytest.mark.parametrize("spread, share", [(0.5, 0.0), (0.8, 0.75)])
def test_by_the_least_ratio_the_rate_holds_with_equality(spread, share):
    """Also of labels that overlap, where a bound on each label's own ratio lets through half of it."""
    x, y = labelled(1, 40, 80, spread)
    exact = calibrate(x, y, "none", shots=(5,), ways=(8,), metrics=("euclidean",), source_share=share,
                      nearest=True)
    loose = calibrate(x, y, "none", shots=(5,), ways=(8,), metrics=("euclidean",))
    called: dict = {"exact": [], "loose": []}
    for seed in range(20):
        draw = world(200 + seed, 16, spread)
        asked = [draw(k, 25) for k in range(16)]
        shots = [draw(k, 5) for k in range(8)]
        for name, made in (("exact", exact), ("loose", loose)):
            few = FewShot(D, calibration=made, false_alarm_rate=0.1)
            for k, vectors in enumerate(shots):
                few.prototypes.enroll(str(k), vectors)
            called[name].append([few.predict(x).unknown.mean() for x in asked])
    alarms, found = ({name: np.mean(np.array(of)[:, part]) for name, of in called.items()}
                     for part in (slice(8), slice(8, 16)))
    assert alarms["exact"] == pytest.approx(0.1, abs=0.025)
    assert found["exact"] > found["loose"] and alarms["loose"] < alarms["exact"]


def test_a_share_of_the_source_keeps_a_label_of_scattered_shots_from_taking_all():
    scattered = np.concatenate([np.full((3, D), 4.0), np.full((3, D), -4.0)])
    close = np.random.default_rng(0).normal(size=(6, D)) * 0.1 + 10
    prototypes = [Prototype(name, s.mean(0).astype(np.float32), len(s), s.astype(np.float32))
                  for name, s in (("scattered", scattered), ("close", close))]
    own, steady = (geometry.fit(prototypes, "none", source_scatter=1.0, source_share=share).scatter
                   for share in (0.0, 0.75))
    assert steady == pytest.approx(0.25 * own + 0.75)


@pytest.mark.parametrize("share", ["a", -0.1, 1.1, None])
def test_a_share_that_is_none_is_refused(calibration, share):
    broken = copy.deepcopy(calibration)
    broken["normalisations"]["none"]["scatter_share"] = share
    with pytest.raises(ValueError, match="scatter_share"):
        Calibration.from_dict(broken, D)


def test_between_two_entries_of_the_table_the_larger_p_value_counts(calibration):
    """Never optimistic: a signal is no more easily unknown than by either of the entries beside."""
    table = Calibration.from_dict(calibration, D).sources["none"].tables["mahalanobis"]
    for numbers, beside in (((5, 3), [(5, 3)]), ((40, 99), [(10, 8)]), ((7, 3), [(5, 3), (10, 3)]),
                            ((5, 3.5), [(5, 3), (5, 8)]), ((1, 3), [(1, 3)]), ((1, 1), []), ((0.5, 3), []),
                            ((7, 2), [(5, 1), (5, 3), (10, 1), (10, 3)])):
        assert around(table.ratios, *numbers) == beside
    draw = world(40, 4)
    few = taught(draw, 4, 7, calibration=calibration, metric="mahalanobis")
    fitted, x = few._geometry(), np.concatenate([draw(k, 40) for k in range(4)])
    ratios = fitted.ratios(fitted.distances(x))
    between = p_values(ratios, fitted, table)
    for shots in (5, 10):
        for labels in (3, 8):
            entry = replace(table, ratios={1: {1: table.ratios[shots][labels]}})
            assert (between >= p_values(ratios, fitted, entry) - 1e-12).all()
    below, exponent, above = (table.exponent(n)[0] for n in (5, 7, 10))
    assert min(below, above) < exponent < max(below, above)
    assert table.exponent(1) == table.exponent(5) and table.exponent(99) == table.exponent(10)


def _changed(calibration: dict, *path, value) -> dict:
    changed = json.loads(json.dumps(calibration))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


NONE, TABLE = ("normalisations", "none"), ("normalisations", "none", "metrics", "euclidean")


@pytest.mark.parametrize(("path", "value"), [
    (("format_version",), 3), (("format_version",), True), (("normalisation",), "l1"),
    (("normalisation",), "l2"), (("normalisation",), ["none"]), (("mean",), [1, 2]), (("mean",), "x"),
    (("levels",), [0.5, 0.4]), (("levels",), [0.5, 1.0]), (("normalisations",), []),
    (("normalisations",), {}), ((*NONE[:1], "none"), 3), (NONE[:1], {"l1": {}}),
    ((*NONE, "scatter"), 0), ((*NONE, "scatter"), "1"), ((*NONE, "metrics"), []), ((*NONE, "metrics"), {}),
    ((*NONE, "metrics"), {"l1": {"ratios": []}}), ((*NONE, "metrics"), {"euclidean": []}),
    ((*TABLE, "probabilities"), []), ((*TABLE, "probabilities", 0), 3),
    ((*TABLE, "probabilities", 0, "exponent"), -1), ((*TABLE, "probabilities", 0, "spread"), None),
    ((*TABLE, "probabilities", 0, "shots"), 0), ((*TABLE, "ratios"), "x"), ((*TABLE, "ratios", 0), None),
    ((*TABLE, "ratios", 0, "labels"), 1.5), ((*TABLE, "ratios", 0, "queries"), 0),
    ((*TABLE, "ratios", 0, "ratios"), [1.0]), ((*TABLE, "ratios", 0, "ratios"), [np.nan] * 36)])
def test_damaged_calibration_is_refused(calibration, path, value):
    name = next(key for key in reversed(path) if isinstance(key, str) and key != "none")
    with pytest.raises(ValueError, match=f"calibration: .*({name}|format 1|whole number)"):
        Calibration.from_dict(_changed(calibration, *path, value=value), D)
    row = calibration["normalisations"]["none"]["metrics"]["euclidean"]["ratios"][0]["ratios"]
    with pytest.raises(ValueError, match="ratios must ascend"):
        Calibration.from_dict(_changed(calibration, *TABLE, "ratios", 0, "ratios", value=row[::-1]), D)


@pytest.mark.parametrize("name", ["radiofm-small", "protobeam-sim"])
def test_what_ships_is_calibrated_for_every_metric_that_is_recommended(name):
    bundle = bundles.load(name)
    assert (bundle.path / bundles.CALIBRATION).is_file()
    for normalisation in ("auto", "cl2n", "l2"):
        for metric in METRICS:
            few = FewShot.for_bundle(bundle, shipped=False, normalisation=normalisation, metric=metric)
            assert few.calibrated and few.normalisation == normalisation.replace("auto", "cl2n")
    for source in Calibration.from_dict(bundle.calibration, bundle.embedding_size).sources.values():
        for metric, table in source.tables.items():
            for shots, entries in table.ratios.items():
                alone = shots == 1 and metric == "euclidean"
                poor = shots < 5 and metric == "mahalanobis"
                assert {1} if alone else {2, 3, 5, 10} if poor else {1, 2, 3, 5, 10} <= set(entries)


def test_a_damaged_calibration_is_named_by_its_folder(tmp_path):
    bundle = bundles.load("radiofm-small")
    bad = replace(bundle, path=tmp_path / "there", calibration={**bundle.calibration, "levels": [2.0]})
    with pytest.raises(ValueError, match="there: calibration: levels .*radiofm calibrate"):
        FewShot.for_bundle(bad)


@pytest.mark.parametrize("name", ["radiofm-small", "protobeam-sim"])
def test_the_calibration_of_an_older_bundle_is_read(name):
    """As it stands in the config.json of what shipped before: one normalisation, by number of shots alone."""
    bundle = bundles.load(name)
    old = bundle.config["calibration"]
    assert old["format_version"] == 1
    few = FewShot(bundle.embedding_size, calibration=old, metric="mahalanobis")
    assert few.calibrated and few.normalisation == "cl2n"
    draw = world(41, 3)
    x = np.concatenate([np.pad(draw(k, 8), ((0, 0), (0, 64 - D))) for k in range(3)])
    for k in range(3):
        few.prototypes.enroll(str(k), x[8 * k:8 * k + 6])
    decision = few.predict(x)
    assert np.isfinite(decision.probabilities).all() and (decision.index == np.repeat([0, 1, 2], 8)).all()
    for key, value in (("ratios", [1.0]), ("queries", 0), ("shots", 0), ("spread", -1)):
        with pytest.raises(ValueError, match=f"calibration: .*{key}"):
            Calibration.from_dict(_changed(old, "metrics", "euclidean", 0, key, value=value), 64)


def test_calibration_of_another_normalisation_is_not_used(calibration):
    few = FewShot(D, calibration=calibration, normalisation="l2")
    assert not few.calibrated
    few.set_normalisation("auto")
    assert few.calibrated and few.normalisation == "none"
    few.set_metric("cosine")  # is 'l2' on raw embeddings
    assert not few.calibrated


def test_shots_and_queries_come_from_different_groups():
    """A label's recordings differ by more than its tiles do: thresholds must grow with it."""
    rng = np.random.default_rng(17)
    x, y, g = [], [], []
    for label in range(12):
        centre = rng.normal(size=D) * 6
        for session in range(4):
            offset = centre + rng.normal(size=D)
            x.append(offset + 0.3 * rng.normal(size=(15, D)))
            y += [label] * 15
            g += [label * 4 + session] * 15
    x = np.concatenate(x)
    apart = calibrate(x, y, "none", shots=(5,), ways=(8,), groups=g, episodes=20, metrics=("euclidean",))
    pooled = calibrate(x, y, "none", shots=(5,), ways=(8,), episodes=20, metrics=("euclidean",))
    apart, pooled = (c["normalisations"]["none"]["metrics"]["euclidean"]["ratios"][0]
                     for c in (apart, pooled))
    at = LEVELS.index(0.99)
    assert apart["ratios"][at] > 1.5 * pooled["ratios"][at]


def test_calibrate_refuses_what_it_cannot_measure():
    x = np.random.default_rng(0).normal(size=(6, D))
    with pytest.raises(ValueError, match="fewer than two labels"):
        calibrate(x, [0, 0, 0, 1, 1, 1], "l2", shots=(3,))
    with pytest.raises(ValueError, match="two groups"):
        calibrate(x, [0, 0, 0, 1, 1, 1], "l2", shots=(1,), groups=[0, 0, 0, 1, 1, 1])
    with pytest.raises(ValueError, match="N labels"):
        calibrate(x, [0, 1], "l2")
    with pytest.raises(ValueError, match="two embeddings"):
        calibrate(x, range(6), "l2")
    with pytest.raises(ValueError, match="normalisation"):
        calibrate(x, [0, 0, 0, 1, 1, 1], "l3")
