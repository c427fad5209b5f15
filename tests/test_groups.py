# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Groups of the unknown: kinds found as they come, numbers that last, bounded memory, names."""

import numpy as np
import pytest
from radiofm_ml.evaluate.groups_check import mutual_information
from radiofm_ml.fewshot import FewShot, PrototypeError, PrototypeSet, calibrate
from radiofm_ml.fewshot import groups as groups_module
from radiofm_ml.fewshot.cells import KEPT, Cell, average_linkage, distances
from radiofm_ml.fewshot.groups import Groups, group_label, group_number
from radiofm_ml.fewshot.kinship import Kinship, measure
from radiofm_ml.fewshot.prototypes import MAX_SUPPORT
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

SIZE = 16


def blobs(rng, kinds, each, spread=0.3, size=SIZE):
    """Signals (kinds * each, D) in random order and their kinds: unit distance between kinds, about."""
    middles = rng.standard_normal((kinds, size))
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    kind = rng.permutation(np.repeat(np.arange(kinds), each))
    x = middles[kind] + spread / np.sqrt(size) * rng.standard_normal((len(kind), size))
    return x.astype(np.float32), kind


def plain(apart=0.4, **settings):
    return Groups(SIZE, Kinship(apart, "none"), **settings)


def heard(groups, x, start=0.0):
    return np.concatenate([groups.add(one, start + i, [100 + i]) for i, one in enumerate(x)])


# -- what is a group ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(3))
def test_kinds_are_found_whatever_their_order(seed):
    x, kind = blobs(np.random.default_rng(seed), 10, 12)
    groups = plain()
    numbers = groups.numbers(heard(groups, x))
    assert mutual_information(numbers, kind) == pytest.approx(1.0) and len(groups) == 10
    assert [group.count for group in groups] == [12] * 10


def test_numbers_go_by_who_came_first():
    x, kind = blobs(np.random.default_rng(3), 4, 5)
    groups = plain()
    numbers = groups.numbers(heard(groups, x))
    first = [kind[numbers == number][0] for number in range(1, 5)]
    assert first == list(dict.fromkeys(kind[[np.flatnonzero(kind == k)[0] for k in first]]))
    for group in groups:
        at = np.flatnonzero(numbers == group.number)
        assert (group.first, group.last, group.count) == (at[0], at[-1], len(at))
        assert group.label == f"unknown {group.number}"
        middle = x[at].mean(0)
        nearest = at[((x[at] - middle)**2).sum(1).argmin()]
        assert group.mark == 100 + nearest and np.array_equal(group.vector, x[nearest])


def test_what_came_seldom_has_no_number_yet_and_gets_one():
    x, _ = blobs(np.random.default_rng(4), 2, 3)
    groups = plain(least=3)
    assert groups.numbers(groups.add(x[0])).tolist() == [0] and groups.labels(groups.add(x[0])) == ["unknown"]
    assert len(groups) == 0
    assert groups.numbers(groups.add(x[0])).tolist() == [1]


def test_a_stray_goes_to_the_nearest_group_unless_it_is_far():
    groups = plain(apart=1.0, least=3)
    middle, off = np.zeros(SIZE), np.eye(SIZE)[0]
    groups.add(np.repeat(middle[None], 5, 0))
    near, far = groups.add(off * 1.1), groups.add(-off * 1.2)
    assert groups.numbers([near[0], far[0]]).tolist() == [1, 0]


def test_average_linkage_is_that_of_scipy():
    rng = np.random.default_rng(5)
    z = rng.standard_normal((60, 5))
    cells = [Cell(i, 1, one, float(one @ one), 0.0, 0.0) for i, one in enumerate(z)]
    for apart in (2.0, 4.0, 8.0, 100.0):
        ours = average_linkage(distances(cells, cells), np.ones(60), apart)
        theirs = fcluster(linkage(pdist(z, "sqeuclidean"), "average"), apart, "distance")
        assert mutual_information(ours, theirs) == pytest.approx(1.0)
        assert len(set(ours.tolist())) == len(set(theirs.tolist()))
    # and cells of several signals weigh as much as these
    joined = [Cell(0, 1, z[0], float(z[0] @ z[0]), 0, 0), *cells[2:]]
    joined[0].join(cells[1])
    expected = np.mean([((z[i] - z[5])**2).sum() for i in (0, 1)])
    assert distances(joined, [cells[5]])[0, 0] == pytest.approx(expected)


# -- numbers last ------------------------------------------------------------------------------------------
def test_a_group_keeps_its_number_and_says_what_it_went_into():
    rng = np.random.default_rng(6)
    groups, step = plain(apart=0.5), np.eye(SIZE)[0]

    def at(place):
        return step * place + 0.05 * rng.standard_normal((6, SIZE)) / 4

    one, other = groups.add(at(0.0)), groups.add(at(1.0))
    assert set(groups.numbers(one)) == {1} and set(groups.numbers(other)) == {2}
    third = groups.add(np.concatenate([at(0.35 + 0.05 * i) for i in range(7)]))
    assert len(groups) == 1 and set(groups.numbers(np.concatenate([one, other, third]))) in ({1}, {2})
    gone = 3 - int(groups.numbers(one)[0])
    assert groups.merged == {gone: 3 - gone} and groups.label(gone) == group_label(3 - gone)
    with pytest.raises(PrototypeError, match=f"'unknown {gone}' is 'unknown {3 - gone}' now"):
        groups[gone]


def test_numbers_are_never_given_twice():
    rng = np.random.default_rng(7)
    groups, seen = plain(), {}
    for k in range(6):
        x, _ = blobs(rng, 1, 4)
        cells = groups.add(x, float(k))
        seen[k] = int(groups.numbers(cells)[0])
        if k % 2:
            groups.name(seen[k], f"kind {k}", PrototypeSet(SIZE))
    assert sorted(seen.values()) == [1, 2, 3, 4, 5, 6]


# -- memory ------------------------------------------------------------------------------------------------
def test_memory_is_bounded_and_old_strays_go_first(monkeypatch):
    monkeypatch.setattr(groups_module, "MAX_CELLS", 12)
    rng = np.random.default_rng(8)
    groups = plain()
    x, kind = blobs(rng, 4, 30)
    cells = heard(groups, x)
    noise = rng.standard_normal((200, SIZE)) * 3
    strays = heard(groups, noise, 1000.0)
    again, kind_again = blobs(np.random.default_rng(8), 4, 30)
    assert np.array_equal(again, x) and len(groups._cells) == 12
    numbers = groups.numbers(cells)
    assert mutual_information(numbers, kind) == pytest.approx(1.0) and len(set(numbers.tolist())) == 4
    assert groups.numbers(strays[:5]).tolist() == [0] * 5 and groups.forgotten == 200 - 8
    assert len(groups._moved) <= groups_module.MAX_MOVED
    for group in groups:
        assert len(groups.members(group.number)) <= MAX_SUPPORT
    assert all(len(cell.kept) == len(cell.marks) <= KEPT for cell in groups._cells)


def test_cells_that_were_joined_still_tell_their_group(monkeypatch):
    monkeypatch.setattr(groups_module, "MAX_CELLS", 8)
    x, kind = blobs(np.random.default_rng(9), 3, 40, spread=0.45)
    groups = plain(apart=0.6)
    cells = heard(groups, x)
    numbers = groups.numbers(cells)
    assert mutual_information(numbers, kind) > 0.99 and len(groups) == 3


def test_kept_members_are_spread_over_what_came():
    groups = plain()
    groups.add(np.zeros((1000, SIZE)), np.arange(1000.0), range(1000))
    marks = groups._cells[0].marks
    assert len(marks) > KEPT // 2 and marks[0] == 0 and marks[-1] >= 500
    assert np.ptp(np.diff(marks)) == 0


# -- names -------------------------------------------------------------------------------------------------
def test_a_named_group_is_a_label_and_no_unknown_any_more():
    x, kind = blobs(np.random.default_rng(10), 3, 8)
    few = FewShot(SIZE, model="m@1", normalisation="none")
    groups = plain(model="m@1")
    cells = heard(groups, x)
    number = int(groups.numbers(cells)[0])
    taught = groups.name(number, "lora", few.prototypes)
    assert taught.shots == 8 and few.prototypes.labels == ("lora",) and few.prototypes.model == "m@1"
    mine = kind == kind[0]
    assert np.allclose(taught.vector, x[mine].mean(0), atol=1e-6)
    assert groups.numbers(cells)[mine].tolist() == [0] * 8 and set(groups.numbers(cells)[~mine]) == {2, 3}
    assert set(np.array(groups.labels(cells))[mine]) == {"lora"} and groups.label(number) == "lora"
    assert number not in [group.number for group in groups]


def test_what_cannot_be_named_changes_nothing():
    x, _ = blobs(np.random.default_rng(11), 2, 5)
    groups, prototypes = plain(model="m@1"), PrototypeSet(SIZE, "other@2")
    cells = heard(groups, x)
    for number, label, message in ((9, "lora", "there is no 'unknown 9'; there are 'unknown 1', 'unknown 2'"),
                                   (1, "unknown 5", "would be taken for a group"), (1, "", "1 to 128"),
                                   (1, "lora", "belong to 'other@2'")):
        with pytest.raises(PrototypeError, match=message):
            groups.name(number, label, prototypes)
    assert len(prototypes) == 0 and len(groups) == 2 and groups.named == {}
    assert 0 not in groups.numbers(cells)


def test_names_of_groups():
    assert group_label(3) == "unknown 3" and group_label(0) == "unknown" and group_number("unknown 12") == 12
    for text in ("unknown", "unknown 0", "unknown 03", "unknown x", "lora 1", "unknown -1", "unknown ٣", ""):
        with pytest.raises(PrototypeError, match="names no group"):
            group_number(text)


def test_a_signal_is_called_what_it_is_now():
    x, kind = blobs(np.random.default_rng(12), 2, 5)
    groups = plain()
    cells = heard(groups, x)
    mine = groups.numbers(cells)[0]
    groups.name(int(mine), "lora", PrototypeSet(SIZE))
    other = 3 - int(mine)
    elsewhere = int(cells[kind != kind[0]][0])
    assert groups.name_now(f"unknown {mine}") == groups.name_now("unknown", int(cells[0])) == "lora"
    assert groups.name_now("unknown") == "unknown" and groups.name_now("wifi", int(cells[0])) == "wifi"
    assert groups.name_now(f"unknown {mine}", elsewhere) == f"unknown {other}"  # its cell knows better
    assert groups.name_now("unknown 77") == "unknown 77"
    assert groups.name_now(f"unknown {mine}", 99999) == "lora"  # a cell that nobody knows


# -- what near means ---------------------------------------------------------------------------------------
def test_kinship_is_the_distance_of_pairs_of_one_kind():
    rng = np.random.default_rng(13)
    x, kind = blobs(rng, 6, 40)
    kinship = measure(x, kind, normalisation="none", share=0.95)
    between = np.concatenate([pdist(x[kind == k], "sqeuclidean") for k in range(6)])
    assert kinship.apart == pytest.approx(np.quantile(between, 0.95), rel=0.02)
    least = measure(x, kind, normalisation="none", share=0.1).apart
    assert least == pytest.approx(1.15 * between.mean(), rel=0.02)
    session = np.arange(len(x)) % 2
    moved = x + session[:, None] * 0.5 * np.eye(SIZE)[1]
    across = measure(moved, kind, session, normalisation="none", share=0.1).apart
    assert across == pytest.approx(1.15 * (between.mean() + 0.25), rel=0.05)


def test_groups_of_a_classifier_have_its_distances():
    x, kind = blobs(np.random.default_rng(15), 12, 30)
    few = FewShot(SIZE, calibration=calibrate(x, kind, episodes=20))
    kinship = Kinship.of(few)
    assert kinship.normalisation == few.normalisation == "cl2n" and np.array_equal(kinship.mean, few.mean)
    measured = measure(x, kind, normalisation="cl2n").apart
    assert kinship.apart == pytest.approx(measured, rel=0.25)
    new, kinds = blobs(np.random.default_rng(16), 5, 10)
    groups = Groups.of(few)
    assert mutual_information(groups.numbers(heard(groups, new)), kinds) > 0.9
    with pytest.raises(ValueError, match="no calibration .*radiofm calibrate"):
        Groups.of(FewShot(SIZE, normalisation="l2"))


# -- refused -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("make", "message"), [
    (lambda: Kinship(0.0), "apart"), (lambda: Kinship(float("nan")), "apart"),
    (lambda: Kinship(1.0, "l3"), "normalisation"), (lambda: Kinship(1.0, "cl2n"), "needs a mean"),
    (lambda: Kinship(1.0, "l2", np.zeros(4)), "no other normalisation"),
    (lambda: Groups(SIZE, Kinship(1.0, "cl2n", np.zeros(4))), "mean must have 16 values"),
    (lambda: Groups(0, Kinship(1.0)), "embedding_size"), (lambda: Groups(4, Kinship(1.0), least=0), "least"),
    (lambda: plain().add(np.zeros(3)), "must have 16 values"),
    (lambda: plain().add(np.full(SIZE, np.nan)), "NaN"),
    (lambda: measure(np.zeros((4, 2)), list("abcd")), "no kind has two signals"),
    (lambda: measure(np.zeros((4, 2)), list("aabb"), [0, 0, 1, 1]), "from two sessions"),
    (lambda: measure(np.zeros((4, 2)), list("aab")), r"must be \(N, D\)")])
def test_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()
