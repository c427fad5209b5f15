# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""5G NR positioning: the published .mat layout, read and made."""

import h5py
import numpy as np
import pytest
from radiofm_ml.synth.positioning import CARRIER, LIGHT, RayScene, features, write_positioning
from radiofm_ml.tasks import TaskError, load_task
from scipy.io import loadmat
from typer.testing import CliRunner

N = 12


def write(folder, name="dataset_SNR10_outdoor.mat", offset=0.0, reverse=False, stations=4, n=N, **changes):
    """A file as published; changes replace or (None) leave out its data sets."""
    values = offset + np.arange(n * stations * 16 * 193, dtype=np.float64).reshape(n, stations, 16, 193) / 1e6
    position = np.random.default_rng(0).uniform(0, 1, (n, 3)) * [80, 60, 40]
    content = {"features": values.T if reverse else values,
               "labels/position": position.T if reverse else position, **changes}
    with h5py.File(folder / name, "w") as file:
        for key, value in content.items():
            if value is not None:
                file.create_dataset(key, data=value)
    return values, position


def test_copies_of_a_position_stay_together(tmp_path):
    written = {snr: write(tmp_path, f"dataset_SNR{snr}_outdoor.mat", snr) for snr in (10, 20, 50)}
    data = load_task("position-nr", tmp_path, None)
    assert (data.kind, data.unit, data.labels) == ("regression", "m", ("x", "y", "z"))
    assert data.inputs.shape == (3 * N, 1, 193, 64) and data.targets.shape == (3 * N, 3)
    assert data.facts["snr_db"] == [10, 20, 50] and data.facts["positions"] == N
    assert len(set(data.groups)) == N and np.bincount(data.groups).tolist() == [3] * N
    np.testing.assert_array_equal(data.groups[:N], data.groups[N:2 * N])
    np.testing.assert_allclose(data.targets[N:2 * N], written[20][1], rtol=1e-6)
    test = data.splits["test"]
    assert len(test) == 3 * round(0.2 * N)
    assert not set(data.groups[test]) & set(data.groups[data.splits["train"]])
    # Any order, also repeated, over the borders of the files: antenna 5 of station 2 is column 37.
    index = np.array([2 * N + 3, 0, N, 0])
    picture = data.inputs[index]
    assert picture.dtype == np.float32
    for row, (snr, number) in zip(picture, [(50, 3), (10, 0), (20, 0), (10, 0)], strict=True):
        np.testing.assert_allclose(row[0, :, 37], written[snr][0][number, 2, 5], rtol=1e-6)


def test_dimensions_in_matlab_order_are_turned_round(tmp_path):
    (tmp_path / "b").mkdir()
    write(tmp_path)
    write(tmp_path / "b", reverse=True)
    one, two = (load_task("position-nr", folder / "dataset_SNR10_outdoor.mat", None)
                for folder in (tmp_path, tmp_path / "b"))
    np.testing.assert_array_equal(one.targets, two.targets)
    index = np.array([7, 2])
    np.testing.assert_array_equal(one.inputs[index], two.inputs[index])


def test_as_published(tmp_path):
    values, _ = write(tmp_path)
    write(tmp_path, "dataset_SNR20_outdoor.mat")
    data = load_task("position-nr-published", tmp_path, None)
    assert data.inputs.shape == (2 * N, 4, 224, 224)
    assert len(set(data.groups)) == 2 * N and "another SNR" in data.facts["split"]
    # Values that rise evenly along both axes keep their middle when resized.
    middle = values[3, :, 7:9, 96].mean(1)
    wanted = ((middle + 0.096) / 1.232 - [0.4638, 0.4631, 0.4703, 0.4620]) / [0.1154, 0.1176, 0.0979, 0.1281]
    found = data.inputs[np.array([3])][0, :, 111:113, 111:113].mean((1, 2))
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


def test_indoor_has_five_stations(tmp_path):
    write(tmp_path, "dataset_SNR10_indoor_21-11-17_03-07.mat", stations=5)
    data = load_task("position-nr", tmp_path, None)
    assert data.inputs.shape == (N, 1, 193, 80) and data.facts["box"] == [60, 20, 4]
    write(tmp_path)
    with pytest.raises(TaskError, match="holds indoor and outdoor files"):
        load_task("position-nr", tmp_path, None)


@pytest.mark.parametrize(("changes", "message"), [
    ({"features": None}, "no data set 'features'; it holds labels"),
    ({"labels/position": None}, "no data set 'labels/position'; it holds features"),
    ({"features": np.zeros((N, 5, 16, 193))}, r"'features' is \(12, 5, 16, 193\), needed is \(N, 4, "),
    ({"features": np.zeros((0, 4, 16, 193))}, r"'labels/position' is \(12, 3\), needed is \(0, 3\)"),
    ({"labels/position": np.zeros((N, 2))}, r"'labels/position' is \(12, 2\), needed is \(12, 3\)"),
    ({"labels/position": np.full((N, 3), np.inf)}, "'labels/position' holds NaN or infinite"),
    ({"features": np.full((N, 4, 16, 193), np.nan)}, "'features' holds NaN or infinite values in example 4")])
def test_content_that_does_not_fit_is_named(tmp_path, changes, message):
    write(tmp_path, **changes)
    with pytest.raises(TaskError, match=rf"dataset_SNR10_outdoor\.mat: {message}"):
        load_task("position-nr", tmp_path, None).inputs[np.array([4])]


def test_files_that_are_none_are_named(tmp_path):
    with pytest.raises(TaskError, match=r"no dataset_SNR\*\.mat in it; .*radiofm synth positioning"):
        load_task("position-nr", tmp_path, None)
    write(tmp_path)
    file = tmp_path / "dataset_SNR10_outdoor.mat"
    whole = file.read_bytes()
    for content in (b"", b"MATLAB 5.0 MAT-file", whole[:1000], whole[:len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(TaskError, match=r"SNR10_outdoor\.mat: not a whole MATLAB v7\.3 \(HDF5\) file"):
            load_task("position-nr", tmp_path, None)
    file.rename(tmp_path / "positions.mat")
    with pytest.raises(TaskError, match=r"positions\.mat: the name must be like"):
        load_task("position-nr", tmp_path / "positions.mat", None)


# -- the generator ------------------------------------------------------------------------------------------
def test_free_space_ray_has_the_phase_slope_of_its_delay():
    scene = RayScene(0)
    scene.walls, scene.scatterers, scene.scatter_gain = [], np.zeros((0, 3)), np.zeros(0)
    scene.building = (np.array([-100.0, -100.0]), 1.0, 1.0)
    position = np.array([30.0, 20.0, 5.0])
    response = scene.response(position)
    distance = np.linalg.norm(scene.arrays - position, axis=2)
    np.testing.assert_allclose(np.abs(response), (LIGHT / (4 * np.pi * CARRIER) / distance)[..., None]
                               * np.ones(193), rtol=1e-5)
    slope = np.diff(np.unwrap(np.angle(response.astype(complex)), axis=2), axis=2).mean(2)
    np.testing.assert_allclose(-slope / (2 * np.pi * 100e6 / 192) * LIGHT, distance, rtol=1e-3)


def test_two_rays_fade_at_the_spacing_of_their_delays():
    scene = RayScene(0)
    scene.scatterers, scene.scatter_gain = np.zeros((0, 3)), np.zeros(0)
    scene.building = (np.array([-100.0, -100.0]), 1.0, 1.0)
    scene.walls = [(0, -20.0, 0.9)]  # a wall behind station 0, at x = -20
    position = np.array([40.0, 1.0, 30.0])
    image = np.array([-80.0, 1.0, 30.0])
    extra = np.subtract(*(np.linalg.norm(scene.arrays[0] - source, axis=1) for source in (image, position)))
    power = np.abs(scene.response(position)[0]) ** 2
    spectrum = np.abs(np.fft.rfft(power - power.mean(1, keepdims=True), 4096))
    fades = spectrum.argmax(1) / 4096 / (100e6 / 192) * LIGHT
    np.testing.assert_allclose(fades, extra, rtol=0.05)


def test_a_building_hides_what_is_behind_it():
    scene = RayScene(0)
    scene.building = (np.array([40.0, 30.0]), 6.0, 24.0)
    station = np.array([0.0, 0.0, 10.0])
    assert scene.hidden(np.array([70.0, 52.5, 5.0]), station)
    assert not scene.hidden(np.array([70.0, 10.0, 5.0]), station)
    assert not scene.hidden(np.array([20.0, 15.0, 5.0]), station)  # in front of it


def test_noise_is_at_the_stated_level():
    rng = np.random.default_rng(2)
    response = np.full((4, 16, 193), 2 + 0j)
    for snr in (10, 20):
        values = features(response, snr, rng)
        assert values.max() == 1 and values.min() >= 0
        # Far from zero, the magnitude's spread is that of one component of the noise.
        assert values.std() / values.mean() == pytest.approx(10 ** (-snr / 20) / np.sqrt(2), rel=0.06)


def test_written_files_are_read_back_and_are_matlab_files(tmp_path):
    paths = write_positioning(tmp_path / "new", 6, seed=5)
    assert [p.name for p in paths] == [f"dataset_SNR{snr}_outdoor.mat" for snr in (10, 20, 50)]
    assert sorted(p.name for p in paths[0].parent.iterdir()) == sorted(p.name for p in paths)
    with pytest.raises(NotImplementedError, match="v7.3"):  # scipy knows the header
        loadmat(paths[0])
    data = load_task("position-nr", tmp_path / "new", None)
    assert len(data.inputs) == 18 and data.facts["positions"] == 6
    values = data.inputs[np.arange(18)]
    assert 0 <= values.min() and values.max() == 1
    assert (data.targets >= 0).all() and (data.targets <= data.facts["box"]).all()
    # The copies differ by their noise alone, less at 20 dB than at 10.
    ten, twenty, clean = values.reshape(3, 6, -1)
    assert 2 < np.abs(ten - clean).mean() / np.abs(twenty - clean).mean() < 6
    again = write_positioning(tmp_path / "again", 6, seed=5)
    np.testing.assert_array_equal(load_task("position-nr", again[1], None).targets, data.targets[6:12])
    with pytest.raises(ValueError, match="positions must be 2 or more"):
        write_positioning(tmp_path, 1)
    with pytest.raises(ValueError, match="different whole numbers"):
        write_positioning(tmp_path, 5, snr_db=(10, 10))


def test_features_tell_where_the_transmitter_is(tmp_path):
    """The nearest neighbour in features at another SNR is the same position."""
    paths = write_positioning(tmp_path, 24, seed=1, snr_db=(20, 50))
    one, two = (load_task("position-nr", path, None) for path in paths)
    everything = np.arange(24)
    a, b = (d.inputs[everything].reshape(24, -1) for d in (one, two))
    nearest = np.linalg.norm(a[:, None] - b[None], axis=2).argmin(1)
    assert (nearest == everything).all()


def test_command_writes_the_files_it_names(tmp_path):
    from radiofm_ml.cli.app import app

    result = CliRunner().invoke(app, ["synth", "positioning", str(tmp_path / "nr"), "--positions", "3",
                                      "--snr", "15", "--seed", "9"])
    assert result.exit_code == 0, result.output
    path = tmp_path / "nr" / "dataset_SNR15_outdoor.mat"
    assert str(path) in result.output.replace("\n", "")
    assert load_task("position-nr", path, None).facts == {
        "files": [path.name], "snr_db": [15], "positions": 3, "box": [80, 60, 40], "preprocessing": "tile",
        "split": "20% of the positions held out, with all their copies"}
