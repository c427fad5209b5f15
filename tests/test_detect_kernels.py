# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The C++ of detection gives what its reference in NumPy does, on noise and on what is made to be hard."""

import numpy as np
import pytest
from radiofm_ml.detect import reference
from radiofm_ml.detect.history import RowHistory

compiled = pytest.importorskip("radiofm_ml.detect._kernels", reason="not compiled here")
BOTH = pytest.mark.parametrize("kernels", [reference, compiled], ids=["numpy", "c++"])


def spectrograms() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    noise = rng.normal(-70, 2, (131, 257)).astype(np.float32)
    stepped = noise.copy()
    stepped[50:] += 6
    stepped[90:, :200] -= 8
    begun = noise.copy()
    begun[50:] += 6
    begun[50:, 100:180] += 15
    steep = noise.copy()
    steep[:, 30:60] += 90
    return {"noise": noise, "with steps": stepped, "with a step and a signal": begun, "with signals": steep,
            "ties": rng.integers(-3, 3, (64, 70)).astype(np.float32),
            "silence": np.full((40, 33), -200, np.float32),
            "around zero": rng.normal(0, 1e-20, (31, 100)).astype(np.float32),
            "huge": (rng.normal(0, 1, (25, 40)) * 10.0 ** rng.integers(-30, 36, (25, 40))).astype(np.float32),
            "narrow": noise[:, :3].copy(), "short": noise[:10].copy()}


@pytest.fixture(params=spectrograms())
def rows(request) -> np.ndarray:
    return spectrograms()[request.param]


@pytest.mark.parametrize("share", [0.0, 0.12, 0.5, 0.9, 1.0])
def test_row_quantiles(rows, share):
    rng = np.random.default_rng(2)
    columns = rng.random(rows.shape[1]) < 0.6
    columns[-1] = True
    offset = np.median(rows, axis=0)
    for arguments in ((), (offset,), (None, columns), (offset, columns)):
        wanted = reference.row_quantiles(rows, share, *arguments)
        found = compiled.row_quantiles(rows, share, *arguments)
        assert found.dtype == wanted.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-6 * np.median(np.abs(rows)))


def test_row_quantiles_of_rows_far_apart():
    """Where each looks first for what the row before had."""
    rows = np.random.default_rng(3).normal(0, 1, (60, 500)).astype(np.float32)
    rows *= 10 ** np.random.default_rng(4).uniform(-20, 30, (60, 1)).astype(np.float32)
    np.testing.assert_allclose(compiled.row_quantiles(rows, 0.5), np.median(rows, axis=1), rtol=1e-6)


def test_column_ranks(rows):
    for ranks in ((0,), (len(rows) - 1, 0), (3, 3, 7)):
        wanted = reference.column_ranks(rows, ranks)
        np.testing.assert_array_equal(compiled.column_ranks(rows, ranks), wanted)
        np.testing.assert_array_equal(compiled.column_ranks(np.asfortranarray(rows), ranks), wanted)
    assert (np.sort(rows, axis=0) == compiled.column_ranks(rows, tuple(range(len(rows))))).all()


def test_common_steps(rows):
    for reach in (1, 5):
        wanted, found = (m.common_steps(rows, reach, 1.0, 2.0, 0.85, 0.9) for m in (reference, compiled))
        assert found.shape == wanted.shape == (len(rows) - 2 * reach + 1,)
        if np.abs(rows).max() < 1e3:  # of greater numbers single precision leaves nothing
            np.testing.assert_allclose(found, wanted, rtol=1e-4)


@BOTH
def test_a_step_is_where_it_is(kernels):
    found = kernels.common_steps(spectrograms()["with steps"], 5, 1.0, 3.0, 0.85, 0.9)
    assert found[45] == pytest.approx(6, abs=0.3) and found[45] == found.max()
    assert not found[:40].any() and not found[52:75].any()
    assert found[85] == 0, "of the second step too few bins know"
    found = kernels.common_steps(spectrograms()["with a step and a signal"], 5, 1.0, 3.0, 0.85, 0.9)
    assert found[45] == pytest.approx(6, abs=0.5), "what begins with the step only adds to it"


@pytest.mark.parametrize("cell", [(1, 1), (4, 7), (3, 3), (2, 40), (10, 2)])
def test_least_means(rows, cell):
    rng = np.random.default_rng(4)
    for terms in (0, 1, 3):
        amounts, weights = (rng.normal(0, 3, shape).astype(np.float32)
                            for shape in ((len(rows), terms), (terms, rows.shape[1])))
        wanted, found = (m.least_means(rows, cell, amounts, weights) for m in (reference, compiled))
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * max(1, np.abs(rows).max()))


@BOTH
def test_a_least_mean_lies_wholly_in_time(kernels):
    rows = np.tile(np.arange(8.0, dtype=np.float32)[:, None], (1, 5))
    nothing, shape = np.zeros((8, 1), np.float32), np.zeros((1, 5), np.float32)
    assert kernels.least_means(rows, (4, 3), nothing, shape).tolist() == [1.5] * 5
    assert kernels.least_means(rows, (4, 3), nothing - 1, shape + 2).tolist() == [3.5] * 5


@BOTH
def test_whiten(kernels):
    rng = np.random.default_rng(5)
    level = rng.uniform(-200, 60, (37, 41)).astype(np.float32)
    amounts, weights = (rng.normal(0, 4, shape).astype(np.float32) for shape in ((37, 4), (4, 41)))
    out = np.empty_like(level)
    kernels.whiten(level, amounts, weights, out)
    np.testing.assert_allclose(out, 10 ** ((level - amounts.astype(float) @ weights) / 10), rtol=3e-5)
    four = np.zeros((1, 4), np.float32)
    kernels.whiten(np.float32([[-2e3, 2e3, 0, 370]]), np.float32([[1]]), four.copy(), four)
    assert four[0, 0] < 1e-37 and four[0, 1] > 1e37 and four[0, 2] == 1
    assert four[0, 3] == pytest.approx(1e37, rel=1e-4)


@pytest.mark.parametrize("cell, closing", [((3, 3), (3, 7)), ((1, 1), (1, 1)), ((11, 5), (5, 3)),
                                           ((3, 31), (3, 63)), ((5, 129), (3, 259))])
def test_the_map(rows, cell, closing):
    power = np.random.default_rng(6).gamma(7, 1 / 7, rows.shape).astype(np.float32)
    power[len(rows) // 3:len(rows) // 2, 1:3] *= 1e9  # must leave nothing behind
    low, high = 1.21, 1.43
    for begin, end in ((0, len(rows)), (3, len(rows) - 2)):
        wanted, found = (m.SignalMap(cell, low, high, closing)(power, begin, end)
                         for m in (reference, compiled))
        np.testing.assert_array_equal(found, wanted)
    assert set(np.unique(wanted)) <= {0, 1, 3}


def test_the_map_is_kept_in_no_buffer():
    power = np.random.default_rng(7).gamma(7, 1 / 7, (80, 90)).astype(np.float32)
    map = compiled.SignalMap((3, 3), 1.2, 1.4, (3, 7))
    first = map(power, 0, 80).copy()
    map(power[:20, :50].copy(), 2, 17)
    np.testing.assert_array_equal(map(power, 0, 80), first)


# -- connected pixels -------------------------------------------------------------------------------------
def maps() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    found = {f"{share} set": (rng.random((90, 61)) < share) for share in (0.05, 0.4, 0.6, 0.95)}
    comb = np.zeros((30, 50), bool)
    comb[:29, ::2] = True
    comb[29] = True  # all meet in the last row
    spiral = np.zeros((31, 31), bool)
    for k in range(0, 15, 2):
        spiral[k, k:31 - k] = spiral[30 - k, k:31 - k] = True
        spiral[k:31 - k, 30 - k] = spiral[k + 2:31 - k, k] = True
    found |= {"comb": comb, "comb upside down": comb[::-1], "spiral": spiral,
              "nothing": np.zeros((9, 20), bool), "everything": np.ones((9, 20), bool),
              "a column": np.eye(1, 20, 4, dtype=bool).repeat(40, 0)}
    return {name: m.astype(np.uint8) * np.where(rng.random(m.shape) < 0.03, 3, 1).astype(np.uint8)
            for name, m in found.items()}


def described(blob) -> tuple:
    return blob.t0, blob.t1, blob.f0, blob.f1, blob.mask().tobytes(), blob.mask().shape


@pytest.mark.parametrize("block", [1, 2, 7, 1000])
@pytest.mark.parametrize("name", maps())
def test_blobs(name, block):
    map = maps()[name]
    ours, wanted = compiled.Blobs(map.shape[1]), reference.Blobs(map.shape[1])
    for start in range(0, len(map), block):
        ended = [list(b.take(map[start:start + block])) for b in (ours, wanted)]
        assert [described(b) for b in ended[0]] == [described(b) for b in ended[1]]
        assert ours.rows == wanted.rows == min(start + block, len(map))
        assert sorted(ours.open().tolist()) == sorted(wanted.open().tolist())
        if start // block % 3 == 2:
            early = [b.end_before(ours.rows - 5) for b in (ours, wanted)]
            assert [described(b) for b in early[0]] == [described(b) for b in early[1]]
    rest = [b.end_before(ours.rows) for b in (ours, wanted)]
    assert [described(b) for b in rest[0]] == [described(b) for b in rest[1]]
    assert len(ours.open()) == len(wanted.open()) == 0


@BOTH
@pytest.mark.parametrize("name", maps())
def test_blobs_do_not_depend_on_blocks(kernels, name):
    map = maps()[name]

    def all_of(block: int) -> list[tuple]:
        blobs = kernels.Blobs(map.shape[1])
        found = [blob for i in range(0, len(map), block) for blob in blobs.take(map[i:i + block])]
        return sorted(described(blob) for blob in [*found, *blobs.end_before(len(map))])

    assert all_of(1) == all_of(4) == all_of(1000)
    with_high = all_of(1000)
    assert bool(with_high) == bool((map == 3).any())


@BOTH
def test_no_blob_after_its_end(kernels):
    """What follows rows that were ended is another blob, also where it goes on in the same bins."""
    blobs = kernels.Blobs(4)
    line = np.uint8([[0, 3, 1, 0]])
    assert not blobs.take(line) and not blobs.take(line)
    assert blobs.open().tolist() == [[0, 2, 1, 3]]
    (first,) = blobs.end_before(0)
    assert (first.t0, first.t1) == (0, 2) and not len(blobs.open())
    assert not blobs.take(line)
    (second,) = blobs.take(np.zeros((1, 4), np.uint8))
    assert (second.t0, second.t1, second.mask().tolist()) == (2, 3, [[1, 1]])


# -- boxes --------------------------------------------------------------------------------------------------
CUTS = {"least": 12, "rows": 6, "bins": 12, "difference": 0.45, "edge_share": 0.15, "solid": 0.9,
        "deepest": 8}


def regions() -> list[np.ndarray]:
    rng = np.random.default_rng(9)
    found = [np.zeros((5, 5), bool), np.ones((30, 40), bool), np.ones((1, 1), bool), np.ones((5, 400), bool)]
    wide = np.zeros((8, 9000), bool)  # sums of products that 32 bits do not hold
    wide[:, :4000] = wide[:3, 4000:] = True
    found.append(wide)
    for _ in range(40):
        shape = rng.integers(1, 120, 2)
        mask = np.zeros(shape, bool)
        for _ in range(rng.integers(1, 7)):
            (t0, t1), (f0, f1) = (sorted(rng.integers(0, size + 1, 2)) for size in shape)
            mask[t0:t1, f0:f1] = True
        found.append(mask & (rng.random(shape) < rng.choice([0.7, 0.95, 1])))
    return [mask.astype(np.uint8) for mask in found]


@pytest.mark.parametrize("changes", [{}, {"rows": 3, "bins": 3}, {"bins": 3000, "rows": 2000},
                                     {"difference": 0.1}, {"deepest": 0},
                                     {"least": 1, "solid": 1.0, "edge_share": 0.0}])
def test_cut(changes):
    count = 0
    for mask in regions():
        wanted = reference.cut(mask, **(CUTS | changes))
        assert compiled.cut(mask, **(CUTS | changes)) == wanted
        count += len(wanted)
    assert count > 20


@BOTH
def test_mean(kernels):
    power = np.random.default_rng(10).gamma(1, 1e3, (50, 70)).astype(np.float32)
    for place in ((0, 50, 0, 70), (3, 4, 5, 6), (10, 40, 3, 60), (49, 50, 69, 70)):
        t0, t1, f0, f1 = place
        assert kernels.mean(power, *place) == pytest.approx(power[t0:t1, f0:f1].mean(dtype=float), rel=1e-6)
    assert kernels.mean(power, 3, 3, 0, 10) == kernels.mean(power, 3, 5, 10, 10) == 0


# -- what is asked for wrongly, and memory -----------------------------------------------------------------
def test_what_does_not_fit_is_refused():
    x = np.zeros((10, 8), np.float32)
    for call in (lambda: compiled.row_quantiles(x, 0.5, None, np.zeros(8, bool)),
                 lambda: compiled.row_quantiles(x, 1.5), lambda: compiled.row_quantiles(x, 0.5, x[0, :3]),
                 lambda: compiled.column_ranks(x, (10,)),
                 lambda: compiled.common_steps(x, 6, 1.0, 3.0, 0.5, 0.9),
                 lambda: compiled.least_means(x, (11, 1), x[:, :1], x[:1]),
                 lambda: compiled.mean(x, 0, 11, 0, 1), lambda: compiled.SignalMap((3, 3), 1, 2, (2, 3)),
                 lambda: compiled.whiten(x, x[:, :2], x[:1], x.copy()),
                 lambda: compiled.SignalMap((3, 3), 1, 2, (3, 3))(x, 4, 11),
                 lambda: compiled.Blobs(7).take(np.zeros((3, 8), np.uint8)), lambda: compiled.Blobs(0)):
        with pytest.raises(ValueError):
            call()


def test_history():
    history, rng = RowHistory(3), np.random.default_rng(11)
    all_rows, kept = np.empty((0, 3), np.float32), 0
    for _ in range(300):
        more = rng.random((int(rng.integers(0, 9)), 3), np.float32)
        history.append(len(more))[:] = more
        all_rows = np.concatenate([all_rows, more])
        kept = max(kept, len(all_rows) - int(rng.integers(0, 40)))
        history.forget(kept)
        assert (history.start, history.stop, len(history)) == (kept, len(all_rows), len(all_rows) - kept)
        start = int(rng.integers(0, len(all_rows) + 1))
        np.testing.assert_array_equal(history.rows(start, start + 7), all_rows[max(start, kept):start + 7])
    assert len(history._memory) <= 3 * 60, "memory is used again"
