# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""UWB channel impulse responses: their spectrograms, and the split by geometry."""

import numpy as np
import pytest
from radiofm_ml.tasks import TaskError, cir, load_task


def archive(configs=12, count=9, **changes) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    config = np.repeat(np.arange(configs), count)
    noise = rng.normal(0, 50, (len(config), 256, 2))
    noise[:, 33] += 4000
    kinds = np.array(["LOS", "NLOS", "NDP NLOS"])
    arrays = {"cir": noise.astype(np.int16), "label": kinds[config % 3], "true_dist": 1.5 + config / 2,
              "config": config, "first_path": np.full(len(config), 745.0)}
    return {key: value for key, value in {**arrays, **changes}.items() if value is not None}


def test_spectrogram_shows_a_path_at_its_delay_and_its_level_over_the_noise():
    rng = np.random.default_rng(1)
    taps = np.arange(256)
    quiet = (rng.normal(size=(1, 256)) + 1j * rng.normal(size=(1, 256))).astype(np.complex64)
    strong = quiet + 1000 * (taps == 101)
    tone = quiet + 30 * np.exp(2j * np.pi * 0.25 * taps) * (taps >= 32)
    pictures = cir.spectrograms(np.concatenate([quiet, strong, tone]))
    assert pictures.shape == (3, 1, 113, 64) and pictures.dtype == np.float32
    assert abs(10 * np.log10((10 ** (pictures[0] / 10)).mean())) < 1.5  # noise alone is at 0 dB
    loud = pictures[1, 0].mean(1) > 25
    # Tap 101 is seen by the windows that begin at 70 .. 100, least at their edges.
    assert np.flatnonzero(loud)[[0, -1]] * cir.HOP == pytest.approx([71, 99], abs=3)
    peak = np.hanning(33)[16] ** 2 * 1000**2 / (2 * np.sum(np.hanning(33) ** 2))
    assert pictures[1].max() == pytest.approx(10 * np.log10(peak), abs=1.5)
    assert (pictures[2, 0, 40:].argmax(1) == 32 + 16).all()  # a quarter of the rate, right of the middle
    np.testing.assert_allclose(cir.spectrograms(strong * 7), pictures[1:2], atol=1e-3)  # no absolute level


def test_sight_and_ranging_hold_out_geometries_of_every_kind(tmp_path):
    np.savez(tmp_path / "uwb.npz", **archive())
    sight = load_task("uwb-sight", tmp_path / "uwb.npz", None, seed=3)
    assert (sight.kind, sight.labels) == ("classification", ("LOS", "NLOS"))
    assert sight.inputs.shape == (108, 1, 113, 64)
    assert np.bincount(sight.targets).tolist() == [36, 72]
    test = sight.splits["test"]
    assert len(set(sight.groups[test])) == 3 and sorted({c % 3 for c in sight.groups[test]}) == [0, 1, 2]

    ranging = load_task("uwb-ranging", tmp_path / "uwb.npz", None, seed=3)
    assert (ranging.kind, ranging.unit, ranging.labels) == ("regression", "m", ("distance",))
    assert ranging.targets.shape == (108, 1) and ranging.targets[9] == 2.0
    np.testing.assert_array_equal(ranging.splits["test"], test)
    assert ranging.facts["test_configs"] == sorted(set(sight.groups[test]))
    other = load_task("uwb-ranging", tmp_path / "uwb.npz", None, seed=4).facts["test_configs"]
    assert other != ranging.facts["test_configs"]


def test_responses_of_a_config_are_thinned_evenly(tmp_path):
    np.savez(tmp_path / "uwb.npz", **archive(count=9))
    data = cir.load_ranging(tmp_path / "uwb.npz", None, 0, per_config=3)
    assert np.bincount(data.groups).tolist() == [3] * 12
    full = cir.load_ranging(tmp_path / "uwb.npz", None, 0)
    np.testing.assert_array_equal(data.inputs[:3], full.inputs[[0, 4, 8]])


@pytest.mark.parametrize(("changes", "message"), [
    ({"cir": None}, "no array 'cir'; it holds label"),
    ({"cir": np.zeros((108, 256), np.int16)}, r"'cir' is int16 \(108, 256\)"),
    ({"label": np.array(["LOS"] * 5)}, r"'label' is \(5,\), needed is \(108,\)"),
    ({"label": np.array(["sight"] * 108)}, "'label' has 'sight'; known are LOS"),
    ({"true_dist": np.full(108, np.nan)}, "no finite number"),
    ({"label": np.array([None] * 108)}, "not a readable .npz archive")])
def test_archive_that_does_not_fit_is_named(tmp_path, changes, message):
    np.savez(tmp_path / "bad.npz", **archive(**changes))
    with pytest.raises(TaskError, match=rf"bad\.npz: .*{message}"):
        load_task("uwb-sight", tmp_path / "bad.npz", None)


def test_real_responses(data_dir):
    data = load_task("uwb-sight", data_dir / "csi" / "uwb_cir.npz", None)
    assert len(data.inputs) == 24 * 60 and data.facts["configs"] == 24
    assert len(data.facts["test_configs"]) == 8
    # The first path is 32 taps in: the rows whose windows end before it are noise, the rows after are not.
    median = np.median(data.inputs, (0, 1, 3))
    assert abs(median[0] + 2) < 3 and median[16:].max() > 20
